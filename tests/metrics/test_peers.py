"""Our metrics are those of RecTools, ranx and rbo, which `peers.py` asked, of SciPy and of scikit-learn, to 1e-8,
wherever these have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse
from scipy.stats import entropy
from sklearn.metrics import auc

from recsys.metrics import popularity, ranking, stability, variety
from recsys.metrics.ranking import NOTHING, Relevant

PEERS: dict[str, Any] = json.loads(Path(__file__).with_name("peers.json").read_text())
EXACT = 1e-8


def lists(rows: list[list[int]], width: int) -> npt.NDArray[np.int32]:
    """Lists, filled up."""
    return np.array([[*row, *[NOTHING] * (width - len(row))] for row in rows], dtype=np.int32)


def ours(name: str, k: int) -> npt.NDArray[np.float64]:
    """The metric of the same lists by our own code."""
    ranked, items = lists(PEERS["lists"], PEERS["width"]), PEERS["items"]
    size = np.array([len(row) for row in PEERS["wanted"]], dtype=np.int64)
    wanted = np.concatenate(PEERS["wanted"]).astype(np.int32)
    relevant = Relevant(np.concatenate([[0], np.cumsum(size)]), wanted, size)
    count = np.bincount(np.concatenate(PEERS["history"]), minlength=items)
    if name in ranking.PER_CUSTOMER:
        return ranking.per_customer(ranked, relevant, [k])[f"{name}@{k}"]
    if name == "serendipity":
        return variety.serendipity(ranked, relevant, k, variety.popularity_places(count))
    if name == "novelty":
        return popularity.novelty(ranked, k, count, len(PEERS["history"]))
    if name == "average_popularity":
        return popularity.average_popularity(ranked, k, count)
    if name == "intra_list_diversity":
        return variety.intra_list_diversity(ranked, k, sparse.csr_matrix(np.array(PEERS["features"])))
    assert name == "overlap"
    return stability.rank_biased_overlap(ranked, lists(PEERS["other"], PEERS["width"] + 3))


@pytest.mark.parametrize("asked", list(PEERS["found"]))
def test_a_metric_is_that_of_its_peer(asked: str) -> None:
    """Customer by customer."""
    metric = asked.split()[1]
    name, _, k = metric.partition("@")
    np.testing.assert_allclose(ours(name, int(k or 0)), PEERS["found"][asked], atol=EXACT)


def test_miscalibration_is_the_entropy_of_scipy() -> None:
    """Of the history's mix relative to the smoothed mix of the list, customer by customer."""
    rng = np.random.default_rng(5)
    category = rng.dirichlet(np.ones(4), size=PEERS["items"])
    mix = rng.random((len(PEERS["lists"]), 4))
    ranked = lists(PEERS["lists"], PEERS["width"])
    found = variety.miscalibration(ranked, 5, sparse.csr_matrix(category), sparse.csr_matrix(mix))
    own = mix / mix.sum(axis=1, keepdims=True)
    shown = np.array([category[row[:5]].mean(axis=0) for row in PEERS["lists"]])
    np.testing.assert_allclose(found, entropy(own, 0.99 * shown + 0.01 * own, axis=1), atol=EXACT)


def test_gini_is_the_area_under_lorenz_by_scikit_learn() -> None:
    """One minus twice that area, by its trapezoids."""
    ranked, items = lists(PEERS["lists"], PEERS["width"]), PEERS["items"]
    shown = np.sort(np.bincount(ranked[ranked != NOTHING], minlength=items))
    lorenz = np.concatenate([[0.0], np.cumsum(shown) / shown.sum()])
    expected = 1 - 2 * auc(np.linspace(0, 1, items + 1), lorenz)
    assert popularity.gini(ranked, PEERS["width"], items) == pytest.approx(expected, abs=EXACT)


def test_every_metric_that_a_peer_has_is_compared() -> None:
    """None was left out when the others were asked."""
    compared = {asked.split()[1].partition("@")[0] for asked in PEERS["found"]}
    others = {"serendipity", "novelty", "average_popularity", "intra_list_diversity", "overlap"}
    assert compared == {*ranking.PER_CUSTOMER, *others}
