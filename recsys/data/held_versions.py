"""Which versions of a catalogue a list may have been made from without missing anything."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Self

MAX_RANGES = 500


@dataclass(frozen=True, slots=True)
class HeldVersions:
    """The versions of the catalogue that a worker held since an item last became showable, as ranges.

    A list that was ranked at one of them misses nothing. Of a version between two ranges the worker does not know what
    was hidden then: an item may have been taken off and put back between two looks.

    Attributes
    ----------
    first, last : the ends of each range, ascending, both included.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]

    @classmethod
    def only(cls, version: int) -> Self:
        """From this version on."""
        return cls((version,), (version,))

    def followed_by(self, version: int) -> HeldVersions:
        """And this version, which is newer; of very many ranges the oldest are given up."""
        if version == self.last[-1] + 1:
            return HeldVersions(self.first, (*self.last[:-1], version))
        return HeldVersions((*self.first, version)[-MAX_RANGES:], (*self.last, version)[-MAX_RANGES:])

    def __contains__(self, version: int) -> bool:
        """Whether nothing became showable since this version, as far as this worker knows: newer ones count too."""
        place = bisect_right(self.first, version) - 1
        return place >= 0 and (version <= self.last[place] or place == len(self.last) - 1)
