"""What answers: one bundle with the catalogue in its positions, replaced as a whole when either changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
import numpy.typing as npt
import orjson
import structlog

from recsys.bundle import BundleRepository, ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.data.held_versions import HeldVersions
from recsys.data.history import History, StoredHistory
from recsys.data.item_table import ItemTable
from recsys.data.packed import HistoryRow
from recsys.errors import BundleError, InputError, StoreError
from recsys.experiments import Experiment
from recsys.models.related import Relation
from recsys.recommend.filters import AskerFacts
from recsys.recommend.placement import DEFAULT_PLACEMENT, Placement
from recsys.recommend.recommender import Recommender
from recsys.recommend.rules import NO_RULES, Rules
from recsys.recommend.sources import popular_order
from recsys.recommend.types import Answer, Recommendation, Request
from serving.cache.payload import RankedList
from serving.http.background import Background
from serving.http.catalog_reading import FEW_CHANGES, ReadCatalog, read_catalog
from serving.http.live import LiveStore, Stamp
from serving.http.metrics import Metrics
from serving.http.moves import Moves, moves_among
from serving.http.policies import NOTHING_PUBLISHED, Policies, PolicyWatch
from serving.http.problems import Problem
from serving.http.store_handle import Origin
from serving.http.wire import HISTORY, Texts, written

log = structlog.get_logger("bookmatch.serving")

RETRY_REFUSED = 30.0
"""Seconds after which a bundle that was refused is tried again: the fault may have been the disk's."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Immutable; an answer keeps the one that it started with.

    Attributes
    ----------
    bundle : the models.
    spots : what asks them, by the name of its placement; `default` is always there.
    ids, kinds : the ids of the bundle's items, and the names of kinds of events by their code, as JSON.
    catalog : what may be shown, in the bundle's positions.
    table : the attributes of items, in the same; None as long as nobody asks for them.
    foreseen : what relevance is the probability of, as answers say it; None where there is none.
    origin : the store that the catalogue was read from; None while it was never read.
    held : the versions of the catalogue at which a list may have been ranked without missing anything.
    """

    bundle: ModelBundle
    spots: Mapping[str, Recommender]
    ids: Texts
    kinds: Texts
    foreseen: Mapping[str, object] | None
    catalog: Catalog
    table: ItemTable | None
    origin: Origin | None
    held: HeldVersions

    @classmethod
    def of(
        cls, bundle: ModelBundle, read: ReadCatalog, placements: Mapping[str, Placement] = NOTHING_PUBLISHED.placements
    ) -> Self:
        """A bundle that starts to answer."""
        ids, kinds = Texts.of_ids(bundle.items), Texts.of(_kind_names())
        foreseen = bundle.relevance.described() if bundle.relevance else None
        held = HeldVersions.only(read.catalog.version)
        spots = _spots(Recommender(bundle), placements)
        return cls(bundle, spots, ids, kinds, foreseen, read.catalog, read.table, read.origin, held)

    @property
    def recommender(self) -> Recommender:
        """The one of the default placement."""
        return self.spots[DEFAULT_PLACEMENT.name]

    def under(self, placements: Mapping[str, Placement]) -> Engine:
        """The same models under other placements; what stayed the same is not made again."""
        return replace(self, spots=_spots(self.recommender, placements, self.spots))

    def check(self) -> None:
        """Raises InputError for a placement that asks for something that the catalogue does not have."""
        if self.table is None:
            return
        for spot in self.spots.values():
            spot.rules.check(self.table.kinds)
            spot.layout.check(self.table)

    @property
    def read(self) -> ReadCatalog:
        """The catalogue and where it is from."""
        return ReadCatalog(self.catalog, self.table, self.origin)

    def with_catalog(self, read: ReadCatalog) -> Engine:
        """The same models under a newer catalogue."""
        version = read.catalog.version
        if version == self.catalog.version and read.origin == self.origin:
            return replace(self, table=read.table)
        follows = read.origin == self.origin and version > self.catalog.version
        held = self.held.followed_by(version) if follows else HeldVersions.only(version)
        if read.catalog.gained(self.catalog):
            held = HeldVersions.only(version)
        return replace(self, catalog=read.catalog, table=read.table, origin=read.origin, held=held)

    def rules(self, spot: Recommender, asker: AskerFacts, now: int, liked: AskerFacts | None = None) -> Rules:
        """What the rules of one of `spots` come to for whoever asks; `liked` as of `PlacementRules.now`."""
        if spot.rules.plain:
            return NO_RULES
        return spot.rules.now(self.catalog, now, self.table, asker, liked)

    def for_customer(
        self, spot: Recommender, history: History, request: Request, rules: Rules | None = None
    ) -> RankedList:
        """The list of one of `spots` for somebody with this history."""
        rules = rules or self.rules(spot, AskerFacts(history), request.now)
        found = spot.find(history, self.catalog, request, rules)
        taste = found.taste
        text, ends = written(found.listed, found.relevance, HISTORY, self.ids, taste.items, taste.kinds, self.kinds)
        return RankedList(
            items=text,
            ends=ends.astype(np.int32),
            positions=found.listed.item,
            sources=found.sources,
            fallback=found.fallback,
            masked=found.masked,
            short=found.short,
            computed_at=request.now,
            catalog_version=self.catalog.version,
        )

    def for_item(self, item_id: str, relation: Relation, request: Request) -> RankedList:
        """What goes with an item. Raises UnknownItemError."""
        answer = self.recommender.related(item_id, self.catalog, request, relation)
        positions = self.bundle.items.positions(item.item_id for item in answer.items)
        return ranked_list(answer, positions, request.now, self.catalog.version)

    def rehearse(self, now: int) -> None:
        """Asks everything once, so that the first customer waits neither for the disk nor for compiled code."""
        request = Request(limit=1, now=now)
        order, somebody = popular_order(self.bundle.popularity), History.empty()
        if len(order):
            item_id = self.bundle.items[int(order[0])]
            row = HistoryRow(item_id, EventKind.PURCHASE.code, None, None, 1.0, None)
            somebody = History.from_stored(StoredHistory.of(1, [row]), self.bundle.items)
            self.for_item(item_id, Relation.SIMILAR, request)
        for spot in self.spots.values():
            self.for_customer(spot, History.empty(), request)
            self.for_customer(spot, somebody, request)

    def unchanged(self, catalog_version: int, computed_at: int, now: int) -> bool:
        """Whether exactly the same items may be shown as when a list was ranked."""
        catalog = self.catalog
        return catalog.version == catalog_version and catalog.period(computed_at) == catalog.period(now)

    def missed_nothing(self, catalog_version: int, computed_at: int, now: int) -> bool:
        """Whether no item became showable since a list was ranked; what went away is seen on the list itself."""
        if catalog_version not in self.held:
            return False
        # Where the clock was set back, what had expired by then may be shown again.
        turns = self.catalog.appearances if computed_at <= now else self.catalog.expiries
        if not len(turns):
            return True
        start, end = np.searchsorted(turns, [computed_at, now], side="right")
        return bool(start == end)


def ranked_list(answer: Answer, positions: npt.NDArray[np.int32], computed_at: int, catalog_version: int) -> RankedList:
    """An answer with its items as JSON; `positions` of these in the bundle's vocabulary."""
    parts = [orjson.dumps(_item_json(item)) for item in answer.items]
    return RankedList(
        items=b",".join(parts),
        ends=np.cumsum([len(part) + 1 for part in parts], dtype=np.int32) - np.int32(1),
        positions=positions,
        sources=answer.sources,
        fallback=answer.fallback,
        masked=answer.masked,
        short=answer.short,
        computed_at=computed_at,
        catalog_version=catalog_version,
    )


def _item_json(item: Recommendation) -> dict[str, object]:
    evidence = [{"item_id": part.item_id, "kind": part.kind, "share": part.share} for part in item.reason.evidence]
    reason = {"code": item.reason.code, "evidence": evidence}
    return {"item_id": item.item_id, "score": item.score, "relevance": item.relevance, "reason": reason}


def _spots(
    default: Recommender, placements: Mapping[str, Placement], before: Mapping[str, Recommender] = MappingProxyType({})
) -> Mapping[str, Recommender]:
    """What asks for each placement, over the models of the default one."""
    spots = {}
    for name, placement in {**NOTHING_PUBLISHED.placements, **placements}.items():
        known = before.get(name, default)
        spots[name] = known if known.placement == placement else default.at(placement)
    return spots


def _ask_for_attributes(placements: Mapping[str, Placement]) -> bool:
    """Whether a rule of these is about attributes of items."""
    return any(each.where is not None or each.boosts or each.diversity for each in placements.values())


def _kind_names() -> list[str]:
    """By code; codes that mean nothing have no name."""
    return [str(KIND_BY_CODE.get(code, "")) for code in range(max(KIND_BY_CODE) + 1)]


class Engines:
    """Keeps the engine in force up to date: polls for bundles, reads what changed in the catalogue.

    Parameters
    ----------
    repository : where bundles are published.
    store_path : where the catalogue is.
    live : the worker's view of the store.
    policies : the placements.
    background : where what takes long and no answer waits for is done.
    poll : seconds between two looks for a new bundle.
    now : milliseconds UTC.
    """

    def __init__(
        self,
        repository: BundleRepository,
        store_path: Path,
        live: LiveStore,
        metrics: Metrics,
        poll: float,
        now: Callable[[], int],
        policies: PolicyWatch,
        background: Background,
    ) -> None:
        self.policies = policies
        self._background = background
        self._looking = asyncio.Lock()
        self._repository = repository
        self._store_path = store_path
        self._live = live
        self._metrics = metrics
        self._poll = poll
        self._now = now
        self._engine: Engine | None = None
        self._others: dict[str, Engine] = {}
        self._refused_others: dict[str, int] = {}
        self._refused: tuple[str, int] | None = None
        self._reading: tuple[tuple[str, bool], asyncio.Task[ReadCatalog]] | None = None
        self._table_reading: tuple[str, asyncio.Task[ReadCatalog]] | None = None
        self.trouble: str | None = "no bundle was loaded yet"
        """Why there is no engine, or why the newest bundle is not it; None when all is well."""

    async def current(self, now: Stamp | None = None, bundle_id: str | None = None) -> tuple[Engine, bool]:
        """The engine under the catalogue of this moment, and whether the store confirmed the catalogue.

        `now` is what the store looked like when the request started; `bundle_id` is of one of `others`, None of the
        bundle in force.

        Raises Problem (503) until a bundle is loaded.
        """
        engine: Engine | None = None
        while True:
            engine = self._engine if bundle_id is None else self._others.get(bundle_id, engine)
            if engine is None:
                raise Problem(503, "not-ready", f"No model answers yet: {self.trouble}.", headers={"Retry-After": "1"})
            try:
                version = self._live.catalog_version(now)
                if version == engine.catalog.version and self._live.origin == engine.origin:
                    return engine, True
                read = self._live.newer_catalog(engine.read, engine.bundle.items, FEW_CHANGES)
                if read is None:
                    read = await self._read_once(engine)
            except StoreError:
                return engine, False
            # A bundle may have been swapped in meanwhile; then the catalogue is in the positions of another one.
            newer = engine.with_catalog(read)
            if self._replaced(bundle_id, engine, newer) and read.catalog.version >= version:
                return newer, True
            # The reading was under way before this request came, or another store is there now.
            now = None

    async def tabled(self, engine: Engine) -> Engine:
        """An engine as new as this one or newer with the attributes of items: read when they are first asked for, and
        kept up to date from then on. Raises StoreError where they cannot be read."""
        while engine.table is None:
            read = await self._table_once(engine.bundle)
            # What changed meanwhile is read right here; where that is too much the whole is read again.
            caught_up = self._live.newer_catalog(read, engine.bundle.items, FEW_CHANGES)
            current = self._engine or engine
            if caught_up is not None and current.bundle is engine.bundle and current.table is None:
                self._engine = current.with_catalog(caught_up)
            engine = self._engine or engine
        return engine

    def _replaced(self, bundle_id: str | None, engine: Engine, newer: Engine) -> bool:
        """Puts an engine in the place of another one; False where somebody else did. One that nobody needs any more is
        in nobody's way."""
        if bundle_id is not None:
            there = self._others.get(bundle_id, engine) is engine
            if there and bundle_id in self._others:
                self._others[bundle_id] = newer
            return there
        there = self._engine is engine
        if there:
            self._engine = newer
        return there

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """Those of the placements in force."""
        return self.policies.in_force.file.experiments

    @property
    def others(self) -> Collection[str]:
        """The bundles that arms of experiments ask for and that answer, beside the one in force."""
        return self._others.keys()

    @property
    def in_force(self) -> Engine | None:
        """The engine that answers now, under the catalogue that it was asked with last; None until there is one."""
        return self._engine

    @property
    def ready(self) -> bool:
        """Whether there is a bundle that answers."""
        return self._engine is not None

    async def watch(self) -> None:
        """Takes every newly published bundle into use; runs until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._poll)

    async def look_again(self) -> str:
        """A look at once, also for a bundle or placements that were refused a moment ago. Returns the id of a new
        bundle, `unchanged` without one. Raises BundleError when it does not fit; the one that answers stays."""
        before, self._refused = self._engine, None
        self.policies.try_again()
        await self.look()
        if self.trouble is not None:
            raise BundleError(self.trouble)
        if self._engine is None or (before is not None and self._engine.bundle is before.bundle):
            return "unchanged"
        return self._engine.bundle.bundle_id

    async def look(self) -> None:
        """One look for placements and a bundle other than those in force. What goes wrong is logged and counted, never
        raised."""
        async with self._looking:
            await self._look_for_placements()
            await self._look_for_bundle()
            await self._look_for_others()

    async def _look_for_placements(self) -> None:
        wanted = self.policies.newer()
        if wanted is None:
            return
        try:
            policies = await self._background.run(self.policies.load, wanted)
            engine = self._engine
            if engine is not None and _ask_for_attributes(policies.placements):
                engine = await self.tabled(engine)
            if engine is not None:
                spots = (await self._background.run(self._rehearsed, engine, policies)).spots
                # Meanwhile the catalogue may have changed; the bundle changes in here alone.
                self._engine = replace(self._engine or engine, spots=spots)
        except Exception as error:
            # Whatever is wrong with a version, the one that answers stays.
            self.policies.refused(wanted, error)
        else:
            self._others = {name: other.under(policies.placements) for name, other in self._others.items()}
            self.policies.take(policies)

    def _rehearsed(self, engine: Engine, policies: Policies) -> Engine:
        """The engine under other placements, asked once."""
        under = engine.under(policies.placements)
        under.check()
        under.rehearse(self._now())
        return under

    async def _look_for_bundle(self) -> None:
        wanted = None
        try:
            wanted = self._repository.current_id()
            if wanted is None:
                self.trouble = (
                    f"nothing is published in {self._repository.folder}; train a model with `bookmatch train`"
                )
                return
            if self._engine is not None and self._engine.bundle.bundle_id == wanted:
                self.trouble = None
                return
            if self._refused is not None and self._refused[0] == wanted and self._now() < self._refused[1]:
                return
            with self._metrics.bundle_load_seconds.time():
                engine = await self._loaded(wanted)
            published = next((each.at for each in self._repository.publications()[::-1] if each.bundle == wanted), None)
        except Exception as error:
            # Whatever is wrong with a bundle, the one that answers stays.
            expected = isinstance(error, BundleError | StoreError)
            self.trouble = str(error) if expected else repr(error)
            self._refused = (wanted, self._now() + int(RETRY_REFUSED * 1000)) if wanted is not None else None
            self._metrics.bundle_loads.labels("refused").inc()
            log.warning("bundle refused", bundle=wanted, cause=self.trouble, exc_info=not expected)
            return
        self._engine = engine
        self.trouble = None
        self._refused = None
        try:
            engine.check()
        except InputError as error:
            # They were in force before: a shop without its placements would show what they keep out.
            self.policies.unfit(error)
        newest = engine.bundle.manifest.data.get("newest")
        self._metrics.bundle_used(len(engine.bundle.items), newest, published, self._now())
        log.info("bundle in use", bundle=wanted, items=len(engine.bundle.items))

    async def _look_for_others(self) -> None:
        """Loads the bundles of arms of experiments that are not over, and lets go of others."""
        now, first = self._now(), self._engine
        running = [each for each in self.experiments if each.ends is None or now < each.ends]
        wanted = {arm.bundle for each in running for arm in each.arms if arm.bundle is not None}
        wanted -= {first.bundle.bundle_id} if first is not None else set()
        self._others = {name: other for name, other in self._others.items() if name in wanted}
        for name in sorted(wanted - self._others.keys()):
            if now < self._refused_others.get(name, 0):
                continue
            try:
                # With attributes, whatever the placements ask for: a filter may come with any question.
                self._others[name] = await self._loaded(name, tabled=True)
            except Exception as error:
                # Its arm is served to nobody: whoever is in it gets what everybody gets, and is not counted.
                self._refused_others[name] = now + int(RETRY_REFUSED * 1000)
                self._metrics.bundle_loads.labels("refused").inc()
                expected = isinstance(error, BundleError | StoreError)
                log.warning("bundle of an arm refused", bundle=name, cause=str(error), exc_info=not expected)

    async def _loaded(self, bundle_id: str, *, tabled: bool = False) -> Engine:
        """An engine of this bundle. Copies of histories follow to it from those that answer now."""
        engine, self._live.moves = await self._background.run(self._load, bundle_id, tabled=tabled)
        return engine

    def _load(self, bundle_id: str, *, tabled: bool) -> tuple[Engine, Moves]:
        """Verifies and maps the bundle and asks it once, so that the first customer does not wait for the disk."""
        bundle, before = self._repository.load(bundle_id), self._engine
        bundles = {each.bundle.bundle_id: each.bundle for each in (before, *self._others.values()) if each is not None}
        moves = moves_among({**bundles, bundle_id: bundle}.values(), self._live.moves)
        asked_for = tabled or (before is not None and before.table is not None)
        tabled = asked_for or _ask_for_attributes(self.policies.in_force.placements)
        known, new = ReadCatalog.unread(bundle.items, tabled=tabled), list[str]()
        if before is not None:
            origins = moves[bundle_id, before.bundle.bundle_id]
            known, new = before.read.taken_over(bundle.items, origins, tabled=tabled)
        try:
            read = read_catalog(self._store_path, bundle.items, known, new)
        except StoreError:
            if before is not None:
                raise
            read = known
        engine = Engine.of(bundle, read, self.policies.in_force.placements)
        engine.rehearse(self._now())
        return engine, moves

    async def _read_once(self, engine: Engine) -> ReadCatalog:
        """The catalogue, read in a thread; all answers that wait for it share one reading."""
        reading, bundle = self._reading, engine.bundle
        # What is read without the attributes of items is of no use to whoever has them: it would lose them.
        wanted = bundle.bundle_id, engine.table is not None
        if reading is None or reading[0] != wanted or reading[1].done():
            read = asyncio.to_thread(read_catalog, self._store_path, bundle.items, engine.read)
            reading = self._reading = (wanted, asyncio.create_task(read))
        return await asyncio.shield(reading[1])

    async def _table_once(self, bundle: ModelBundle) -> ReadCatalog:
        """The catalogue with the attributes of items, read in a thread; all answers that wait for it share one
        reading."""
        reading = self._table_reading
        if reading is None or reading[0] != bundle.bundle_id or reading[1].done():
            nothing = ReadCatalog.unread(bundle.items, tabled=True)
            read = asyncio.to_thread(read_catalog, self._store_path, bundle.items, nothing)
            reading = self._table_reading = (bundle.bundle_id, asyncio.create_task(read))
        return await asyncio.shield(reading[1])
