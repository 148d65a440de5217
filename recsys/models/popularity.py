"""What many customers want now: the list for somebody we know nothing about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from recsys.data.history import ages
from recsys.data.interactions import Interactions
from recsys.data.signals import MS_PER_DAY, EventWeights, KindWeight, item_strengths


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
    one_row = np.zeros(len(interactions), dtype=np.int64)
    age = ages(interactions.timestamp, one_row, 1, MS_PER_DAY)
    groups, strength = item_strengths(
        interactions.groups(), interactions.kind, age, interactions.quantity, interactions.rating, fading
    )
    score = np.bincount(groups % size, weights=strength, minlength=size) if size else np.zeros(0)
    count = np.bincount(interactions.item, minlength=size).astype(np.int64)
    return Popularity(score.astype(np.float32), count)
