"""Running a command and knowing what it cost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One finished command: wall-clock seconds, the most memory it held (bytes), and what it printed."""

    seconds: float
    peak_bytes: int
    output: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `docs/benchmarks.md`: what was measured, the command, the figure and the target."""

    what: str
    command: str
    measured: str
    target: str


def run(command: Sequence[str], cwd: Path | None = None) -> Run:
    """Runs a command to its end; CalledProcessError with its output when it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd)
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return Run(seconds, usage.ru_maxrss * 1024, output)
