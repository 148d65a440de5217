"""What each source says about every item, and whose word it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recsys.models.item_item import ItemItem

SCORE_DIGITS = 5
"""Scores are rounded to so many digits: what is computed in single precision is no reason to prefer one item."""

ITEM_ITEM = "item_item"
ALS_SOURCE = "als"
SPECTRAL = "spectral"


class Opinion(Protocol):
    """One source's scores for one history. Every score is a sum over the history, so it can be explained."""

    def scores(self) -> npt.NDArray[np.float64]:
        """Shape (items,)."""
        ...

    def shares(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """How much each item of the history (rows) adds to each chosen item's score (columns).

        Shape (history, chosen); a column sums to the item's score.
        """
        ...


@dataclass(frozen=True, slots=True)
class ItemItemOpinion:
    """What the neighbours of a history's items say."""

    history: int
    items: int
    speaker: npt.NDArray[np.int64]
    about: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]

    @classmethod
    def of(cls, model: ItemItem, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32]) -> ItemItemOpinion:
        """The opinion on a history's items and strengths, each of shape (m,)."""
        return cls(len(items), len(model.indptr) - 1, *model.contributions(items, strengths))

    def scores(self) -> npt.NDArray[np.float64]:
        """Σ strength × weight over the history."""
        total = np.bincount(self.about, weights=self.value, minlength=self.items)
        return np.asarray(total, dtype=np.float64)

    def shares(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """See `Opinion`."""
        column = np.full(self.items, -1)
        column[chosen] = np.arange(len(chosen))
        where = column[self.about]
        hit = where >= 0
        shares = np.zeros((self.history, len(chosen)))
        np.add.at(shares, (self.speaker[hit], where[hit]), self.value[hit])
        return shares


class LowRank(Protocol):
    """A model that gives a history coordinates, each item of the history adding its part."""

    def fold_in(self, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """What each item of a history adds: shape (m, factors)."""
        ...

    def scores(self, coordinates: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """The scores of all items, shape (items,)."""
        ...

    def outputs(self, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """What a coordinate is worth for each of these items: shape (k, factors)."""
        ...


@dataclass(frozen=True, slots=True)
class LowRankOpinion:
    """What the coordinates folded in from a history say."""

    model: LowRank
    parts: npt.NDArray[np.float64]

    @classmethod
    def of(cls, model: LowRank, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32]) -> LowRankOpinion:
        """The opinion on a history's items and strengths, each of shape (m,)."""
        return cls(model, model.fold_in(items, strengths))

    def scores(self) -> npt.NDArray[np.float64]:
        """See `Opinion`."""
        return self.model.scores(self.parts.sum(axis=0))

    def shares(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """See `Opinion`."""
        return self.parts @ self.model.outputs(chosen).T


@dataclass(frozen=True, slots=True)
class Blend:
    """Several opinions as one: Σ_s w_s · score_s / scale_s.

    The scale of a source is the spread of its scores over all items (their root mean square), so that every source
    counts by its weight whatever its units; a source that scores nothing is left out. What may be shown does not
    matter: when an item sells out, the others' scores stay.
    """

    opinions: Mapping[str, Opinion]
    factors: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def over(
        cls,
        opinions: Mapping[str, Opinion],
        weights: Mapping[str, float],
        among: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[Blend, npt.NDArray[np.float64]]:
        """The blend and its scores, shape (items,); `among`, of the same shape: which items count for the scales."""
        said = {name: opinion.scores() for name, opinion in opinions.items()}
        factors = {}
        for name, scores in said.items():
            counted = scores if among is None else scores[among]
            scale = float(np.sqrt(np.mean(counted * counted))) if len(counted) else 0.0
            if weights.get(name, 0.0) > 0 and scale > 0:
                factors[name] = weights[name] / scale
        total = np.zeros(len(next(iter(said.values()))))
        for name, factor in factors.items():
            total += factor * said[name]
        return cls(opinions, factors), np.round(total, SCORE_DIGITS)

    def shares(self, chosen: npt.NDArray[np.int64], history: int) -> npt.NDArray[np.float64]:
        """See `Opinion`."""
        total = np.zeros((history, len(chosen)))
        for name, factor in self.factors.items():
            total += factor * self.opinions[name].shares(chosen)
        return total
