"""`bookmatch simulate`."""

from __future__ import annotations


def simulate() -> None:
    """Being built."""
    raise NotImplementedError
