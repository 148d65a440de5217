"""Events in SQLite: live writes and histories. Bulk writes are in `ingest`, reads of everything in `scan`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from recsys.data.events import Event
from recsys.data.history import HistoryRow, StoredHistory
from recsys.data.interactions import EventTable
from recsys.errors import InputError
from recsys.stores.admission import check_event_frame, check_events, storable
from recsys.stores.protocols import Ingested
from recsys.stores.sqlite import ingest, scan, schema
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.names import Names
from recsys.stores.sqlite.sequence import known_ids, reserve
from recsys.stores.sqlite.undone import undone_seqs

_INSERT = """
    INSERT INTO events (customer, exposure, seq, event_id, item, kind, timestamp, position, quantity, price, currency,
                        rating, session_id, recommendation_id, context)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CUSTOMER = "SELECT customer FROM customers WHERE customer_id = ?"
_VERSION = f"""
    SELECT max(seq), (SELECT value FROM meta WHERE key = 'archive') FROM events
    WHERE customer = ({_CUSTOMER}) AND exposure = 0
"""  # noqa: S608
_CUSTOMER_AND_VERSION = """
    SELECT customer, max(seq), count(*) FROM events
    WHERE customer = (SELECT customer FROM customers WHERE customer_id = ?) AND exposure = 0
"""
_OWN = f"customer = ? AND exposure = 0 AND item IS NOT NULL AND kind <> {schema.UNDO_CODE}"
_NOT_UNDONE = "AND seq NOT IN (SELECT value FROM json_each(?))"
_ALL_OWN = f"""
    SELECT item_id, kind, timestamp, position, quantity, rating FROM events JOIN items USING (item)
    WHERE {_OWN} {{undone}} ORDER BY seq
"""  # noqa: S608
_NEWEST_OWN = f"""
    SELECT item_id, kind, timestamp, position, quantity, rating FROM (
        SELECT item, kind, timestamp, position, quantity, rating, seq FROM events WHERE {_OWN} {{undone}}
        ORDER BY timestamp DESC NULLS LAST, position DESC NULLS LAST, seq DESC LIMIT ?
    ) JOIN items USING (item) ORDER BY seq
"""  # noqa: S608
_COUNTS_OWN = f"""
    SELECT item_id, kind, number FROM (
        SELECT item, kind, count(*) AS number FROM events WHERE {_OWN} {{undone}} GROUP BY item, kind
    ) JOIN items USING (item)
"""  # noqa: S608
_VERSION_OF = "SELECT max(seq) FROM events WHERE customer = ? AND exposure = 0"
_LIVE_ROWS = f"SELECT seq, item, kind, timestamp, position, quantity, rating FROM events WHERE {_OWN}"  # noqa: S608
# Sorting in SQL costs more than fetching, unless most rows need not be fetched.
_SORT_IN_SQL_ABOVE = 3


class SqliteEvents:
    """Implements `EventStore`."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive
        self._customers = Names(database, "customers", "customer")
        self._items = Names(database, "items", "item")

    def append(self, events: Sequence[Event]) -> list[bool]:
        """See `EventStore`."""
        check_events(events)
        with self._database.transaction():
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
        self._database.run_many(
            _INSERT,
            [
                (
                    customers[event.customer_id],
                    int(event.kind.is_exposure),
                    seq,
                    event.event_id,
                    None if event.item_id is None else items[event.item_id],
                    event.kind.code,
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
            return ingest.ingest(self._database, self._customers, self._items, self._archive, events, progress)

    def history(self, customer_id: str, limit: int) -> StoredHistory:
        """See `EventStore`."""
        if limit < 0:
            raise InputError(f"a history of at most {limit} events", expected="a limit of 0 or more")
        if not storable(customer_id):
            return StoredHistory(0, ())
        with self._database.snapshot():
            if self._archive.partitions() and (number := self._customers.number(customer_id)) is not None:
                closed = self._archive.version(number)
                if closed:
                    return self._of_both(number, closed, limit)
            ((customer, version, count),) = self._database.query(_CUSTOMER_AND_VERSION, (customer_id,))
            if version is None:
                return StoredHistory(0, ())
            rows, earlier = self._own_rows(customer, count, limit)
        # What SQL hands out is in order of arrival, and sorting keeps that order among equals.
        rows.sort(key=_age_order)
        first = max(len(rows) - limit, 0)
        earlier |= {(row.item_id, row.kind) for row in rows[:first]}
        return StoredHistory(version, rows[first:], earlier)

    def _of_both(self, customer: int, closed: int, limit: int) -> StoredHistory:
        """The history of a customer of whom the archive knows something; `closed` is their version there."""
        (live,) = self._database.one(_VERSION_OF, (customer,))
        gone = set(undone_seqs(self._database, self._archive, customer))
        rows = [row for row in self._database.query(_LIVE_ROWS, (customer,)) if row[0] not in gone]
        rows += [row for row in self._archive.rows(customer) if row[0] not in gone]
        # By arrival first: sorting by age keeps that order among equals.
        rows.sort()
        rows.sort(key=lambda row: _age(row[3], row[4]))
        first = max(len(rows) - limit, 0)
        pairs = {(item, kind) for _, item, kind, *_ in rows[:first]}
        names = self._items.texts(sorted({row[1] for row in rows[first:]} | {item for item, _ in pairs}))
        return StoredHistory(
            max(live or 0, closed),
            [HistoryRow(names[item], *rest) for _, item, *rest in rows[first:]],
            {(names[item], kind) for item, kind in pairs},
        )

    def _own_rows(self, customer: int, count: int, limit: int) -> tuple[list[HistoryRow], set[tuple[str, int]]]:
        """The effective events of one customer in order of arrival: all, or the newest `limit` of many and what the
        others say."""
        undone = undone_seqs(self._database, self._archive, customer)
        values: list[object] = [customer, scan.as_json(undone)] if undone else [customer]

        def query(sql: str, *further: object) -> list[tuple[Any, ...]]:
            return self._database.query(sql.format(undone=_NOT_UNDONE if undone else ""), [*values, *further])

        if count <= _SORT_IN_SQL_ABOVE * limit:
            return [HistoryRow._make(row) for row in query(_ALL_OWN)], set()
        newest = [HistoryRow._make(row) for row in query(_NEWEST_OWN, limit)]
        # Counting is three times as fast as sorting once more for the others.
        counts = Counter((row.item_id, row.kind) for row in newest)
        return newest, {(item, kind) for item, kind, number in query(_COUNTS_OWN) if number > counts[item, kind]}

    def version(self, customer_id: str) -> int:
        """See `EventStore`."""
        if not storable(customer_id):
            return 0
        version, archive = self._database.one(_VERSION, (customer_id,))
        if not archive:
            return version or 0
        with self._database.snapshot():
            (version, _), closed = self._database.one(_VERSION, (customer_id,)), 0
            if self._archive.partitions() and (number := self._customers.number(customer_id)) is not None:
                closed = self._archive.version(number)
        return max(version or 0, closed)

    def read(self) -> EventTable:
        """See `EventStore`."""
        with self._database.snapshot():
            return scan.read(self._database, self._customers, self._items, self._archive)

    def summary(self) -> Mapping[str, Any]:
        """See `EventStore`."""
        with self._database.snapshot():
            return scan.summary(self._database, self._archive)


def _age_order(row: HistoryRow) -> tuple[float, float]:
    """Ascends from old to new; what is unknown is oldest."""
    return _age(row.timestamp, row.position)


def _age(timestamp: int | None, position: int | None) -> tuple[float, float]:
    return (-math.inf if timestamp is None else timestamp, -math.inf if position is None else position)
