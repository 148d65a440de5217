"""What lists show of a shop, as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.metrics.ranking import NOTHING, Ranked

Floats = npt.NDArray[np.float64]

STEPS = 50
"""A popularity curve has a point at each of so many equal steps."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves per model.

    Attributes
    ----------
    popularity : shape (`STEPS` + 1,), see `popularity_curve`.
    coverage : shape (width,), see `coverage_curve`.
    """

    popularity: Mapping[str, Floats]
    coverage: Mapping[str, Floats]

    def to_json(self) -> dict[str, Any]:
        """As `metrics.json` has them."""
        shares = np.linspace(0.0, 1.0, STEPS + 1)
        return {
            "popularity": {
                model: [[float(x), float(y)] for x, y in zip(shares, curve, strict=True)]
                for model, curve in self.popularity.items()
            },
            "coverage": {
                model: {str(k): float(share) for k, share in enumerate(curve, start=1)}
                for model, curve in self.coverage.items()
            },
        }


def curves_of(lists: Mapping[str, Ranked], candidates: int) -> Curves:
    """Both curves of each model's lists."""
    return Curves(
        {name: popularity_curve(ranked, candidates) for name, ranked in lists.items()},
        {name: coverage_curve(ranked, candidates) for name, ranked in lists.items()},
    )


def mean_curves(curves: Sequence[Curves]) -> Curves:
    """The mean of the curves of several windows, point by point; of each model over the windows that have it."""
    names = list(dict.fromkeys(name for each in curves for name in each.popularity))

    def mean(parts: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
        return {name: np.mean([part[name] for part in parts if name in part], axis=0) for name in names}

    return Curves(mean([each.popularity for each in curves]), mean([each.coverage for each in curves]))


def popularity_curve(ranked: Ranked, candidates: int) -> Floats:
    """The Lorenz curve of the places of all lists: which share of them goes to the x least listed of the candidates,
    for x in `STEPS` equal steps from 0 to 1: float64, ascending from 0 to 1. The Gini coefficient is twice the area
    between it and the diagonal. On the diagonal where nothing is listed.

    >>> popularity_curve(np.array([[0, 1], [0, -1]], dtype=np.int32), 4)[[0, 25, 38, 50]].round(2)
    array([0.  , 0.  , 0.36, 1.  ])
    """
    shares = np.linspace(0.0, 1.0, STEPS + 1)
    listed = np.bincount(ranked[ranked != NOTHING])
    shown = np.sort(listed[listed > 0])
    if not len(shown):
        return shares
    summed = np.concatenate([np.zeros(candidates - len(shown) + 1), np.cumsum(shown)]) / shown.sum()
    return np.asarray(np.interp(shares, np.linspace(0.0, 1.0, candidates + 1), summed))


def coverage_curve(ranked: Ranked, candidates: int) -> Floats:
    """The share of the candidates that stand in the first k places of at least one list, for each k from 1 on: float64,
    shape (width,).

    >>> coverage_curve(np.array([[0, 1], [0, 2]], dtype=np.int32), 4)
    array([0.25, 0.75])
    """
    width = ranked.shape[1]
    first = np.full(int(ranked.max(initial=NOTHING)) + 1, width, dtype=np.int64)
    for place in reversed(range(width)):
        top = ranked[:, place]
        first[top[top != NOTHING]] = place
    shown = np.bincount(first, minlength=width + 1)[:width]
    return np.cumsum(shown) / max(candidates, 1)
