"""SQLite's errors in the project's words: what was found and what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from recsys.errors import StoreError, StoreUnavailableError

_UNAVAILABLE: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: (
        "another process is writing and did not finish in time",
        "try again; if it lasts, look for a long import or a stopped process that has the file open",
    ),
    sqlite3.SQLITE_LOCKED: ("another user of the same connection holds it", "try again"),
    sqlite3.SQLITE_FULL: ("the disk is full; nothing of this write was stored", "free space on that disk, try again"),
    sqlite3.SQLITE_IOERR: (
        "reading or writing the file failed; nothing of this write was stored",
        "check the disk, its free space and its quota, then try again",
    ),
    sqlite3.SQLITE_READONLY: (
        "it cannot be written",
        "give this user the right to write the file and its folder, or open it where nobody opened it to read only",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        "give this user the right to read and write the file and its folder (SQLite keeps two more files beside it)",
    ),
    sqlite3.SQLITE_PERM: ("access is not permitted", "give this user the right to read and write it"),
    sqlite3.SQLITE_NOMEM: ("there is not enough memory", "free memory, then try again"),
    sqlite3.SQLITE_PROTOCOL: (
        "the file's locks do not work",
        "keep the store on a local disk: network file systems do not lock reliably",
    ),
}
_DAMAGED: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_NOTADB: (
        "it is not a database",
        "name another file or folder; a store is made by `bookmatch import`",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "it is damaged",
        "bring back a copy, or save what can be read with `sqlite3 FILE .recover` and import again",
    ),
}


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """The project's error for one of SQLite's, to be raised from it."""
    # Errors that the sqlite3 module raises itself (a closed connection) carry no code.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary in _UNAVAILABLE:
        what, remedy = _UNAVAILABLE[primary]
        return StoreUnavailableError(f"the store {path}: {what} ({error})", remedy=remedy)
    if primary in _DAMAGED:
        what, remedy = _DAMAGED[primary]
        return StoreError(f"the store {path}: {what} ({error})", expected="a store of Bookmatch", remedy=remedy)
    return StoreError(f"the store {path} refused a statement: {error}")
