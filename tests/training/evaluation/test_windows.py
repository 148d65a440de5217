"""Where windows lie, whatever is said of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.events import EventKind
from recsys.errors import InputError
from tests.training.evaluation.divided_worlds import BUY, DAY, VIEW, timed
from training.evaluation.windows import Rolling, Window, windows_of

TARGET = frozenset({EventKind.PURCHASE})
ROWS = timed([("a", "x", BUY, day) for day in range(1, 21)] + [("a", "x", VIEW, 30)])
END = 20 * DAY + 1


def test_the_newest_tenth_is_the_test_where_nothing_is_said() -> None:
    """Of twenty purchases the last two; views do not count."""
    assert windows_of(ROWS, TARGET, Rolling()) == (Window(19 * DAY, END),)
    before = windows_of(ROWS, TARGET, Rolling(count=3))
    assert before[-1] == Window(19 * DAY, END)
    assert {window.until - window.cut for window in before} == {DAY + 1}


def test_a_cut_is_where_the_first_begins() -> None:
    """Up to the end, divided equally, or as long as is said."""
    assert windows_of(ROWS, TARGET, Rolling(5 * DAY)) == (Window(5 * DAY, END),)
    thirds = windows_of(ROWS, TARGET, Rolling(5 * DAY, count=3))
    assert [window.cut for window in thirds] == [5 * DAY, 10 * DAY, 15 * DAY]
    assert thirds[-1].until == END
    assert windows_of(ROWS, TARGET, Rolling(5 * DAY, 2.0, 2)) == (
        Window(5 * DAY, 7 * DAY),
        Window(7 * DAY, 9 * DAY),
    )


@settings(max_examples=100, deadline=None)
@given(
    cut=st.none() | st.integers(0, 22 * DAY),
    days=st.none() | st.floats(1e-6, 25),
    count=st.integers(1, 6),
)
def test_windows_follow_one_another_within_the_data(cut: int | None, days: float | None, count: int) -> None:
    """As many as asked, end to end, each begun inside the data and equally long but for what division leaves; or an
    error that says where the data are."""
    try:
        found = windows_of(ROWS, TARGET, Rolling(cut, days, count))
    except InputError as error:
        told = error.expected
        assert all(end in told for end in ("1970-01-02T00:00:00Z", "1970-01-21T00:00:00Z"))
        return
    assert len(found) == count
    assert all(one.until == other.cut for one, other in pairwise(found))
    assert all(DAY < window.cut < END for window in found)
    if cut is not None:
        assert found[0].cut == cut
    if cut is None or days is None:
        assert found[-1].until == END
    lengths = [window.until - window.cut for window in found]
    assert max(lengths) - min(lengths) < count
    if days is not None:
        assert set(lengths) == {max(1, round(days * DAY))}


@pytest.mark.parametrize(
    ("told", "message"),
    [({"count": 0}, "--windows is 0"), ({"days": -1.0}, "--days is -1"), ({"days": float("inf")}, "--days is inf")],
)
def test_windows_that_cannot_be(told: dict[str, float], message: str) -> None:
    """None, or of no length."""
    with pytest.raises(InputError, match=message):
        Rolling(**told)  # type: ignore[arg-type]


def test_a_window_in_which_nobody_buys_is_told_before_anything_is_fitted() -> None:
    """Also one between others."""
    gap = timed([("a", "x", BUY, day) for day in (1, 2, 3, 4, 9, 10)])
    with pytest.raises(InputError, match=r"nobody has a target event \(purchase\) from 1970-01-06"):
        windows_of(gap, TARGET, Rolling(3 * DAY, 2.0, 4))
