"""Kernels on several threads: every thread takes a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Rows = TypeVar("Rows")

BLOCK = 512
"""Rows that one thread takes at a time; bounds the memory in use, does not change the result."""


def block_count(size: int) -> int:
    """How many blocks so many rows are."""
    return len(range(0, size, BLOCK))


def by_blocks(
    work: Callable[[int, int], Rows], size: int, threads: int, told: Callable[[int], None] = lambda _: None
) -> list[Rows]:
    """What a kernel gives for all rows, block by block in order, computed on several threads; `told` is called with the
    number of blocks done."""
    parts = []
    with ThreadPoolExecutor(threads) as pool:
        for part in pool.map(lambda first: work(first, min(first + BLOCK, size)), range(0, size, BLOCK)):
            parts.append(part)
            told(len(parts))
    return parts
