"""Forgetting once more: a store that is older than the wish of somebody in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.forgotten import digest_of
from recsys.stores.sqlite.store import SqliteStore

Forgotten = tuple[bytes, Mapping[str, int]]
"""What another store knows: its secret, and the hashes of forgotten ids with the time of each."""

_IDS = "SELECT customer_id FROM customers"
_AT_ONCE = 50_000
_ADD = "INSERT OR IGNORE INTO forgotten (digest, at) VALUES (?, ?)"
_GROW = "UPDATE meta SET value = value + 1 WHERE key = 'forgotten'"
_BUSY_SECONDS = 10.0


def forget_again(path: Path, lists: Sequence[Forgotten]) -> tuple[int, int]:
    """Removes from the store at `path`, which nobody uses, everybody whom one of the lists names, and keeps the lists.

    Returns how many customers were removed, and how many hashes could not be kept, as they are another shop's.
    """
    lists = [(secret, hashes) for secret, hashes in lists if hashes]
    if not lists:
        return 0, 0
    store = SqliteStore.open(path, create=False, read_only=False, busy_seconds=_BUSY_SECONDS)
    database = Database.open(path, mode="rw", busy_seconds=_BUSY_SECONDS)
    try:
        own, foreign = store.secret(), 0
        gone: dict[str, int] = {}
        with database.snapshot():
            for rows in database.chunks(_IDS, (), _AT_ONCE):
                gone |= {
                    customer_id: hashes[digest]
                    for (customer_id,) in rows
                    for secret, hashes in lists
                    if (digest := digest_of(secret, customer_id)) in hashes
                }
        with database.transaction():
            for secret, hashes in lists:
                if secret == own:
                    database.run_many(_ADD, list(hashes.items()))
                    database.run(_GROW)
                else:
                    foreign += len(hashes)
        database.close()
        for customer_id, at in gone.items():
            if store.persons.known(customer_id):
                store.persons.forget(customer_id, at)
        return len(gone), foreign
    finally:
        database.close()
        store.close()
