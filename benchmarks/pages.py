"""docs/benchmarks.md: one page of several parts, each written by a command of its own."""

from __future__ import annotations

import os
import platform
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
SERVING = "## What an answer costs"
"""Where the part of `make bench-serving` begins; before it is that of `make bench`."""
EMAIL = "## What a campaign's plan costs"
"""Where the part of `make bench-email` begins."""


def filled(head: str) -> str:
    """A heading with the machine's cores, type and Python."""
    return head.format(cores=os.cpu_count(), machine=platform.machine(), python=platform.python_version())


def parts() -> tuple[str, str]:
    """What `make bench` wrote, and all that follows it, which may be empty."""
    text = PAGE.read_text() if PAGE.exists() else ""
    first, found, second = text.partition(SERVING)
    return first.rstrip() + "\n", found + second


def write(first: str, second: str) -> None:
    """Writes the page."""
    PAGE.write_text("\n".join(part for part in (first, second) if part))


def put(heading: str, text: str) -> None:
    """Writes the part that begins with a heading of the second level, in its place or last; the others stay."""
    page = PAGE.read_text() if PAGE.exists() else ""
    before, found, after = page.partition(heading)
    _, next_heading, others = after.partition("\n## ")
    following = f"\n{next_heading.strip()} {others}" if found and next_heading else ""
    PAGE.write_text(f"{before.rstrip()}\n\n{text.rstrip()}\n{following}")
