"""What one customer had to do with already: what they will buy again, what they looked at. Read from their history of
this moment; nothing is kept."""

from __future__ import annotations

from collections.abc import Callable

from recsys.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.history import History
from recsys.recommend.own_items import buy_again, recently_viewed
from recsys.recommend.types import Answer, Request
from serving.http.answering import RECOMMENDATIONS_OFF, Answerer
from serving.http.live import HISTORY_TOO_LONG, HISTORY_UNAVAILABLE, LiveStore
from serving.http.shared_lists import OFF, CacheNote

_WITHHELD = {
    HISTORY_UNAVAILABLE: "the customer's history cannot be read",
    HISTORY_TOO_LONG: "the customer's history is being put into one piece; ask again in a moment",
    RECOMMENDATIONS_OFF: "the customer switched recommendations off",
}
"""Why nothing is said of a customer's own items."""

_Lister = Callable[[ModelBundle, History, Catalog, Request], Answer]


class OwnLists:
    """Answers of one worker about customers' own items, on the event loop's thread.

    Parameters
    ----------
    live : what is known of customers.
    answerer : knows the moment, and writes bodies.
    """

    def __init__(self, live: LiveStore, answerer: Answerer) -> None:
        self._live = live
        self._answerer = answerer

    async def buy_again(self, customer_id: str, limit: int, exclude: frozenset[str] = frozenset()) -> bytes:
        """The body, JSON. Raises Problem while nothing can answer."""
        return await self._answered("buy_again", buy_again, customer_id, limit, exclude)

    async def recently_viewed(self, customer_id: str, limit: int, exclude: frozenset[str] = frozenset()) -> bytes:
        """The body, JSON. Raises Problem while nothing can answer."""
        return await self._answered("recently_viewed", recently_viewed, customer_id, limit, exclude)

    async def _answered(
        self, route: str, lister: _Lister, customer_id: str, limit: int, exclude: frozenset[str]
    ) -> bytes:
        moment = await self._answerer.moment()
        engine = moment.engine
        seen = self._live.history(customer_id, engine.bundle, moment.stamp)
        fallback = seen.unknown or (None if seen.profile.recommendations else RECOMMENDATIONS_OFF)
        if fallback is None:
            request = Request(limit=limit, now=moment.now, exclude=exclude)
            answer = lister(engine.bundle, seen.history, engine.catalog, request)
        else:
            answer = Answer((), (), fallback, short=_WITHHELD.get(fallback, fallback))
        return self._answerer.body_of(route, "personal", moment, answer, limit, CacheNote(OFF), seen.degraded)
