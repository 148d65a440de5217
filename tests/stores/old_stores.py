"""Stores as earlier releases made them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.migrations import MIGRATIONS, prepare

VERSION_1 = (Path(__file__).parent / "version_1.sql").read_text()


def old_store(path: Path, version: int) -> Path:
    """A store of this version, from 1 on, with two events and an item: as its release made or upgraded it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(VERSION_1)
    if version > 1:
        with closing(Database.open(path, mode="rw", busy_seconds=1.0)) as database:
            prepare(database, create=False, read_only=False, busy_seconds=1.0, migrations=MIGRATIONS[:version])
    return path
