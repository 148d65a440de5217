"""What is popular, rising or new in the shop: ranked once for a bundle and a catalogue, checked at every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recsys.data.catalog_index import CatalogIndex
from recsys.data.vocabulary import Vocabulary
from recsys.errors import InputError, StoreError, StoreUnavailableError
from recsys.recommend.popular_lists import Order, PopularQuestion, ShopList, shop_list, shown
from recsys.recommend.types import Answer, Request
from recsys.stores.protocols import Store
from serving.cache.memory import MemoryCache
from serving.http.answering import Answerer
from serving.http.asking import NOBODY, Moment
from serving.http.engine import Engine
from serving.http.filtering import Chosen, FilterAsked
from serving.http.problems import Fault, invalid, shortened
from serving.http.shared_lists import HIT, MISS, CacheNote
from serving.http.store_handle import Origin, file_identity, reading

KEPT_BYTES = 16 * 1024 * 1024
"""Whole lists of a worker: about 1 MB each where 90,000 items are on it."""

KEPT_SECONDS = 3600.0
"""A backstop: lists of other bundles and catalogues are never found again, and go."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What a list depends on; `catalog` are the versions of the index and of the catalogue, where it needs them."""

    origin: Origin | None
    bundle: str
    catalog: tuple[int, int] | None
    question: PopularQuestion


@dataclass(frozen=True, slots=True)
class _Ranked:
    listed: ShopList
    at: int


class ShopLists:
    """Answers of one worker about the shop, on the event loop's thread; ranking and reading go to another.

    Parameters
    ----------
    answerer : knows the moment, and writes bodies.
    store_path : where the catalogue is.
    monotonic : seconds from any origin.
    """

    def __init__(self, answerer: Answerer, store_path: Path, monotonic: Callable[[], float]) -> None:
        self._answerer = answerer
        self._store_path = store_path
        self._lists: MemoryCache[_Key, _Ranked] = MemoryCache(KEPT_BYTES, KEPT_SECONDS, monotonic)
        self._ranking: dict[_Key, asyncio.Task[_Ranked]] = {}
        self._index: tuple[Origin, CatalogIndex] | None = None
        self._reading: tuple[Vocabulary, asyncio.Task[tuple[Origin, CatalogIndex]]] | None = None

    @property
    def bytes_used(self) -> int:
        """What kept lists take, at most `KEPT_BYTES`."""
        return self._lists.bytes_used

    async def popular(
        self,
        question: PopularQuestion,
        limit: int,
        exclude: frozenset[str] = frozenset(),
        filtered: FilterAsked | None = None,
    ) -> bytes:
        """The body, JSON. Raises Problem for a category that is not there, for a filter that does not fit and while
        nothing can answer, StoreError where a category cannot be looked up."""
        moment = await self._answerer.moment(filtered)
        request = Request(limit=limit, now=moment.now, exclude=exclude)
        chosen = None if filtered is None else self._answerer.filters.chosen(moment, NOBODY, filtered)
        moment, answer, note = await self.listed(moment, question, request, chosen=chosen)
        return self._answerer.body_of("popular", str(question.order), moment, answer, limit, note)

    async def listed(
        self,
        moment: Moment,
        question: PopularQuestion,
        request: Request,
        asked_in: tuple[str | int, ...] = ("query",),
        chosen: Chosen | None = None,
    ) -> tuple[Moment, Answer, CacheNote]:
        """The list, what the cache did, and the moment, which is confirmed only where the catalogue's index is, too.
        Raises as `popular`; `asked_in` is the place of the question in the request, `chosen` its filter."""
        engine = moment.engine
        if question.order is Order.NEW or question.category is not None:
            index, fresh = await self._current_index(engine, question)
            key = _Key(engine.origin, engine.bundle.bundle_id, (index.version, engine.catalog.version), question)
            moment = moment._replace(confirmed=moment.confirmed and fresh)
        else:
            index = CatalogIndex.nothing(engine.bundle.items)
            key = _Key(engine.origin, engine.bundle.bundle_id, None, question)
        try:
            ranked, note = await self._ranked(key, engine, index, moment.now)
        except InputError as error:
            fault = Fault((*asked_in, "category"), shortened(question.category), error.expected)
            raise invalid([fault]) from error
        passing = None
        if chosen is not None and engine.table is not None:
            passing = chosen.of_index(index, engine.table, moment.now)
        return moment, shown(ranked.listed, index, engine.catalog, request, passing), note

    async def _ranked(self, key: _Key, engine: Engine, index: CatalogIndex, now: int) -> tuple[_Ranked, CacheNote]:
        """The list from memory, or ranked now; all answers that wait for it share one ranking."""
        kept = self._lists.get(key)
        if kept is not None:
            return kept, CacheNote(HIT, max(0, now - kept.at) / 1000)
        ranking = self._ranking.get(key)
        if ranking is None:
            ranking = self._ranking[key] = asyncio.create_task(self._rank(key, engine, index, now))
        return await asyncio.shield(ranking), CacheNote(MISS)

    async def _rank(self, key: _Key, engine: Engine, index: CatalogIndex, now: int) -> _Ranked:
        try:
            listed = await asyncio.to_thread(shop_list, engine.bundle, engine.catalog, index, key.question)
            ranked = _Ranked(listed, now)
            self._lists.put(key, ranked, listed.size)
            return ranked
        finally:
            del self._ranking[key]

    async def _current_index(self, engine: Engine, question: PopularQuestion) -> tuple[CatalogIndex, bool]:
        """The index under the engine's catalogue or a newer one, and whether it is. Without the store: an earlier one,
        or none where only newcomers are missing. Raises StoreError for a category that cannot be looked up."""
        index = self._known(engine)
        # The reading that is shared may have begun before the change that the engine knows: then once more.
        for _ in range(2):
            if index is not None and index.version >= engine.catalog.version:
                return index, True
            try:
                self._index = await self._read_once(engine)
            except StoreError:
                if index is None and question.category is not None:
                    raise
                return index or CatalogIndex.nothing(engine.bundle.items), False
            index = self._known(engine)
        if index is None and question.category is not None:
            raise StoreUnavailableError("another store was put in the place of this one meanwhile", remedy="ask again")
        if index is None:
            return CatalogIndex.nothing(engine.bundle.items), False
        return index, index.version >= engine.catalog.version

    def _known(self, engine: Engine) -> CatalogIndex | None:
        """What was read of the engine's store for its bundle."""
        if self._index is None or self._index[0] != engine.origin or self._index[1].items is not engine.bundle.items:
            return None
        return self._index[1]

    async def _read_once(self, engine: Engine) -> tuple[Origin, CatalogIndex]:
        """What the store has now, read in a thread; all answers that wait for it share one reading."""
        reading, items = self._reading, engine.bundle.items
        if reading is None or reading[0] is not items or reading[1].done():
            read = asyncio.to_thread(read_index, self._store_path, items, engine.origin, self._known(engine))
            reading = self._reading = (items, asyncio.create_task(read))
        return await asyncio.shield(reading[1])


def read_index(
    store_path: Path, items: Vocabulary, origin: Origin | None, known: CatalogIndex | None
) -> tuple[Origin, CatalogIndex]:
    """The index as the store has it now, through a connection of its own, and the store's origin; from what changed
    since `known`, which is of the store `origin`. Raises StoreError."""
    file = file_identity(store_path)

    def ask(store: Store) -> tuple[Origin, CatalogIndex]:
        found = (store.secret(), *file)
        # A backup that was put in its place counts its versions differently.
        before = known
        if before is None or found != origin or store.catalog.version() < before.version:
            before = CatalogIndex.nothing(items)
        return found, before.with_changes(store.catalog.changes(before.version))

    return reading(store_path, ask)
