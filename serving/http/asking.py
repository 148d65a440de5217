"""What is asked, of whom and as of when: everything that an answer is made from, before it is made.

Plain tuples: some of each are made for every answer, and a frozen data class takes several times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from recsys.data.history import History
from recsys.data.shown import Shown
from recsys.experiments import Arm, Experiment, assign, experiment_on
from recsys.models.related import Relation
from recsys.recommend.filters import NOBODY as NOBODY_KNOWN
from recsys.recommend.filters import AskerFacts
from recsys.recommend.recommender import Recommender
from recsys.recommend.rules import NO_RULES, Rules
from recsys.recommend.types import Request
from recsys.recommend.where import Where
from serving.cache.payload import RankedList
from serving.http.engine import Engine
from serving.http.live import STORE_UNAVAILABLE, Stamp
from serving.http.problems import Fault, invalid, shortened

HOLDOUT = "holdout"
"""The fallback of an answer to somebody in the holdout of an experiment."""

RECOMMENDATIONS_OFF = "recommendations_off"
"""The fallback of an answer to somebody who switched personal recommendations off."""

OVER_BUDGET = "over_budget"
"""The fallback of an answer that would have been more work than its budget."""

_DEPTHS = {20: 30, 50: 75, 100: 150, 200: 300, 400: 600, 1_000: 1_500}
"""Items asked for, at most, and the length of the list that is ranked and kept for it. No list is longer than 200, but
of those that are arranged more are ranked than shown."""


def depth_for(limit: int, spare: int = 0) -> int:
    """How long a list is ranked when `limit` items are wanted and so many more may have to be: spare items, and few
    distinct lengths to keep."""
    enough = (depth for most, depth in _DEPTHS.items() if limit <= most and limit + spare <= depth)
    return next(enough, limit + spare)


class OverBudgetError(Exception):
    """The work for a list takes longer than one answer may take."""


class Budget(NamedTuple):
    """How much work one list may be, in seconds of computing: waiting for a cache or for other processes is none.

    Attributes
    ----------
    seconds : for reading a history and what it says; putting items in order is bounded by itself.
    worked : seconds of computing by this thread, from any origin.
    """

    seconds: float
    worked: Callable[[], float]


class Moment(NamedTuple):
    """One look at the store: every list of a call is made from it, so that they agree with one another.

    Attributes
    ----------
    engine : what answers.
    stamp : the state of the store; None while it does not answer.
    confirmed : whether the store confirmed the engine's catalogue.
    now : milliseconds UTC.
    budget : what limits the work of each list.
    experiments : those of the placements in force.
    """

    engine: Engine
    stamp: Stamp | None
    confirmed: bool
    now: int
    budget: Budget
    experiments: tuple[Experiment, ...] = ()


class Person(NamedTuple):
    """Somebody whom lists are for, as known at one moment.

    Attributes
    ----------
    subject : of the cache's questions; None for a session, whose lists are not kept.
    history : what taste is read from, and what says which items stay away; no taste where none is known or wanted.
    profile_version : of what a customer said; 0 where it does not matter.
    degraded : why this may not be the latest, or None.
    why_not : why no taste is read from the history although there may be one, or None.
    spent : seconds of computing that it took to know this.
    customer_id : of the person, whose impressions count and who may be in an experiment; None where nobody's do.
    attributes : what the shop knows of the customer.
    """

    subject: tuple[str, ...] | None
    history: History
    profile_version: int = 0
    degraded: str | None = None
    why_not: str | None = None
    spent: float = 0.0
    customer_id: str | None = None
    attributes: Mapping[str, object] = MappingProxyType({})

    @property
    def facts(self) -> AskerFacts:
        """What filters may ask."""
        return AskerFacts(self.history, self.attributes)

    @property
    def liked(self) -> AskerFacts:
        """What boosts may ask: nothing of those whose lists nothing personal goes into."""
        return NOBODY_KNOWN if self.why_not in (HOLDOUT, RECOMMENDATIONS_OFF) else self.facts


NOBODY = Person(None, History.empty())
"""Of lists that are not made for anybody in particular."""


class InArm(NamedTuple):
    """That an answer is part of an experiment.

    Attributes
    ----------
    customer_id : of the person.
    begun : seconds of computing by this thread when it was asked for, from any origin, less what was computed before.
    """

    experiment: Experiment
    arm: Arm
    customer_id: str
    begun: float

    @property
    def label(self) -> str:
        """What the answer's token says."""
        return self.experiment.label(self.arm.name)


class Placed(NamedTuple):
    """Who is answered as whom, from what, by whose placement, and the arm that this is."""

    moment: Moment
    spot: Recommender
    person: Person
    arm: InArm | None


class Asked(NamedTuple):
    """One question on its way.

    Attributes
    ----------
    route : what is asked, for the metrics.
    moment : what it is answered from.
    subject : of the cache's question; None where the answer is not kept.
    rank : answers it anew.
    spot, rules : whose placement it is, and what its rules come to; None for lists that have none.
    spare : how many more items than `limit` must be ranked before they are arranged.
    person : whom the list is for.
    limit : how many items are wanted.
    exclude, on_page, among : as in `Request`.
    arm : of the experiment that the answer is part of, if it is.
    shown : what the person was shown; None where it is read when it is needed.
    """

    route: str
    moment: Moment
    subject: tuple[str, ...] | None
    rank: Callable[[Request], RankedList]
    limit: int
    spot: Recommender | None = None
    rules: Rules | None = None
    spare: int = 0
    person: Person = NOBODY
    exclude: frozenset[str] = frozenset()
    on_page: frozenset[str] = frozenset()
    among: frozenset[str] | None = None
    arm: InArm | None = None
    shown: Shown | None = None

    @property
    def engine(self) -> Engine:
        """What answers."""
        return self.moment.engine

    @property
    def now(self) -> int:
        """Milliseconds UTC."""
        return self.moment.now

    @property
    def may_be_kept(self) -> bool:
        """Lists without some items are as many as there are pages that ask for them: they are not kept."""
        return self.subject is not None and not (self.exclude or self.on_page) and self.among is None

    @property
    def wanted(self) -> int:
        """How many items have to be ranked."""
        return self.limit + self.spare

    def request(self) -> Request:
        """What the recommender is asked for an answer that is not kept."""
        limit = depth_for(self.limit, self.spare) if self.spare else self.limit
        where = None if self.rules is None else self.rules.where
        return Request(
            limit=limit, now=self.now, exclude=self.exclude, on_page=self.on_page, among=self.among, where=where
        )

    @property
    def degraded(self) -> str | None:
        """Why the answer may not know the latest, or None."""
        return self.person.degraded or (None if self.moment.confirmed else STORE_UNAVAILABLE)


def spot_of(moment: Moment, placement: str, asked_in: tuple[str | int, ...]) -> Recommender:
    """What asks for a placement. Raises Problem (422) for one that is not there; `asked_in` is where it was named."""
    spot = moment.engine.spots.get(placement)
    if spot is None:
        expected = f"one of {', '.join(sorted(moment.engine.spots))}"
        raise invalid([Fault((*asked_in, "placement"), shortened(placement), expected)])
    return spot


def in_arm(moment: Moment, placement: str, person: Person) -> InArm | None:
    """The arm of whoever asks for a placement. Somebody without an id, and who wants no recommendations, is in none."""
    if not moment.experiments or person.customer_id is None:
        return None
    experiment = experiment_on(moment.experiments, placement, moment.now)
    arm = None if experiment is None else assign(experiment, person.customer_id, moment.now)
    if experiment is None or arm is None:
        return None
    return InArm(experiment, arm, person.customer_id, moment.budget.worked() - person.spent)


def held_out(person: Person) -> Person:
    """The same person as if nothing were known of their taste, nor of what they were shown and left. Their list is not
    kept: what is kept under the customer's name is personal."""
    subject = person.subject if not person.history.version else None
    return person._replace(history=person.history.without_taste(), subject=subject, why_not=HOLDOUT, customer_id=None)


def for_person(
    route: str,
    moment: Moment,
    person: Person,
    limit: int,
    exclude: frozenset[str] = frozenset(),
    among: frozenset[str] | None = None,
    spot: Recommender | None = None,
    where: Where | None = None,
    arm: InArm | None = None,
) -> Asked:
    """The question what somebody is most likely to want; in the default placement unless another is given. `where` is
    what a filter beside the placement's lets through of what that one does."""
    spot = spot or moment.engine.recommender
    rules = moment.engine.rules(spot, person.facts, moment.now, person.liked)
    rules = rules if where is None else rules.narrowed(where)
    return Asked(
        route=route,
        moment=moment,
        subject=person.subject,
        rank=lambda request: _ranked(moment, spot, person, request, rules),
        limit=limit,
        spot=spot,
        rules=rules,
        person=person,
        exclude=exclude,
        among=among,
        arm=arm,
    )


def _ranked(moment: Moment, spot: Recommender, person: Person, request: Request, rules: Rules) -> RankedList:
    """The list for somebody. Raises OverBudgetError between its steps; what was done stays done for the next answer."""
    budget, spent = moment.budget, person.spent
    if len(person.history) and spent <= budget.seconds:
        started = budget.worked()
        spot.taste(person.history)
        spent += budget.worked() - started
    if spent > budget.seconds:
        raise OverBudgetError
    return moment.engine.for_customer(spot, person.history, request, rules)


def for_item(
    moment: Moment,
    item_id: str,
    relation: Relation,
    limit: int,
    exclude: frozenset[str] = frozenset(),
    where: Where | None = None,
) -> Asked:
    """The question what goes with an item; whoever ranks it raises UnknownItemError."""
    return Asked(
        route="related",
        moment=moment,
        subject=("item", item_id, str(relation)),
        rank=lambda request: moment.engine.for_item(item_id, relation, request),
        limit=limit,
        rules=None if where is None else NO_RULES.narrowed(where),
        exclude=exclude,
    )
