"""`bookmatch related`."""

from __future__ import annotations


def related() -> None:
    """Being built."""
    raise NotImplementedError
