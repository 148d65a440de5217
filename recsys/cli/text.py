"""How values read on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(milliseconds: object) -> str:
    """A time in milliseconds UTC, to the minute; a dash when unknown."""
    if not isinstance(milliseconds, int):
        return "–"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M")
