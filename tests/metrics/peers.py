"""Writes what other libraries say of some lists into `peers.json`, for `test_peers.py`.

Run in an environment of its own, as RecTools needs older libraries than this project:
`pip install rectools==0.19.0 ranx==0.3.21 rbo==0.1.3`, then `python tests/metrics/peers.py`.
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import ranx
import rbo
from rectools import Columns
from rectools.metrics import (
    MAP,
    MRR,
    NDCG,
    AvgRecPopularity,
    HitRate,
    IntraListDiversity,
    MeanInvUserFreq,
    Precision,
    Recall,
    Serendipity,
)
from rectools.metrics.distances import PairwiseDistanceCalculator

CUSTOMERS, ITEMS, WIDTH, KS = 40, 30, 10, (1, 5, 10)


class Cosine(PairwiseDistanceCalculator):
    """1 − cosine, which RecTools does not bring."""

    def __init__(self, features: np.ndarray) -> None:
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        self._distance = 1.0 - unit @ unit.T

    def _get_distances_for_item_pairs(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return self._distance[first, second]

    def __getitem__(self, pairs: Any) -> np.ndarray:
        return self._get_distances_for_item_pairs(np.asarray(pairs[0]), np.asarray(pairs[1]))


def main() -> None:
    """Draws lists, wanted items and a history, asks everybody, and writes it all down."""
    rng = np.random.default_rng(17)
    lists = [rng.permutation(ITEMS)[: rng.integers(2, WIDTH + 1)].tolist() for _ in range(CUSTOMERS)]
    wanted = [sorted(rng.permutation(ITEMS)[: rng.integers(1, 8)].tolist()) for _ in range(CUSTOMERS)]
    history = [sorted(rng.permutation(ITEMS)[: rng.integers(1, 12)].tolist()) for _ in range(CUSTOMERS)]
    features = rng.random((ITEMS, 6)) * (rng.random((ITEMS, 6)) < 0.5) + 1e-3
    shown = frame(lists).assign(**{Columns.Rank: [place for row in lists for place in range(1, len(row) + 1)]})
    held_out, before = frame(wanted), frame(history)
    found: dict[str, list[float]] = {}
    for k in KS:
        for name, metric in {
            "recall": Recall(k), "precision": Precision(k), "hit_rate": HitRate(k), "mrr": MRR(k), "map": MAP(k),
            "ndcg": NDCG(k, divide_by_achievable=True),
        }.items():  # fmt: skip
            found[f"rectools {name}@{k}"] = per_customer(metric.calc_per_user(shown, held_out))
        found[f"rectools serendipity@{k}"] = per_customer(
            Serendipity(k).calc_per_user(shown, held_out, before, list(range(ITEMS)))
        )
        found[f"rectools novelty@{k}"] = per_customer(MeanInvUserFreq(k).calc_per_user(shown, before))
        found[f"rectools average_popularity@{k}"] = per_customer(AvgRecPopularity(k).calc_per_user(shown, before))
        if k > 1:
            diversity = IntraListDiversity(k, Cosine(features)).calc_per_user(shown)
            found[f"rectools intra_list_diversity@{k}"] = per_customer(diversity)
    found |= asked_of_ranx(lists, wanted)
    other = [rng.permutation(ITEMS)[: len(row) + int(rng.integers(0, 3))].tolist() for row in lists]
    found["rbo overlap"] = [rbo.RankingSimilarity(a, b).rbo_ext(p=0.9) for a, b in zip(lists, other, strict=True)]
    versions = {name: importlib.metadata.version(name) for name in ("rectools", "ranx", "rbo")}
    given = {"lists": lists, "other": other, "wanted": wanted, "history": history, "features": features.tolist()}
    text = json.dumps({"versions": versions, "items": ITEMS, "width": WIDTH, **given, "found": found})
    Path(__file__).with_suffix(".json").write_text(text + "\n")


def frame(rows: list[list[int]]) -> pd.DataFrame:
    """Pairs of a customer and an item."""
    pairs = [(customer, item) for customer, row in enumerate(rows) for item in row]
    return pd.DataFrame(pairs, columns=[Columns.User, Columns.Item])


def per_customer(values: pd.Series) -> list[float]:
    """In the order of customers, all of whom have a value."""
    assert len(values) == CUSTOMERS
    return [float(each) for each in values.sort_index()]


def asked_of_ranx(lists: list[list[int]], wanted: list[list[int]]) -> dict[str, list[float]]:
    """Its metrics per customer."""
    run = {f"{c:03}": {str(i): 100.0 - place for place, i in enumerate(row)} for c, row in enumerate(lists)}
    truth = {f"{c:03}": dict.fromkeys(map(str, row), 1) for c, row in enumerate(wanted)}
    names = [f"{name}@{k}" for name in ("recall", "precision", "hit_rate", "mrr", "map", "ndcg") for k in KS]
    found = ranx.evaluate(ranx.Qrels(truth), ranx.Run(run), names, return_mean=False)
    return {f"ranx {name}": [float(each) for each in found[name]] for name in names}


if __name__ == "__main__":
    main()
