"""Histories for the tests of evaluation, small enough to divide by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from recsys.data.events import EVENT_SCHEMA, EventKind
from training.evaluation.held_out import Repeats, Rules

VIEW, BUY, CART = EventKind.VIEW, EventKind.PURCHASE, EventKind.ADD_TO_CART
DAY = 86_400_000
Row = tuple[str, str, EventKind, int | None]


def timed(rows: Sequence[Row]) -> pl.DataFrame:
    """Events of (customer, item, kind, day)."""
    return _frame(rows, "timestamp", DAY)


def placed(rows: Sequence[Row]) -> pl.DataFrame:
    """Events of (customer, item, kind, position), without times."""
    return _frame(rows, "position", 1)


def _frame(rows: Sequence[Row], order: str, unit: int) -> pl.DataFrame:
    records = [
        {
            "event_id": f"e{number}",
            "customer_id": customer,
            "item_id": item,
            "kind": str(kind),
            order: None if step is None else step * unit,
            "quantity": 1.0,
        }
        for number, (customer, item, kind, step) in enumerate(rows)
    ]
    return pl.DataFrame(records, schema=EVENT_SCHEMA)


def pairs(frame: pl.DataFrame) -> set[tuple[str, str]]:
    """The pairs of customer and item in a frame."""
    return set(frame.select("customer_id", "item_id").iter_rows())


def events(frame: pl.DataFrame) -> set[str]:
    """The ids of a frame's events."""
    return set(frame["event_id"])


def rules(
    *,
    target: Iterable[EventKind] = (BUY,),
    visible: Iterable[EventKind] | None = None,
    repeats: Repeats = Repeats.EXCLUDE,
    mask: Iterable[EventKind] | None = None,
) -> Rules:
    """Rules with the command's defaults."""
    wanted = frozenset(target)
    return Rules(
        target=wanted,
        visible=None if visible is None else frozenset(visible),
        repeats=repeats,
        mask=wanted if mask is None else frozenset(mask),
    )
