"""What a rate is believed to be before it was seen: an empirical Bayes prior, wholly read from the shop's own counts.

Rates p_i of items are taken as Beta distributed around the mean m_i of the group that item i is in, with a variance of
ρ·m_i·(1 − m_i): the beta-binomial, whose ρ Kleinman estimates by moments (Proportions with extraneous variance: single
and independent samples, JASA 68, 1973). With n_i trials the observed rate has the variance m_i(1 − m_i)/w_i, where
w_i = n_i / (1 + ρ(n_i − 1)) is how many independent trials n_i are worth. So a group of items is itself one observation
of Σ w_i trials, and the same estimate serves every level: all items, categories, authors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.recommend.exploration.groups import NO_GROUP, ItemGroups

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_ROUNDS = 4
_WIDEST = 0.5
"""ρ is at most this: a prior is worth one trial at least."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Beta(mean · strength, (1 − mean) · strength) for each item.

    Attributes
    ----------
    mean : float64, shape (items,).
    strength : how many trials the prior is worth, the same for all; 1 or more.
    """

    mean: Floats
    strength: float


def fit_prior(successes: Places, trials: Places, groups: ItemGroups) -> Prior:
    """The prior of each item from those that have trials, shape (items,) each; `successes` are at most `trials`.

    An item's mean is that of its author, drawn to that of its category, drawn to that of all: the more, the less was
    seen of the narrower group and the less such groups differ. Without trials anywhere it is one half, worth one trial.
    """
    total = float(trials.sum())
    # Half a success and half a failure more: Jeffreys' prior, so that no rate is believed to be 0 or 1.
    everything = (float(successes.sum()) + 0.5) / (total + 1.0)
    mean, seen = np.full(len(trials), everything), np.flatnonzero(trials)
    if len(seen) < 2:
        return Prior(mean, 1.0)
    rate = np.where(trials > 0, successes / np.maximum(trials, 1), 0.0)
    spread = 1.0
    for _ in range(_ROUNDS):
        # Around the means that are known so far: what groups explain is no spread of items.
        spread = _spread(rate[seen], trials[seen].astype(np.float64), mean[seen])
        worth = trials / (1.0 + spread * (np.maximum(trials, 1) - 1))
        mean = np.full(len(trials), (float((worth * rate).sum()) + 0.5) / (float(worth.sum()) + 1.0))
        for code in (groups.category, groups.author):
            mean = _drawn(rate, worth, mean, code)
    return Prior(mean, 1.0 / spread - 1.0)


def _drawn(rate: Floats, worth: Floats, mean: Floats, code: npt.NDArray[np.int32]) -> Floats:
    """The means one level further down: each group's own rate, drawn to what its items were believed to have."""
    inside = code != NO_GROUP
    if not inside.any():
        return mean
    own, size = code[inside], int(code.max()) + 1
    worths: Floats = np.bincount(own, worth[inside], size).astype(np.float64)
    rates = np.bincount(own, (worth * rate)[inside], size)
    # Of the part that was seen, and of all its items where nothing was.
    weight = np.where(worths[own] > 0, worth[inside], 1.0)
    above = np.bincount(own, weight * mean[inside], size) / np.maximum(np.bincount(own, weight, size), 1e-12)
    met = np.flatnonzero(worths)
    if len(met) < 2:
        return mean
    spread = _spread(rates[met] / worths[met], worths[met], above[met])
    strength = 1.0 / spread - 1.0
    found = mean.copy()
    found[inside] = ((rates + strength * above) / (worths + strength))[own]
    return found


def _spread(rate: Floats, trials: Floats, mean: Floats) -> float:
    """ρ of some observed rates around their means: shape (k,) each, k at least 2, trials above 0.

    E Σ w(p − m)² = Σ w·v·(ρ + (1 − ρ)/n) with v = m(1 − m), solved for ρ; first with w = n, then with what
    follows for w.
    """
    variance = mean * (1.0 - mean)
    least = 1.0 / (float(trials.sum()) + 2.0)
    weight, spread = trials, least
    for _ in range(_ROUNDS):
        seen = float((weight * (rate - mean) ** 2).sum()) * len(rate) / (len(rate) - 1)
        by_chance = float((weight * variance / trials).sum())
        more = float((weight * variance * (1.0 - 1.0 / trials)).sum())
        spread = float(np.clip((seen - by_chance) / more, least, _WIDEST)) if more > 0.0 else _WIDEST
        weight = trials / (1.0 + spread * (trials - 1.0))
    return spread
