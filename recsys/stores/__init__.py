"""Where a shop's events, items and customers are kept: protocols, and the embedded store that implements them."""

from __future__ import annotations

from pathlib import Path

from recsys.stores.protocols import Store
from recsys.stores.sqlite.store import SqliteStore

__all__ = ["open_store"]

BUSY_SECONDS = 10.0
"""How long a write waits for another process that is writing, unless told otherwise."""


def open_store(
    path: Path, *, create: bool = True, read_only: bool = False, busy_seconds: float = BUSY_SECONDS
) -> Store:
    """The shop's store in the file at `path`.

    Parameters
    ----------
    create : make the store, and the folder it is in, when there is none; else StoreError says how to make one.
    read_only : never write, not even to bring an older store to this version; implies that nothing is created.
    busy_seconds : how long a write waits for another process that is writing before StoreUnavailableError.

    Raises
    ------
    StoreVersionError when a newer version of the project wrote the store; StoreError when the file is no store of
    ours, damaged, missing or not accessible.
    """
    return SqliteStore.open(path, create=create and not read_only, read_only=read_only, busy_seconds=busy_seconds)
