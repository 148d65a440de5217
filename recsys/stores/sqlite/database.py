"""One SQLite connection: statements, transactions that nest, and errors in the project's words."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import orjson

from recsys.errors import StoreError, StoreUnavailableError
from recsys.stores.sqlite.faults import translated

Row = tuple[Any, ...]

_CACHE_KIB = 16 * 1024
_BULK_CACHE_KIB = 256 * 1024
_WAL_KEPT_BYTES = 64 * 1024 * 1024
# One JSON array of this many values stands for as many bound ones; longer arrays gain nothing.
_VALUES_AT_ONCE = 10_000


def as_json(values: Sequence[str] | Sequence[int]) -> str:
    """What `json_each(?)` reads."""
    return orjson.dumps(values).decode()


class Database:
    """A connection in autocommit mode; what must be one transaction says so with `transaction` or `snapshot`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._depth = 0
        self._closed = False
        self._before_commit: list[Callable[[], None]] = []
        self.transactions = 0
        """How many write transactions were begun."""
        self.taken_back = 0
        """How many of them, and of their parts, were taken back: what is kept in memory from inside a transaction holds
        while both numbers stay."""
        stat = path.stat()
        self._identity = (stat.st_dev, stat.st_ino)

    @classmethod
    def open(cls, path: Path, *, mode: str, busy_seconds: float) -> Self:
        """Connects to the file; `mode` is SQLite's: `ro`, `rw` or `rwc` (create)."""
        # PRAGMA synchronous = FULL: with WAL, each commit is on the disk before it returns.
        # PRAGMA foreign_keys = OFF: the numbers of customers and items are given out in the transaction that uses
        # them; checking each again costs a tenth of a bulk load. The tests run foreign_key_check instead.
        # PRAGMA secure_delete = ON: what is deleted is overwritten, as somebody who is forgotten must be able to trust.
        pragmas = (
            "PRAGMA synchronous = FULL",
            "PRAGMA secure_delete = ON",
            "PRAGMA foreign_keys = OFF",
            f"PRAGMA cache_size = -{_CACHE_KIB}",
            f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}",
            f"PRAGMA query_only = {int(mode == 'ro')}",
        )
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=busy_seconds,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=64,
            )
            for pragma in pragmas:
                connection.execute(pragma)
            return cls(connection, path)
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                connection.close()
            if isinstance(error, OSError):
                raise StoreError(f"the store {path} cannot be opened: {error}") from error
            raise translated(error, path) from error

    def close(self) -> None:
        """Closes the connection; an open transaction is taken back."""
        self._closed = True
        self._connection.close()

    @property
    def _in_transaction(self) -> bool:
        return not self._closed and self._connection.in_transaction

    @property
    def changed_rows(self) -> int:
        """How many rows this connection has written since it was opened, taken back or not."""
        return self._connection.total_changes

    def state(self) -> tuple[int, int]:
        """What other connections committed and this one wrote, as numbers that differ when anything was written; asked
        for every answer, so without a step between."""
        try:
            return self._connection.execute("PRAGMA data_version").fetchone()[0], self._connection.total_changes
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """All rows of a statement."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def one(self, sql: str, values: Sequence[object] = ()) -> Row:
        """The only row of a statement that always has one."""
        (row,) = self.query(sql, values)
        return row

    def chunks(self, sql: str, values: Sequence[object], size: int) -> Iterator[list[Row]]:
        """The rows of a statement, `size` at a time; to be used up inside a `snapshot`."""
        try:
            cursor = self._connection.execute(sql, values)
            while rows := cursor.fetchmany(size):
                yield rows
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def run(self, sql: str, values: Sequence[object] = ()) -> None:
        """A statement that answers nothing."""
        self.query(sql, values)

    def run_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """One statement for each row of values."""
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def matching(self, sql: str, values: Sequence[str] | Sequence[int]) -> Iterator[Row]:
        """The rows of a statement that reads its one value with `json_each(?)`, over any number of texts or numbers."""
        for start in range(0, len(values), _VALUES_AT_ONCE):
            yield from self.query(sql, (as_json(values[start : start + _VALUES_AT_ONCE]),))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction; inside another one, a part of it that can be taken back alone."""
        drop: tuple[str, ...]
        if self._depth:
            self._check_alive()
            name = f"inner_{self._depth}"
            begin, keep, drop = (
                f"SAVEPOINT {name}",
                f"RELEASE {name}",
                (f"ROLLBACK TO {name}", f"RELEASE {name}"),
            )
        else:
            self._check_same_file()
            # IMMEDIATE takes the write lock now: what is read inside is what the writes build on.
            begin, keep, drop = "BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",)
        self._depth += 1
        try:
            self.run(begin)
            self.transactions += self._depth == 1
            yield
            self._check_alive()
            if self._depth == 1:
                for work in self._before_commit:
                    work()
            self.run(keep)
        except BaseException:
            self.taken_back += 1
            # A full disk may have made SQLite roll back by itself.
            if self._in_transaction:
                for statement in drop:
                    self.run(statement)
            raise
        finally:
            self._depth -= 1

    def before_commit(self, work: Callable[[], None]) -> None:
        """From now on, `work` is done at the end of every write transaction that is not taken back, inside it."""
        self._before_commit.append(work)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside is of one state."""
        if self._in_transaction:
            yield
            return
        self.run("BEGIN")
        try:
            yield
        finally:
            self.run("ROLLBACK")

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """A larger page cache while much is written: a page is then written to the log once and not each time that
        it has to make room."""
        self.run(f"PRAGMA cache_size = -{_BULK_CACHE_KIB}")
        try:
            yield
        finally:
            self.run(f"PRAGMA cache_size = -{_CACHE_KIB}")

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Statements inside that are not done by then end with TimeoutError."""
        timer = threading.Timer(seconds, self._connection.interrupt)
        timer.start()
        try:
            yield
        except StoreError as error:
            cause = error.__cause__
            if isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise TimeoutError(f"a statement was not done within {seconds:g} s") from error
            raise
        finally:
            timer.cancel()

    def empty_log(self, seconds: float) -> bool:
        """Moves everything from the write-ahead log into the file and empties it, old pages included; waits so long for
        others who still read from it. Whether it is empty."""
        deadline = time.monotonic() + seconds
        while True:
            (busy, _, _) = self.one("PRAGMA wal_checkpoint(TRUNCATE)")
            if not busy or time.monotonic() > deadline:
                return not busy
            time.sleep(0.02)

    def _check_alive(self) -> None:
        if not self._in_transaction:
            raise StoreUnavailableError(
                f"the store {self.path} gave up the transaction when it was closed or after an earlier error; "
                "nothing of it was stored",
                remedy="resolve the earlier error, then try again",
            )

    def _check_same_file(self) -> None:
        """On a removed file SQLite would go on writing, and what it acknowledged would be lost."""
        try:
            stat = self.path.stat()
        except OSError as error:
            raise self._moved() from error
        if (stat.st_dev, stat.st_ino) != self._identity:
            raise self._moved()

    def _moved(self) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"the store {self.path} was removed or replaced since it was opened; nothing was stored",
            remedy="put the file back if that was a mistake, then restart what uses it",
        )
