"""The event store as its docstrings tell it, slow and obvious: one list of events in order of arrival."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import polars as pl

from recsys.data.events import EVENT_SCHEMA, Event, EventKind
from recsys.data.packed import HistoryRow
from recsys.stores.protocols import Store

OpenStore = Callable[[], Store]
"""Opens one and the same database, as often as it is called."""


def event_frame(events: Sequence[Event]) -> pl.DataFrame:
    """The events as a frame in EVENT_SCHEMA."""
    rows = [event._asdict() | {"kind": str(event.kind)} for event in events]
    return pl.DataFrame(rows, schema=EVENT_SCHEMA)


def undo(event_id: str, target: str, customer_id: str = "ann") -> Event:
    """An event that takes back another."""
    return Event(
        event_id=event_id, customer_id=customer_id, kind=EventKind.UNDO, context=json.dumps({"undoes": target})
    )


def view(event_id: str, item_id: str = "book", customer_id: str = "ann", timestamp: int | None = None) -> Event:
    """A plain event on an item."""
    return Event(event_id=event_id, customer_id=customer_id, kind=EventKind.VIEW, item_id=item_id, timestamp=timestamp)


def history_row(event: Event) -> HistoryRow:
    """What a history says of an event."""
    assert event.item_id is not None
    return HistoryRow(event.item_id, event.kind.code, event.timestamp, event.position, event.quantity, event.rating)


class PlainStore:
    """The oracle. No index, no cleverness."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, events: Sequence[Event]) -> list[bool]:
        """True for each event whose id was not there."""
        new = []
        for event in events:
            new.append(all(event.event_id != stored.event_id for stored in self.events))
            if new[-1]:
                self.events.append(event)
        return new

    def behaviour(self, customer_id: str) -> list[Event]:
        """One customer's events that are no exposures, in order of arrival."""
        return [e for e in self.events if e.customer_id == customer_id and not e.kind.is_exposure]

    def undone(self, customer_id: str) -> set[str]:
        """The ids of events that an undo took back, deciding one undo at a time."""
        undos = [e for e in self.behaviour(customer_id) if e.kind is EventKind.UNDO]
        names = {u.event_id: json.loads(u.context or "{}")["undoes"] for u in undos}
        counts: dict[str, bool] = {}
        while len(counts) < len(undos):
            for u in undos:
                namers = [n for n in names if names[n] == u.event_id]
                if u.event_id in counts:
                    continue
                if any(counts.get(n, False) for n in namers):
                    counts[u.event_id] = False
                    break
                if all(n in counts for n in namers):
                    counts[u.event_id] = True
                    break
            else:
                newest = [u.event_id for u in undos if u.event_id not in counts][-1]
                counts[newest] = True
        return {names[u] for u, decided in counts.items() if decided}

    def history(self, customer_id: str, limit: int) -> tuple[list[HistoryRow], set[tuple[str, int]]]:
        """The newest effective events with an item, oldest first; item and kind of the events before them."""
        gone = self.undone(customer_id)
        kept = [
            (
                (-1 if e.timestamp is None else e.timestamp, -1 if e.position is None else e.position, arrival),
                history_row(e),
            )
            for arrival, e in enumerate(self.behaviour(customer_id))
            if e.item_id is not None and e.kind is not EventKind.UNDO and e.event_id not in gone
        ]
        ordered = [row for _, row in sorted(kept, key=lambda pair: pair[0])]
        first = len(ordered) - min(limit, len(ordered))
        return ordered[first:], {(row.item_id, row.kind) for row in ordered[:first]}
