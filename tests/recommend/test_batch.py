"""Many lists at once are the lists one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.models.blend import BlendWeights
from recsys.models.ranking_kernels import top_rows
from recsys.recommend.batch import Histories, rank_many, repeat_probabilities
from recsys.recommend.placement import DEFAULT_PLACEMENT, Placement
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Request
from tests.oracles import best
from tests.worlds import DAY, START, event_frame, event_table, published, titled
from training.fitting import TrainingConfig

BLEND = BlendWeights(
    (3,),
    {
        "item_item": (1.0, 0.7),
        "spectral": (0.0, 0.4),
        "als": (0.3, 0.0),
        "content": (0.2, 0.3),
        "popular": (0.0, 0.5),
        "repeat": (40.0, 10.0),
    },
)
REPEATS = Placement("again", frozenset({EventKind.NOT_INTERESTED}))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelBundle, Interactions]:
    """A random shop of 40 customers and 30 items, with a blend that differs by length; the last one only refused."""
    rng = np.random.default_rng(11)
    kinds = [EventKind.PURCHASE, EventKind.VIEW, EventKind.NOT_INTERESTED, EventKind.ADD_TO_CART]
    rows = [
        (f"u{customer:02}", f"i{int(item):02}", kinds[int(rng.choice(4, p=[0.5, 0.3, 0.05, 0.15]))], int(day))
        for customer in range(39)
        for item, day in zip(rng.zipf(1.4, customer % 9 + 1) % 30, rng.integers(0, 50, customer % 9 + 1), strict=True)
    ]
    frame = event_frame([*rows, ("u39", "i00", EventKind.NOT_INTERESTED, 3)])
    titles = titled({f"i{item:02}": f"volume of series {item % 4}" for item in range(30)})
    bundle = published(Path(tmp_path_factory.mktemp("models")), frame, TrainingConfig(blend=BLEND), titles)
    table = event_table(frame)
    known = pl.concat([table.item_ids, titles["item_id"]]).unique(maintain_order=True)
    return bundle, Interactions.from_events(replace(table, item_ids=known))


@pytest.mark.parametrize(("threads", "placement"), [(1, DEFAULT_PLACEMENT), (2, DEFAULT_PLACEMENT), (2, REPEATS)])
def test_the_lists_are_those_of_the_recommender(
    shop: tuple[ModelBundle, Interactions], threads: int, placement: Placement
) -> None:
    """For every customer, every source, masks and filling included, the list is what `Recommender.rank` gives."""
    bundle, interactions = shop
    showable = np.ones(len(bundle.items), dtype=bool)
    showable[[2, 5]] = False
    catalog = replace(Catalog.unread(len(showable)), available=showable)
    masked = sparse.lil_matrix((len(interactions.customers), len(bundle.items)), dtype=np.float32)
    for customer in range(len(interactions.customers)):
        masked[customer, interactions.history(customer).items_of(placement.mask_kinds)] = 1
    strengths = interactions.strengths(bundle.manifest.event_weights)
    now = START + 60 * DAY
    repeats = repeat_probabilities(bundle, interactions, now) if placement is REPEATS else None
    lists = rank_many(bundle, Histories(strengths, sparse.csr_matrix(masked), repeats), showable, 12, threads).item
    recommender = Recommender(bundle, placement)
    for customer in range(len(interactions.customers)):
        alone = recommender.rank(interactions.history(customer), catalog, Request(limit=12, now=now))
        assert lists[customer][lists[customer] >= 0].tolist() == alone.tolist(), customer


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([-np.inf, 0.0, 0.25, 0.5, 1.0]), min_size=8, max_size=8), min_size=1, max_size=4),
    st.integers(1, 9),
)
def test_top_rows_is_best_row_by_row(scores: list[list[float]], limit: int) -> None:
    """The compiled choice among scores above 0 is the plain one, ties included; short rows are filled up with -1."""
    tie_break = np.array([3, 1, 4, 1, 5, 9, 2, 6], dtype=np.int64)
    chosen = top_rows(np.array(scores), tie_break, limit)
    for row, found in zip(scores, chosen, strict=True):
        above = np.where(np.array(row) > 0, row, -np.inf)
        expected = best(above, limit, tie_break)
        assert found.tolist() == expected + [-1] * (limit - len(expected))
