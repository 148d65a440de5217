"""How long it takes until somebody buys the same thing again, where many never do.

A *spell* begins with each purchase of an item by a customer and ends with the next one, or is cut off by the end of
the data. The time T of a spell that ends is log-normal, in whole units of a clock (T = 1 is the first day or step
after), and only a share p of spells ends at all: the mixture cure model (Boag 1949; Farewell 1982), in which a spell
that is cut off after c units says 1 − p·F(c) and not 1 − F(c). Bhagat, Muralidharan, Lobzhanidze and Vishwanath (Buy It
Again, KDD 2018, section 3.2) fit the same distribution to the observed intervals alone; that takes the shop's short
memory for the customers' (long intervals have had no time to be seen).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, log_ndtr, ndtr

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_TIMES = 8
"""Spells after the eighth purchase and later ones are taken together."""

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Spells:
    """All spells of a shop; arrays of shape (spells,).

    Attributes
    ----------
    item : int64; the item's position.
    times : int64; how often the customer had bought it when the spell began, 1 or more.
    length : int64; units until the next purchase, or until the data end.
    seen : int64; units from the spell's beginning until the data end, at least `length`.
    ended : bool; whether the next purchase came.
    """

    item: Ints
    times: Ints
    length: Ints
    seen: Ints
    ended: npt.NDArray[np.bool_]

    def chosen(self, where: npt.NDArray[np.bool_] | Ints) -> Spells:
        """Some of the spells."""
        return Spells(self.item[where], self.times[where], self.length[where], self.seen[where], self.ended[where])


@dataclass(frozen=True, slots=True)
class Tempo:
    """The shop's distribution of T: log T is normal with mean `log_interval` + `pace` · log(min(times, 8)).

    Attributes
    ----------
    log_interval : mean of log T after the first purchase, T in units of the clock.
    spread : standard deviation of log T, above 0.
    pace : how the mean moves with the number of purchases; below 0 where frequent buyers come back sooner.
    """

    log_interval: float
    spread: float
    pace: float

    def mean(self, log_interval: Floats | float, times: Ints) -> Floats:
        """Mean of log T for items of these `log_interval`s after so many purchases."""
        return np.asarray(log_interval + self.pace * np.log(np.minimum(times, MOST_TIMES)), dtype=np.float64)

    def ended_by(self, units: Floats | Ints, mean: Floats) -> Floats:
        """F(units): the share of the spells that end at all which have ended; 0 at 0 units and before."""
        log_units = np.log(np.maximum(units, _TINY))
        return np.asarray(np.where(units > 0, ndtr((log_units - mean) / self.spread), 0.0), dtype=np.float64)


def fit_tempo(spells: Spells) -> Tempo:
    """Maximum likelihood over all spells, with a free share p of spells that end for each number of purchases.

    The spells are first counted by (times, length, ended), so the cost of the search does not grow with the data. A
    prior worth one spell keeps the mean near the length of the data where the data cannot say (every T is longer).
    Without a spell that ended there is nothing to learn: the mean is then the log of the longest time seen.
    """
    far = np.log(max(1, int(spells.seen.max(initial=1))))
    if not spells.ended.any():
        return Tempo(float(far), 1.0, 0.0)
    times = np.minimum(spells.times, MOST_TIMES)
    key = (spells.length * (MOST_TIMES + 1) + times) * 2 + spells.ended
    distinct, count = np.unique(key, return_counts=True)
    ended = distinct % 2 == 1
    length, times = np.divmod(distinct // 2, MOST_TIMES + 1)
    gaps = np.log(length[ended] - 0.5)
    start = np.average(gaps, weights=count[ended])
    spread = np.sqrt(np.average((gaps - start) ** 2, weights=count[ended])) + 0.25

    def loss(parameters: Floats) -> float:
        tempo = Tempo(parameters[0], float(np.exp(parameters[1])), parameters[2])
        share = expit(parameters[3:])[times - 1]
        mean = tempo.mean(tempo.log_interval, times)
        by_now = tempo.ended_by(length, mean)
        inside = np.maximum(by_now - tempo.ended_by(length - 1, mean), _TINY)
        likelihood = np.where(ended, np.log(share * inside + _TINY), np.log1p(-share * by_now + _TINY))
        prior = (parameters[0] - far) ** 2 / 8 + parameters[1] ** 2 / 8 + np.sum(parameters[3:] ** 2) / 18
        return float(prior - likelihood @ count)

    seed = np.concatenate([[start, np.log(spread), 0.0], np.zeros(MOST_TIMES)])
    bounds = [(-2.0, far + 4.0), (-2.0, 1.5), (-3.0, 3.0)] + [(-15.0, 8.0)] * MOST_TIMES
    found = minimize(loss, seed, method="L-BFGS-B", bounds=bounds).x
    return Tempo(float(found[0]), float(np.exp(found[1])), float(found[2]))


def shifted_means(spells: Spells, group: Ints, size: int, start: Floats, tempo: Tempo) -> Floats:
    """The mean of log T per group, shrunk to where it starts: shape (size,).

    Only spells that ended count, each by its likelihood given that it ended within the time it could be seen,
    log (F(t) − F(t − 1)) − log F(seen): the truncation is in the likelihood, so the intervals that had no time to be
    seen do not make the mean too short. Groups are N(start, τ²) around where they start; τ² comes from the moments of
    the scores (a group's squared score exceeds its information by τ² times the information squared), and each mean is
    found by Newton steps.

    Parameters
    ----------
    group : the group of each spell, from 0; -1 for none.
    start : shape (size,); the means of the groups' parents.
    """
    spells, group = spells.chosen(spells.ended & (group >= 0)), group[spells.ended & (group >= 0)]
    mean = start.copy()
    between = 0.0
    for step in range(4):
        score, information = _score(spells, group, size, mean, tempo)
        if step == 0:
            squared = np.sum(information**2)
            between = max(0.0, float(np.sum(score**2 - information) / squared)) if squared > 0 else 0.0
            if between == 0.0:
                return mean
        move = (score - (mean - start) / between) / (information + 1 / between)
        mean = mean + np.clip(move, -1.0, 1.0)
    return mean


def _score(spells: Spells, group: Ints, size: int, mean: Floats, tempo: Tempo) -> tuple[Floats, Floats]:
    """Derivative of the log likelihood by each group's mean, and the information, each of shape (size,)."""
    centre = tempo.mean(mean[group], spells.times)
    upper = (np.log(spells.length) - centre) / tempo.spread
    lower = (np.log(np.maximum(spells.length - 1, _TINY)) - centre) / tempo.spread
    bound = (np.log(spells.seen) - centre) / tempo.spread
    inside = np.maximum(ndtr(upper) - ndtr(lower), _TINY)
    hazard = np.exp(-0.5 * bound**2 - log_ndtr(bound)) / np.sqrt(2 * np.pi)
    density = (np.exp(-0.5 * upper**2) - np.exp(-0.5 * lower**2)) / np.sqrt(2 * np.pi)
    score = np.clip((hazard - density / inside) / tempo.spread, -5 / tempo.spread, 5 / tempo.spread)
    # Variance of a standard normal cut off above at `bound`.
    variance = np.clip(1 - bound * hazard - hazard**2, 0.0, 1.0)
    information = np.bincount(group, weights=variance, minlength=size) / tempo.spread**2
    return np.bincount(group, weights=score, minlength=size).astype(np.float64), information
