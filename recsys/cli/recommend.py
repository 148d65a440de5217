"""`bookmatch recommend`."""

from __future__ import annotations


def recommend() -> None:
    """Being built."""
    raise NotImplementedError
