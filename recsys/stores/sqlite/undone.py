"""Finds the events that undos took back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from operator import itemgetter

from recsys.stores.sqlite import schema
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database, Row
from recsys.stores.undo import Undo, undo_target, undone

# The code is written out: SQLite uses the partial index `undos` only for a condition that it can see.
_UNDOS = f"""
    SELECT customer, event_id, context, seq FROM events
    WHERE kind = {schema.UNDO_CODE} {{one}} ORDER BY seq
"""  # noqa: S608
_ALL_UNDOS = _UNDOS.format(one="")
_UNDOS_BEFORE = _UNDOS.format(one="AND (timestamp IS NULL OR timestamp < ?)")
_UNDOS_OF_ONE = _UNDOS.format(one="AND customer = ?")
_TARGETS = "SELECT customer, event_id, seq FROM events WHERE event_id IN (SELECT value FROM json_each(?))"
_MERGED = "SELECT customer, merged_into FROM customers WHERE merged_into IS NOT NULL"


def undone_seqs(
    database: Database, archive: Archive, customers: Sequence[int] | None = None, before: int | None = None
) -> list[int]:
    """The `seq` of every event that an undo took back, of all customers or of one: the customer's own number and those
    of the visitors who turned out to be them. Inside a snapshot. Of all customers, with a time (milliseconds UTC) undos
    made before it, or nobody knows when, count alone.

    The undos themselves are always rows of the table; what they take back may lie in the archive.
    """
    owner_of: dict[int, int] = {}
    undos: Sequence[Row]
    if customers is None:
        undos = database.query(_ALL_UNDOS) if before is None else database.query(_UNDOS_BEFORE, (before,))
        owner_of = merged(database)
    else:
        found = [row for customer in customers for row in database.query(_UNDOS_OF_ONE, (customer,))]
        undos = sorted(found, key=itemgetter(3))
        owner_of |= dict.fromkeys(customers, customers[0])
    own: defaultdict[int, list[Undo]] = defaultdict(list)
    for number, event_id, context, _ in undos:
        target = undo_target(context)
        if target is not None:
            own[owner_of.get(int(number), int(number))].append(Undo(event_id, target))
    gone = {(owner, target) for owner, pairs in own.items() for target in undone(pairs)}
    targets = sorted({target for _, target in gone})
    there = [*database.matching(_TARGETS, targets), *archive.seqs(targets)]
    return [seq for number, event_id, seq in there if (owner_of.get(number, number), event_id) in gone]


def merged(database: Database) -> dict[int, int]:
    """Every visitor who turned out to be a customer, and who that is."""
    return {int(visitor): int(customer) for visitor, customer in database.query(_MERGED)}
