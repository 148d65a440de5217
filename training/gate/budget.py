"""What the gate may cost: as much time as the fit that it judges."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

LEAST_SECONDS: Final = 2.0
"""Where fitting is quicker than this the gate may take so long all the same."""

FOR_LISTS, FOR_LATENCY = 0.2, 0.1
"""The shares of the budget that lists and timing may take; fitting once more has what is left."""

SAFETY: Final = 0.75
"""Of what is left this share is planned with: fitting takes longer at some moments than at others."""

FIXED: Final = 0.3
"""This share of a fit takes as long however few the customers: there are as many items."""

LEAST_SHARE: Final = 0.3
"""A rehearsal on fewer of the customers would say nothing of a fit on all."""


@dataclass(slots=True)
class Budget:
    """Seconds that run down from the moment that it is made.

    Attributes
    ----------
    fit : what fitting the candidate took, seconds: the whole budget, but for `LEAST_SECONDS`.
    monotonic : the clock.
    """

    fit: float
    monotonic: Callable[[], float] = time.monotonic
    _begin: float = field(init=False)

    def __post_init__(self) -> None:
        self._begin = self.monotonic()

    @property
    def seconds(self) -> float:
        """All of it."""
        return max(self.fit, LEAST_SECONDS)

    @property
    def spent(self) -> float:
        """What is gone."""
        return self.monotonic() - self._begin

    @property
    def left(self) -> float:
        """What remains, 0 or more."""
        return max(0.0, self.seconds - self.spent)

    def customers(self, pilot: int, seconds: float, most: int) -> int:
        """How many customers both bundles can be asked about, `most` at most, when `pilot` of them took so long."""
        return min(most, max(pilot, int(pilot * FOR_LISTS * self.seconds / max(seconds, 1e-6))))

    def share(self, expected: float) -> float:
        """On which share of the customers a rehearsal fits into what is left, when on all it would take `expected`
        seconds: `LEAST_SHARE` to 1."""
        allowed = SAFETY * self.left / max(expected, 1e-6)
        return min(1.0, max(LEAST_SHARE, (allowed - FIXED) / (1.0 - FIXED)))
