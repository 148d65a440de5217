"""What each stage of a job cost: seconds and the most memory the process held meanwhile."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class StageCost:
    """One finished stage. `peak_bytes` is the largest resident memory during the stage where the system can tell
    (Linux), elsewhere the largest since the process started."""

    name: str
    seconds: float
    peak_bytes: int


class Progress(Protocol):
    """Where a job says how far it is."""

    def start(self, stage: str, total: int | None) -> None:
        """A stage begins; `total` steps, or None when it is not known."""
        ...

    def advance(self, done: int) -> None:
        """So many steps of the stage are done."""
        ...

    def finish(self) -> None:
        """The stage is over."""
        ...


class Silence:
    """Progress that nobody watches."""

    def start(self, stage: str, total: int | None) -> None:
        """See `Progress`."""

    def advance(self, done: int) -> None:
        """See `Progress`."""

    def finish(self) -> None:
        """See `Progress`."""


def _forget_peak() -> None:
    try:
        _CLEAR.write_text("5")
    except OSError:
        return  # Not Linux, or not allowed: peak_bytes is then the peak since the start, as StageCost says.


def _peak_bytes() -> int:
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@dataclass(slots=True)
class StageLog:
    """Runs the stages of one job and keeps what they cost."""

    progress: Progress = field(default_factory=Silence)
    costs: list[StageCost] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[None]:
        """Everything inside the block is one stage."""
        _forget_peak()
        self.progress.start(name, total)
        started = time.perf_counter()
        try:
            yield
        finally:
            self.progress.finish()
        self.costs.append(StageCost(name, time.perf_counter() - started, _peak_bytes()))
