"""How long it takes until somebody buys the same thing again, where many never do.

A *spell* begins with each purchase of an item by a customer and ends with the next one, or is cut off by the end of
the data. The time T of a spell that ends is log-normal, in whole units of a clock (T = 1 is the first day or step
after):

    log T = μ_i + θ + ε,    θ ~ N(0, σ²/κ),    ε ~ N(0, σ²),

μ_i the item's mean, θ the customer's own rhythm with it, which shows after some intervals: once the customer has bought
the item k times, with a mean log interval g, log T has mean (1 − ρ)·μ_i + ρ·g, ρ = (k − 1) / (k − 1 + κ), and standard
deviation σ·√(1 + 1 / (k − 1 + κ)).

Only a share p of the spells ends at all: the mixture cure model (Boag 1949; Farewell 1982), in which a spell that is
cut off after c units says 1 − p·F(c) and not 1 − F(c). Bhagat, Muralidharan, Lobzhanidze and Vishwanath (Buy It Again,
KDD 2018) fit the log-normal distribution to the observed intervals alone; that takes the shop's short memory for the
customers', since long intervals have had no time to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_ndtr, ndtr

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TINY = 1e-12
_EXACT = 16
_RHYTHM_STEP = 0.5
_MOST_TIMES = 12
_SHARES = 8
_NEWTON_STEPS = 4


@dataclass(frozen=True, slots=True)
class Spells:
    """All spells of a shop; arrays of shape (spells,).

    Attributes
    ----------
    item : int64; the item's position.
    times : int64; k, how often the customer had bought it when the spell began, 1 or more.
    rhythm : float64; g, the mean log of the customer's intervals with the item before; NaN when there are none.
    length : int64; units until the next purchase, or until the data end.
    seen : int64; units from the spell's beginning until the data end, at least `length`.
    ended : bool; whether the next purchase came.
    """

    item: Ints
    times: Ints
    rhythm: Floats
    length: Ints
    seen: Ints
    ended: npt.NDArray[np.bool_]

    def chosen(self, where: npt.NDArray[np.bool_] | Ints) -> Spells:
        """Some of the spells."""
        return Spells(
            self.item[where],
            self.times[where],
            self.rhythm[where],
            self.length[where],
            self.seen[where],
            self.ended[where],
        )


def log_interval(units: Ints) -> Floats:
    """The log of an interval's middle: T = 1 is over between 0 and 1."""
    return np.asarray(np.log(units - 0.5), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Tempo:
    """The shop's distribution of T.

    Attributes
    ----------
    mean : μ of the shop, the mean of log T after the first purchase, T in units of the clock.
    spread : σ, above 0.
    inertia : κ, above 0: so many intervals of a customer count as much as what is known of the item.
    """

    mean: float
    spread: float
    inertia: float

    def heed(self, times: Ints, rhythm: Floats) -> Floats:
        """ρ, how much the customer's own rhythm counts: 0 where it is unknown (NaN)."""
        before = np.maximum(times - 1.0, 0.0)
        return np.asarray(np.where(np.isnan(rhythm), 0.0, before / (before + self.inertia)), dtype=np.float64)

    def expected(self, item_mean: Floats | float, times: Ints, rhythm: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of log T for these items and customers."""
        heed = self.heed(times, rhythm)
        own = np.where(np.isnan(rhythm), 0.0, rhythm)
        mean = (1 - heed) * item_mean + heed * own
        # 1 + 1 / (k − 1 + κ), with 1 / (k − 1 + κ) = (1 − ρ) / κ.
        return np.asarray(mean), np.asarray(self.spread * np.sqrt(1 + (1 - heed) / self.inertia))


def ended_by(units: Floats | Ints, mean: Floats, spread: Floats) -> Floats:
    """F(units): the share of the spells that end at all which have ended; 0 at 0 units and before."""
    log_units = np.log(np.maximum(units, _TINY))
    return np.asarray(np.where(units > 0, ndtr((log_units - mean) / spread), 0.0), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Counted:
    """Spells counted by what the likelihood sees of them; shape (kinds of spells,). A spell that ended did so after
    `low` and by `high` units; one that did not has lasted `high` units."""

    times: Ints
    rhythm: Floats
    low: Ints
    high: Ints
    ended: npt.NDArray[np.bool_]
    count: Ints


def _counted(spells: Spells) -> _Counted:
    """The sizes do not grow with the data: intervals in steps of an eighth from 16 on, rhythms in halves of a log."""
    longest = int(spells.length.max(initial=1))
    edges = np.unique(np.concatenate([np.arange(_EXACT), _EXACT * 1.125 ** np.arange(200)]).astype(np.int64))
    edges = np.append(edges[edges < longest], longest)
    bucket = np.searchsorted(edges, spells.length)
    known = ~np.isnan(spells.rhythm)
    rhythm = np.where(known, np.round(np.where(known, spells.rhythm, 0.0) / _RHYTHM_STEP) + 16, 0).astype(np.int64)
    times = np.minimum(spells.times, _MOST_TIMES)
    key = ((bucket * 64 + rhythm) * (_MOST_TIMES + 1) + times) * 2 + spells.ended
    distinct, count = np.unique(key, return_counts=True)
    rest, times = np.divmod(distinct // 2, _MOST_TIMES + 1)
    bucket, rhythm = np.divmod(rest, 64)
    own = np.where(rhythm > 0, (rhythm - 16) * _RHYTHM_STEP, np.nan)
    return _Counted(times, own, edges[np.maximum(bucket - 1, 0)], edges[bucket], distinct % 2 == 1, count)


def fit_tempo(spells: Spells) -> Tempo:
    """Maximum likelihood over all spells, with a free share p of spells that end for each number of purchases.

    The spells are counted first, so the cost of the search does not grow with the data. What would come after the data
    end cannot be known (many who are slow look like few who are not), so exp μ is at most the longest time seen, which
    is also the answer when no spell ended.
    """
    from scipy.optimize import minimize

    far = float(np.log(max(1, int(spells.seen.max(initial=1)))))
    if not spells.ended.any():
        return Tempo(far, 1.0, 1.0)
    gaps = log_interval(spells.length[spells.ended])
    counted = _counted(spells)
    times = np.minimum(counted.times, _SHARES)

    def loss(parameters: Floats) -> float:
        tempo = Tempo(parameters[0], float(np.exp(parameters[1])), float(np.exp(parameters[2])))
        share = expit(parameters[3:])[times - 1]
        expected = tempo.expected(tempo.mean, counted.times, counted.rhythm)
        by_now = ended_by(counted.high, *expected)
        inside = np.maximum(by_now - ended_by(counted.low, *expected), _TINY)
        likelihood = np.where(counted.ended, np.log(share * inside + _TINY), np.log1p(-share * by_now + _TINY))
        prior = (parameters[0] - far) ** 2 / 8 + parameters[1] ** 2 / 8 + parameters[2] ** 2 / 8
        return float(prior + np.sum(parameters[3:] ** 2) / 18 - likelihood @ counted.count)

    start = np.concatenate([[gaps.mean(), np.log(gaps.std() + 0.25), 0.0], np.zeros(_SHARES)])
    bounds = [(-2.0, max(far, 0.0)), (-3.0, 1.5), (-4.0, 5.0)] + [(-15.0, 8.0)] * _SHARES
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
    return Tempo(float(found[0]), float(np.exp(found[1])), float(np.exp(found[2])))


def shifted_means(spells: Spells, group: Ints, size: int, start: Floats, tempo: Tempo, most_apart: float) -> Floats:
    """μ per group, shrunk to where it starts: shape (size,).

    Only spells that ended count, each by its likelihood given that it ended within the time it could be seen,
    log (F(t) − F(t − 1)) − log F(seen): the truncation is in the likelihood, so the intervals that had no time to be
    seen do not make the mean too short. Groups are N(start, τ²) around where they start; τ² comes from the moments of
    the scores (a group's squared score exceeds its information by τ² times the information squared), and each mean is
    found by Newton steps.

    Parameters
    ----------
    group : the group of each spell, from 0; -1 for none.
    start : shape (size,); the means of the groups' parents.
    most_apart : τ² is at most this.
    """
    useful = spells.ended & (group >= 0)
    spells, group = spells.chosen(useful), group[useful]
    if not len(group):
        return start
    # Where all groups together lean, the distribution's form is at fault and not the groups.
    lean = 0.0
    for _ in range(_NEWTON_STEPS):
        score, information = _score(spells, group, size, start + lean, tempo)
        lean += float(np.clip(score.sum() / (information.sum() + 1.0), -1.0, 1.0))
    score, information = _score(spells, group, size, start + lean, tempo)
    between = max(0.0, float(np.sum(score**2 - information)) / max(float(np.sum(information**2)), _TINY))
    between = min(between, most_apart)
    shift = np.zeros(size)
    for _ in range(_NEWTON_STEPS if between > 0 else 0):
        score, information = _score(spells, group, size, start + lean + shift, tempo)
        shift += np.clip((score - shift / between) / (information + 1 / between), -1.0, 1.0)
    return start + shift


def _score(spells: Spells, group: Ints, size: int, mean: Floats, tempo: Tempo) -> tuple[Floats, Floats]:
    """Derivative of the log likelihood by each group's mean, and the information, each of shape (size,)."""
    centre, spread = tempo.expected(mean[group], spells.times, spells.rhythm)
    lever = (1 - tempo.heed(spells.times, spells.rhythm)) / spread
    upper = (np.log(spells.length) - centre) / spread
    lower = (np.log(np.maximum(spells.length - 1, _TINY)) - centre) / spread
    bound = (np.log(spells.seen) - centre) / spread
    inside = np.maximum(ndtr(upper) - ndtr(lower), _TINY)
    hazard = np.exp(-0.5 * bound**2 - log_ndtr(bound)) / np.sqrt(2 * np.pi)
    density = (np.exp(-0.5 * upper**2) - np.exp(-0.5 * lower**2)) / np.sqrt(2 * np.pi)
    score = lever * np.clip(hazard - density / inside, -5.0, 5.0)
    # Variance of a standard normal cut off above at `bound`.
    variance = np.clip(1 - bound * hazard - hazard**2, 0.0, 1.0)
    information = np.bincount(group, weights=lever**2 * variance, minlength=size)
    return np.bincount(group, weights=score, minlength=size).astype(np.float64), information.astype(np.float64)
