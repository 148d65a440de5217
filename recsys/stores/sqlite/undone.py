"""Finds the events that undos took back."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from recsys.stores.sqlite import schema
from recsys.stores.sqlite.archived import Archive
from recsys.stores.sqlite.database import Database
from recsys.stores.undo import Undo, undo_target, undone

# The code is written out: SQLite uses the partial index `undos` only for a condition that it can see.
_UNDOS = f"""
    SELECT customer, event_id, context FROM events
    WHERE kind = {schema.UNDO_CODE} {{one}} ORDER BY customer, seq
"""  # noqa: S608
_ALL_UNDOS = _UNDOS.format(one="")
_UNDOS_OF_ONE = _UNDOS.format(one="AND customer = ?")
_TARGETS = "SELECT customer, event_id, seq FROM events WHERE event_id IN (SELECT value FROM json_each(?))"


def undone_seqs(database: Database, archive: Archive, customer: int | None = None) -> list[int]:
    """The `seq` of every event that an undo took back, of one customer or of all; inside a snapshot.

    The undos themselves are always rows of the table; what they take back may lie in the archive.
    """
    undos = database.query(_ALL_UNDOS) if customer is None else database.query(_UNDOS_OF_ONE, (customer,))
    gone: set[tuple[int, str]] = set()
    for owner, own in groupby(undos, key=itemgetter(0)):
        pairs = [Undo(event_id, target) for _, event_id, context in own if (target := undo_target(context))]
        gone.update((owner, target) for target in undone(pairs))
    targets = sorted({target for _, target in gone})
    found = [*database.matching(_TARGETS, targets), *archive.seqs(targets)]
    return [seq for owner, event_id, seq in found if (owner, event_id) in gone]
