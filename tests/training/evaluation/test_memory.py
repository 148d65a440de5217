"""The peak covers this process and those it started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from training.evaluation.memory import MemoryWatch

CHILDREN_ARE_SHOWN = any(Path("/proc/self/task").glob("*/children"))
MEGABYTE = 1_000_000
HOLD = "import time; held = bytearray(b'x') * 200_000_000; print(len(held), flush=True); time.sleep(0.6)"


@pytest.mark.skipif(not CHILDREN_ARE_SHOWN, reason="this system does not show a process's children")
def test_memory_of_started_processes_counts() -> None:
    """While a child, and a child's child, hold 200 MB each, the peak is at least theirs and this process's."""
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}], check=True)"
    with MemoryWatch() as memory:
        before = memory.peak_bytes(0)
        children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for code in (HOLD, nested)]
        for child in children:
            child.communicate()
        assert all(child.returncode == 0 for child in children)
    assert memory.peak_bytes(0) > before + 200 * MEGABYTE


def test_a_stage_s_own_peak_counts() -> None:
    """A peak between two looks, which a stage recorded, is not lost."""
    with MemoryWatch() as memory:
        assert memory.peak_bytes(10**15) == 10**15
