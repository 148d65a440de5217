"""Neighbours and their weights agree with the regression written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recsys.data.interactions import Tastes
from recsys.errors import InputError
from recsys.models import blocks
from recsys.models.item_item import ItemItem, ItemItemConfig, fit_item_item, item_item_steps
from recsys.models.kernels import PIVOT_FLOOR
from tests.oracles import Dense, Restricted, directed_ridge, restricted_ridge

CONFIG = ItemItemConfig(penalty=0.5, dropout=0.2, after=0.7, before=0.25)
SHAPES = st.shared(st.tuples(st.integers(2, 9), st.integers(2, 8)), key="shape")
STRENGTHS = arrays(np.float64, SHAPES, elements=st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0]))
CLOCKS = arrays(np.float64, SHAPES, elements=st.integers(0, 4).map(float))
TARGETS = arrays(np.float64, SHAPES, elements=st.sampled_from([0.0, 0.5, 1.0]))


def tastes_of(x: Dense, clock: Dense) -> Tastes:
    """Every pair of customers and items as tastes, those of strength 0 too."""
    n_customers, n_items = x.shape
    return Tastes(
        indptr=np.arange(n_customers + 1, dtype=np.int64) * n_items,
        item=np.tile(np.arange(n_items, dtype=np.int32), n_customers),
        strength=x.ravel().astype(np.float32),
        clock=clock.ravel().astype(np.int32),
        items=n_items,
    )


def fitted(x: Dense, t: Dense, clock: Dense, config: ItemItemConfig = CONFIG, threads: int = 1) -> ItemItem:
    """The model of dense arrays."""
    return fit_item_item(tastes_of(x, clock), t.ravel().astype(np.float32), config, threads)


@settings(deadline=None)
@given(STRENGTHS, TARGETS, CLOCKS)
def test_weights_are_those_of_the_regression(x: Dense, t: Dense, clock: Dense) -> None:
    """With room for every neighbour, each column is the dense ridge over all items that share a customer."""
    expected = directed_ridge(x, t, clock, CONFIG.customer_exponent, 0.5, 0.2, 0.7, 0.25)
    np.testing.assert_allclose(fitted(x, t, clock).matrix().toarray(), expected, rtol=2e-3, atol=2e-5)


# In halves and quarters every sum is exact, so that equally near neighbours are equally near for the oracle too.
EXACT = replace(CONFIG, customer_exponent=0.0, after=0.5, before=0.25)


def restricted(x: Dense, t: Dense, clock: Dense, config: ItemItemConfig) -> Restricted:
    """The regressions written out, with the settings of the model."""
    return restricted_ridge(
        x,
        t,
        clock,
        neighbours=config.neighbours,
        width=config.width,
        customer_exponent=config.customer_exponent,
        penalty=config.penalty,
        dropout=config.dropout,
        after=config.after,
        before=config.before,
        floor=PIVOT_FLOOR,
    )


@settings(deadline=None)
@given(STRENGTHS, TARGETS, CLOCKS, st.integers(1, 4), st.integers(0, 3), st.sampled_from([0.125, 0.5, 2.0]))
def test_weights_on_few_neighbours_are_those_of_the_regression(
    x: Dense, t: Dense, clock: Dense, neighbours: int, more: int, penalty: float
) -> None:
    """With fewer neighbours than there are and a Gram matrix with gaps, each column is the small ridge written out."""
    config = replace(EXACT, neighbours=neighbours, width=neighbours + more, penalty=penalty)
    expected = restricted(x, t, clock, config).weights
    np.testing.assert_allclose(fitted(x, t, clock, config).matrix().toarray(), expected, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("neighbours", "width"), [(1, 1), (4, 4), (6, 10)])
def test_weights_in_a_larger_shop_are_those_of_the_regression(seed: int, neighbours: int, width: int) -> None:
    """With the shipped direction and customers of many lengths, too: 60 customers, 25 items, strengths of any size."""
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((60, 25)) < 0.3, rng.random((60, 25)), 0.0).astype(np.float32).astype(np.float64)
    t, clock = np.where(rng.random(x.shape) < 0.8, x > 0, 0.5 * (x > 0)), rng.integers(0, 6, x.shape).astype(float)
    config = ItemItemConfig(neighbours=neighbours, width=width, penalty=0.5, dropout=0.2)
    expected = restricted(x, t, clock, config).weights
    assert np.count_nonzero(expected) >= 20 * neighbours
    np.testing.assert_allclose(fitted(x, t, clock, config).matrix().toarray(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_pivots_have_a_floor_where_the_system_contradicts_itself(seed: int) -> None:
    """Ten items that nearly everybody has, of which each row keeps four: systems without penalty are not positive
    definite, and their weights are those of the system with what the floor adds."""
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((8, 10)) < 0.6, rng.choice([0.5, 1.0], (8, 10)), 0.0)
    config = replace(EXACT, neighbours=4, width=4, penalty=0.0, dropout=0.0)
    expected = restricted(x, x, np.zeros_like(x), config)
    assert expected.raised > 0
    found = fitted(x, x, np.zeros_like(x), config).matrix().toarray()
    np.testing.assert_allclose(found, expected.weights, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("neighbours", 0, "1 or more"),
        ("neighbours", 257, "at most width, which is 256"),
        ("width", 99, "at most width, which is 99"),
        ("kept", 0, "1 or more"),
        ("kept", 201, "at most 200"),
        ("history_cap", 0, "1 or more"),
        ("customer_exponent", -0.1, "0 or more"),
        ("penalty", -1.0, "0 or more"),
        ("penalty", float("nan"), "0 or more"),
        ("penalty", float("inf"), "0 or more"),
        ("dropout", 1.0, "below 1"),
        ("dropout", -0.1, "0 or more"),
        ("after", 1.1, "0 to 1"),
        ("after", -0.1, "0 or more"),
        ("before", -0.1, "0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, value: float, expected: str) -> None:
    """Each limit is told with what was found and what would do."""
    with pytest.raises(InputError, match=f"{name if name != 'width' else 'neighbours'} of the item-item.*{expected}"):
        replace(ItemItemConfig(), **{name: value})


def test_settings_at_their_limits_are_taken() -> None:
    """The least and the most that each may be make a model."""
    least = ItemItemConfig(1, 1, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 2)
    most = ItemItemConfig(width=100, kept=200, dropout=0.99, after=1.0, before=2.0)
    for config in (least, most):
        assert fitted(np.ones((3, 3)), np.ones((3, 3)), np.zeros((3, 3)), config).row(0)[1].min() > 0


@settings(deadline=None)
@given(STRENGTHS, CLOCKS, st.integers(1, 3))
def test_the_largest_weights_are_kept_best_first(x: Dense, clock: Dense, kept: int) -> None:
    """A short list holds the largest weights by size of what the item says, in descending order, never about itself."""
    whole, short = (fitted(x, x, clock, replace(CONFIG, kept=most)) for most in (100, kept))
    for item in range(x.shape[1]):
        neighbour, weight = short.row(item)
        assert item not in neighbour
        every = whole.row(item)[1]
        assert len(weight) == min(kept, len(every))
        np.testing.assert_array_equal(np.sort(np.abs(weight)), np.sort(np.abs(every))[len(every) - len(weight) :])
        assert weight.tolist() == sorted(weight.tolist(), reverse=True)


@settings(deadline=None)
@given(STRENGTHS, CLOCKS)
def test_threads_do_not_change_a_bit(x: Dense, clock: Dense) -> None:
    """One thread and two give the same bytes."""
    one, two = (fitted(x, x, clock, threads=threads) for threads in (1, 2))
    for name, array in one.arrays().items():
        assert array.tobytes() == two.arrays()[name].tobytes(), name


def test_what_comes_after_is_predicted_not_what_came_before() -> None:
    """Everybody buys the camera, then the card: the camera says more about the card than the other way round."""
    x = np.ones((20, 2))
    clock = np.tile([0.0, 1.0], (20, 1))
    weights = fitted(x, x, clock).matrix().toarray()
    assert weights[0, 1] == pytest.approx(weights[1, 0] / CONFIG.before)


def test_what_stands_close_together_says_more() -> None:
    """A pair three steps apart weighs after² of a pair one step apart."""
    near, far = (
        fitted(np.ones((10, 2)), np.ones((10, 2)), np.tile([0.0, gap], (10, 1))).matrix()[0, 1] for gap in (1.0, 3.0)
    )
    assert far == pytest.approx(near * CONFIG.after**2)


def test_a_buyer_of_everything_counts_less() -> None:
    """A pair bought by customers of two items beats a pair bought by as many customers of ten items."""
    x = np.zeros((20, 12))
    x[:10, [0, 1]] = 1
    x[10:, 2:] = 1
    weights = fitted(x, x, np.zeros_like(x)).matrix()
    assert weights[0, 1] > 2 * weights[2, 3] > 0


def test_only_the_newest_of_a_long_history_count() -> None:
    """With a cap of two, the oldest of three tastes makes no pair."""
    x = np.ones((5, 3))
    clock = np.tile([0.0, 1.0, 2.0], (5, 1))
    weights = fitted(x, x, clock, replace(CONFIG, history_cap=2)).matrix().toarray()
    assert weights[1, 2] > 0
    assert weights[0].sum() == weights[:, 0].sum() == 0


def test_few_neighbours_are_the_nearest_ones() -> None:
    """With one neighbour, the regression of a book is on the book of its series, not on the bestseller."""
    x = np.zeros((40, 3))
    x[:, 2] = 1  # the bestseller
    x[:10, [0, 1]] = 1  # the series
    weights = fitted(x, x, np.zeros_like(x), replace(CONFIG, neighbours=1)).matrix().toarray()
    assert weights[0, 1] > 0
    assert weights[2, 1] == 0


def test_no_tastes_make_no_neighbours() -> None:
    """A shop in which nothing carries taste has empty rows, not an error."""
    model = fitted(np.zeros((3, 4)), np.zeros((3, 4)), np.zeros((3, 4)))
    assert model.indptr.tolist() == [0] * 5


def test_every_block_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress goes up by one block of the product, then of the regressions, and ends where it was said to end."""
    monkeypatch.setattr(blocks, "BLOCK", 3)
    told: list[int] = []
    x = np.random.default_rng(0).integers(0, 2, (12, 10)).astype(np.float64)
    tastes = tastes_of(x, np.zeros(x.shape))
    fit_item_item(tastes, tastes.strength, ItemItemConfig(), 2, told.append)
    assert told == list(range(1, item_item_steps(10) + 1))
