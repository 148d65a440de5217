"""What is a purchase, and what returns take off."""

from __future__ import annotations

from datetime import date

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys.customers.purchases import PURCHASE_DAYS_SCHEMA, purchases_of
from tests.customers.shops import ago, bought, frame


def returned(customer: str, days: float, **further: object) -> dict[str, object]:
    """One piece brought back so many days ago."""
    return bought(customer, days, kind="return", **further)


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["book", "map"]),
        st.booleans(),
        st.integers(0, 30),
        st.integers(1, 3),
        st.one_of(st.none(), st.integers(0, 20)),
    ),
    max_size=25,
)


def moves_frame(moves: list[tuple[str, str, bool, int, int, int | None]]) -> pl.DataFrame:
    """Purchases and returns as hypothesis draws them."""
    return frame(
        [
            bought(who, days, price, item_id=item, quantity=float(pieces), kind="return" if back else "purchase")
            for who, item, back, days, pieces, price in moves
        ]
    )


def slowly(events: pl.DataFrame) -> dict[tuple[str, date], float | None]:
    """The same piece by piece: each returned one takes the newest earlier piece of the item away."""
    pieces: list[list[object]] = []
    order = events.with_columns(back=pl.col("kind") == "return").sort("timestamp", "back", maintain_order=True)
    for row in order.iter_rows(named=True):
        for _ in range(int(row["quantity"])):
            if row["back"]:
                own = [each for each in pieces if each[0] == row["customer_id"] and each[1] == row["item_id"]]
                if own:
                    pieces.remove(own[-1])
            else:
                pieces.append([row["customer_id"], row["item_id"], row["timestamp"], row["price"], object()])
    days: dict[tuple[str, date], float | None] = {}
    for who, _, timestamp, price, _ in pieces:
        assert isinstance(who, str)
        key = (who, pl.select(pl.from_epoch(pl.lit(timestamp), "ms").dt.date()).item())
        before = days.get(key)
        assert price is None or isinstance(price, float)
        days[key] = before if price is None else price + (before or 0.0)
    return days


@given(MOVES)
def test_returns_take_the_newest_pieces_off(moves: list[tuple[str, str, bool, int, int, int | None]]) -> None:
    """As when every piece is followed by hand; never more than there was."""
    events = moves_frame(moves)
    found = purchases_of(events, "EUR", "UTC")
    assert dict(found.days.schema) == PURCHASE_DAYS_SCHEMA
    assert {(who, day): amount for who, day, amount in found.days.iter_rows()} == slowly(events)
    assert all(amount is None or amount >= 0 for amount in found.days["amount"])
    kept = found.days.height
    assert kept <= purchases_of(events.filter(pl.col("kind") == "purchase"), "EUR", "UTC").days.height


@given(MOVES)
def test_the_order_of_rows_does_not_matter(moves: list[tuple[str, str, bool, int, int, int | None]]) -> None:
    """Of a frame in any order the purchases are the same, as long as no two of one item are of the same moment."""
    first = {(who, item, back, days): rest for who, item, back, days, *rest in moves}
    events = moves_frame([(*key, *rest) for key, rest in first.items()])  # type: ignore[misc]
    shuffled = events.sample(fraction=1.0, shuffle=True, seed=1)
    assert_frame_equal(purchases_of(events, "EUR", "UTC").days, purchases_of(shuffled, "EUR", "UTC").days)


def test_a_wholly_returned_day_is_no_purchase() -> None:
    """And what nobody bought takes nothing off, but is told."""
    found = purchases_of(
        frame([bought("ann", 9), bought("ann", 3), returned("ann", 1), returned("bob", 1)]), None, "UTC"
    )
    assert found.days["day"].to_list() == [date(2026, 6, 21)]
    assert found.unmatched == 1.0


def test_a_return_before_the_purchase_takes_nothing_off() -> None:
    """It was of something that was bought before the data begin."""
    found = purchases_of(frame([returned("ann", 5), bought("ann", 3)]), None, "UTC")
    assert (found.days.height, found.unmatched) == (1, 1.0)


def test_amounts_are_in_one_currency() -> None:
    """That of most purchases; others, and those without a price, are purchases whose amount is not known."""
    events = frame(
        [
            bought("ann", 9, 5.0, currency="EUR"),
            bought("ann", 8, 7.0, currency="EUR", quantity=2.0),
            bought("ann", 7, 900.0, currency="JPY"),
            bought("ann", 6, None),
            bought("ann", 5, 1.0, currency=None),
        ]
    )
    found = purchases_of(events, None, "UTC")
    assert (found.currency, found.uncounted) == ("EUR", 2)
    assert found.days["amount"].to_list() == [5.0, 14.0, None, None, 1.0]
    assert purchases_of(events, "JPY", "UTC").days["amount"].to_list() == [None, None, 900.0, None, 1.0]


def test_a_day_is_one_of_the_shop() -> None:
    """Two purchases around midnight UTC are one day in Seoul, and two in London in winter."""
    around = [ago(9) + shift for shift in (12 * 3_600_000 - 60_000, 12 * 3_600_000 + 60_000)]
    events = frame([{"customer_id": "ann", "timestamp": each} for each in around])
    assert purchases_of(events, None, "Asia/Seoul").days.height == 1
    assert purchases_of(events, None, "UTC").days.height == 2
