"""What many customers want now: the list for somebody we know nothing about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from recsys.data.history import ages
from recsys.data.interactions import Interactions
from recsys.data.signals import MS_PER_DAY, UNKNOWN_TIME, EventWeights, KindWeight, item_strengths


@dataclass(frozen=True, slots=True)
class PopularityConfig:
    """How popularity is counted.

    Attributes
    ----------
    half_life_days : how fast an event is forgotten, counted back from the newest event of the whole shop. Short, so
        that the list is about the season; where times are unknown nothing is forgotten.
    """

    half_life_days: float = 30.0


@dataclass(frozen=True, slots=True)
class Popularity:
    """Scores of all items.

    Attributes
    ----------
    score : float32, shape (items,); the sum over customers of their recent strength for the item, 0 where nobody
        showed any.
    count : int64, shape (items,); how many events the item had in all; decides between equal scores everywhere.
    """

    score: npt.NDArray[np.float32]
    count: npt.NDArray[np.int64]

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores."""
        return {"popularity.score": self.score, "popularity.count": self.count}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> Self:
        """What `arrays` gave."""
        return cls(arrays["popularity.score"].view(np.float32), arrays["popularity.count"].view(np.int64))


def fit_popularity(interactions: Interactions, weights: EventWeights, config: PopularityConfig) -> Popularity:
    """The popularity of every item: each customer counts, however often they came, at most `weights.cap`."""
    fading = replace(
        weights,
        kinds={kind: KindWeight(entry.weight, config.half_life_days) for kind, entry in weights.kinds.items()},
    )
    size = len(interactions.items)
    newest = interactions.timestamp.max(initial=UNKNOWN_TIME)
    item, strength = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.float32)]
    for first, last in interactions.blocks():
        own = slice(int(interactions.indptr[first]), int(interactions.indptr[last]))
        row = np.repeat(np.arange(last - first, dtype=np.int64), np.diff(interactions.indptr[first : last + 1]))
        # Beside the newest event of all, in one row with it: ages count from there.
        times = np.append(interactions.timestamp[own], newest)
        groups, strengths = item_strengths(
            row * size + interactions.item[own],
            interactions.kind[own],
            ages(times, np.zeros(len(times), dtype=np.int64), 1, MS_PER_DAY)[:-1],
            interactions.quantity[own],
            interactions.rating[own],
            fading,
        )
        item.append((groups % size).astype(np.int32))
        strength.append(strengths)
    # One sum over all: added up block by block, the last digits would depend on the blocks.
    score = np.bincount(np.concatenate(item), weights=np.concatenate(strength), minlength=size)
    count = np.bincount(interactions.item, minlength=size).astype(np.int64)
    return Popularity(score.astype(np.float32), count)
