"""Which customers this worker served which arms of experiments: noted while answering, written about once a second.

Answering adds to two collections in memory and waits for nothing. What is in them when the process is killed is lost:
what was noted in the last `WRITE_SECONDS` and in the write under way. Whose first exposure is lost is counted
from the next day on that they are served, in whatever arm they are: what is lost makes no arm look better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog

from recsys.errors import StoreError
from recsys.outcomes.exposure import DAY_MS, ArmAnswers, Exposure
from recsys.stores.admission import storable
from recsys.stores.protocols import Store
from serving.http.metrics import Metrics

log = structlog.get_logger("bookmatch.serving")

T = TypeVar("T")

WRITE_SECONDS = 1.0
"""How long an exposure waits before it is written."""

MAX_KNOWN = 100_000
"""So many exposures of the day are remembered, so that they are not written again; beyond that all are forgotten, and
written once more."""

MAX_WAITING = 100_000
"""So many may wait while the store cannot be written; what comes then is not kept, and counted."""


class Writing(Protocol):
    """What of `EventWriter` is used here."""

    def run(self, work: Callable[[Store], T]) -> Awaitable[T]: ...


class Exposures:
    """The exposures of one worker; used on the event loop's thread."""

    def __init__(self, writer: Writing, metrics: Metrics) -> None:
        self._writer = writer
        self._metrics = metrics
        self._day = -1
        self._known: set[tuple[str, str, str]] = set()
        self._waiting: list[Exposure] = []
        self._answers: dict[tuple[str, str, int], list[float]] = {}

    def served(self, experiment: str, arm: str, customer_id: str, at: int, *, seconds: float, short: bool) -> None:
        """Notes that a customer was served an arm; returns at once.

        Parameters
        ----------
        customer_id : of the person: of a merged visitor, the customer.
        at : milliseconds UTC.
        seconds : how long the answer took.
        short : whether the list had fewer items than asked for.
        """
        day = at // DAY_MS
        sums = self._answers.get((experiment, arm, day))
        if sums is None:
            sums = self._answers[experiment, arm, day] = [0, 0, 0.0, 0.0]
        sums[0] += 1
        sums[1] += short
        sums[2] += seconds
        sums[3] += seconds * seconds
        exposure = (experiment, arm, customer_id)
        if day == self._day and exposure in self._known:
            return
        if day != self._day or len(self._known) >= MAX_KNOWN:
            self.forget()
            self._day = day
        self._known.add(exposure)
        if len(self._waiting) >= MAX_WAITING:
            self._metrics.exposures.labels("dropped").inc()
        elif storable(customer_id):
            self._waiting.append(Exposure(experiment, arm, customer_id, at))

    def forget(self) -> None:
        """Forgets who was served today; what waits is written all the same, but for those whom the store forgot."""
        self._known.clear()

    async def keep_writing(self) -> None:
        """Writes what waits, every second, until it is cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Writes what waits. What the store does not take now waits for the next time."""
        waiting, answers = self._waiting, self._answers
        if not answers:
            return
        self._waiting, self._answers = [], {}
        rows = [
            ArmAnswers(experiment, arm, day, int(count), int(short), seconds, squared)
            for (experiment, arm, day), (count, short, seconds, squared) in answers.items()
        ]
        try:
            await self._writer.run(lambda store: store.exposures.record(waiting, rows))
        except StoreError as error:
            log.warning("exposures not written", exposures=len(waiting), cause=str(error))
            self._take_back(waiting, answers)
            return
        self._metrics.exposures.labels("written").inc(len(waiting))

    def _take_back(self, waiting: list[Exposure], answers: dict[tuple[str, str, int], list[float]]) -> None:
        """Puts what could not be written in front of what came meanwhile."""
        self._waiting = waiting + self._waiting
        dropped = len(self._waiting) - MAX_WAITING
        if dropped > 0:
            del self._waiting[MAX_WAITING:]
            self._metrics.exposures.labels("dropped").inc(dropped)
        for key, sums in answers.items():
            there = self._answers.setdefault(key, [0, 0, 0.0, 0.0])
            self._answers[key] = [one + other for one, other in zip(sums, there, strict=True)]
