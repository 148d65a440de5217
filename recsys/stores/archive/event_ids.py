"""Many event ids as bytes, their hashes, and sets of hashes.

A hash only says where to look: whether an id is there is decided by comparing the ids' own bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

Hashes = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

_IDS_AT_ONCE = 500_000
"""polars joins texts of at most 4 GiB: an id has at most 256 characters of 4 bytes."""

_FREE = np.uint64(0)
_SMALLEST_SET = 1 << 16


@dataclass(frozen=True, slots=True)
class IdColumn:
    """Ids end to end, each with a NUL behind it; no id holds one.

    Attributes
    ----------
    text : uint8, shape (all bytes,); UTF-8.
    offsets : int64 or uint32, shape (n + 1,); id `i` is `text[offsets[i]:offsets[i + 1] - 1]`.
    """

    text: Bytes
    offsets: Places

    @classmethod
    def of(cls, ids: pl.Series | Sequence[str]) -> Self:
        """The ids of a column without nulls, or of a list."""
        offsets = np.zeros(len(ids) + 1, dtype=np.int64)
        if not isinstance(ids, pl.Series):
            # Few as a rule, posted a moment ago: making a column of them takes longer than all else here.
            ends = [identifier.encode() + b"\0" for identifier in ids]
            np.cumsum([len(each) for each in ends], out=offsets[1:], dtype=np.int64)
            return cls(np.frombuffer(b"".join(ends), dtype=np.uint8), offsets)
        column = ids.cast(pl.String)
        np.cumsum(column.str.len_bytes().to_numpy() + 1, out=offsets[1:], dtype=np.int64)
        parts = [
            column.slice(start, _IDS_AT_ONCE).str.join("\0")[0].encode()
            for start in range(0, len(column), _IDS_AT_ONCE)
        ]
        return cls(np.frombuffer(b"".join(part + b"\0" for part in parts), dtype=np.uint8), offsets)

    def hashes(self) -> Hashes:
        """uint64, shape (n,)."""
        return np.asarray(_hashes(self.text, self.offsets))

    def texts(self, first: int, last: int) -> pl.Series:
        """Successive ids as a column."""
        parts = [pl.Series([], dtype=pl.String)]
        for start in range(first, last, _IDS_AT_ONCE):
            stop = min(start + _IDS_AT_ONCE, last)
            whole = self.text[self.offsets[start] : self.offsets[stop] - 1].tobytes().decode()
            parts.append(pl.Series([whole]).str.split("\0").explode())
        return pl.concat(parts)


class HashSet:
    """A growing set of hashes. 0 stands for a free place; a hash of 0 is kept apart."""

    def __init__(self) -> None:
        self._table = np.zeros(_SMALLEST_SET, dtype=np.uint64)
        self._size = 0
        self._has_zero = False

    def __len__(self) -> int:
        return self._size + self._has_zero

    def add(self, hashes: Hashes) -> None:
        """Adds these; any order, repetition allowed."""
        needed = 1 << max((2 * (self._size + len(hashes))).bit_length(), 1)
        if needed > len(self._table):
            old, self._table = self._table, np.zeros(needed, dtype=np.uint64)
            self._size = int(_add(self._table, old))
        self._size += int(_add(self._table, hashes))
        self._has_zero = self._has_zero or bool((hashes == _FREE).any())

    def has(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which of these are in the set: bool, shape (n,)."""
        found: npt.NDArray[np.bool_] = _has(self._table, hashes)
        return found | (hashes == _FREE) if self._has_zero else found


def find(
    wanted: IdColumn, hashes: Hashes, ids: IdColumn, sorted_hashes: Hashes, rows: npt.NDArray[np.uint32]
) -> Places:
    """Where each wanted id stands among others: int64, shape (wanted,), -1 where it is not.

    Parameters
    ----------
    hashes : of the wanted ids.
    ids : those to look through.
    sorted_hashes, rows : their hashes in ascending order, and the place of each in `ids`.
    """
    return np.asarray(_find(wanted.text, wanted.offsets, hashes, ids.text, ids.offsets, sorted_hashes, rows))


@njit(nogil=True, cache=True)
def _hashes(text: Bytes, offsets: Places) -> Hashes:  # pragma: no cover - compiled
    """MurmurHash64A (Austin Appleby) with seed 0, of each id."""
    multiplier = np.uint64(0xC6A4A7935BD1E995)
    shift = np.uint64(47)
    out = np.empty(len(offsets) - 1, np.uint64)
    for place in range(len(out)):
        start, stop = offsets[place], offsets[place + 1] - 1
        value = np.uint64(stop - start) * multiplier
        at = start
        while at + 8 <= stop:
            word = np.uint64(0)
            for byte in range(8):
                word |= np.uint64(text[at + byte]) << np.uint64(8 * byte)
            word *= multiplier
            word ^= word >> shift
            word *= multiplier
            value ^= word
            value *= multiplier
            at += 8
        if at < stop:
            word = np.uint64(0)
            for byte in range(stop - at):
                word |= np.uint64(text[at + byte]) << np.uint64(8 * byte)
            value ^= word
            value *= multiplier
        value ^= value >> shift
        value *= multiplier
        value ^= value >> shift
        out[place] = value
    return out


@njit(nogil=True, cache=True)
def _add(table: Hashes, hashes: Hashes) -> int:  # pragma: no cover - compiled
    """Puts hashes other than 0 into a table of 2^k places, at most half full; how many were new."""
    last = np.uint64(len(table) - 1)
    added = 0
    for value in hashes:
        if value == 0:
            continue
        at = value & last
        while table[at] != 0 and table[at] != value:
            at = (at + np.uint64(1)) & last
        if table[at] == 0:
            table[at] = value
            added += 1
    return added


@njit(nogil=True, cache=True)
def _has(table: Hashes, hashes: Hashes) -> npt.NDArray[np.bool_]:  # pragma: no cover - compiled
    """Which hashes other than 0 are in the table."""
    last = np.uint64(len(table) - 1)
    found = np.zeros(len(hashes), np.bool_)
    for place in range(len(hashes)):
        value = hashes[place]
        if value == 0:
            continue
        at = value & last
        while table[at] != 0 and table[at] != value:
            at = (at + np.uint64(1)) & last
        found[place] = table[at] == value
    return found


@njit(nogil=True, cache=True)
def _find(
    wanted_text: Bytes,
    wanted_offsets: Places,
    wanted_hashes: Hashes,
    text: Bytes,
    offsets: Places,
    sorted_hashes: Hashes,
    rows: npt.NDArray[np.uint32],
) -> Places:  # pragma: no cover - compiled
    """See `find`."""
    out = np.full(len(wanted_hashes), -1, np.int64)
    for place in range(len(wanted_hashes)):
        value = wanted_hashes[place]
        low, high = 0, len(sorted_hashes)
        while low < high:
            middle = (low + high) // 2
            if sorted_hashes[middle] < value:
                low = middle + 1
            else:
                high = middle
        start, stop = wanted_offsets[place], wanted_offsets[place + 1]
        while low < len(sorted_hashes) and sorted_hashes[low] == value:
            row = np.int64(rows[low])
            first = np.int64(offsets[row])
            if np.int64(offsets[row + 1]) - first == stop - start:
                same = True
                for byte in range(stop - start - 1):
                    if text[first + byte] != wanted_text[start + byte]:
                        same = False
                        break
                if same:
                    out[place] = row
                    break
            low += 1
    return out
