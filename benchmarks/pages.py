"""docs/benchmarks.md: one page of two parts, each written by a command of its own."""

from __future__ import annotations

import os
import platform
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
SERVING = "## What an answer costs"
"""Where the second part begins."""


def filled(head: str) -> str:
    """A heading with the machine's cores, type and Python."""
    return head.format(cores=os.cpu_count(), machine=platform.machine(), python=platform.python_version())


def parts() -> tuple[str, str]:
    """Both parts as they are; the second may be empty."""
    text = PAGE.read_text() if PAGE.exists() else ""
    first, found, second = text.partition(SERVING)
    return first.rstrip() + "\n", found + second


def write(first: str, second: str) -> None:
    """Writes the page."""
    PAGE.write_text("\n".join(part for part in (first, second) if part))
