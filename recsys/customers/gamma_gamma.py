"""How much customers spend when they buy: the Gamma-Gamma model.

Fader and Hardie (2013), The Gamma-Gamma Model of Monetary Value. Amounts of one customer scatter around their own mean,
as Gamma(p, ν), and ν scatters over customers as Gamma(q, γ). How much somebody spends must not depend on how often.
Letters are the note's: x repeat purchases of the mean amount z̄.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

from recsys.customers.fitting import Fit, maximise

Floats = npt.NDArray[np.float64]

ROUGH_ROWS = 20_000
"""Of more customers a sample of about so many finds from which start to go on."""
_STARTS = ((1.0, 2.0, 1.0), (6.0, 4.0, 0.5), (3.0, 10.0, 3.0), (0.5, 1.5, 1.0))
"""p, q, γ as a share of the mean amount."""


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """A fitted model; γ in the currency of the data."""

    p: float
    q: float
    gamma: float

    @property
    def mean(self) -> float:
        """What a customer of whom nothing is known spends on average; infinite where q is at most 1."""
        return self.p * self.gamma / (self.q - 1) if self.q > 1 else float("inf")

    def expected(self, x: Floats, mean_amount: Floats) -> Floats:
        """What each customer is expected to spend per purchase, equation (5) of the note: the more they bought, the
        more their own mean counts. Where x is 0 it is the mean of all, whatever `mean_amount` says."""
        own = np.where(x > 0, x * np.nan_to_num(mean_amount), 0.0)
        return np.asarray(self.p * (self.gamma + own) / (self.p * x + self.q - 1), dtype=np.float64)

    def log_likelihood(self, x: Floats, mean_amount: Floats) -> float:
        """Of all customers, equation (1a) of the note."""
        parameters = np.log([self.p, self.q, self.gamma])
        return float(len(x) * _likelihood_of(x, mean_amount)(parameters)[0])


def fit_gamma_gamma(x: Floats, mean_amount: Floats) -> Fit[GammaGamma]:
    """The model under which the amounts are most likely; x at least 1 and amounts above 0. Raises NotEnoughDataError
    where no maximum is found."""
    typical = float(np.mean(mean_amount))
    starts = [np.log([p, q, share * typical]) for p, q, share in _STARTS]
    step = -(-len(x) // ROUGH_ROWS)
    rough = None if step <= 1 else _likelihood_of(x[::step], mean_amount[::step])
    return maximise(
        _likelihood_of(x, mean_amount), starts, lambda found: GammaGamma(*map(float, found)), "Gamma-Gamma", rough
    )


def _likelihood_of(x: Floats, z: Floats) -> Callable[[Floats], tuple[float, Floats]]:
    """The mean log-likelihood per customer by ln p, ln q, ln γ, with its derivatives. Of one:
    ln Γ(px + q) − ln Γ(px) − ln Γ(q) + q ln γ + (px − 1) ln z̄ + px ln x − (px + q) ln(γ + x z̄)."""
    # The special functions are dear and depend on x alone, of which there are few.
    xs, counts = np.unique(x, return_counts=True)
    share, spent = counts / len(x), x * z
    mean_log_z = float(np.mean(np.log(z)))
    mean_log_all = float(np.mean(x * np.log(spent)))

    def likelihood(theta: Floats) -> tuple[float, Floats]:
        p, q, gamma = np.exp(theta)
        log_all, px = np.log(gamma + spent), p * xs
        by_x = float(np.mean(x * log_all))
        mean = float(np.mean(log_all))
        value = (
            share @ (gammaln(px + q) - gammaln(px)) - gammaln(q) + q * np.log(gamma)
            + p * mean_log_all - mean_log_z - p * by_x - q * mean
        )  # fmt: skip
        slopes = [
            share @ (xs * (digamma(px + q) - digamma(px))) + mean_log_all - by_x,
            share @ digamma(px + q) - digamma(q) + np.log(gamma) - mean,
            q / gamma - np.mean((p * x + q) / (gamma + spent)),
        ]
        return float(value), np.array(slopes) * np.exp(theta)

    return likelihood
