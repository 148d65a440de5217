"""Writing: one thread with its own connection, so that waiting for the disk never holds up an answer.

Requests that arrive while the disk is busy are written together with the next flush (group commit): a durable write
costs milliseconds whether it holds one event or a thousand.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from recsys.data.events import Event
from recsys.errors import StoreError, StoreUnavailableError
from recsys.stores.protocols import Store
from serving.http.metrics import Metrics
from serving.http.store_handle import StoreHandle

log = structlog.get_logger("bookmatch.serving")

T = TypeVar("T")

_STOP = "stop"

MAX_GROUP = 5_000
"""Events in one durable write."""

MAX_TO_PACK = 1_000
PACK_AT_ONCE = 8
"""Histories that may wait to be put into one piece, and how many are in one durable write."""

MAX_WAITING = 20_000
"""Events that may wait for the disk; beyond that requests are told to come back."""

CLOSE_SECONDS = 10.0
"""How long the end waits for the disk. Who was waiting has been told by then that nothing was stored."""


@dataclass(frozen=True, slots=True)
class _Job:
    events: Sequence[Event]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[list[bool]]

    def settle(self, result: list[bool] | BaseException) -> None:
        """Hands the result to the request, which may have gone away."""

        def hand_over() -> None:
            if self.done.done():
                return
            if isinstance(result, BaseException):
                self.done.set_exception(result)
            else:
                self.done.set_result(result)

        self.loop.call_soon_threadsafe(hand_over)


@dataclass(frozen=True, slots=True)
class _Work:
    """Anything else that is written; `do` settles what waits for it, and so does `refuse` instead."""

    do: Callable[[StoreHandle], None]
    refuse: Callable[[StoreError], None]


class EventWriter:
    """The writing side of one worker.

    Parameters
    ----------
    handle : a connection that only this writer's thread uses.
    clock : seconds from any origin, to time the writes.
    """

    def __init__(self, handle: StoreHandle, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._handle = handle
        self._metrics = metrics
        self._clock = clock
        self._jobs: queue.SimpleQueue[_Job | _Work | None] = queue.SimpleQueue()
        self._waiting = 0
        self._to_pack: dict[str, None] = {}
        self._packing = False
        self._refusing = False
        self._pack_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="event-writer", daemon=True)

    @property
    def waiting(self) -> int:
        """Events that wait for the disk; at most `MAX_WAITING`."""
        return self._waiting

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    async def append(self, events: Sequence[Event]) -> list[bool]:
        """Stores events, all or none; True for each that is new. They are durable when this returns.

        Raises StoreUnavailableError when they could not be written, StoreError when the store is unfit.
        """
        if self._waiting + len(events) > MAX_WAITING:
            raise StoreUnavailableError(
                f"{self._waiting} events are waiting to be written",
                expected=f"at most {MAX_WAITING} at a time",
                remedy="send these events again in a moment",
            )
        if self._refusing:
            raise _stopping()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[bool]] = loop.create_future()
        self._waiting += len(events)
        handed_over = self._clock()
        done.add_done_callback(lambda _: self._written(len(events)))
        self._jobs.put(_Job(events, loop, done))
        added = await done
        self._metrics.wait_seconds.observe(self._clock() - handed_over)
        return added

    async def run(self, work: Callable[[Store], T]) -> T:
        """What `work` returns, called on the writing connection after everything that was handed over before. What it
        writes in a transaction is durable when this returns. Its errors are raised here."""
        if self._refusing:
            raise _stopping()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def hand_over(result: T | None, error: BaseException | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

        def do(handle: StoreHandle) -> None:
            result: T | None = None
            failed: BaseException | None = None
            try:
                result = handle.use(work)
            except BaseException as error:
                failed = error
                if isinstance(error, StoreError):
                    self._metrics.store_failures.labels("write").inc()
            loop.call_soon_threadsafe(hand_over, result, failed)

        def refuse(error: StoreError) -> None:
            loop.call_soon_threadsafe(hand_over, None, error)

        self._jobs.put(_Work(do, refuse))
        return await done

    def pack(self, customer_id: str) -> None:
        """Sees to it that a customer's history is put into one piece soon; returns at once. Only reading becomes
        quicker: when it cannot be done, nothing is lost."""
        with self._pack_lock:
            if len(self._to_pack) < MAX_TO_PACK:
                self._to_pack[customer_id] = None
            if self._packing:
                return
            self._packing = True
        self._jobs.put(_Work(self._pack_some, _nobody_waits))

    def _pack_some(self, handle: StoreHandle) -> None:
        """A few at a time, so that events do not wait for many."""
        with self._pack_lock:
            some = [self._to_pack.popitem()[0] for _ in range(min(PACK_AT_ONCE, len(self._to_pack)))]
        try:
            handle.use(lambda store: store.histories.pack(some))
        except StoreError as error:
            self._metrics.store_failures.labels("pack").inc()
            log.warning("histories not packed", customers=len(some), cause=str(error))
        finally:
            with self._pack_lock:
                self._packing = bool(self._to_pack)
                again = self._packing
            if again:
                self._jobs.put(_Work(self._pack_some, _nobody_waits))

    def refuse(self) -> None:
        """From now on nothing is begun: who waits for a write that the disk has not seen gets StoreUnavailableError,
        and nothing of theirs is stored. A write that is under way is finished."""
        self._refusing = True
        # Here and not by the thread, which may be waiting for the disk.
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if isinstance(job, _Job):
                job.settle(_stopping())
            elif job is not None:
                job.refuse(_stopping())

    def close(self) -> None:
        """Writes what waits, then stops the thread and closes the connection; a disk that hangs is left alone."""
        self._jobs.put(None)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            log.error("the store does not end a write; nothing that it holds was acknowledged", waiting=self._waiting)

    def _written(self, count: int) -> None:
        self._waiting -= count

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group, then = self._next_group()
            if group:
                self._write_or_refuse(group)
            if isinstance(then, _Work):
                if self._refusing:
                    then.refuse(_stopping())
                else:
                    then.do(self._handle)
            stopping = then is _STOP
        self._handle.close()

    def _next_group(self) -> tuple[list[_Job], _Work | str | None]:
        """All events that wait, the first of them waited for; and what came after them, if it was something else."""
        job = self._jobs.get()
        group: list[_Job] = []
        count = 0
        while isinstance(job, _Job):
            group.append(job)
            count += len(job.events)
            if count >= MAX_GROUP:
                return group, None
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, None
        return group, _STOP if job is None else job

    def _write_or_refuse(self, group: Sequence[_Job]) -> None:
        if not self._refusing:
            self._write(group)
            return
        for job in group:
            job.settle(_stopping())

    def _write(self, group: Sequence[_Job]) -> None:
        events = [event for job in group for event in job.events]
        started = self._clock()
        try:
            added = self._handle.use(lambda store: store.events.append(events))
        except StoreError as error:
            self._metrics.store_failures.labels("write").inc()
            log.warning("events not written", events=len(events), cause=str(error))
            for job in group:
                job.settle(error)
            return
        except Exception as error:
            if len(group) == 1:
                group[0].settle(error)
                return
            # One request's events broke the write; the others must not pay for it.
            for job in group:
                self._write([job])
            return
        self._metrics.commits.inc()
        self._metrics.commit_seconds.observe(self._clock() - started)
        start = 0
        for job in group:
            job.settle(added[start : start + len(job.events)])
            start += len(job.events)


def _stopping() -> StoreUnavailableError:
    return StoreUnavailableError(
        "the service is stopping and the disk did not keep up; nothing of this request was stored",
        remedy="send it again in a moment",
    )


def _nobody_waits(_: StoreError) -> None:
    """For work that only makes reading quicker."""
