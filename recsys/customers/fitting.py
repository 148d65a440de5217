"""Maximum likelihood, from several starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from recsys.errors import NotEnoughDataError

Floats = npt.NDArray[np.float64]
Model = TypeVar("Model")

_SAME = 1e-6

FARTHEST = 12.0
"""No parameter goes farther than that from where its search began, as a logarithm: e¹² is 163,000. One that gets there
says that customers do not differ in what it describes; the model is then as good as the limit."""
FLAT = 1e-4
"""Of a slope per customer and unit of a logarithm: a maximum, and a limit, has no steeper one."""


@dataclass(frozen=True, slots=True)
class Fit(Generic[Model]):
    """A fitted model, and how it was found.

    Attributes
    ----------
    model : the one with the greatest likelihood.
    log_likelihood : per customer.
    agreed : from how many starts that maximum was reached, and of how many.
    at_limit : whether a parameter went as far as it may.
    """

    model: Model
    log_likelihood: float
    agreed: tuple[int, int]
    at_limit: bool


def maximise(
    likelihood: Callable[[Floats], tuple[float, Floats]],
    starts: Sequence[Floats],
    model: Callable[[Floats], Model],
    name: str,
    rough: Callable[[Floats], tuple[float, Floats]] | None = None,
) -> Fit[Model]:
    """The model with the greatest mean log-likelihood over the logarithms of its parameters.

    `likelihood` returns it with its gradient. `rough` is the same of a part of the customers: all starts climb by it,
    and the highest goes on by all customers. Raises NotEnoughDataError where no start ends on level ground.
    """
    bounds = [(np.min(each) - FARTHEST, np.max(each) + FARTHEST) for each in np.transpose(starts)]
    # A handful of parameters is no work for several threads: they would only wait for each other, and busily.
    with threadpool_limits(1, "blas"):
        ends = [_climb(rough or likelihood, start, bounds) for start in starts]
        highest = min(ends, key=lambda end: end[1])
        agreed = sum(end[1] < highest[1] + _SAME for end in ends)
        theta, cost, slope = highest if rough is None else _climb(likelihood, highest[0], bounds)
    if not np.isfinite(cost) or float(np.max(np.abs(slope))) > FLAT:
        raise NotEnoughDataError(
            f"the {name} model has no greatest likelihood for these customers",
            expected="customers who differ in how often they buy, in when they stop, or in what they spend",
        )
    at_limit = any(not low + _SAME < each < high - _SAME for each, (low, high) in zip(theta, bounds, strict=True))
    return Fit(model(np.exp(theta)), -cost, (agreed, len(starts)), at_limit)


def _climb(
    likelihood: Callable[[Floats], tuple[float, Floats]], start: Floats, bounds: Sequence[tuple[float, float]]
) -> tuple[Floats, float, Floats]:
    """Where a start leads: parameters, minus the likelihood, and its slope."""
    # Imported here: a service that only reads what was found starts a sixth of a second earlier.
    from scipy.optimize import minimize

    def cost(theta: Floats) -> tuple[float, Floats]:
        value, slope = likelihood(theta)
        return -value, -slope

    end = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-7})
    return end.x, float(end.fun), end.jac
