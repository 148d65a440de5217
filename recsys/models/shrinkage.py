"""Shares of few trials, drawn to the share of their group: Beta-Binomial, with the strength of the pull learned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, expit

Floats = npt.NDArray[np.float64]

_SHARES = (1e-9, 1 - 1e-6)
_STRENGTHS = (0.1, 1e5)


def beta_log_likelihood(successes: Floats, trials: Floats, mean: npt.ArrayLike, strength: float) -> float:
    """Σ log B(r + m·s, n − r + (1 − m)·s) − log B(m·s, (1 − m)·s): r of n under Beta(m·s, (1 − m)·s).

    Trials may be fractions (a trial seen for a part of its time counts as that part).
    """
    mean = np.clip(mean, *_SHARES)
    a, b = mean * strength, (1 - mean) * strength
    return float(np.sum(betaln(successes + a, trials - successes + b) - betaln(a, b)))


def fit_beta(successes: Floats, trials: Floats) -> tuple[float, float]:
    """The mean and strength (in trials) of the Beta distribution that the groups' shares come from.

    Maximum marginal likelihood; `successes` ≤ `trials`, both of shape (groups,). With nothing but failures the mean is
    that of half a success among all trials.
    """
    from scipy.optimize import minimize

    successes, trials = successes[trials > 0], trials[trials > 0]
    pooled = (successes.sum() + 0.5) / (trials.sum() + 1.0)
    if len(successes) < 2 or successes.sum() == 0 or successes.sum() == trials.sum():
        return float(pooled), 1.0

    def loss(parameters: Floats) -> float:
        return -beta_log_likelihood(successes, trials, expit(parameters[0]), float(np.exp(parameters[1])))

    bounds = [(-20.0, 14.0), (np.log(_STRENGTHS[0]), np.log(_STRENGTHS[1]))]
    start = np.array([np.log(pooled / (1 - pooled)), np.log(10.0)])
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
    return float(expit(found[0])), float(np.exp(found[1]))


def fit_strength(successes: Floats, trials: Floats, mean: Floats) -> float:
    """The strength of the pull to known means, one per group: maximum marginal likelihood."""
    from scipy.optimize import minimize

    successes, trials, mean = successes[trials > 0], trials[trials > 0], mean[trials > 0]
    bounds = [(np.log(_STRENGTHS[0]), np.log(_STRENGTHS[1]))]
    found = minimize(
        lambda parameters: -beta_log_likelihood(successes, trials, mean, float(np.exp(parameters[0]))),
        np.array([np.log(10.0)]),
        method="L-BFGS-B",
        bounds=bounds,
    ).x
    return float(np.exp(found[0]))


def shrunk(successes: Floats, trials: Floats, mean: npt.ArrayLike, strength: float) -> Floats:
    """The posterior mean of each group's share: (m·s + r) / (s + n)."""
    return np.asarray((np.asarray(mean) * strength + successes) / (strength + trials), dtype=np.float64)
