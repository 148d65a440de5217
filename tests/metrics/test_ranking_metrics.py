"""Ranking metrics against scikit-learn and against definitions written out customer by customer."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from recsys.metrics.ranking import NOTHING, Relevant, coverage, hits, per_customer

ITEMS = 12
EXACT = 1e-8


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[list[int]], list[set[int]], list[int]]:
    """Lists without repetition, of any length up to 6; sets wanted; and how many wanted things have no position."""
    size = draw(st.integers(1, 6))
    items = st.integers(0, ITEMS - 1)
    lists = draw(st.lists(st.lists(items, max_size=6, unique=True), min_size=size, max_size=size))
    wanted = draw(st.lists(st.sets(items, max_size=8), min_size=size, max_size=size))
    beyond = [draw(st.integers(0 if own else 1, 3)) for own in wanted]
    return lists, wanted, beyond


def arrays(
    lists: list[list[int]], wanted: list[set[int]], beyond: list[int], width: int = 6
) -> tuple[npt.NDArray[np.int32], Relevant]:
    """The same as arrays."""
    ranked = np.array([own + [NOTHING] * (width - len(own)) for own in lists], dtype=np.int32).reshape(-1, width)
    indptr = np.cumsum([0, *(len(own) for own in wanted)]).astype(np.int64)
    item = np.array([item for own in wanted for item in sorted(own)], dtype=np.int32)
    size = np.array([len(own) + more for own, more in zip(wanted, beyond, strict=True)], dtype=np.int64)
    return ranked, Relevant(indptr, item, size)


def by_hand(listed: list[int], wanted: set[int], size: int, k: int) -> dict[str, float]:
    """Each metric of one customer, from its definition."""
    places = [rank for rank, item in enumerate(listed[:k], start=1) if item in wanted]
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, size) + 1))
    return {
        "recall": len(places) / size,
        "ndcg": sum(1 / math.log2(rank + 1) for rank in places) / ideal,
        "hit_rate": 1.0 if places else 0.0,
        "mrr": 1 / places[0] if places else 0.0,
        "precision": len(places) / k,
        "map": sum(nth / rank for nth, rank in enumerate(places, start=1)) / size,
    }


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(1, 9))
def test_metrics_are_their_definitions(world: tuple[list[list[int]], list[set[int]], list[int]], k: int) -> None:
    """Each metric of any lists and sets are those written out, also for a k beyond the lists."""
    lists, wanted, beyond = world
    ranked, relevant = arrays(*world)
    found = per_customer(ranked, relevant, [k])
    for row, (listed, own, more) in enumerate(zip(lists, wanted, beyond, strict=True)):
        for name, value in by_hand(listed, own, len(own) + more, k).items():
            assert found[f"{name}@{k}"][row] == pytest.approx(value, abs=EXACT), (name, row)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 8))
def test_ndcg_is_that_of_scikit_learn(data: st.DataObject, k: int) -> None:
    """For full rankings of all items, NDCG@k is scikit-learn's with binary gains."""
    order = data.draw(st.permutations(range(ITEMS)))
    wanted = data.draw(st.sets(st.integers(0, ITEMS - 1), min_size=1))
    ranked, relevant = arrays([list(order)], [wanted], [0], width=ITEMS)
    gains = np.array([[float(item in wanted) for item in range(ITEMS)]])
    scores = np.empty((1, ITEMS))
    scores[0, list(order)] = np.arange(ITEMS, 0, -1)
    expected = ndcg_score(gains, scores, k=k)
    assert per_customer(ranked, relevant, [k])[f"ndcg@{k}"][0] == pytest.approx(expected, abs=EXACT)


def test_a_small_example_in_numbers() -> None:
    """Two of three wanted at places 1 and 3 of 4: the arithmetic of each metric at 2 and at 4."""
    ranked, relevant = arrays([[5, 1, 7, 2]], [{5, 7}], [1], width=4)
    found = {name: float(value[0]) for name, value in per_customer(ranked, relevant, [2, 4]).items()}
    discount = 1 / math.log2(4)
    assert found == pytest.approx(
        {
            "recall@2": 1 / 3,
            "ndcg@2": 1 / (1 + 1 / math.log2(3)),
            "hit_rate@2": 1.0,
            "mrr@2": 1.0,
            "precision@2": 1 / 2,
            "map@2": 1 / 3,
            "recall@4": 2 / 3,
            "ndcg@4": (1 + discount) / (1 + 1 / math.log2(3) + discount),
            "hit_rate@4": 1.0,
            "mrr@4": 1.0,
            "precision@4": 2 / 4,
            "map@4": (1 + 2 / 3) / 3,
        },
        abs=EXACT,
    )


def test_one_customer_s_items_are_not_another_s() -> None:
    """A hit counts only in the row of the customer who wanted it, and an empty place is never one."""
    ranked, relevant = arrays([[1, 2], [2], []], [{1}, {1, 3}, {0}], [0, 0, 0], width=2)
    assert hits(ranked, relevant).tolist() == [[True, False], [False, False], [False, False]]


def test_coverage_counts_each_item_once() -> None:
    """Coverage is the share of candidates that any list shows within its first k places."""
    ranked, _ = arrays([[1, 2], [2, 3], [2]], [{1}, {1}, {1}], [0, 0, 0], width=2)
    assert coverage(ranked, 1, 10) == pytest.approx(2 / 10)
    assert coverage(ranked, 2, 10) == pytest.approx(3 / 10)
    assert coverage(ranked[:0], 2, 10) == 0.0
