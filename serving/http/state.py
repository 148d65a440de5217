"""Everything that one worker holds open, in one typed object that opens and closes with the application."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from recsys.bundle import BundleRepository, ModelBundle
from recsys.errors import StoreError
from recsys.recommend.placements import PlacementRepository
from recsys.stores import open_store
from recsys.stores.protocols import Store
from serving.cache.memory import MemoryCache
from serving.cache.protocol import Cache
from serving.http.answering import Answerer, Lists
from serving.http.asking import Budget
from serving.http.audiences import Audiences
from serving.http.background import Background
from serving.http.engine import Engines
from serving.http.exploring import Explorer
from serving.http.exposures import Exposures
from serving.http.key_ring import KeyRing
from serving.http.limits import Limits
from serving.http.live import LiveStore
from serving.http.measures import measure_disk, measure_process
from serving.http.metrics import Metrics
from serving.http.policies import PolicyWatch
from serving.http.settings import Settings
from serving.http.shop_lists import ShopLists
from serving.http.store_handle import StoreHandle
from serving.http.writer import EventWriter

WRITE_BUSY_SECONDS = 5.0
"""How long a durable write waits for another process that is writing, before the client is told to come back."""


SIZES_SECONDS = 1.0
"""How old the sizes of other workers are in the metrics, at most."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks that are passed down.

    Attributes
    ----------
    now : milliseconds UTC.
    monotonic : seconds from any origin; never runs backwards.
    worked : seconds of computing by the calling thread, from any origin.
    """

    now: Callable[[], int]
    monotonic: Callable[[], float]
    worked: Callable[[], float]


@dataclass(slots=True)
class Standing:
    """Whether the service was asked to stop: then it answers, but should get no more requests."""

    stopping: bool = False


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One worker's resources; routes get it with `State`."""

    settings: Settings
    clocks: Clocks
    metrics: Metrics
    live: LiveStore
    engines: Engines
    writer: EventWriter
    answerer: Answerer
    audiences: Audiences
    shop_lists: ShopLists
    key_ring: KeyRing
    limits: Limits
    standing: Standing
    exposures: Exposures

    def open_writable(self) -> Store:
        """A writing connection beside the writer's, for what takes long; to be closed by the caller."""
        return _writable(self.settings.shop.store)

    def report_sizes(self) -> None:
        """Sets the metrics that say how much this worker keeps in memory."""
        self.answerer.report_sizes()
        self.metrics.shop_list_bytes.set(self.shop_lists.bytes_used)
        self.metrics.history_copies.set(self.live.copies)
        self.metrics.events_waiting.set(self.writer.waiting)
        self.metrics.ready.set(self.engines.ready and self.live.answers)
        measure_process(self.metrics)
        measure_disk(self.metrics, self.settings.shop.store)

    async def keep_reporting_sizes(self) -> None:
        """Does it every second, as the worker that is asked for metrics sees only what the others wrote down."""
        while True:
            self.report_sizes()
            await asyncio.sleep(SIZES_SECONDS)

    def troubles(self) -> list[str]:
        """What is not as it should be although this worker answers: what was published and is not in use."""
        troubles = [("bundle", self.engines.trouble), ("placements", self.engines.policies.trouble)]
        return [f"the newest {what} is not in use: {why}" for what, why in troubles if why is not None]

    def reasons_not_ready(self) -> list[str]:
        """Why this worker should get no requests; empty when it should."""
        reasons = ["the service is stopping"] if self.standing.stopping else []
        if not self.engines.ready:
            reasons.append(f"no model answers: {self.engines.trouble}")
        try:
            self.live.check()
        except StoreError as error:
            reasons.append(str(error))
        return reasons


def _read_only(path: Path) -> Store:
    return open_store(path, create=False, read_only=True)


def _writable(path: Path) -> Store:
    return open_store(path, create=False, busy_seconds=WRITE_BUSY_SECONDS)


def _bundle_of(engines: Engines) -> ModelBundle | None:
    return None if engines.in_force is None else engines.in_force.bundle


def _open_cache(settings: Settings, clock: Callable[[], float]) -> Cache | Lists | None:
    if settings.redis_url is not None:
        # Imported here: the library costs start-up time that a service without Redis need not pay.
        from serving.cache.redis import RedisCache

        return RedisCache(settings.redis_url, settings.redis_timeout_ms / 1000, settings.cache_ttl, clock)
    if settings.cache_size == 0:
        return None
    return MemoryCache(settings.cache_size * 1024 * 1024, settings.cache_ttl, clock)


@asynccontextmanager
async def open_state(settings: Settings, metrics: Metrics, clocks: Clocks) -> AsyncIterator[ServiceState]:
    """Opens everything, looks once for a bundle, and keeps looking until it closes everything again.

    A store or a bundle that is not there is no error here: `/health/ready` says so until it is.
    """
    writer = EventWriter(StoreHandle(settings.shop.store, _writable, clocks.monotonic), metrics, clocks.monotonic)
    live = LiveStore(
        StoreHandle(settings.shop.store, _read_only, clocks.monotonic),
        settings.history_limit,
        settings.history_cache_size,
        writer.pack,
        metrics.store_read,
    )
    key_ring = KeyRing()
    live.when_changed.append(key_ring.follow)
    cache = _open_cache(settings, clocks.monotonic)
    repository = BundleRepository(settings.shop.models)
    policies = PolicyWatch(PlacementRepository(settings.shop.placements), metrics, clocks.now)
    background = Background()
    engines = Engines(
        repository, settings.shop.store, live, metrics, settings.bundle_poll, clocks.now, policies, background
    )
    budget = Budget(settings.budget_ms / 1000, clocks.worked)
    exposures = Exposures(writer, metrics)
    live.when_forgotten.append(exposures.forget)
    explorer = Explorer(
        settings.shop.store, lambda: _bundle_of(engines), lambda: policies.in_force.explores, clocks.now, background
    )
    answerer = Answerer(engines, live, cache, metrics, settings.history_limit, clocks.now, budget, exposures, explorer)
    shop_lists = ShopLists(answerer, settings.shop.store, clocks.monotonic)
    audiences = Audiences(settings.shop.store, settings.history_limit)
    writer.start()
    await engines.look()
    # The keys are known from now on, even if the store is gone when the first request comes.
    live.look()
    limits = Limits(clocks.monotonic, settings.workers)
    state = ServiceState(
        settings,
        clocks,
        metrics,
        live,
        engines,
        writer,
        answerer,
        audiences,
        shop_lists,
        key_ring,
        limits,
        Standing(),
        exposures,
    )
    running = [
        asyncio.create_task(work)
        for work in (engines.watch(), state.keep_reporting_sizes(), exposures.keep_writing(), explorer.watch())
    ]
    try:
        yield state
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        background.close()
        await exposures.write()
        await asyncio.to_thread(writer.close)
        await answerer.close()
        if isinstance(cache, MemoryCache):
            cache.clear()
        elif cache is not None:
            await cache.close()
        live.close()
        metrics.close(os.getpid())


async def _state(request: Request) -> ServiceState:
    state: ServiceState = request.app.state.service
    return state


State = Annotated[ServiceState, Depends(_state)]
