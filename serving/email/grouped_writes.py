"""One thread that writes to the store for many: what waits together is on the disk together, with one flush."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Self, TypeVar

from recsys.stores.protocols import Store

T = TypeVar("T")
_MOST = 256
"""So many writes share a transaction."""


class _Write(Generic[T]):
    """Work that waits for its turn, and whoever waits for it."""

    def __init__(self, work: Callable[[Store], T]) -> None:
        self.work = work
        self.done: Future[T] = Future()

    def run(self, store: Store) -> Callable[[], None]:
        """Does it; what is returned tells the one who waits, when the disk has it. Raises what the work raises."""
        result = self.work(store)
        return lambda: self.done.set_result(result)


class GroupedWrites:
    """Runs functions on a store, in the order in which they came, many in one transaction. When one of a transaction
    fails, none of it is stored, everybody in it is told, and from then on everybody else.

    Only this thread is inside the store while it is open.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: queue.SimpleQueue[_Write[object] | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._waiting.put(None)
        self._thread.join()

    @property
    def failure(self) -> BaseException | None:
        """Why nothing is written any more; None while all is well."""
        return self._failure

    def submit(self, work: Callable[[Store], T]) -> Future[T]:
        """Does the work soon; the future is done when it is on the disk."""
        write = _Write(work)
        self._waiting.put(write)  # type: ignore[arg-type]
        return write.done

    def _run(self) -> None:
        ended = False
        while not ended:
            group = [self._waiting.get()]
            while len(group) < _MOST and group[-1] is not None:
                try:
                    group.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            ended = group[-1] is None
            self._write([write for write in group if write is not None])

    def _write(self, group: list[_Write[object]]) -> None:
        try:
            if self._failure is not None:
                raise self._failure
            with self._store.transaction():
                told = [write.run(self._store) for write in group]
        except BaseException as error:
            self._failure = error
            for write in group:
                write.done.set_exception(error)
        else:
            for tell in told:
                tell()
