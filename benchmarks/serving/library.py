"""One list, and all lists, without a server: against `implicit`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.measured import Row
from recsys.bundle import BundleRepository
from recsys.data.interactions import Interactions
from recsys.recommend.batch import Histories, rank_many
from recsys.recommend.placement import DEFAULT_PLACEMENT
from recsys.recommend.types import Request
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.http.catalog_reading import ReadCatalog
from serving.http.engine import Engine

LENGTH = 50
NOW = 1_760_000_000_000
_COMMAND = "python -m benchmarks.serving --only library"


def measure(home: Path) -> list[Row]:
    """Both rows."""
    shop = ShopFolder(home)
    repository = BundleRepository(shop.models)
    current = repository.current_id()
    assert current is not None
    bundle = repository.load(current)
    store = open_store(shop.store, create=False, read_only=True)
    interactions = Interactions.from_events(store.events.read())
    store.close()
    engine = Engine.of(bundle, ReadCatalog.unread(bundle.items, tabled=False))
    spot = engine.recommender
    matrix = sparse.csr_matrix(interactions.strengths(bundle.manifest.event_weights), dtype=np.float32)
    matrix.data[:] = 1.0
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cosine = CosineRecommender(K=100, num_threads=0)
        cosine.fit(matrix, show_progress=False)
        als = AlternatingLeastSquares(factors=128, iterations=1, random_state=0)
        als.fit(matrix, show_progress=False)
        lengths = np.diff(matrix.indptr)
        near = np.argsort(np.abs(lengths - LENGTH), kind="stable")[:200]
        histories = [interactions.history(int(row)) for row in near]
        request = Request(limit=20, now=NOW)
        ours = _per_call([lambda h=history: engine.for_customer(spot, h, request) for history in histories])
        theirs = _per_call([lambda r=row: cosine.recommend(r, matrix[r], N=20) for row in near])
        many_ours, many_theirs = [], []
        everyone, showable = np.arange(len(lengths)), np.ones(len(bundle.items), dtype=np.bool_)
        for _ in range(3):
            started = time.perf_counter()
            own = Histories.of(bundle, DEFAULT_PLACEMENT, interactions, everyone.astype(np.int32), NOW)
            rank_many(bundle, own, showable, 20, threads=2, explained=True)
            many_ours.append(len(everyone) / (time.perf_counter() - started))
            started = time.perf_counter()
            for first in range(0, len(everyone), 1000):
                rows = everyone[first : first + 1000]
                als.recommend(rows, matrix[rows], N=20)
            many_theirs.append(len(everyone) / (time.perf_counter() - started))
    one, many = ours / theirs, float(np.median(many_ours) / np.median(many_theirs))
    return [
        Row(
            f"computing one list with reasons, history of {LENGTH}",
            _COMMAND,
            f"{ours * 1e6:.0f} µs; implicit's cosine, K = 100: {theirs * 1e6:.0f} µs; ratio {one:.2f}",
            f"≤ 1.5 × (stretch 1.0 ×): {'met' if one <= 1.5 else 'missed'}",
        ),
        Row(
            "all customers, 20 items with reasons, 2 cores",
            _COMMAND,
            f"{np.median(many_ours):,.0f} customers/s; implicit's ALS, 128 factors, batches of 1,000: "
            f"{np.median(many_theirs):,.0f}; ratio {many:.2f}",
            f"≥ 2 × (stretch 5 ×): {'met' if many >= 2 else 'missed'}",
        ),
    ]


def _per_call(calls: Sequence[Callable[[], object]]) -> float:
    """Seconds per call: the median over rounds of the mean over all."""
    rounds = []
    for _ in range(7):
        started = time.perf_counter()
        for call in calls:
            call()
        rounds.append((time.perf_counter() - started) / len(calls))
    return float(np.median(rounds))
