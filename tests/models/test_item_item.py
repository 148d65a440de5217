"""Neighbours agree with the formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from recsys.models.item_item import ItemItem, ItemItemConfig, fit_item_item
from tests.oracles import Dense, co_occurrence

MATRICES = arrays(
    np.float64,
    st.tuples(st.integers(2, 9), st.integers(2, 8)),
    elements=st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.0]),
)


def dense(model: ItemItem) -> Dense:
    """A model's weights as an array of shape (items, items)."""
    size = len(model.indptr) - 1
    return sparse.csr_matrix((model.weight, model.neighbour, model.indptr), shape=(size, size)).toarray()


@settings(deadline=None)
@given(MATRICES, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.3, 0.5]))
def test_weights_are_those_of_the_formula(x: Dense, customer_exponent: float, item_exponent: float) -> None:
    """With room for every neighbour, the model is the dense co-occurrence product."""
    config = ItemItemConfig(neighbours=20, customer_exponent=customer_exponent, item_exponent=item_exponent)
    model = fit_item_item(sparse.csr_matrix(x, dtype=np.float32), config, threads=2)
    np.testing.assert_allclose(dense(model), co_occurrence(x, customer_exponent, item_exponent), rtol=1e-5)


@settings(deadline=None)
@given(MATRICES, st.integers(1, 3))
def test_the_largest_weights_are_kept_best_first(x: Dense, neighbours: int) -> None:
    """A short list holds the largest weights of the row, in descending order, and never the item itself."""
    config = ItemItemConfig(neighbours=neighbours)
    model = fit_item_item(sparse.csr_matrix(x, dtype=np.float32), config, threads=1)
    truth = co_occurrence(x, config.customer_exponent, config.item_exponent)
    for item in range(x.shape[1]):
        neighbour, weight = model.row(item)
        assert item not in neighbour
        assert len(neighbour) == min(neighbours, np.count_nonzero(truth[item]))
        np.testing.assert_allclose(weight, np.sort(truth[item])[::-1][: len(weight)], rtol=1e-5)


def test_a_buyer_of_everything_counts_less() -> None:
    """A pair bought together by customers of few items beats one bought together by customers of many."""
    x = np.zeros((4, 12))
    x[:2, [0, 1]] = 1  # two customers who bought just these two
    x[2:, 2:] = 1  # two customers who bought everything else
    weights = co_occurrence(x, 1.0, 0.0)
    model = dense(fit_item_item(sparse.csr_matrix(x, dtype=np.float32), ItemItemConfig(item_exponent=0.0), 1))
    np.testing.assert_allclose(model, weights, rtol=1e-5)
    assert model[0, 1] == pytest.approx(2 / 2)
    assert model[2, 3] == pytest.approx(2 / 10)


def test_long_histories_are_capped_at_their_strongest_items() -> None:
    """With a cap of two, the weakest of three tastes makes no pair."""
    x = np.array([[3.0, 2.0, 1.0]] * 2)
    model = dense(fit_item_item(sparse.csr_matrix(x, dtype=np.float32), ItemItemConfig(history_cap=2), 1))
    assert model[0, 1] > 0
    assert model[2].sum() == model[:, 2].sum() == 0


@settings(deadline=None)
@given(MATRICES)
def test_contributions_sum_to_the_product(x: Dense) -> None:
    """What a history's items say, summed by item, is strengths · weights."""
    model = fit_item_item(sparse.csr_matrix(x, dtype=np.float32), ItemItemConfig(), threads=1)
    items = np.flatnonzero(x[0]).astype(np.int32)
    _, about, value = model.contributions(items, x[0, items].astype(np.float32))
    total = np.bincount(about, weights=value, minlength=x.shape[1])
    np.testing.assert_allclose(total, x[0] @ dense(model), rtol=1e-6, atol=1e-12)
