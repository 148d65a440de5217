"""Events in SQLite: live writes and histories. Bulk writes are in `ingest`, reads of everything in `scan`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from recsys.data.events import Event, EventKind
from recsys.data.interactions import EventTable
from recsys.stores.admission import check_event_frame, check_events
from recsys.stores.protocols import Ingested, Responses
from recsys.stores.sqlite import ingest, period, responses, scan
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.forgotten import Forgotten, without_forgotten
from recsys.stores.sqlite.names import Names
from recsys.stores.sqlite.sequence import known_ids, reserve

_INSERT = """
    INSERT INTO events (customer, exposure, seq, event_id, item, kind, timestamp, position, quantity, price, currency,
                        rating, session_id, recommendation_id, context)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class SqliteEvents:
    """Implements `EventStore`."""

    def __init__(self, database: Database, archive: Archive, forgotten: Forgotten) -> None:
        self._database = database
        self._forgotten = forgotten
        self._archive = archive
        self._customers = Names(database, "customers", "customer")
        self._items = Names(database, "items", "item")

    def append(self, events: Sequence[Event]) -> list[bool]:
        """See `EventStore`."""
        check_events(events)
        with self._database.transaction():
            self._forgotten.check({event.customer_id for event in events})
            ids = [event.event_id for event in events]
            seen = known_ids(self._database, ids) | self._archive.known(ids)
            new: list[bool] = []
            for event in events:
                new.append(event.event_id not in seen)
                seen.add(event.event_id)
            fresh = [event for event, is_new in zip(events, new, strict=True) if is_new]
            self._insert(fresh)
            self._archive.noted([event.event_id for event in fresh])
        return new

    def _insert(self, events: Sequence[Event]) -> None:
        if not events:
            return
        customers = self._customers.intern({event.customer_id for event in events})
        items = self._items.intern({event.item_id for event in events if event.item_id is not None})
        first = reserve(self._database, len(events))
        kinds = {kind: (int(kind.is_exposure), kind.code) for kind in {event.kind for event in events}}
        self._database.run_many(
            _INSERT,
            [
                (
                    customers[event.customer_id],
                    kinds[event.kind][0],
                    seq,
                    event.event_id,
                    None if event.item_id is None else items[event.item_id],
                    kinds[event.kind][1],
                    event.timestamp,
                    event.position,
                    event.quantity,
                    event.price,
                    event.currency,
                    event.rating,
                    event.session_id,
                    event.recommendation_id,
                    event.context,
                )
                for seq, event in enumerate(events, first)
            ],
        )

    def ingest(self, events: pl.DataFrame, progress: Callable[[int], None] | None = None) -> Ingested:
        """See `EventStore`."""
        check_event_frame(events)
        with self._database.bulk(), self._database.transaction():
            kept = without_forgotten(events, self._forgotten)
            left_out = len(events) - len(kept)
            told = None if progress is None else lambda done: progress(left_out + done)
            done = ingest.ingest(self._database, self._customers, self._items, self._archive, kept, told)
        return replace(done, forgotten=left_out)

    def read(self, as_of: int | None = None) -> EventTable:
        """See `EventStore`."""
        with self._database.snapshot():
            return scan.read(self._database, self._customers, self._items, self._archive, as_of)

    def responses(self, after: int, since: int, within: int) -> Responses:
        """See `EventStore`."""
        with self._database.snapshot():
            return responses.read(self._database, self._archive, after, since, within)

    def period(self, kinds: Collection[EventKind], since: int, until: int) -> pl.DataFrame:
        """See `EventStore`."""
        with self._database.snapshot():
            names = (self._customers, self._items)
            return period.period(self._database, self._archive, names, kinds, since, until)

    def summary(self) -> Mapping[str, Any]:
        """See `EventStore`."""
        with self._database.snapshot():
            return scan.summary(self._database, self._archive)
