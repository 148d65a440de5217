"""Curves are isotonic, as true on average as the data, and rest on enough of it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.events import EventKind
from training.evaluation.soon import Soon
from training.relevance.curves import LEAST_BOUGHT, PER_STEP, fit_relevance, merged
from training.relevance.listed import Listed
from training.relevance.reliability import quality, reliability

IDS = pl.Series([], dtype=pl.String)
SOON = Soon((EventKind.PURCHASE,), 30, pl.DataFrame({"customer_id": IDS, "item_id": IDS}), IDS)


def shown(items: int, score: np.ndarray, bought: np.ndarray, *, personal: bool = True) -> Listed:
    """Items of customers with histories of this length."""
    size = len(score)
    return Listed(
        np.arange(size), np.full(size, items), np.full(size, personal), score.astype(np.float64), bought.astype(bool)
    )


def drawn(size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, the true probability of each, and what happened."""
    rng = np.random.default_rng(seed)
    score = rng.exponential(1.0, size)
    truth = 0.3 * (1 - np.exp(-0.5 * score))
    return score, truth, rng.random(size) < truth


def test_known_probabilities_are_found() -> None:
    """Of 40,000 items with known probabilities each is off by 0.015 on average, and by far less on the whole."""
    score, truth, bought = drawn(40_000, 1)
    relevance = fit_relevance(shown(5, score, bought), (4,), SOON)
    assert relevance is not None
    found = relevance.of_personal(score, np.full(len(score), 5))
    assert np.abs(found - truth).mean() < 0.015
    assert found.mean() == pytest.approx(bought.mean())
    fresh, _, came = drawn(40_000, 2)
    assert quality(relevance.of_personal(fresh, np.full(len(fresh), 5)), came)["expected_calibration_error"] < 0.01


@given(seed=st.integers(0, 50), size=st.integers(200, 2000), digits=st.integers(0, 3))
def test_a_curve_ascends_within_its_bounds(seed: int, size: int, digits: int) -> None:
    """Whatever happened and however many scores are equal: ascending steps, probabilities from 0 to 1 that descend
    nowhere, and no more steps than the bought items allow."""
    score, _, bought = drawn(size, seed)
    relevance = fit_relevance(shown(5, score.round(digits), bought), (), SOON, least=1)
    assert relevance is not None
    own = relevance.probability[: relevance.start[1]]
    assert (np.diff(relevance.score[: relevance.start[1]]) > 0).all()
    assert (np.diff(own) >= 0).all()
    assert own.min() >= 0
    assert own.max() <= 1
    assert len(own) <= max(1, bought.sum() // PER_STEP)


def test_one_bought_item_at_the_top_is_no_certainty() -> None:
    """The best score of all was bought: its probability is that of the ten bought items with the best scores."""
    score = np.arange(1000.0)
    bought = score % 10 == 9
    relevance = fit_relevance(shown(5, score, bought), (), SOON)
    assert relevance is not None
    assert relevance.probability.max() == pytest.approx(PER_STEP / 91, abs=0.01)


@pytest.mark.parametrize(
    ("counted", "firsts"),
    [
        ([60, 60, 60], [0, 1, 2]),
        ([50, 50], [0, 1]),
        ([10, 45, 60], [0, 2]),
        ([60, 10, 10], [0]),
        ([10, 10, 60, 10], [0]),
        ([0, 60], [0]),
    ],
)
def test_classes_that_know_too_little_share_a_curve(counted: list[int], firsts: list[int]) -> None:
    """From short histories on until there are enough; the rest goes to the last."""
    assert merged(np.array(counted), 50) == firsts


def test_lengths_that_differ_are_told_apart() -> None:
    """The same scores mean more in long histories than in short ones; popular items are no part of either."""
    score = np.tile(np.arange(1.0, 11.0), 1000)
    rng = np.random.default_rng(0)
    rates = {2: 0.05, 9: 0.2}
    parts = [shown(items, score, rng.random(len(score)) < rate) for items, rate in rates.items()]
    parts.append(shown(9, score, rng.random(len(score)) < 0.02, personal=False))
    relevance = fit_relevance(parts[0].and_then(parts[1]).and_then(parts[2]), (4, 8, 16), SOON)
    assert relevance is not None
    # Nobody has from 4 to 7 items, and nobody 16: they share the next shorter curve's or the last one.
    assert relevance.lengths.tolist() == [4]
    for items, rate in rates.items():
        assert relevance.of_personal(score, np.full(len(score), items)).mean() == pytest.approx(rate, abs=0.01)
    assert relevance.of_popular(score, np.full(len(score), 9)).mean() == pytest.approx(0.02, abs=0.005)
    assert np.isnan(relevance.of_popular(score, np.zeros(len(score), dtype=int))).all()


def test_too_few_bought_items_say_nothing() -> None:
    """One fewer than the least: no relevance; the least: some."""
    score = np.arange(1000.0)
    assert fit_relevance(shown(5, score, score < LEAST_BOUGHT - 1), (4,), SOON) is None
    assert fit_relevance(shown(5, score, score < LEAST_BOUGHT), (4,), SOON) is not None


def test_the_reliability_diagram_is_its_definition() -> None:
    """Two probabilities in two bins: what was foreseen, what happened, and the error weighed by how many items."""
    probability = np.array([0.1] * 50 + [0.5] * 10)
    bought = np.array([True] * 10 + [False] * 40 + [True] * 5 + [False] * 5)
    found = reliability(probability, bought, bins=2)
    assert found.size.tolist() == [50, 10]
    assert found.foreseen.tolist() == pytest.approx([0.1, 0.5])
    assert found.happened.tolist() == pytest.approx([0.2, 0.5])
    assert found.error == pytest.approx(50 / 60 * 0.1)
    told = quality(np.append(probability, np.nan), np.append(bought, True))
    assert (told["items"], told["bought"], told["base_rate"]) == (60, 15, 0.25)
    assert told["brier"] == pytest.approx((10 * 0.81 + 40 * 0.01 + 10 * 0.25) / 60)
    assert told["brier_of_base_rate"] == pytest.approx(0.25 * 0.75)
