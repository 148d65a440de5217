"""How likely a listed item is bought: from the scores of lists to calibrated probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recsys.data.events import EventKind

FURTHER_CURVES = 2
"""Beside the curves of personal items: of popular items that fill a personal list up, and of those for newcomers."""

Curve = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Where each step begins, ascending, and its probability, which does not descend; empty where nothing is known."""


@dataclass(frozen=True, slots=True)
class Relevance:
    """The probability that a customer does something of `kinds` with a listed item within `days` days.

    It is read from curves, which are steps: one per class of history length over the score of a personal item, one over
    the popularity of an item that fills a personal list up, and one over the popularity of an item that is shown to
    somebody without a history. Learned on lists of the default placement.

    Attributes
    ----------
    kinds : what is foreseen, sorted.
    days : within how many days, 1 or more.
    lengths : int64, ascending; a history of n items is in class `searchsorted(lengths, n, side="right")`. Some of the
        blend's: classes of which too little is known share a curve.
    start : int64, shape (classes + `FURTHER_CURVES` + 1,); where each curve begins. An empty curve is not known.
    score : float64, shape (steps,); where each step begins, ascending within a curve; the first has what lies before
        it, too. Popularity is in units of its spread.
    probability : float64, shape (steps,); from 0 to 1.
    """

    kinds: tuple[EventKind, ...]
    days: int
    lengths: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    probability: npt.NDArray[np.float64]

    @classmethod
    def of_curves(
        cls, kinds: tuple[EventKind, ...], days: int, lengths: tuple[int, ...], curves: tuple[Curve, ...]
    ) -> Self:
        """From its curves in their order, `FURTHER_CURVES` and one more than there are lengths."""
        start = np.cumsum([0, *(len(score) for score, _ in curves)], dtype=np.int64)
        score, probability = (np.concatenate([curve[part] for curve in curves]) for part in (0, 1))
        return cls(kinds, days, np.array(lengths, dtype=np.int64), start, score, probability)

    def of_personal(self, score: npt.NDArray[np.float64], items: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """The relevance of personal items by their scores, in lists for histories of so many items: shape as `score`,
        `items` broadcasts to it; NaN where it is not known."""
        return self._read(np.searchsorted(self.lengths, items, side="right"), score)

    def of_popular(
        self, popularity: npt.NDArray[np.float64], items: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.float64]:
        """The relevance of popular items, in lists for histories of so many items, by their popularity in units of its
        spread (`in_units_of_spread`); as `of_personal`."""
        filling = len(self.lengths) + 1
        return self._read(np.where(np.asarray(items) > 0, filling, filling + 1), popularity)

    def _read(self, curve: npt.NDArray[np.intp], at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        found = np.full(np.shape(at), np.nan)
        curve = np.broadcast_to(curve, found.shape)
        for number in np.unique(curve):
            own = slice(self.start[number], self.start[number + 1])
            if own.start < own.stop:
                of_this = curve == number
                step = np.searchsorted(self.score[own], at[of_this], side="right") - 1
                found[of_this] = self.probability[own][np.maximum(step, 0)]
        return found

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores."""
        return {
            "relevance.lengths": self.lengths,
            "relevance.start": self.start,
            "relevance.score": self.score,
            "relevance.probability": self.probability,
        }

    def described(self) -> dict[str, Any]:
        """What it is the probability of, for the manifest and for answers."""
        return {"kinds": [str(kind) for kind in self.kinds], "days": self.days}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]], described: Mapping[str, Any]) -> Self:
        """What `arrays` and `described` gave."""
        return cls(
            tuple(EventKind(kind) for kind in described["kinds"]),
            int(described["days"]),
            arrays["relevance.lengths"].view(np.int64),
            arrays["relevance.start"].view(np.int64),
            arrays["relevance.score"].view(np.float64),
            arrays["relevance.probability"].view(np.float64),
        )
