"""`bookmatch import`."""

from __future__ import annotations


def import_files() -> None:
    """Being built."""
    raise NotImplementedError
