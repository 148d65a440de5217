"""What counts as having bought something, and when."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.events import EventKind
from recsys.data.signals import UNKNOWN_TIME
from recsys.models.occasions import Clock, PurchaseRows, best_clock, occasions_of

DAY = 86_400_000
KINDS = (EventKind.PURCHASE,)
Row = tuple[int, int, EventKind, int | None, int | None, float]


def rows_of(*rows: Row) -> PurchaseRows:
    """Rows of (customer, item, kind, milliseconds, position, pieces)."""

    def number(values: list[int | None]) -> np.ndarray:
        return np.array([UNKNOWN_TIME if value is None else value for value in values], dtype=np.int64)

    return PurchaseRows(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int32),
        np.array([row[2].code for row in rows], dtype=np.int8),
        number([row[3] for row in rows]),
        number([row[4] for row in rows]),
        np.array([row[5] for row in rows], dtype=np.float32),
    )


def found(rows: PurchaseRows, clock: Clock) -> list[tuple[int, int, int]]:
    """The occasions as (customer, item, moment)."""
    got = occasions_of(rows, clock, KINDS)
    return list(zip(got.row.tolist(), got.item.tolist(), got.when.tolist(), strict=True))


def slowly(rows: list[tuple[int, int, bool, int, int]]) -> list[tuple[int, int, int]]:
    """The same by hand: every piece is on a pile, a return takes pieces off its top; whole purchases count by day."""
    piles: dict[tuple[int, int], list[list[int]]] = defaultdict(list)
    for customer, item, is_return, time, pieces in sorted(rows, key=lambda row: (row[0], row[1], row[3], row[2])):
        pile = piles[customer, item]
        if not is_return:
            pile.append([time, pieces])
            continue
        for _ in range(pieces):
            while pile and pile[-1][1] == 0:
                pile.pop()
            if pile:
                pile[-1][1] -= 1
    return sorted({(*pair, time // DAY) for pair, pile in piles.items() for time, left in pile if left > 0})


HISTORIES = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 1), st.booleans(), st.integers(0, 8).map(lambda n: n * DAY // 2),
        st.integers(1, 3),
    ),
    max_size=14,
    unique_by=lambda row: (row[0], row[1], row[3], row[2]),
)  # fmt: skip


@settings(deadline=None)
@given(HISTORIES, st.sampled_from([0, 2**60]))
def test_returns_take_the_latest_pieces_back(history: list[tuple[int, int, bool, int, int]], first: int) -> None:
    """What is left agrees with piles of pieces, one per customer and item, however large the numbers are."""
    history = [(first + customer, *rest) for customer, *rest in history]  # type: ignore[misc]
    rows = [
        (customer, item, EventKind.RETURN if back else EventKind.PURCHASE, time, None, float(pieces))
        for customer, item, back, time, pieces in history
    ]
    assert found(rows_of(*rows), Clock.DAYS) == slowly(history)


def test_steps_are_the_customers_own() -> None:
    """Positions with gaps become steps from 0; one position is one step, whatever is in it."""
    rows = rows_of(
        (0, 0, EventKind.PURCHASE, None, 10, 1.0),
        (0, 1, EventKind.PURCHASE, None, 10, 1.0),
        (0, 0, EventKind.PURCHASE, None, 40, 1.0),
        (0, 0, EventKind.VIEW, None, 50, 1.0),
        (0, 1, EventKind.PURCHASE, None, 70, 1.0),
        (5, 1, EventKind.PURCHASE, None, 70, 1.0),
        (5, 0, EventKind.PURCHASE, None, None, 1.0),
    )
    assert best_clock(rows, KINDS) is Clock.STEPS
    assert found(rows, Clock.STEPS) == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 2), (5, 1, 0)]


def test_without_order_every_purchase_counts() -> None:
    """Nothing is known of time: each event is an occasion of its own."""
    rows = rows_of(*[(0, 0, EventKind.PURCHASE, None, None, 1.0)] * 3)
    assert best_clock(rows, KINDS) is Clock.COUNTS
    assert len(found(rows, Clock.COUNTS)) == 3


@pytest.mark.parametrize(("timed", "clock"), [(1, Clock.STEPS), (2, Clock.DAYS)])
def test_half_of_the_purchases_decide_on_the_clock(timed: int, clock: Clock) -> None:
    """Days where at least half of the purchases have a time; what other events have does not matter."""
    bought: list[Row] = [(0, n, EventKind.PURCHASE, DAY if n < timed else None, n, 1.0) for n in range(4)]
    looked: list[Row] = [(0, 9, EventKind.VIEW, DAY, None, 1.0)] * 9
    assert best_clock(rows_of(*bought, *looked), KINDS) is clock


def test_nothing_is_no_occasion() -> None:
    """Views alone leave no occasion on any clock."""
    rows = rows_of((0, 0, EventKind.VIEW, DAY, 1, 1.0))
    assert [found(rows, clock) for clock in Clock] == [[], [], []]
