"""Makes new stores and brings older ones to this version, each in one transaction."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

from recsys.errors import StoreError, StoreUnavailableError, StoreVersionError
from recsys.stores.sqlite import schema
from recsys.stores.sqlite.database import Database

Migration = Callable[[Database], None]

_MAKE_ONE = "make one with `bookmatch import FILE...`"


def _to_version_1(database: Database) -> None:
    for statement in schema.VERSION_1:
        database.run(statement)
    database.run("INSERT INTO meta (key, value) VALUES ('secret', ?)", (secrets.token_bytes(32),))


def _to_version_2(database: Database) -> None:
    for statement in schema.VERSION_2:
        database.run(statement)


def _to_version_3(database: Database) -> None:
    for statement in schema.VERSION_3:
        database.run(statement)


def _to_version_4(database: Database) -> None:
    for statement in schema.VERSION_4:
        database.run(statement)


def _to_version_5(database: Database) -> None:
    for statement in schema.VERSION_5:
        database.run(statement)


MIGRATIONS: tuple[Migration, ...] = (_to_version_1, _to_version_2, _to_version_3, _to_version_4, _to_version_5)
"""Migration number n (from 0) leads from version n to version n + 1; version 0 is an empty file."""


def prepare(
    database: Database, *, create: bool, read_only: bool, busy_seconds: float, migrations: Sequence[Migration]
) -> None:
    """Checks that the file is a store of ours and brings it to the newest version.

    Raises
    ------
    StoreVersionError when it is newer; StoreError when it is something else, or empty and not to be created, or older
    and not to be written.
    """
    version = _checked_version(database, len(migrations))
    if version == 0 and not create:
        raise StoreError(f"there is no store in {database.path}: the file is empty", remedy=_MAKE_ONE)
    if version == len(migrations):
        return
    if read_only:
        raise StoreError(
            f"the store {database.path} is of version {version} and is opened to read only",
            expected=f"version {len(migrations)}",
            remedy="bring it to this version with `bookmatch upgrade`, which takes a backup first",
        )
    if version == 0:
        _use_write_ahead_log(database, busy_seconds)
    with database.transaction():
        # Another process may have done it while this one waited for its turn.
        for migration in migrations[_checked_version(database, len(migrations)) :]:
            migration(database)
        database.run(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        database.run(f"PRAGMA user_version = {len(migrations)}")


def _checked_version(database: Database, newest: int) -> int:
    """The version of the store in the file; 0 when there is nothing in it."""
    # One state: another process may be making the store right now.
    with database.snapshot():
        (application,) = database.one("PRAGMA application_id")
        (version,) = database.one("PRAGMA user_version")
        (tables,) = database.one("SELECT count(*) FROM sqlite_master")
    if application == version == tables == 0:
        return 0
    if application != schema.APPLICATION_ID or version < 1:
        raise StoreError(
            f"{database.path} is a database of another program (application id {application:#x})",
            expected=f"a store of Bookmatch (application id {schema.APPLICATION_ID:#x})",
            remedy=f"name another file or folder; {_MAKE_ONE}",
        )
    if version > newest:
        raise StoreVersionError(
            f"the store {database.path} is of version {version}",
            expected=f"version {newest} or older, which this release of Bookmatch reads",
            remedy="install the release that wrote it, or a newer one",
        )
    return int(version)


def _use_write_ahead_log(database: Database, busy_seconds: float) -> None:
    """Switches the file to WAL, for good. SQLite does not wait by itself when two processes do that at once."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            (mode,) = database.one("PRAGMA journal_mode = WAL")
        except StoreUnavailableError:
            if time.monotonic() > deadline:
                raise
        else:
            if mode == "wal":
                return
            if time.monotonic() > deadline:
                raise StoreError(
                    f"the store {database.path} cannot keep a write-ahead log (SQLite stays in mode {mode!r})",
                    remedy="keep the store on a local disk",
                )
        time.sleep(0.01)
