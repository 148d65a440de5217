"""The most memory that this process and those it started held at once."""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_PROCESSES = Path("/proc")
_SECONDS = 0.1
_KILOBYTE = 1024


class MemoryWatch:
    """Looks at the resident memory ten times a second, while it is open as a context manager.

    Memory that processes share is counted once for each, so the sum is an upper bound. Where the system does not show
    other processes (not Linux), it is this process's own peak plus the largest of those that ended.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watch", daemon=True)
        self._seen = 0

    def __enter__(self) -> Self:
        self._seen = _resident_bytes()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def peak_bytes(self, stage_peaks: int) -> int:
        """The peak so far; `stage_peaks` is the largest that a stage of this process itself recorded."""
        unit = 1 if sys.platform == "darwin" else _KILOBYTE
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
        alone = max(own, stage_peaks)
        return max(alone, self._seen) if _visible() else alone + ended

    def _watch(self) -> None:
        while not self._stop.wait(_SECONDS):
            self._seen = max(self._seen, _resident_bytes())


def _visible() -> bool:
    return any((_PROCESSES / "self" / "task").glob("*/children"))


def _resident_bytes() -> int:
    """Of this process and all that descend from it; 0 where the system does not say."""
    return sum(_status_bytes(_PROCESSES / pid) for pid in _family("self"))


def _family(pid: str) -> list[str]:
    found = [pid]
    for listed in (_PROCESSES / pid / "task").glob("*/children"):
        for child in _text(listed).split():
            found += _family(child)
    return found


def _status_bytes(process: Path) -> int:
    for line in _text(process / "status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * _KILOBYTE
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # The process ended between being listed and being read.
