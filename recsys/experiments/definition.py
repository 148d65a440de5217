"""What an experiment compares."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.outcomes.metric import Metric

HOLDOUT = "holdout"
"""The name of the group that is outside every arm: it is served as if nothing were known of anybody's taste."""

CONTROL = "control"
"""The arm that all others are compared with, unless the experiment names another one."""

WINDOW_DAYS = 30
SMALLEST_LIFT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One of the things that are compared.

    Attributes
    ----------
    name : as the file says it; `HOLDOUT` for the group outside of all arms.
    placement : whose policy lists are made by; None is that of the placement that was asked for.
    bundle : whose models answer; None is the one in force.
    weight : above 0; arms share the customers in proportion to it.
    """

    name: str
    placement: str | None = None
    bundle: str | None = None
    weight: float = 1.0

    @property
    def is_holdout(self) -> bool:
        """Whether this is the group that gets no personal lists."""
        return self.name == HOLDOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A comparison of arms at one placement.

    Attributes
    ----------
    name : as the file says it.
    placement : the one that whoever asks for is in the experiment.
    arms : two or more, or one beside a holdout.
    control : the name of the arm that the others are compared with.
    holdout : the share of all customers outside every arm, from 0 to below 1.
    starts, ends : milliseconds UTC; it runs from `starts` up to and without `ends`. None is always.
    salt : what the draw depends on beside the customer: two experiments with different salts share no luck.
    primary : the one metric that the verdict is about.
    smallest_lift : the smallest relative change of it worth finding; intervals are made to find it soonest.
    window_days : what a customer does within so many days of first being shown something counts.
    """

    name: str
    placement: str
    arms: tuple[Arm, ...]
    control: str = CONTROL
    holdout: float = 0.0
    starts: int | None = None
    ends: int | None = None
    salt: str
    primary: Metric = Metric.PURCHASES
    smallest_lift: float = SMALLEST_LIFT
    window_days: int = WINDOW_DAYS

    def runs(self, now: int) -> bool:
        """Whether it assigns anybody at this moment, milliseconds UTC."""
        return (self.starts is None or self.starts <= now) and (self.ends is None or now < self.ends)

    def label(self, arm: str) -> str:
        """What the token of an answer says of its arm: names have no slash in them."""
        return f"{self.name}/{arm}"

    def overlaps(self, other: Experiment) -> bool:
        """Whether there is a moment at which both run."""
        return (self.ends is None or other.starts is None or other.starts < self.ends) and (
            other.ends is None or self.starts is None or self.starts < other.ends
        )

    @property
    def shares(self) -> dict[str, float]:
        """The share of all customers that each arm is to have, the holdout last where there is one; they sum to 1."""
        total = sum(arm.weight for arm in self.arms)
        shares = {arm.name: (1 - self.holdout) * arm.weight / total for arm in self.arms}
        return shares | ({HOLDOUT: self.holdout} if self.holdout else {})
