"""Histories in SQLite: read row by row where few rows are needed, and from one packed row per customer otherwise.

A packed row holds a history up to a version. What arrived later is read from the table of events and added, so a packed
row is never wrong, only behind; whoever notices that much had to be added asks for a new one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import orjson

from recsys.data.events import EventKind
from recsys.data.history import StoredHistory
from recsys.data.packed import HistoryColumns, HistoryRow
from recsys.errors import InputError
from recsys.stores.admission import storable
from recsys.stores.sqlite import schema
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database, Row, as_json
from recsys.stores.sqlite.names import ROOT, Names
from recsys.stores.sqlite.undone import undone_seqs

PACKED_ROWS = 2_000
"""So many of the newest events stand in a packed row with everything that is known of them."""

_MERGED = "(SELECT json_group_array(customer) FROM customers WHERE merged_into = n)"
_NEWEST = "(SELECT max(seq) FROM events WHERE customer = n AND exposure = 0)"
_WHO = f"""
    SELECT n, {_MERGED}, {_NEWEST}, (SELECT merged FROM profiles WHERE customer = n),
        (SELECT value FROM meta WHERE key = 'archive') FROM (SELECT {ROOT} AS n FROM customers WHERE customer_id = ?)
"""  # noqa: S608
_PACKED = "SELECT version, body FROM packed_histories WHERE customer = ?"
_PACK = """
    INSERT INTO packed_histories (customer, version, body)
    SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM customers WHERE customer = ?)
    ON CONFLICT (customer) DO UPDATE SET (version, body) = (excluded.version, excluded.body)
"""
_SHOWN_AS_OF = f"""
    SELECT n, (SELECT max(seq) FROM events WHERE customer = n AND exposure = 1),
        (SELECT merged FROM profiles WHERE customer = n), {_MERGED}
    FROM (SELECT {ROOT} AS n FROM customers WHERE customer_id = ?)
"""  # noqa: S608
_NEWEST_SHOWN = "SELECT max(seq) FROM events WHERE customer = ? AND exposure = 1"
_SHOWN = f"""
    SELECT seq, item_id, timestamp FROM events JOIN items USING (item)
    WHERE customer = ? AND exposure = 1 AND kind = {EventKind.IMPRESSION.code} AND timestamp IS NOT NULL
    ORDER BY seq DESC LIMIT ?
"""  # noqa: S608
_AMONG = "customer IN (SELECT value FROM json_each(?))"
_NEWEST_AMONG = f"SELECT max(seq) FROM events WHERE {_AMONG} AND exposure = 0"  # noqa: S608
_ANY_UNDO = f"SELECT 1 FROM events WHERE kind = {schema.UNDO_CODE} AND customer = ? LIMIT 1"  # noqa: S608
_LATER = f"""
    SELECT item_id, kind, timestamp, position, quantity, rating FROM events LEFT JOIN items USING (item)
    WHERE {_AMONG} AND exposure = 0 AND seq > ? ORDER BY seq LIMIT ?
"""  # noqa: S608
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM events WHERE customer = ? AND exposure = 0 LIMIT ?)"
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
_LIVE_ROWS = f"SELECT seq, item, kind, timestamp, position, quantity, rating FROM events WHERE {_OWN}"  # noqa: S608
_LAST_ROWS = f"{_LIVE_ROWS} AND seq > ? ORDER BY seq DESC LIMIT ?"
# Sorting in SQL costs more than fetching, unless most rows need not be fetched.
_SORT_IN_SQL_ABOVE = 3


class _Who(NamedTuple):
    """A customer, and the visitors who turned out to be them.

    Attributes
    ----------
    numbers : the customer's own first.
    version : of the history.
    closed : the last `seq` that the archive knows of them; 0 when it knows nothing.
    merged : the version at which somebody was merged last.
    """

    numbers: Sequence[int]
    version: int
    closed: int
    merged: int

    @property
    def number(self) -> int:
        return self.numbers[0]


class SqliteHistories:
    """Implements `HistoryStore`."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive
        self._items = Names(database, "items", "item")

    def version(self, customer_id: str) -> int:
        """See `HistoryStore`."""
        if not storable(customer_id):
            return 0
        found = self._database.query(_WHO, (customer_id,))
        if not found:
            return 0
        (_, visitors, newest, merged, archive), *_ = found
        if not archive and visitors == "[]":
            return max(newest or 0, merged or 0)
        with self._database.snapshot():
            who = self._who(customer_id)
        return 0 if who is None else who.version

    def get(self, customer_id: str, limit: int) -> StoredHistory:
        """See `HistoryStore`."""
        found = self._read(customer_id, limit, None)
        assert found is not None  # noqa: S101 - only a bound leaves it out
        return found

    def at_once(self, customer_id: str, limit: int, most: int) -> StoredHistory | None:
        """See `HistoryStore`."""
        return self._read(customer_id, limit, most)

    def recent(self, customer_id: str, limit: int, most: int) -> StoredHistory:
        """See `HistoryStore`."""
        if not storable(customer_id):
            return StoredHistory.of(0, ())
        with self._database.snapshot():
            who = self._who(customer_id)
            if who is None or not who.version:
                return StoredHistory.of(0, ())
            found = self._database.query(_PACKED, (who.number,))
            version, body = found[0] if found else (0, b"")
            packed = HistoryColumns.from_bytes(body) if body else None
            since = 0 if packed is None else version
            rows = []
            for number in who.numbers:
                rows += self._database.query(_LAST_ROWS, (number, since, most))
                if who.closed > since:
                    rows += [row for row in self._archive.rows(number, most) if row[0] > since]
            rows = sorted(sorted(rows)[-most:], key=lambda row: _age(row[3], row[4]))
            columns = self._named(rows, ())
        return StoredHistory(who.version, (columns if packed is None else packed[0].followed_by(columns)).newest(limit))

    def _read(self, customer_id: str, limit: int, most: int | None) -> StoredHistory | None:
        if limit < 0:
            raise InputError(f"a history of at most {limit} events", expected="a limit of 0 or more")
        if not storable(customer_id):
            return StoredHistory.of(0, ())
        with self._database.snapshot():
            who = self._who(customer_id)
            if who is None or not who.version:
                return StoredHistory.of(0, ())
            if limit <= PACKED_ROWS:
                found = self._unpacked(who, limit, most)
                if found is not None:
                    return found
            if most is not None and self._more_than(who, most):
                return None
            columns = self._columns(who, limit)
        return StoredHistory(who.version, columns, loose=columns.events)

    def shown_version(self, customer_id: str) -> int:
        """See `HistoryStore`."""
        return self._shown_as_of(customer_id)[0]

    def shown(self, customer_id: str, limit: int) -> tuple[int, Sequence[tuple[str, int]]]:
        """See `HistoryStore`."""
        with self._database.snapshot():
            version, numbers = self._shown_as_of(customer_id)
            rows = [row for number in numbers for row in self._database.query(_SHOWN, (number, limit))]
        rows.sort(reverse=True)
        return version, [(item_id, at) for _, item_id, at in rows[:limit]]

    def _shown_as_of(self, customer_id: str) -> tuple[int, Sequence[int]]:
        """The version of a customer's impressions, and the numbers under which they stand."""
        found = self._database.query(_SHOWN_AS_OF, (customer_id,)) if storable(customer_id) else []
        if not found:
            return 0, ()
        ((number, newest, merged, visitors),) = found
        others: list[int] = orjson.loads(visitors)
        versions = [newest, merged, *(self._database.one(_NEWEST_SHOWN, (other,))[0] for other in others)]
        return max(version or 0 for version in versions), (number, *others)

    def pack(self, customer_ids: Sequence[str]) -> None:
        """See `HistoryStore`."""
        # Read before the write lock is taken: a long history takes seconds, and what arrives meanwhile is added later.
        pieces = [piece for customer_id in customer_ids if (piece := self._piece(customer_id)) is not None]
        if pieces:
            with self._database.transaction():
                self._database.run_many(_PACK, pieces)

    def _piece(self, customer_id: str) -> tuple[int, int, bytes, int] | None:
        """The values of one packed row; None for somebody without a history."""
        if not storable(customer_id):
            return None
        with self._database.snapshot():
            who = self._who(customer_id)
            if who is None or not who.version:
                return None
            columns = self._columns(who, PACKED_ROWS)
            undos = any(self._database.query(_ANY_UNDO, (number,)) for number in who.numbers)
        return who.number, who.version, columns.to_bytes(undos=undos), who.number

    def _who(self, customer_id: str) -> _Who | None:
        """Inside a snapshot."""
        found = self._database.query(_WHO, (customer_id,))
        if not found:
            return None
        ((number, visitors, newest, merged, archive),) = found
        numbers = [number, *orjson.loads(visitors)]
        if len(numbers) > 1:
            (newest,) = self._database.one(_NEWEST_AMONG, (as_json(numbers),))
        closed = 0
        if archive and self._archive.partitions():
            closed = max(self._archive.version(each) for each in numbers)
        return _Who(numbers, max(newest or 0, merged or 0, closed), closed, merged or 0)

    def _unpacked(self, who: _Who, limit: int, most: int | None) -> StoredHistory | None:
        """The history from the packed row and the events that arrived since; None where that does not do."""
        found = self._database.query(_PACKED, (who.number,))
        if not found:
            return None
        ((version, body),) = found
        packed = HistoryColumns.from_bytes(body)
        if packed is None:
            return None
        columns, undos = packed
        if version == who.version:
            return StoredHistory(version, columns.newest(limit))
        # What was taken back, imported or merged in since may concern what is packed.
        if undos or max(who.closed, who.merged) > version:
            return None
        few = PACKED_ROWS if most is None else most
        later = self._database.query(_LATER, (as_json(who.numbers), version, few + 1))
        if len(later) > few or any(kind == schema.UNDO_CODE for _, kind, *_ in later):
            return None
        rows = [HistoryRow._make(row) for row in later if row[0] is not None]
        whole = columns.followed_by(HistoryColumns.of(rows))
        return StoredHistory(who.version, whole.newest(limit), loose=len(later))

    def _more_than(self, who: _Who, most: int) -> bool:
        """Whether more events than so many would have to be read one by one."""
        count = 0
        for number in who.numbers:
            (live,) = self._database.one(_COUNT, (number, most + 1))
            count += live + (self._archive.count(number) if who.closed else 0)
        return count > most

    def _columns(self, who: _Who, limit: int) -> HistoryColumns:
        """The history, event by event."""
        if who.closed or len(who.numbers) > 1:
            return self._of_several(who, limit)
        rows, earlier = self._own_rows(who.number, limit)
        # What SQL hands out is in order of arrival, and sorting keeps that order among equals.
        rows.sort(key=_age_order)
        first = max(len(rows) - limit, 0)
        earlier |= {(row.item_id, row.kind) for row in rows[:first]}
        return HistoryColumns.of(rows[first:], earlier)

    def _of_several(self, who: _Who, limit: int) -> HistoryColumns:
        """Of a customer of whom the archive knows something, or who was met as a visitor before."""
        gone = set(undone_seqs(self._database, self._archive, who.numbers))
        rows = []
        for number in who.numbers:
            rows += [row for row in self._database.query(_LIVE_ROWS, (number,)) if row[0] not in gone]
            if who.closed:
                rows += [row for row in self._archive.rows(number) if row[0] not in gone]
        # By arrival first: sorting by age keeps that order among equals.
        rows.sort()
        rows.sort(key=lambda row: _age(row[3], row[4]))
        first = max(len(rows) - limit, 0)
        return self._named(rows[first:], {(item, kind) for _, item, kind, *_ in rows[:first]})

    def _named(self, rows: Sequence[Row], earlier: Collection[tuple[int, int]]) -> HistoryColumns:
        """The columns of rows that name their items by number."""
        names = self._items.texts(sorted({row[1] for row in rows} | {item for item, _ in earlier}))
        return HistoryColumns.of(
            [HistoryRow(names[item], *rest) for _, item, *rest in rows],
            {(names[item], kind) for item, kind in earlier},
        )

    def _own_rows(self, customer: int, limit: int) -> tuple[list[HistoryRow], set[tuple[str, int]]]:
        """The effective events of one customer in order of arrival: all, or the newest `limit` of many and what the
        others say."""
        undone = undone_seqs(self._database, self._archive, [customer])
        values: list[object] = [customer, as_json(undone)] if undone else [customer]

        def query(sql: str, *further: object) -> list[tuple[Any, ...]]:
            return self._database.query(sql.format(undone=_NOT_UNDONE if undone else ""), [*values, *further])

        few = _SORT_IN_SQL_ABOVE * limit
        (count,) = self._database.one(_COUNT, (customer, few + 1))
        if count <= few:
            return [HistoryRow._make(row) for row in query(_ALL_OWN)], set()
        newest = [HistoryRow._make(row) for row in query(_NEWEST_OWN, limit)]
        # Counting is three times as fast as sorting once more for the others.
        counts = Counter((row.item_id, row.kind) for row in newest)
        return newest, {(item, kind) for item, kind, number in query(_COUNTS_OWN) if number > counts[item, kind]}


def _age_order(row: HistoryRow) -> tuple[float, float]:
    """Ascends from old to new; what is unknown is oldest."""
    return _age(row.timestamp, row.position)


def _age(timestamp: int | None, position: int | None) -> tuple[float, float]:
    return (-math.inf if timestamp is None else timestamp, -math.inf if position is None else position)
