"""How far probabilities can be trusted: what was foreseen beside what happened."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BINS = 10


class Reliability(NamedTuple):
    """A reliability diagram. Bins hold about as much of what is foreseen each, so that the few items of high
    probability are not lost among the many of low.

    Attributes
    ----------
    size : int64, shape (bins,); how many items.
    foreseen, happened : float64, shape (bins,); the mean probability, and the share of items for which it came true.
    """

    size: npt.NDArray[np.int64]
    foreseen: npt.NDArray[np.float64]
    happened: npt.NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error: |foreseen − happened| of the bins, averaged over items."""
        return float(np.average(np.abs(self.foreseen - self.happened), weights=self.size))


def reliability(probability: npt.NDArray[np.float64], bought: npt.NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """The diagram of these items, shape (n,) each, n of 1 or more; equal probabilities share a bin."""
    values, place = np.unique(probability, return_inverse=True)
    count = np.bincount(place)
    below = np.cumsum(values * count) - values * count
    share = below / max(float(np.sum(values * count)), np.finfo(float).tiny)
    group = np.unique(np.minimum(np.floor(share * bins), bins - 1), return_inverse=True)[1][place]
    size = np.bincount(group)
    return Reliability(size, np.bincount(group, probability) / size, np.bincount(group, bought) / size)


def quality(probability: npt.NDArray[np.float64], bought: npt.NDArray[np.bool_]) -> dict[str, float]:
    """How good probabilities are, of items for which one is known: `items` and `bought` (how many), `base_rate` (the
    share), `expected_calibration_error`, `brier` (the mean squared error) and `brier_of_base_rate` (of always saying
    the share); counts alone where there are none."""
    known = np.isfinite(probability)
    probability, bought = probability[known], bought[known]
    counts = {"items": len(bought), "bought": int(np.count_nonzero(bought))}
    if not len(bought):
        return {name: float(count) for name, count in counts.items()}
    rate = float(bought.mean())
    return {
        **counts,
        "base_rate": rate,
        "expected_calibration_error": reliability(probability, bought).error,
        "brier": float(np.mean((probability - bought) ** 2)),
        "brier_of_base_rate": rate * (1 - rate),
    }
