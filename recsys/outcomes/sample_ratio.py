"""Whether customers were split as they were to be; else something is broken and no lift means anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

MISMATCH_ALPHA = 0.001
"""A warning comes without cause in at most so many experiments, however often they are looked at."""

_CONCENTRATION = 1_000.0
"""How far from the plan a split is thought to be when it is off: about 1.6 points of a half."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The split of customers.

    Attributes
    ----------
    p_value : at most alpha at any look, ever, with probability at most alpha, while the split is as planned.
    """

    p_value: float

    @property
    def is_off(self) -> bool:
        """Whether the split cannot be luck."""
        return self.p_value <= MISMATCH_ALPHA


def sample_ratio(counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> SampleRatio:
    """The sequential multinomial test of Lindon and Malek (2022, Anytime-valid inference for multinomial count data).

    Parameters
    ----------
    counts : shape (looks, arms); how many customers were in each arm at successive looks, ascending.
    shares : shape (arms,), above 0, summing to 1; those that were planned.

    With a Dirichlet prior of parameters a_i = k s_i around the plan, the odds against the plan after counts n_i are

        B(a + n) / B(a) / Π s_i^{n_i},   B the multivariate beta function,

    a martingale while the plan holds; one over its largest value is the p-value (Ville's inequality).
    """
    prior = _CONCENTRATION * shares
    total = counts.sum(axis=1)
    log_odds = (
        (gammaln(prior + counts) - gammaln(prior)).sum(axis=1)
        - (gammaln(_CONCENTRATION + total) - gammaln(_CONCENTRATION))
        - (counts * np.log(shares)).sum(axis=1)
    )
    return SampleRatio(float(np.exp(-max(0.0, log_odds.max(initial=0.0)))))
