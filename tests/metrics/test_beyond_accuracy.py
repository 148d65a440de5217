"""Metrics beyond hits, against their definitions written out customer by customer; and every doctest of the package."""

from __future__ import annotations

import doctest
import importlib
import math
import pkgutil
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import recsys.metrics
from recsys.metrics import popularity, stability, value, variety
from recsys.metrics.ranking import NOTHING, Relevant

ITEMS, WIDTH, TERMS = 9, 5, 3
EXACT = 1e-8
Floats = npt.NDArray[np.float64]

LISTS = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=WIDTH, unique=True), min_size=1, max_size=4)
COUNTS = st.lists(st.integers(0, 12), min_size=ITEMS, max_size=ITEMS)


def filled(rows: list[list[int]]) -> npt.NDArray[np.int32]:
    """Lists as an array."""
    return np.array([[*row, *[NOTHING] * (WIDTH - len(row))] for row in rows], dtype=np.int32)


@st.composite
def wanted_by(draw: st.DrawFn, customers: int) -> tuple[list[list[int]], list[int]]:
    """What each wanted, and how much of it has no position."""
    items = draw(st.lists(st.sets(st.integers(0, ITEMS - 1), max_size=6), min_size=customers, max_size=customers))
    return [sorted(each) for each in items], [draw(st.integers(0 if each else 1, 2)) for each in items]


def relevant_of(wanted: list[list[int]], beyond: list[int]) -> Relevant:
    """The same as arrays."""
    sizes = [len(row) for row in wanted]
    item = np.array([each for row in wanted for each in row], dtype=np.int32)
    size = np.array([own + more for own, more in zip(sizes, beyond, strict=True)], dtype=np.int64)
    return Relevant(np.cumsum([0, *sizes]).astype(np.int64), item, size)


def mean(values: list[float]) -> float:
    """NaN of none."""
    return sum(values) / len(values) if values else math.nan


def same(found: Floats, expected: list[float]) -> None:
    """To 1e-8, NaN where NaN."""
    np.testing.assert_allclose(found, expected, atol=EXACT)


@settings(max_examples=100, deadline=None)
@given(LISTS, COUNTS, st.integers(1, 7))
def test_novelty_and_popularity_are_means_over_the_list(rows: list[list[int]], counts: list[int], k: int) -> None:
    """Of what is listed, however short the list."""
    ranked, count = filled(rows), np.array(counts)
    same(
        popularity.novelty(ranked, k, count, 12),
        [mean([-math.log2(max(counts[i], 1) / 12) for i in row[:k]]) for row in rows],
    )
    same(popularity.average_popularity(ranked, k, count), [mean([float(counts[i]) for i in row[:k]]) for row in rows])


@settings(max_examples=100, deadline=None)
@given(LISTS, st.integers(1, 7))
def test_gini_is_half_the_mean_difference_of_two_items(rows: list[list[int]], k: int) -> None:
    """Σ_i Σ_j |x_i − x_j| / (2 n Σ x): the definition without an order."""
    shown = [sum(item in row[:k] for row in rows) for item in range(ITEMS)]
    apart = sum(abs(a - b) for a in shown for b in shown)
    expected = apart / (2 * ITEMS * sum(shown)) if sum(shown) else 0.0
    assert popularity.gini(filled(rows), k, ITEMS) == pytest.approx(expected, abs=EXACT)


@settings(max_examples=150, deadline=None)
@given(st.data(), LISTS, COUNTS, st.integers(1, 7))
def test_recalls_weigh_what_was_wanted(data: st.DataObject, rows: list[list[int]], counts: list[int], k: int) -> None:
    """By popularity, or only outside of the best sellers, or by money."""
    wanted, beyond = data.draw(wanted_by(len(rows)))
    ranked, relevant, count = filled(rows), relevant_of(wanted, beyond), np.array(counts)
    weight = [max(each, 1) ** -0.5 for each in counts]
    expected = [
        sum(weight[i] for i in row[:k] if i in own) / (sum(weight[i] for i in own) + more)
        for row, own, more in zip(rows, wanted, beyond, strict=True)
    ]
    same(popularity.debiased_recall(ranked, relevant, k, count), expected)
    hard = ~popularity.best_sellers(count)
    same(
        popularity.recall_among(ranked, relevant, k, hard),
        [mean([float(i in row[:k]) for i in own if hard[i]]) for row, own in zip(rows, wanted, strict=True)],
    )
    worth = [[float(10 * place + item) for item in own] for place, own in enumerate(wanted, 1)]
    whole = [sum(each) + 3.0 * more for each, more in zip(worth, beyond, strict=True)]
    found = value.value_per_customer(
        ranked, relevant, np.array([each for row in worth for each in row]), np.array(whole), [k], "revenue"
    )
    earned = [
        sum(each for i, each in zip(own, prices, strict=True) if i in row[:k])
        for row, own, prices in zip(rows, wanted, worth, strict=True)
    ]
    same(found[f"revenue@{k}"], earned)
    same(found[f"revenue_recall@{k}"], [a / b if b else math.nan for a, b in zip(earned, whole, strict=True)])


@given(COUNTS)
def test_best_sellers_sell_better_than_all_others(counts: list[int]) -> None:
    """A fifth of what sold at all, at least one of it, and whatever sold as often; nothing that did not sell."""
    best = popularity.best_sellers(np.array(counts))
    sold = sum(each > 0 for each in counts)
    inside = [each for each, is_best in zip(counts, best, strict=True) if is_best]
    outside = [each for each, is_best in zip(counts, best, strict=True) if not is_best]
    assert min(inside, default=1) > max(outside, default=0) or not sold
    assert len(inside) >= (max(1, round(sold * 0.2)) if sold else 0)
    if sold:
        assert sum(each > min(inside) for each in counts) < max(1, round(sold * 0.2))


@settings(max_examples=100, deadline=None)
@given(st.data(), LISTS, st.integers(1, 7))
def test_diversity_is_the_mean_over_pairs(data: st.DataObject, rows: list[list[int]], k: int) -> None:
    """One minus the cosine of each two items that are described."""
    terms = data.draw(
        st.lists(st.lists(st.integers(0, 3), min_size=TERMS, max_size=TERMS), min_size=ITEMS, max_size=ITEMS)
    )
    features = np.array(terms, dtype=np.float64)

    def apart(i: int, j: int) -> float:
        return 1.0 - float(features[i] @ features[j] / np.linalg.norm(features[i]) / np.linalg.norm(features[j]))

    expected = [
        mean([apart(i, j) for i, j in permutations([i for i in row[:k] if features[i].any()], 2)]) for row in rows
    ]
    same(variety.intra_list_diversity(filled(rows), k, sparse.csr_matrix(features)), expected)


@settings(max_examples=100, deadline=None)
@given(st.data(), LISTS, st.integers(1, 7))
def test_miscalibration_is_the_divergence_of_two_mixes(data: st.DataObject, rows: list[list[int]], k: int) -> None:
    """Of the history's categories from the list's, smoothed; an item of two categories is half of each."""
    categories = data.draw(st.lists(st.sets(st.integers(0, TERMS - 1)), min_size=ITEMS, max_size=ITEMS))
    belongs = np.array([[(c in own) / max(len(own), 1) for c in range(TERMS)] for own in categories])
    amounts = st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=TERMS, max_size=TERMS)
    mix = data.draw(st.lists(amounts, min_size=len(rows), max_size=len(rows)))

    def divergence(row: list[int], own: list[float]) -> float:
        listed = [i for i in row[:k] if categories[i]]
        if not listed or not sum(own):
            return math.nan
        total = 0.0
        for each, amount in enumerate(own):
            p = amount / sum(own)
            q = 0.99 * sum(belongs[i, each] for i in listed) / len(listed) + 0.01 * p
            total += p * math.log(p / q) if p else 0.0
        return total

    found = variety.miscalibration(filled(rows), k, sparse.csr_matrix(belongs), sparse.csr_matrix(np.array(mix)))
    same(found, [divergence(row, own) for row, own in zip(rows, mix, strict=True)])
    assert (found[~np.isnan(found)] >= -EXACT).all()


@settings(max_examples=150, deadline=None)
@given(st.data(), LISTS)
def test_overlap_is_one_for_the_same_and_symmetric(data: st.DataObject, rows: list[list[int]]) -> None:
    """And between nothing and one for any two lists, of any lengths."""
    others = data.draw(st.lists(st.permutations(range(ITEMS)), min_size=len(rows), max_size=len(rows)))
    cut = [list(each[: data.draw(st.integers(0, WIDTH))]) for each in others]
    one, other = filled(rows), filled(cut)
    found = stability.rank_biased_overlap(one, other)
    same(found, list(stability.rank_biased_overlap(other, one)))
    kept = found[~np.isnan(found)]
    assert ((kept >= 0) & (kept <= 1 + EXACT)).all()
    assert np.isnan(found).tolist() == [not row and not each for row, each in zip(rows, cut, strict=True)]
    itself = stability.rank_biased_overlap(one, one)
    same(itself, [1.0 if row else math.nan for row in rows])


MODULES = [each.name for each in pkgutil.iter_modules(recsys.metrics.__path__) if each.name != "kernels"]


@pytest.mark.parametrize("name", MODULES)
def test_worked_examples_hold(name: str) -> None:
    """Each example in a docstring gives what stands there; a module of metrics has at least one."""
    tried = doctest.testmod(importlib.import_module(f"recsys.metrics.{name}"))
    assert tried.attempted
    assert not tried.failed
