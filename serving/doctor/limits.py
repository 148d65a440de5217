"""How much of the machine this process may use: cores and memory, by affinity and by control groups."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("sys/fs/cgroup")
_UNLIMITED: Final = 2**60
"""Version 1 of control groups says "no limit" with a number near the largest there is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What this process may use.

    Attributes
    ----------
    cores : by affinity.
    quota : cores' worth of time by the control group; infinite where there is no limit.
    memory : bytes in all, of the machine or of the control group.
    available : bytes that are not in use now.
    """

    cores: int
    quota: float
    memory: int
    available: int


def limits(system: Path = Path("/")) -> Limits:
    """The limits of this process; `system` is the root of the files that say so. Memory is 0 where nothing says it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    total, available = _machine(system / "proc/meminfo")
    quota = math.inf
    for group in _groups(system):
        quota = min(quota, _quota(group))
        for limit, used in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            most = _number(group / limit)
            if most is not None and most < _UNLIMITED:
                total = min(total, most) if total else most
                available = min(available, max(0, most - (_number(group / used) or 0)))
    return Limits(cores, quota, total, available)


def _machine(path: Path) -> tuple[int, int]:
    with suppress(OSError, KeyError, ValueError):
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
        return tuple(int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))  # type: ignore[return-value]
    return 0, 0


def _groups(system: Path) -> Iterator[Path]:
    """The folders of this process's control groups, inner ones first; a container sees its own as the root."""
    root = system / _GROUPS
    own: list[str] = []
    with suppress(OSError):
        own = [line.split(":", 2)[2] for line in (system / "proc/self/cgroup").read_text().splitlines()]
    for top in (root, root / "memory", root / "cpu"):
        for path in own or ["/"]:
            folder = top / path.lstrip("/")
            while folder != top and top in folder.parents:
                yield folder
                folder = folder.parent
        yield top


def _quota(group: Path) -> float:
    with suppress(OSError, ValueError):
        most, period = (group / "cpu.max").read_text().split()
        return math.inf if most == "max" else int(most) / int(period)
    most_us, period_us = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    return most_us / period_us if most_us and most_us > 0 and period_us else math.inf


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None
