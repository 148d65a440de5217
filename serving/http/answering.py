"""From a question to the body of an answer: history, cache, recommender, and what is said about how it came about."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson

from recsys.data.history import History
from recsys.errors import StoreUnavailableError
from recsys.models.related import Relation
from recsys.recommend.types import Request
from serving.cache.memory import MemoryCache
from serving.cache.payload import Question, RankedList, Sealer
from serving.cache.protocol import Cache, CacheUnavailableError
from serving.http.engine import Engine, Engines
from serving.http.live import STORE_UNAVAILABLE, LiveStore
from serving.http.metrics import Metrics
from serving.http.session_input import Session
from serving.http.shared_lists import HIT, MISS, OFF, RECOMPUTED, CacheNote, SharedLists, Wanted
from serving.http.tokens import AnswerIdentity, RecommendationTokens

RECOMMENDATIONS_OFF = "recommendations_off"
"""The fallback of an answer to somebody who switched personal recommendations off."""

Lists = MemoryCache[tuple[bytes | None, Question], RankedList]
"""Lists in this process's own memory, by the store's secret and the question."""

_DEPTHS = {20: 30, 50: 75, 100: 150, 200: 300}
"""Items asked for, at most, and the length of the list that is ranked and kept for it."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question on its way: `rank` answers it anew; `exclude` are ids that must not be in the list."""

    engine: Engine
    subject: tuple[str, ...]
    history_version: int
    profile_version: int
    rank: Callable[[Request], RankedList]
    limit: int
    now: int
    exclude: frozenset[str]


def depth_for(limit: int) -> int:
    """How long a list is ranked when `limit` items are wanted: spare items, and few distinct lengths to keep."""
    return next(depth for most, depth in _DEPTHS.items() if limit <= most)


class Answerer:
    """Answers questions of one worker, on the event loop's thread.

    An answer is ranked right there: it takes a few milliseconds, and a thread would only queue for the interpreter.

    Parameters
    ----------
    engines, live : what answers, and what is known of customers.
    cache : where ranked lists are kept; None keeps none.
    history_limit : the newest events of a customer that taste is read from.
    now : milliseconds UTC.
    """

    def __init__(
        self,
        engines: Engines,
        live: LiveStore,
        cache: Cache | Lists | None,
        metrics: Metrics,
        history_limit: int,
        now: Callable[[], int],
    ) -> None:
        self._engines = engines
        self._live = live
        self._cache = cache if cache is None or isinstance(cache, MemoryCache) else SharedLists(cache, metrics, now)
        self._metrics = metrics
        self._history_limit = history_limit
        self._now = now
        self._seed, self._answers = secrets.token_urlsafe(6), itertools.count()
        self._signing: tuple[bytes, Sealer, RecommendationTokens] | None = None
        if isinstance(cache, MemoryCache):
            live.when_forgotten.append(cache.clear)

    async def recommendations(self, customer_id: str, limit: int, exclude: frozenset[str] = frozenset()) -> bytes:
        """The body for a customer, JSON. Raises Problem while nothing can answer."""
        stamp = self._live.look()
        engine, confirmed = await self._engines.current(stamp)
        seen = self._live.history(customer_id, engine.bundle, stamp)
        history, why_not = seen.history, seen.unknown
        if not seen.profile.recommendations:
            history, why_not = History.empty(), RECOMMENDATIONS_OFF
        # Everybody without a history gets the same list, and it is kept once.
        subject = ("customer", seen.profile.customer_id) if history.version else ("nobody",)
        asked = _Asked(
            engine,
            subject,
            history.version,
            seen.profile.version if history.version else 0,
            lambda request: engine.for_customer(history, request),
            limit,
            self._now(),
            exclude,
        )
        ranked, note = await self._ranked(asked)
        if why_not is not None:
            ranked = replace(ranked, fallback=why_not)
        degraded = seen.degraded or (None if confirmed else STORE_UNAVAILABLE)
        return self._body("recommendations", asked, ranked, note, degraded)

    async def session(self, session: Session) -> bytes:
        """The body for somebody who is only known by what they did just now, JSON. Raises Problem as above."""
        engine, confirmed = await self._engines.current(self._live.look())
        history = History.from_stored(session.history, engine.bundle.items)
        asked = _Asked(
            engine,
            ("session",),
            0,
            0,
            lambda request: engine.for_customer(history, request),
            session.limit,
            self._now(),
            session.exclude,
        )
        ranked, note = self._ranked_once(asked)
        return self._body("session", asked, ranked, note, None if confirmed else STORE_UNAVAILABLE)

    async def related(
        self, item_id: str, limit: int, relation: Relation, exclude: frozenset[str] = frozenset()
    ) -> bytes:
        """The body for an item, JSON. Raises UnknownItemError, and Problem while nothing can answer."""
        engine, confirmed = await self._engines.current()
        asked = _Asked(
            engine,
            ("item", item_id, str(relation)),
            0,
            0,
            lambda request: engine.for_item(item_id, relation, request),
            limit,
            self._now(),
            exclude,
        )
        ranked, note = await self._ranked(asked)
        return self._body("related", asked, ranked, note, None if confirmed else STORE_UNAVAILABLE)

    def _ranked_once(self, asked: _Asked) -> tuple[RankedList, CacheNote]:
        """A list for this answer alone."""
        return asked.rank(Request(limit=asked.limit, now=asked.now, exclude=asked.exclude)), CacheNote(OFF)

    async def forget(self, customer_ids: Sequence[str]) -> int:
        """Removes the lists of these ids from a cache that outlives this process; how many there were.

        Memory is emptied by every worker before its next answer. Raises StoreUnavailableError while the cache does not
        serve: its lists go by themselves at the end of their time.
        """
        cache, signing = self._cache, self._signed_with()
        self._live.look()
        if not isinstance(cache, SharedLists) or signing is None:
            return 0
        try:
            return await cache.forget([signing[0].prefix(("customer", each)) for each in customer_ids])
        except CacheUnavailableError as error:
            raise StoreUnavailableError(
                f"the customer is removed from the store, but lists in the cache were not reached: {error}",
                remedy="ask again when the cache works; the lists go by themselves at the end of their time",
            ) from error

    def signed_receipt(self, customer_ids: Sequence[str], at: int) -> str | None:
        """Proof that these ids were forgotten at that time."""
        signing = self._signed_with()
        return None if signing is None else signing[1].sign_receipt(customer_ids, at)

    async def close(self) -> None:
        """Waits for lists on their way into the cache."""
        if isinstance(self._cache, SharedLists):
            await self._cache.settle()

    def report_sizes(self) -> None:
        """Sets the metrics that say how much the cache holds."""
        if isinstance(self._cache, MemoryCache):
            self._metrics.cache_bytes.set(self._cache.bytes_used)
            self._metrics.cache_entries.set(len(self._cache))
        elif self._cache is not None:
            self._metrics.cache_pending_writes.set(self._cache.pending_writes)

    async def _ranked(self, asked: _Asked) -> tuple[RankedList, CacheNote]:
        """The list, with as many items as asked for where there are any, from the cache or ranked now."""
        cache, signing = self._cache, self._signed_with()
        # Lists without some items are as many as there are pages that ask for them: they are not kept.
        if cache is None or signing is None or asked.exclude:
            return self._ranked_once(asked)
        if isinstance(cache, MemoryCache):
            return self._ranked_here(asked, cache)
        sealer = signing[0]
        wanted = Wanted(
            sealer,
            sealer.key(self._question(asked)),
            lambda: self._fresh(asked),
            lambda kept: _still_good(kept, asked),
            lambda kept: _age(kept, asked),
        )
        return await cache.find(wanted)

    def _ranked_here(self, asked: _Asked, cache: Lists) -> tuple[RankedList, CacheNote]:
        """As `_ranked`, of this process's own memory, where nothing need be sealed."""
        # Another store in this one's place has another secret: what was made from the first is never found again.
        key = (self._live.secret, self._question(asked))
        kept = cache.get(key)
        usable = _still_good(kept, asked) if kept is not None else None
        if usable is not None:
            return usable, CacheNote(HIT, _age(usable, asked))
        ranked = self._fresh(asked)
        cache.put(key, ranked, ranked.size)
        return ranked, CacheNote(MISS if kept is None else RECOMPUTED)

    def _question(self, asked: _Asked) -> Question:
        placement = asked.engine.recommender.placement
        return Question(
            bundle=asked.engine.bundle.bundle_id,
            subject=asked.subject,
            history_version=asked.history_version,
            profile_version=asked.profile_version,
            placement=placement.name,
            policy_version=placement.version,
            history_limit=self._history_limit,
            depth=depth_for(asked.limit),
        )

    def _fresh(self, asked: _Asked) -> RankedList:
        return asked.rank(Request(limit=depth_for(asked.limit), now=asked.now))

    def _body(self, route: str, asked: _Asked, ranked: RankedList, note: CacheNote, degraded: str | None) -> bytes:
        short = ranked.short if len(ranked.ends) < asked.limit else None
        self._metrics.answered(route, ranked.fallback or "personal", note.status)
        if short is not None:
            self._metrics.short_answers.labels(route).inc()
        if degraded is not None:
            self._metrics.degraded.labels(degraded).inc()
        about = {
            "bundle": asked.engine.bundle.bundle_id,
            "sources": ranked.sources,
            "relevance": asked.engine.foreseen if asked.subject[0] != "item" else None,
            "fallback": ranked.fallback,
            "cache": {"status": note.status, "age_s": note.age_s, "trouble": note.trouble},
            "masked": ranked.masked,
            "short": short,
            "degraded": degraded,
        }
        return b'{"items":[%b],"served_from":%b,"recommendation_id":%b}' % (
            ranked.first(asked.limit),
            orjson.dumps(about),
            orjson.dumps(self._token(asked)),
        )

    def _signed_with(self) -> tuple[Sealer, RecommendationTokens] | None:
        """What the store's secret makes; None while the store has never been seen: then nothing is kept or signed."""
        secret = self._live.secret
        if secret is None:
            return None
        if self._signing is None or self._signing[0] != secret:
            self._signing = (secret, Sealer(secret), RecommendationTokens(secret))
        return self._signing[1:]

    def _token(self, asked: _Asked) -> str | None:
        signing = self._signed_with()
        if signing is None:
            return None
        engine = asked.engine
        return signing[1].sign(
            AnswerIdentity(
                engine.bundle.bundle_id,
                engine.recommender.placement.name,
                "",
                # Random for this worker, then counted: no system call for each answer.
                f"{self._seed}{next(self._answers):x}",
                asked.now,
            )
        )


def _age(ranked: RankedList, asked: _Asked) -> float:
    return max(0, asked.now - ranked.computed_at) / 1000


def _still_good(kept: RankedList, asked: _Asked) -> RankedList | None:
    """The kept list without what may no longer be shown; None when it must be ranked anew."""
    engine = asked.engine
    if engine.unchanged(kept.catalog_version, kept.computed_at, asked.now):
        return kept
    if not engine.missed_nothing(kept.catalog_version, kept.computed_at, asked.now):
        return None
    showable = engine.catalog.showable(asked.now)[kept.positions]
    if showable.all():
        return kept
    kept_places = np.flatnonzero(showable)
    return None if len(kept_places) < asked.limit else kept.only(kept_places)
