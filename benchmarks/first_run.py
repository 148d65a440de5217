"""`python -m benchmarks.first_run`: a clean clone, `make run`, how long until the first answer; then a second start.

The clone is made from the last commit; the package cache is warmed by one installation that is thrown away.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measured import Row, run
from benchmarks.served import free_port, seconds_until_answered

ROOT = Path(__file__).resolve().parents[1]


def first_answer(clone: Path) -> float:
    """Seconds from `make run` to the first answer of the service that it starts."""
    port = free_port()
    started = time.perf_counter()
    process = subprocess.Popen(
        ["make", "run", f"PORT={port}", f"PYTHON={sys.executable}"],
        cwd=clone,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return seconds_until_answered(f"http://127.0.0.1:{port}/v1/customers/nobody/recommendations", started, process)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def measure() -> list[Row]:
    """The first and the second start in a clean clone."""
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "bookmatch"
        run(["git", "clone", "--quiet", str(ROOT), str(clone)])
        run(["make", "install", f"PYTHON={sys.executable}"], cwd=clone)
        run(["make", "clean"], cwd=clone)
        first = first_answer(clone)
        second = first_answer(clone)
    command = "python -m benchmarks.first_run"
    return [
        Row("clean clone, warm package cache: `make run` to the first answer", command, f"{first:.1f} s", "≤ 60 s"),
        Row("second `make run` to the first answer", command, f"{second:.1f} s", "≤ 5 s"),
    ]


if __name__ == "__main__":
    for row in measure():
        print(f"{row.what}: {row.measured} (target {row.target})")
