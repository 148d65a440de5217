"""The shop's folder: rights, room, and how fast the disk says that something is kept."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from serving.doctor.circumstances import Circumstances
from serving.doctor.findings import Finding, mib, problem, warning, well

_LEAST_BYTES: Final = 64 * 2**20
"""The write-ahead log alone may take so much."""

_SLOW_SECONDS: Final = 0.05
_TRIES: Final = 15
_PAGE: Final = 4_096


def disk(seen: Circumstances, bundle_bytes: int) -> Iterator[Finding]:
    """Rights, room and speed."""
    home = seen.settings.home
    if not home.is_dir():
        yield problem(
            "folder",
            f"{home} is no folder",
            "the shop's folder",
            "name it with --home or BOOKMATCH_HOME, or make one with `bookmatch import FILE...`",
        )
        return
    try:
        seconds = _flush_seconds(home, seen)
    except OSError as error:
        yield problem(
            "folder",
            f"nothing can be written to {home}: {error.strerror}",
            "a folder that this user may write, on a disk with room",
            "give this user the right to write it, or free space: events are refused until then",
        )
        return
    yield well("folder", f"{home} can be written")
    yield _room(home, bundle_bytes)
    yield _speed(seconds)


def _room(home: Path, bundle_bytes: int) -> Finding:
    usage = shutil.disk_usage(home)
    found = f"{mib(usage.free)} of {mib(usage.total)} are free"
    # A training writes a second bundle beside the one in use, and its stages before.
    wanted = _LEAST_BYTES + 2 * bundle_bytes
    if usage.free < _LEAST_BYTES:
        return problem(
            "disk", found, f"{mib(_LEAST_BYTES)} or more: without room events are refused", "free space on this disk"
        )
    if usage.free < wanted:
        return warning("disk", found, f"{mib(wanted)} or more, for the next training", "free space, or a larger disk")
    return well("disk", found)


def _speed(seconds: float) -> Finding:
    found = f"writing a page for good takes {seconds * 1000:.1f} ms"
    if seconds > _SLOW_SECONDS:
        return warning(
            "disk speed",
            found,
            f"at most {_SLOW_SECONDS * 1000:g} ms: every request with events waits for one such write",
            "keep the shop's folder on a local disk that is not busy, best of all an SSD",
        )
    return well("disk speed", found)


def _flush_seconds(folder: Path, seen: Circumstances) -> float:
    """The median of some durable writes. Raises OSError."""
    page = bytes(_PAGE)
    taken = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(_TRIES):
            started = seen.timer()
            file.write(page)
            os.fsync(file.fileno())
            taken.append(seen.timer() - started)
    return statistics.median(taken)
