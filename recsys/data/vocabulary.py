"""Outside ids (strings) and inside positions (int32): the only place where the two meet."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

UNKNOWN = -1
"""The position of an id that is not in the vocabulary."""

_JOINED_AT_ONCE = 500_000
_MANY = 1_000
"""A column of so many ids is looked up by compiled code."""


class Vocabulary(Sequence[str]):
    """Ids in ascending order of their UTF-8 bytes; the position of an id is its place in that order.

    The ids lie end to end in one byte array, so that a bundle can map them into memory and all workers share them;
    nothing is unpacked at start. A looked-up id is remembered, so asking again costs one dictionary access.

    Parameters
    ----------
    text : uint8, shape (total bytes,); the ids' UTF-8 bytes, end to end.
    offsets : int64, shape (n + 1,); id `i` is `text[offsets[i]:offsets[i + 1]]`.
    """

    def __init__(self, text: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> None:
        self.text = text
        self.offsets = offsets
        self._bytes = memoryview(text.data)
        self._known: dict[str, int] = {}

    @classmethod
    def from_ids(cls, ids: Iterable[str]) -> Vocabulary:
        """The vocabulary of these ids; order and repetition do not matter."""
        encoded = sorted({identifier.encode() for identifier in ids})
        lengths = np.fromiter((len(raw) for raw in encoded), dtype=np.int64, count=len(encoded))
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8).copy(), offsets)

    @classmethod
    def from_sorted(cls, ids: pl.Series) -> Vocabulary:
        """The vocabulary of a column of ids without repetition, already in ascending order of their UTF-8 bytes."""
        offsets = np.zeros(len(ids) + 1, dtype=np.int64)
        np.cumsum(ids.str.len_bytes().to_numpy(), out=offsets[1:], dtype=np.int64)
        # polars joins texts of at most 4 GiB.
        parts = (ids.slice(start, _JOINED_AT_ONCE).str.join("")[0] for start in range(0, len(ids), _JOINED_AT_ONCE))
        return cls(np.frombuffer(b"".join(part.encode() for part in parts), dtype=np.uint8).copy(), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def _raw(self, position: int) -> bytes:
        return bytes(self._bytes[self.offsets[position] : self.offsets[position + 1]])

    def __getitem__(self, position: int) -> str:  # type: ignore[override]
        """The id at a position in [0, n); IndexError outside."""
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} is outside a vocabulary of {len(self)} ids")
        return self._raw(position).decode()

    def __iter__(self) -> Iterator[str]:
        return (self[position] for position in range(len(self)))

    def __contains__(self, identifier: object) -> bool:
        return isinstance(identifier, str) and self.position(identifier) != UNKNOWN

    def position(self, identifier: str) -> int:
        """The position of an id, or `UNKNOWN`."""
        position = self._known.get(identifier)
        if position is None:
            raw = identifier.encode(errors="surrogatepass")
            position = bisect_left(range(len(self)), raw, key=self._raw)
            if position == len(self) or self._raw(position) != raw:
                return UNKNOWN
            self._known[identifier] = position
        return position

    def positions(self, ids: Iterable[str]) -> npt.NDArray[np.int32]:
        """The positions of many ids, in their order, `UNKNOWN` where there is none."""
        if isinstance(ids, pl.Series) and len(ids) >= _MANY and not ids.null_count():
            # One by one an id that is not there is searched for in Python, each time anew.
            column = Vocabulary.from_sorted(ids)
            return self.positions_of(column.text, column.offsets)
        return np.fromiter((self.position(identifier) for identifier in ids), dtype=np.int32)

    def positions_of(self, text: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The same for ids that lie end to end as the vocabulary's own do; nothing is remembered."""
        found = np.empty(len(offsets) - 1, dtype=np.int32)
        _find(self.text, self.offsets, text, offsets, found)
        return found


@njit(nogil=True, cache=True)
def _find(
    own: npt.NDArray[np.uint8],
    own_offsets: npt.NDArray[np.int64],
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    found: npt.NDArray[np.int32],
) -> None:  # pragma: no cover - compiled
    """Where each text is among texts in ascending order, or `UNKNOWN`."""
    for which in range(len(found)):
        first, length = offsets[which], offsets[which + 1] - offsets[which]
        low, high = 0, len(own_offsets) - 1
        while low < high:
            middle = (low + high) // 2
            start, size = own_offsets[middle], own_offsets[middle + 1] - own_offsets[middle]
            place = 0
            while place < length and place < size and own[start + place] == text[first + place]:
                place += 1
            if place == size and place == length:
                low = high = middle
                found[which] = middle
            elif place == size or (place < length and own[start + place] < text[first + place]):
                low = middle + 1
                found[which] = UNKNOWN
            else:
                high = middle
                found[which] = UNKNOWN
        if len(own_offsets) == 1:
            found[which] = UNKNOWN
