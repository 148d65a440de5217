"""What the service counts. Every label has a small, fixed set of values: no ids, no paths, no texts from outside."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from recsys import __version__

REQUEST_BUCKETS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
"""Seconds. Lists take 0.1 to 50 ms; what writes or reads one person's everything may take seconds."""

WRITE_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds. A durable write is one flush of the disk: a tenth of a millisecond on a good one, and 5 s is given up."""

READ_BUCKETS: Final = (0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
"""Seconds. One look at something near: a row of the store, or a list in Redis."""

LOAD_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds. A bundle is verified, mapped and asked once; the first one of a machine compiles."""

Together = Literal["livesum", "livemax", "livemin"]
"""What several workers' values of one gauge come to."""


class Metrics:
    """One service's metrics.

    Parameters
    ----------
    folder : where several workers add up their values; None when this process is alone.
    clock : seconds from any origin, to time what `store_read` and `cache_call` surround.
    """

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._registry = CollectorRegistry()
        self._count_answers()
        self._count_writes()
        self._measure_bundle()
        self._measure_sizes()
        # From zero on: of a series that begins with its first count, Prometheus sees no increase.
        for counter, values in (
            (self.events, ("accepted", "duplicate", "refused")),
            (self.store_failures, ("write", "pack")),
            (self.bundle_loads, ("used", "refused")),
            (self.placement_loads, ("used", "refused")),
        ):
            for value in values:
                counter.labels(value)
        if folder is None:
            ProcessCollector(registry=self._registry)
        # Looking a child up in the library takes longer than counting.
        self._answered: dict[tuple[str, str, str], Counter] = {}
        self._requested: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"bookmatch_{name}", text, labels, registry=self._registry)

    def _seconds(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"bookmatch_{name}_seconds", text, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str, together: Together = "livesum") -> Gauge:
        return Gauge(f"bookmatch_{name}", text, labels, multiprocess_mode=together, registry=self._registry)

    def _count_answers(self) -> None:
        counter = self._counter
        info = self._gauge("build_info", "Always 1; the labels say what runs.", "version", "python", together="livemax")
        info.labels(__version__, platform.python_version()).set(1)
        self.build_info = info
        self.requests = counter("http_requests", "Requests answered.", "route", "method", "status")
        self.request_seconds = self._seconds(
            "http_request", "From a request's head to the end of its answer.", REQUEST_BUCKETS, "route"
        )
        self.refused_requests = counter("refused_requests", "Requests that were not let in.", "cause")
        self.answers = counter(
            "answers", "Lists, by what they were made from and what the cache did.", "route", "basis", "cache"
        )
        self.short_answers = counter("short_answers", "Lists with fewer items than asked for.", "route")
        self.degraded = counter("degraded_answers", "Lists that were answered without the store.", "cause")
        self.cache_failures = counter("cache_failures", "Calls that the cache did not serve.", "operation", "cause")
        self.cache_seconds = self._seconds(
            "cache_call", "How long Redis took, when it served.", READ_BUCKETS, "operation"
        )
        self.store_read_seconds = self._seconds(
            "store_read", "How long reading from the store took, for an answer that had to.", READ_BUCKETS, "operation"
        )

    def _count_writes(self) -> None:
        counter = self._counter
        self.events = counter("events", "Events received, by what became of them.", "status")
        self.exposures = counter(
            "exposures", "Customers served an arm of an experiment, by what became of it.", "status"
        )
        self.items = counter("items", "Items put or removed, by what became of them.", "status")
        self.commits = counter("event_commits", "Durable writes, each of one or more requests.")
        self.commit_seconds = self._seconds("event_commit", "How long one durable write took.", WRITE_BUCKETS)
        self.wait_seconds = self._seconds(
            "event_wait", "From a request's events to the disk's word that they are kept.", WRITE_BUCKETS
        )
        self.events_waiting = self._gauge("events_waiting", "Events that wait for the disk.")
        self.last_event_at = self._gauge(
            "last_event_stored_timestamp_seconds", "When an event was last stored.", together="livemax"
        )
        self.store_failures = counter("store_failures", "Writes that the store refused.", "operation")

    def _measure_bundle(self) -> None:
        self.bundle_loads = self._counter("bundle_loads", "Bundles taken into use or refused.", "result")
        self.placement_loads = self._counter(
            "placement_loads", "Versions of placements taken into use or refused.", "result"
        )
        self.placements_version = self._gauge(
            "placements_version",
            "The version of the placements in force, 0 for the built-in one; of several workers the oldest.",
            together="livemin",
        )
        self.bundle_load_seconds = self._seconds(
            "bundle_load", "From a published bundle to the first answer from it.", LOAD_BUCKETS
        )
        self.bundle_loaded_at = self._gauge(
            "bundle_loaded_timestamp_seconds",
            "When the bundle in use was loaded; of several workers the one that is furthest behind.",
            together="livemin",
        )
        self.bundle_published_at = self._gauge(
            "bundle_published_timestamp_seconds", "When the bundle in use was put in force.", together="livemin"
        )
        self.bundle_newest_event_at = self._gauge(
            "bundle_newest_event_timestamp_seconds",
            "The newest event that the bundle knows.",
            together="livemin",
        )
        self.bundle_items = self._gauge("bundle_items", "Items in the bundle in use.", together="livemin")

    def _measure_sizes(self) -> None:
        gauge = self._gauge
        self.shop_list_bytes = gauge("shop_list_bytes", "Popular, rising and new lists in the workers' memory.")
        self.cache_bytes = gauge("cache_bytes", "Lists in the workers' own memory, about.")
        self.cache_entries = gauge("cache_entries", "Lists in the workers' own memory.")
        self.cache_pending_writes = gauge("cache_pending_writes", "Lists on their way into Redis.")
        self.history_copies = gauge("history_copies", "Customers' histories in the workers' memory.")
        self.workers = gauge("workers", "Processes that answer.")
        self.ready = gauge("ready", "1 while every worker has a bundle and the store answers.", together="livemin")
        self.resident_bytes = gauge("resident_memory_bytes", "Memory of all workers; shared pages count in each.")
        self.open_files = gauge("open_fds", "Open files and connections, of the worker with most.", together="livemax")
        self.max_files = gauge("max_fds", "How many a worker may open.", together="livemin")
        self.store_bytes = gauge("store_bytes", "The store's files.", "file", together="livemax")
        self.disk_free_bytes = gauge("disk_free_bytes", "Room on the shop's disk.", together="livemin")
        self.disk_bytes = gauge("disk_bytes", "Size of the shop's disk.", together="livemax")

    @contextmanager
    def store_read(self, operation: str) -> Iterator[None]:
        """Times one read, unless it fails."""
        started = self._clock()
        yield
        self.store_read_seconds.labels(operation).observe(self._clock() - started)

    @contextmanager
    def cache_call(self, operation: str) -> Iterator[None]:
        """Times one call, unless it fails."""
        started = self._clock()
        yield
        self.cache_seconds.labels(operation).observe(self._clock() - started)

    def bundle_used(self, items: int, newest_event: int | None, published: int | None, now: int) -> None:
        """Tells of the bundle that answers from now on; times are milliseconds UTC."""
        self.bundle_loads.labels("used").inc()
        self.bundle_loaded_at.set(now / 1000)
        self.bundle_items.set(items)
        self.bundle_newest_event_at.set((newest_event or 0) / 1000)
        self.bundle_published_at.set((published or 0) / 1000)

    def answered(self, route: str, basis: str, cache: str) -> None:
        """Counts one list."""
        counted = self._answered.get((route, basis, cache))
        if counted is None:
            counted = self._answered[route, basis, cache] = self.answers.labels(route, basis, cache)
        counted.inc()

    def requested(self, route: str, method: str, status: str, seconds: float) -> None:
        """Counts one request."""
        found = self._requested.get((route, method, status))
        if found is None:
            found = self.requests.labels(route, method, status), self.request_seconds.labels(route)
            self._requested[route, method, status] = found
        counted, timed = found
        counted.inc()
        timed.observe(seconds)

    def exposition(self) -> bytes:
        """All values in Prometheus' text format, added up over all workers."""
        if self._folder is None:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone, path=str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(everyone)

    def close(self, pid: int) -> None:
        """Takes back what holds only while this process lives; counts stay."""
        if self._folder is not None:
            mark_process_dead(pid, path=str(self._folder))  # type: ignore[no-untyped-call]
