"""What one customer had to do with already: what they will buy again, what they looked at. Read from their history of
this moment; nothing is kept."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from recsys.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.history import History
from recsys.recommend.own_items import buy_again, recently_viewed
from recsys.recommend.types import Answer, Request
from serving.http.answering import Answerer
from serving.http.asking import RECOMMENDATIONS_OFF, Moment, Person
from serving.http.filtering import FilterAsked
from serving.http.live import HISTORY_UNAVAILABLE
from serving.http.shared_lists import OFF, CacheNote

_WITHHELD = {
    HISTORY_UNAVAILABLE: "the customer's history cannot be read",
    RECOMMENDATIONS_OFF: "the customer switched recommendations off",
}
"""Why nothing is said of a customer's own items."""


class OwnKind(StrEnum):
    """Which of their items; the name under which answers are counted."""

    BUY_AGAIN = "buy_again"
    RECENTLY_VIEWED = "recently_viewed"


_LISTERS: dict[OwnKind, Callable[[ModelBundle, History, Catalog, Request], Answer]] = {
    OwnKind.BUY_AGAIN: buy_again,
    OwnKind.RECENTLY_VIEWED: recently_viewed,
}


def own_items(kind: OwnKind, moment: Moment, person: Person, request: Request) -> Answer:
    """A person's own items; none, with the cause, where nothing may be said of them."""
    if person.why_not is not None:
        return Answer((), (), person.why_not, short=_WITHHELD.get(person.why_not, person.why_not))
    engine = moment.engine
    return _LISTERS[kind](engine.bundle, person.history, engine.catalog, request)


async def own_list(
    answerer: Answerer,
    kind: OwnKind,
    customer_id: str,
    limit: int,
    exclude: frozenset[str] = frozenset(),
    filtered: FilterAsked | None = None,
) -> bytes:
    """The body of such a list for a customer, JSON. Raises Problem while nothing can answer, and for a filter that
    does not fit."""
    moment = await answerer.moment(filtered)
    person = answerer.customer(moment, customer_id)
    where = answerer.where(moment, person, filtered)
    answer = own_items(kind, moment, person, Request(limit=limit, now=moment.now, exclude=exclude, where=where))
    return answerer.body_of(str(kind), "personal", moment, answer, limit, CacheNote(OFF), person.degraded)
