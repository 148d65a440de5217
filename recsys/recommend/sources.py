"""What each source says about every item, and whose word it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recsys.models.item_item import ItemItem

SCORE_DIGITS = 5
"""Scores are rounded to so many digits: what is computed in single precision is no reason to prefer one item."""

ITEM_ITEM = "item_item"
ALS_SOURCE = "als"
SPECTRAL = "spectral"
RP3BETA = "rp3beta"
CONTENT = "content"
REPEAT = "repeat"
POPULAR = "popular"

IN_OWN_UNITS = frozenset({REPEAT})
"""Sources whose scores mean the same for everybody (probabilities), and so are not divided by their spread."""


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

    def coordinates(self, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The sum of what `fold_in` gives, shape (factors,)."""
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
class RepeatOpinion:
    """How likely the customer is to buy again what they have; each item speaks for itself alone.

    Attributes
    ----------
    items : int32, shape (m,); the history's items, ascending.
    bought : int32, shape (b,); those that were bought, all of them in `items`.
    probability : float64, shape (b,).
    size : how many items there are in all.
    """

    items: npt.NDArray[np.int32]
    bought: npt.NDArray[np.int32]
    probability: npt.NDArray[np.float64]
    size: int

    @classmethod
    def of(
        cls,
        items: npt.NDArray[np.int32],
        bought: npt.NDArray[np.int32],
        probability: npt.NDArray[np.float64],
        size: int,
    ) -> RepeatOpinion:
        """The opinion on a history; what was bought and carries no taste (a gift, a refusal) does not come back."""
        kept = np.isin(bought, items)
        return cls(items, bought[kept], probability[kept], size)

    def scores(self) -> npt.NDArray[np.float64]:
        """See `Opinion`."""
        scores = np.zeros(self.size)
        scores[self.bought] = self.probability
        return scores

    def shares(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """See `Opinion`."""
        return np.where(self.items[:, None] == chosen, self.scores()[chosen], 0.0)


@dataclass(frozen=True, slots=True)
class Blend:
    """Several opinions as one: Σ_s w_s · score_s / scale_s, and what everybody wants.

    The scale of a source is the spread of its scores over all items (their root mean square), so that every source
    counts by its weight whatever its units; a source that scores nothing is left out, one in `IN_OWN_UNITS` has scale
    1. What may be shown does not matter: when an item sells out, the others' scores stay.

    Popularity only puts items in order for which the history speaks; it speaks for none by itself.

    Attributes
    ----------
    opinions : by source.
    factors : w_s / scale_s of the sources that counted.
    common : float64, shape (items,); what popularity added to each item, zeros where it does not count.
    """

    opinions: Mapping[str, Opinion]
    factors: Mapping[str, float]
    common: npt.NDArray[np.float64]

    @classmethod
    def over(
        cls,
        opinions: Mapping[str, Opinion],
        weights: Mapping[str, float],
        popularity: npt.NDArray[np.float64],
        among: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[Blend, npt.NDArray[np.float64]]:
        """The blend and its scores, shape (items,).

        Parameters
        ----------
        opinions, weights : by source; what has no weight does not count.
        popularity : shape (items,), as `in_units_of_spread` gives it.
        among : bool, shape (items,); which items count for the scales, all by default.
        """
        said = {name: opinion.scores() for name, opinion in opinions.items() if weights.get(name, 0.0) > 0}
        factors = {}
        for name, scores in said.items():
            counted = scores if among is None else scores[among]
            scale = spread(counted) if name not in IN_OWN_UNITS else float(counted.any())
            if scale > 0:
                factors[name] = weights[name] / scale
        personal = np.zeros(len(popularity))
        for name, factor in factors.items():
            personal += factor * said[name]
        personal = np.round(personal, SCORE_DIGITS)
        common = np.where(personal > 0, weights.get(POPULAR, 0.0) * popularity, 0.0)
        return cls(opinions, factors, common), np.round(personal + common, SCORE_DIGITS)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that counted, by name."""
        return (*self.factors, POPULAR) if self.common.any() else tuple(self.factors)

    def shares(self, chosen: npt.NDArray[np.int64], history: int) -> npt.NDArray[np.float64]:
        """What each item of the history adds to each chosen item's score; with `common` a column sums to the score."""
        total = np.zeros((history, len(chosen)))
        for name, factor in self.factors.items():
            total += factor * self.opinions[name].shares(chosen)
        return total


def spread(scores: npt.NDArray[np.float64]) -> float:
    """The root mean square of scores; 0 for none."""
    return float(np.sqrt(np.mean(scores * scores))) if len(scores) else 0.0


def in_units_of_spread(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Scores of all items divided by their spread; zeros stay."""
    wide = scores.astype(np.float64)
    scale = spread(wide)
    return wide / scale if scale > 0 else wide
