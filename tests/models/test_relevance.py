"""From scores to probabilities: by curves, per length of history, and the same in compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.events import EventKind
from recsys.models.relevance import Curve, Relevance
from recsys.recommend.kernel import MOST_EVIDENCE, UNITS, Listed
from recsys.recommend.relevance import UNKNOWN_RELEVANCE, relevance_of

KINDS = (EventKind.LIKE, EventKind.PURCHASE)
NONE: Curve = (np.zeros(0), np.zeros(0))


def curve(*points: tuple[float, float]) -> Curve:
    """A curve with these steps."""
    return np.array([at for at, _ in points]), np.array([value for _, value in points])


SHORT, LONG = curve((1.0, 0.1), (2.0, 0.3)), curve((0.5, 0.0), (1.5, 0.5), (4.0, 0.5))
FILLING, NEW = curve((3.0, 0.01)), curve((1.0, 0.02), (2.0, 0.04))
RELEVANCE = Relevance.of_curves(KINDS, 30, (4,), (SHORT, LONG, FILLING, NEW))


def test_it_is_read_from_the_curve_of_the_history_s_length() -> None:
    """In steps, the first having what lies before it; a history of as many items as a length is in the class above."""
    found = RELEVANCE.of_personal(np.array([0.0, 1.5, 9.0, 1.0, 0.0]), np.array([1, 3, 3, 4, 400]))
    assert found.tolist() == pytest.approx([0.1, 0.1, 0.3, 0.0, 0.0])


def test_popular_items_have_curves_of_their_own() -> None:
    """One over popularity for lists that are filled up, one for newcomers."""
    found = RELEVANCE.of_popular(np.array([0.0, 9.0, 0.0, 2.0]), np.array([1, 7, 0, 0]))
    assert found.tolist() == [0.01, 0.01, 0.02, 0.04]


def test_nothing_is_said_where_nothing_is_known() -> None:
    """An empty curve gives no number, and leaves the others alone."""
    some = Relevance.of_curves(KINDS, 30, (4,), (SHORT, NONE, NONE, NEW))
    assert np.isnan(some.of_personal(np.array([1.0, 1.0]), np.array([3, 4]))).tolist() == [False, True]
    assert np.isnan(some.of_popular(np.array([1.0, 1.0]), np.array([2, 0]))).tolist() == [True, False]


def test_it_comes_back_from_arrays() -> None:
    """To the last bit, with what it is the probability of."""
    back = Relevance.from_arrays(RELEVANCE.arrays(), RELEVANCE.described())
    assert (back.kinds, back.days) == (KINDS, 30)
    for name, array in RELEVANCE.arrays().items():
        assert back.arrays()[name].tolist() == array.tolist()


WHOLE = st.integers(0, 8).map(float)
"""Scores that are likely to be where a step begins."""


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Any curve, an empty one too."""
    scores = sorted(draw(st.sets(st.one_of(WHOLE, st.floats(0, 8)), max_size=6)))
    rates = sorted(draw(st.lists(st.integers(0, 100), min_size=len(scores), max_size=len(scores))))
    return np.array(scores, dtype=np.float64), np.array(rates, dtype=np.float64) / 100


@given(st.data())
def test_the_compiled_list_is_the_arrays_said_slowly(data: st.DataObject) -> None:
    """Any curves, lengths, scores and popularity, personal items and others: the same numbers, to five digits."""
    lengths = tuple(sorted(data.draw(st.sets(st.integers(1, 9), max_size=3))))
    relevance = Relevance.of_curves(KINDS, 7, lengths, tuple(data.draw(curves()) for _ in range(len(lengths) + 3)))
    popular = np.array(data.draw(st.lists(st.one_of(WHOLE, st.floats(0, 8)), min_size=5, max_size=5)))
    item = np.array(data.draw(st.lists(st.integers(0, 4), max_size=6)), dtype=np.int32)
    scores = st.one_of(WHOLE.map(lambda score: int(score * UNITS)), st.integers(0, 800_000))
    units = np.array(data.draw(st.lists(scores, min_size=len(item), max_size=len(item))), np.int64)
    personal, length = data.draw(st.integers(0, len(item))), data.draw(st.integers(0, 10))
    nothing = np.zeros((len(item), MOST_EVIDENCE), dtype=np.int64)
    found = Listed(item, units, personal, np.zeros(7), nothing.astype(np.int32), nothing, 0, 0)
    slow = relevance.of_personal(units / UNITS, np.full(len(item), length))
    slow[personal:] = relevance.of_popular(popular[item[personal:]], np.full(len(item) - personal, length))
    fast = relevance_of(relevance, found, popular, length)
    assert fast.dtype == np.int64
    assert (fast == UNKNOWN_RELEVANCE).tolist() == np.isnan(slow).tolist()
    assert fast[fast >= 0] / UNITS == pytest.approx(slow[fast >= 0], abs=0.6 / UNITS)
    assert relevance_of(None, found, popular, length).tolist() == [UNKNOWN_RELEVANCE] * len(item)
