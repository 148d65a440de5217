"""A store's file from outside: copied as one state while others write, and read without changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from recsys.durable import sync
from recsys.errors import StoreError, StoreVersionError
from recsys.stores.sqlite import schema
from recsys.stores.sqlite.faults import translated
from recsys.stores.sqlite.migrations import MIGRATIONS

NEWEST_VERSION = len(MIGRATIONS)
"""The version of stores that this release makes."""


@dataclass(frozen=True, slots=True)
class StoreFile:
    """What a store's file says of itself.

    Attributes
    ----------
    version : 1 or more.
    secret : the key of all that is signed or hashed; equal secrets mean the same shop.
    rows : of each table.
    partitions : folders of closed events that belong to it, each with what opening it takes.
    forgotten : keyed hashes of forgotten customers' ids, and when.
    """

    version: int
    secret: bytes
    rows: Mapping[str, int]
    partitions: Mapping[str, Mapping[str, Any]]
    forgotten: Mapping[str, int]


def archive_of(store: Path) -> Path:
    """The folder of closed partitions that belongs to a store's file."""
    return store.with_name(f"{store.name}-archive")


def copy_store(source: Path, target: Path, *, untouched: bool = False) -> None:
    """Writes a copy of one state of the store into a new file, flushed to the disk. Others go on reading and writing.
    `untouched` as in `read_store_file`.

    Raises StoreError.
    """
    try:
        with (
            closing(sqlite3.connect(_read_only(source, untouched=untouched), uri=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            # In one step: a copy in many would begin anew with every event that somebody writes meanwhile.
            reading.backup(writing, pages=-1)
    except sqlite3.Error as error:
        raise translated(error, source) from error
    sync(target)
    sync(target.parent)


def read_store_file(path: Path, *, untouched: bool = False) -> StoreFile:
    """What the file says, as one state. `untouched` is for a file that nobody has open: none appears beside it.

    Raises StoreError for a file that is no store of ours or is damaged, StoreVersionError for one of a newer release.
    """
    try:
        with closing(sqlite3.connect(_read_only(path, untouched=untouched), uri=True)) as connection:
            connection.execute("BEGIN")
            version = _version(connection, path)
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            (secret,) = connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()
            return StoreFile(
                version=version,
                secret=bytes(secret),
                rows={name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables},  # noqa: S608 - its own tables
                partitions={
                    folder: orjson.loads(details)
                    for folder, details in _rows(connection, tables, "archive_partitions", "folder, details")
                },
                forgotten=dict(_rows(connection, tables, "forgotten", "digest, at")),
            )
    except sqlite3.Error as error:
        raise translated(error, path) from error
    except OSError as error:
        raise StoreError(f"the store {path} cannot be read: {error}") from error


def check_store_file(path: Path) -> None:
    """Reads the whole file, which nobody has open; StoreError when it is damaged."""
    try:
        with closing(sqlite3.connect(_read_only(path, untouched=True), uri=True)) as connection:
            found = [text for (text,) in connection.execute("PRAGMA quick_check")]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchmany(1)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    if found != ["ok"] or orphans:
        raise StoreError(f"the store {path} is damaged: {'; '.join(found[:3]) if found != ['ok'] else orphans}")


def settle_log(store: Path) -> None:
    """Moves a store's log into its file: what lies beside a file would be taken for the log of the next of its name."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        store.with_name(f"{store.name}{suffix}").unlink(missing_ok=True)


def _read_only(path: Path, *, untouched: bool) -> str:
    return f"{path.absolute().as_uri()}?mode=ro" + ("&immutable=1" if untouched else "")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != schema.APPLICATION_ID or version < 1:
        raise StoreError(f"{path} is no store of Bookmatch (application id {application:#x})")
    if version > NEWEST_VERSION:
        raise StoreVersionError(
            f"the store {path} is of version {version}",
            expected=f"version {NEWEST_VERSION} or older, which this release of Bookmatch reads",
            remedy="install the release that wrote it, or a newer one",
        )
    return int(version)


def _rows(connection: sqlite3.Connection, tables: list[str], table: str, columns: str) -> list[tuple[Any, ...]]:
    """The rows of a table, none where the store's version does not have it."""
    return connection.execute(f"SELECT {columns} FROM {table}").fetchall() if table in tables else []  # noqa: S608
