"""One connection to the store that heals: opened when needed, opened anew after a failure or when the file changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from recsys.errors import StoreError, StoreUnavailableError
from recsys.stores import open_store
from recsys.stores.protocols import Store

T = TypeVar("T")

Origin = tuple[bytes, int, int]
"""Which store it is: its secret, and the device and inode of its file. A backup that was put in its place differs."""

PAUSE_AFTER_FAILURE = 1.0
"""Seconds for which a store that failed is left alone: a dying disk is slow, and answers must not wait for it."""


class StoreHandle:
    """Used from one thread at a time, as `Store` is.

    Parameters
    ----------
    path : the embedded store's file.
    open_at : opens it.
    clock : seconds from any origin; never runs backwards.
    pause : seconds after a failure during which every use fails at once.
    """

    def __init__(
        self,
        path: Path,
        open_at: Callable[[Path], Store],
        clock: Callable[[], float],
        pause: float = PAUSE_AFTER_FAILURE,
    ) -> None:
        self._path = path
        self._path_text = str(path)
        self._open_at = open_at
        self._clock = clock
        self._pause = pause
        self._store: Store | None = None
        self._file: tuple[int, int] | None = None
        self._last_failure: tuple[float, StoreError] | None = None
        self.generation = 0
        """Grows with every opening; `Store.changes` compares only within one generation."""
        self.secret: bytes | None = None
        """Of the store that was opened last: another secret is another store. None until one was opened."""
        self.origin: Origin | None = None
        """Which store was opened last; None until one was."""

    def use(self, ask: Callable[[Store], T]) -> T:
        """What `ask` returns. Raises StoreError when the store cannot be opened or does not answer."""
        if self._last_failure is not None and self._clock() < self._last_failure[0] + self._pause:
            failure = self._last_failure[1]
            raise StoreUnavailableError(
                failure.found, remedy=f"it is tried again {self._pause:g} s after a failure"
            ) from failure
        try:
            result = ask(self._opened())
        except StoreError as error:
            self._last_failure = (self._clock(), error)
            self.close()
            raise
        self._last_failure = None
        return result

    @property
    def answers(self) -> bool:
        """Whether the last use went well; before the first, that nothing speaks against it."""
        return self._last_failure is None

    def close(self) -> None:
        """Closes the connection; the next use opens it again."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _opened(self) -> Store:
        # A file that was deleted or replaced stays readable through an open connection: answers would go on from a
        # store that is gone, and never see the new one.
        file = file_identity(self._path_text)
        if self._store is not None and file == self._file:
            return self._store
        self.close()
        self._store = self._open_at(self._path)
        self._file = file
        self.secret = self._store.secret()
        self.origin = (self.secret, *file)
        self.generation += 1
        return self._store


def reading(path: Path, ask: Callable[[Store], T]) -> T:
    """What `ask` returns, through a connection of its own that only reads. Raises StoreError."""
    store = open_store(path, create=False, read_only=True)
    try:
        return ask(store)
    finally:
        store.close()


def file_identity(path: Path | str) -> tuple[int, int]:
    """Device and inode of a store's file. Raises StoreUnavailableError when it cannot be reached."""
    try:
        # The plain call: it is made for every answer.
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise StoreUnavailableError(
            f"the store {path} cannot be reached: {error.strerror or error}",
            remedy="see that the shop's folder is there and may be read and written",
        ) from error
    return status.st_dev, status.st_ino
