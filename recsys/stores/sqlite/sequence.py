"""The order of arrival: one ascending number for all events of the store, given out inside write transactions."""

from __future__ import annotations

from collections.abc import Sequence

from recsys.stores.sqlite.database import Database

_KNOWN = "SELECT event_id FROM json_each(?) CROSS JOIN events INDEXED BY event_ids ON event_id = value"


def reserve(database: Database, count: int) -> int:
    """The first of `count` successive numbers, all greater than any given out before; 1 or more."""
    (last,) = database.one("SELECT value FROM meta WHERE key = 'last_seq'")
    database.run("UPDATE meta SET value = ? WHERE key = 'last_seq'", (last + count,))
    return int(last) + 1


def known_ids(database: Database, event_ids: Sequence[str]) -> set[str]:
    """Those of these events that are stored."""
    return {event_id for (event_id,) in database.matching(_KNOWN, event_ids)}
