"""Bringing a store to this release's version: rehearsed on a copy, and compared with what was there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from recsys.errors import StoreError
from recsys.stores.sqlite.copying import StoreFile, archive_of, check_store_file, copy_store, read_store_file
from recsys.stores.sqlite.store import SqliteStore

_BUSY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did, or would do.

    Attributes
    ----------
    before, after : what the file said.
    copying, migrating : seconds; `copying` is 0 where nothing was copied.
    """

    before: StoreFile
    after: StoreFile
    copying: float
    migrating: float


def rehearse(store: Path, folder: Path) -> Upgraded:
    """Upgrades a copy in an empty folder, and checks it. The store, and who uses it, notice nothing.

    Raises StoreError when the copy is not what the store was.
    """
    copy = folder / store.name
    started = time.perf_counter()
    copy_store(store, copy)
    copying = time.perf_counter() - started
    if archive_of(store).is_dir():
        # Migrations leave closed partitions as they are, so the copy may read the store's own.
        archive_of(copy).symlink_to(archive_of(store).absolute())
    done = upgrade(copy)
    check_store_file(copy)
    return Upgraded(done.before, done.after, copying, done.migrating)


def upgrade(store: Path) -> Upgraded:
    """Upgrades a store that nobody uses, and compares it with what it was. Raises StoreError when something is lost."""
    before = read_store_file(store)
    started = time.perf_counter()
    opened = SqliteStore.open(store, create=False, read_only=False, busy_seconds=_BUSY_SECONDS)
    try:
        migrating = time.perf_counter() - started
        # Opens every closed partition.
        opened.events.summary()
    finally:
        opened.close()
    after = read_store_file(store)
    _compare(store, before, after)
    return Upgraded(before, after, 0.0, migrating)


def _compare(store: Path, before: StoreFile, after: StoreFile) -> None:
    """Every row, partition and forgotten customer must still be there; single values in `meta` may come along."""
    lost = [
        f"{table} had {rows:,} rows and has {after.rows.get(table, 0):,}"
        for table, rows in before.rows.items()
        if after.rows.get(table, 0) != rows and not (table == "meta" and after.rows.get(table, 0) > rows)
    ]
    kept = ("secret", "partitions", "forgotten")
    lost += [f"{name} changed" for name in kept if getattr(before, name) != getattr(after, name)]
    if lost:
        raise StoreError(
            f"the upgrade of {store} changed what it must not: {'; '.join(lost)}",
            remedy="keep the store as it was, and report this",
        )
