"""That a customer was served an arm: what lift is counted from."""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

DAY_MS: Final = 86_400_000


class Exposure(NamedTuple):
    """One customer was served one arm of one experiment.

    Attributes
    ----------
    at : milliseconds UTC.
    """

    experiment: str
    arm: str
    customer_id: str
    at: int

    @property
    def day(self) -> int:
        """Days since 1970 in UTC. Of each day the first exposure is kept: what a customer does is counted from the very
        first one on, and the days say how long they were in the experiment; more says nothing new and costs a row."""
        return self.at // DAY_MS


class ArmAnswers(NamedTuple):
    """How the answers of one arm were on one day; these add up. They name nobody.

    Attributes
    ----------
    day : days since 1970 in UTC.
    answers, short : how many lists, and how many of them had fewer items than asked for.
    seconds, seconds_squared : the sum of what each took, and of its square.
    """

    experiment: str
    arm: str
    day: int
    answers: int
    short: int
    seconds: float
    seconds_squared: float


EXPOSURE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "customer_id": pl.String(),
    "arm": pl.String(),
    "first": pl.Int64(),
    "last": pl.Int64(),
    "days": pl.Int64(),
}
"""One row per person, id and arm: when first and last served, milliseconds UTC, and on how many days."""

ANSWERS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "arm": pl.String(),
    "day": pl.Int64(),
    "answers": pl.Int64(),
    "short": pl.Int64(),
    "seconds": pl.Float64(),
    "seconds_squared": pl.Float64(),
}
"""As `ArmAnswers`, of one experiment."""

OUTCOME_SCHEMA: Final[dict[str, pl.DataType]] = {
    "customer_id": pl.String(),
    "item_id": pl.String(),
    "kind": pl.String(),
    "timestamp": pl.Int64(),
    "quantity": pl.Float64(),
    "price": pl.Float64(),
    "currency": pl.String(),
    "recommendation_id": pl.String(),
    "context": pl.String(),
}
"""What came after: events as in `EVENT_SCHEMA`, under the id of the person."""
