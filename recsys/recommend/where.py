"""Which items may be listed besides those that may be shown: what a filter comes to."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from recsys.data.held_versions import HeldVersions

Flags = npt.NDArray[np.bool_]
Items = npt.NDArray[np.int32]

_LONG_AGO: Final = -(1 << 62)


class Where(NamedTuple):
    """The items that a filter lets through for whoever asks, and how long that holds. A plain
    tuple: one is made for every answer.

    Attributes
    ----------
    key : says the filter and everything that was put into it: equal keys ask the same.
    items : bool, shape (items,); what goes through for somebody without a history. Not to be changed.
    spots, spared : int32, ascending, and bool, shape (s,); items with which the history has to do, and whether these
        go through.
    since, until : milliseconds UTC from when until before when the same items go through this version of the catalogue.
    version : of the catalogue.
    held : versions of the catalogue since which no item came to go through.
    steady : milliseconds UTC since when none came to go through by time passing.
    """

    key: str
    items: Flags
    spots: Items
    spared: Flags
    since: int
    until: int
    version: int
    held: HeldVersions
    steady: int

    @classmethod
    def given(cls, items: Flags) -> Self:
        """What somebody decided beforehand, for one answer that nobody keeps: bool, shape (items,)."""
        nothing, held = np.zeros(0, dtype=np.int32), HeldVersions.only(0)
        return cls("given", items, nothing, np.zeros(0, dtype=np.bool_), _LONG_AGO, -_LONG_AGO, 0, held, _LONG_AGO)

    @property
    def mask(self) -> Flags:
        """Which items go through: bool, shape (items,). Not to be changed."""
        if not len(self.spots):
            return self.items
        mask = self.items.copy()
        mask[self.spots] = self.spared
        return mask

    def lets(self, positions: Items) -> Flags:
        """Which of these items go through: bool, as many."""
        through = self.items[positions]
        if len(self.spots):
            place = np.minimum(np.searchsorted(self.spots, positions), len(self.spots) - 1)
            through = np.where(self.spots[place] == positions, self.spared[place], through)
        return through

    def unchanged(self, version: int, at: int) -> bool:
        """Whether exactly these items went through at a moment and under a version of the catalogue."""
        return version == self.version and self.since <= at < self.until

    def missed_nothing(self, version: int, at: int) -> bool:
        """Whether no item came to go through since then; or until then, where the clock was set back."""
        return self.steady <= at < self.until and version in self.held
