"""Curves against their definitions."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.metrics.popularity import gini
from recsys.metrics.ranking import NOTHING, Ranked, coverage
from training.evaluation import curves
from training.evaluation.curves import STEPS, Curves, coverage_curve, curves_of, mean_curves, popularity_curve

ITEMS = 12
LISTS = st.lists(st.permutations(range(ITEMS)).map(lambda order: order[:5]), min_size=1, max_size=6)


def shortened(rows: list[list[int]]) -> Ranked:
    """Each list one shorter than the one before it."""
    return np.array([[*row[: max(0, 5 - n)], *[NOTHING] * min(n, 5)] for n, row in enumerate(rows)], dtype=np.int32)


@settings(max_examples=60, deadline=None)
@given(LISTS, st.integers(ITEMS, 3 * ITEMS))
def test_the_popularity_curve_is_lorenz_s(rows: list[list[int]], candidates: int) -> None:
    """At every whole number of items it is the share of the least listed ones, and Gini is twice the area above it."""
    ranked = shortened(rows)
    listed = sorted(int((ranked == item).sum()) for item in range(candidates))
    curve = popularity_curve(ranked, candidates)
    for step in range(STEPS + 1):
        items, part = divmod(step * candidates, STEPS)
        share = sum(listed[:items]) + (listed[items] * part / STEPS if part else 0)
        assert curve[step] == pytest.approx(share / sum(listed))
    summed = np.concatenate([[0.0], np.cumsum(listed)]) / sum(listed)
    area = float(np.sum((summed[1:] + summed[:-1]) / 2) / candidates)
    assert gini(ranked, 5, candidates) == pytest.approx(1 - 2 * area)


@settings(max_examples=60, deadline=None)
@given(LISTS)
def test_the_coverage_curve_is_coverage_at_each_k(rows: list[list[int]]) -> None:
    """And never falls."""
    ranked = shortened(rows)
    curve = coverage_curve(ranked, 20)
    assert curve.tolist() == pytest.approx([coverage(ranked, k, 20) for k in range(1, 6)])
    assert (np.diff(curve) >= 0).all()


def test_nothing_listed_is_the_diagonal_and_nothing() -> None:
    """Instead of a division by nothing."""
    empty = np.full((3, 4), NOTHING, dtype=np.int32)
    found = curves_of({"blend": empty}, 7)
    assert found.popularity["blend"].tolist() == pytest.approx(np.linspace(0, 1, STEPS + 1).tolist())
    assert found.coverage["blend"].tolist() == [0.0] * 4
    told = found.to_json()
    assert told["popularity"]["blend"][-1] == [1.0, 1.0]
    assert told["coverage"]["blend"] == {"1": 0.0, "2": 0.0, "3": 0.0, "4": 0.0}


def test_curves_of_windows_are_their_mean() -> None:
    """Of a model over the windows that have it."""
    one = Curves({"a": np.array([0.0, 1.0])}, {"a": np.array([0.2])})
    other = Curves({"a": np.array([0.5, 1.0]), "b": np.array([0.0, 0.0])}, {"a": np.array([0.4]), "b": np.array([0.1])})
    found = mean_curves([one, other])
    assert found.popularity["a"].tolist() == [0.25, 1.0]
    assert found.coverage["a"].tolist() == pytest.approx([0.3])
    assert found.coverage["b"].tolist() == [0.1]


def test_worked_examples_hold() -> None:
    """Each example in a docstring gives what stands there."""
    tried = doctest.testmod(curves)
    assert tried.attempted == 2
    assert not tried.failed
