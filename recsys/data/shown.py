"""What a customer was shown a short while ago."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from recsys.data.vocabulary import UNKNOWN, Vocabulary

MOST_IMPRESSIONS = 500
"""So many impressions of a customer are remembered at most, the newest."""


class Shown(NamedTuple):
    """Impressions on known items, in any order.

    Attributes
    ----------
    item : int32, shape (n,); positions.
    at : int64, shape (n,); milliseconds UTC.
    """

    item: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]

    @classmethod
    def of(cls, impressions: Sequence[tuple[str, int]], items: Vocabulary) -> Self:
        """From ids and times."""
        position = items.positions(item_id for item_id, _ in impressions)
        known = position != UNKNOWN
        at = np.array([at for _, at in impressions], dtype=np.int64)
        return cls(position[known].astype(np.int32), at[known])

    @classmethod
    def nothing(cls) -> Shown:
        """No impression."""
        return NOTHING_SHOWN


NOTHING_SHOWN = Shown(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64))
