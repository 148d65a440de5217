"""How often customers will buy again, and whether they are still customers: the BG/NBD model.

Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model. While
somebody is a customer, they buy at random at a rate λ, and after every purchase they leave with a chance p; over
all customers λ is Gamma(r, α) and p is Beta(a, b). Letters are the paper's: x repeat purchases, the last at t_x after
the first, within T since the first; any unit of time, here weeks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import betaln, digamma, expit, gammaln, hyp2f1

from recsys.customers.fitting import Fit, maximise

Floats = npt.NDArray[np.float64]

_AROUND = 1e-4
"""Closer to a pole of the formula than that, its value is taken from both sides of it."""
ROUGH_ROWS = 20_000
"""Of more rows a sample of about so many finds from which start to go on."""
_STARTS = ((1.0, 1.0, 1.0, 1.0), (0.25, 1.0, 1.0, 3.0), (0.5, 0.3, 0.3, 1.0), (3.0, 3.0, 0.5, 5.0))
"""r, α as a share of the mean T, a, b."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What customers did, those with the same numbers together.

    Attributes
    ----------
    x : float64, shape (n,); repeat purchases.
    t_x : float64, shape (n,); from the first purchase to the last, 0 where x is 0.
    T : float64, shape (n,); from the first purchase to now.
    weight : float64, shape (n,); how many customers have these numbers.
    """

    x: Floats
    t_x: Floats
    T: Floats
    weight: Floats

    @classmethod
    def of(cls, x: Floats, t_x: Floats, T: Floats) -> Counts:  # noqa: N803
        """Of one number per customer each."""
        # Sorted, so that sums, and with them the model, do not depend on the order of customers.
        rows = pl.DataFrame({"x": x, "t_x": t_x, "T": T}).group_by("x", "t_x", "T").len("weight").sort("x", "t_x", "T")
        x, t_x, T, weight = (rows[name].cast(pl.Float64).to_numpy() for name in ("x", "t_x", "T", "weight"))  # noqa: N806
        return cls(x, t_x, T, weight)

    def every(self, step: int) -> Counts:
        """One row of so many, evenly over all."""
        return Counts(self.x[::step], self.t_x[::step], self.T[::step], self.weight[::step])


@dataclass(frozen=True, slots=True)
class BgNbd:
    """A fitted model; α in the unit of time of the data."""

    r: float
    alpha: float
    a: float
    b: float

    def log_likelihood(self, counts: Counts) -> float:
        """Of all customers, equation (6) of the paper."""
        parameters = np.log([self.r, self.alpha, self.a, self.b])
        return float(np.sum(counts.weight) * _likelihood_of(counts)(parameters)[0])

    def alive(self, x: Floats, t_x: Floats, T: Floats) -> Floats:  # noqa: N803
        """The probability of still being a customer, shape as the arguments; 1 where x is 0, as the model lets nobody
        leave before a second purchase."""
        odds = (
            np.log(self.a)
            - np.log(self.b + np.maximum(x, 1) - 1)
            + (self.r + x) * (np.log(self.alpha + T) - np.log(self.alpha + t_x))
        )
        return np.where(x > 0, expit(-odds), 1.0)

    def expected(self, t: float, x: Floats, t_x: Floats, T: Floats) -> Floats:  # noqa: N803
        """How many purchases each customer is expected to make within t from now, equation (10) of the paper."""
        return self.alive(x, t_x, T) * self.expected_while_alive(t, x, T)

    def expected_while_alive(self, t: float, x: Floats, T: Floats) -> Floats:  # noqa: N803
        """The same of somebody who certainly is a customer now.

        With z = t / (α + T + t), Euler's transformation of the paper's ₂F₁(r + x, b + x; a + b + x − 1; z) gives
        (a + b + x − 1) / (a − 1) · [1 − (1 − z)^(a − 1) · ₂F₁(a + b − 1 − r, a − 1; a + b + x − 1; z)]
        whose upper parameters do not grow with x: no overflow, however often somebody bought.
        """
        # Poles of the formula, not of what it says: next to them the mean of both sides is right to 1e-8.
        at_pole = (abs(self.a - 1) < _AROUND) | (np.abs(self.a + self.b + x - 1) < _AROUND)
        plain = self._while_alive(self.a, t, x, T)
        if not at_pole.any():
            return plain
        around = [self._while_alive(self.a + side * 2 * _AROUND, t, x, T) for side in (-1, 1)]
        return np.where(at_pole, (around[0] + around[1]) / 2, plain)

    def _while_alive(self, a: float, t: float, x: Floats, T: Floats) -> Floats:  # noqa: N803
        z = t / (self.alpha + T + t)
        c = a + self.b + x - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            series = hyp2f1(a + self.b - 1 - self.r, a - 1, c, z)
            return np.asarray(c / (a - 1) * (1 - (1 - z) ** (a - 1) * series), dtype=np.float64)


def fit_bg_nbd(counts: Counts) -> Fit[BgNbd]:
    """The model under which what the customers did is most likely. Raises NotEnoughDataError where no maximum is
    found."""
    span = float(np.average(counts.T, weights=counts.weight))
    starts = [np.log([r, share * span, a, b]) for r, share, a, b in _STARTS]
    rough = None if len(counts.x) <= ROUGH_ROWS else _likelihood_of(counts.every(-(-len(counts.x) // ROUGH_ROWS)))
    return maximise(_likelihood_of(counts), starts, lambda found: BgNbd(*map(float, found)), "BG/NBD", rough)


def _likelihood_of(counts: Counts) -> Callable[[Floats], tuple[float, Floats]]:
    """The mean log-likelihood per customer by ln r, ln α, ln a, ln b, with its derivatives.

    Of one: ln Γ(r + x) − ln Γ(r) + r ln α + ln B(a, b + x) − ln B(a, b) + ln(e^A + e^B), with
    A = −(r + x) ln(α + T) for whoever is still a customer, and, where x > 0,
    B = ln a − ln(b + x − 1) − (r + x) ln(α + t_x) for whoever left after the last purchase.
    """
    # The special functions are dear and depend on x alone, of which there are few.
    xs, place = np.unique(counts.x, return_inverse=True)
    again, weight = counts.x > 0, counts.weight / counts.weight.sum()
    share = np.bincount(place, weights=weight)

    def likelihood(theta: Floats) -> tuple[float, Floats]:
        r, alpha, a, b = np.exp(theta)
        now, then, often = alpha + counts.T, alpha + counts.t_x, r + counts.x
        log_now, log_then = np.log(now), np.log(then)
        before = (b + np.maximum(xs, 1) - 1)[place]
        stays = -often * log_now
        left = np.where(again, np.log(a) - np.log(before) - often * log_then, -np.inf)
        either = np.logaddexp(stays, left)
        of_left = np.exp(left - either)
        of_stays = 1 - of_left
        alike = gammaln(r + xs) - gammaln(r) + r * np.log(alpha) + betaln(a, b + xs) - betaln(a, b)
        slopes = [
            share @ (digamma(r + xs) - digamma(r) + np.log(alpha)) - weight @ (of_stays * log_now + of_left * log_then),
            r / alpha - weight @ (often * (of_stays / now + of_left / then)),
            share @ (digamma(a + b) - digamma(a + b + xs)) + weight @ of_left / a,
            share @ (digamma(b + xs) - digamma(a + b + xs) - digamma(b) + digamma(a + b)) - weight @ (of_left / before),
        ]
        return float(share @ alike + weight @ either), np.array(slopes) * np.exp(theta)

    return likelihood
