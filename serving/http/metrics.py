"""What the service counts. Every label has a small, fixed set of values: no ids, no paths, no texts from outside."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """One service's metrics.

    Parameters
    ----------
    folder : where several workers add up their values; None when this process is alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"bookmatch_{name}", text, labels, registry=registry)

        def seconds(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"bookmatch_{name}_seconds", text, labels, buckets=_LATENCY_BUCKETS, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"bookmatch_{name}", text, multiprocess_mode="livesum", registry=registry)

        self.requests = counter("http_requests", "Requests answered.", "route", "method", "status")
        self.request_seconds = seconds("http_request", "From a request's head to the end of its answer.", "route")
        self.refused_requests = counter("refused_requests", "Requests that were not let in.", "cause")
        self.answers = counter(
            "answers", "Lists, by what they were made from and what the cache did.", "route", "basis", "cache"
        )
        self.short_answers = counter("short_answers", "Lists with fewer items than asked for.", "route")
        self.degraded = counter("degraded_answers", "Lists that were answered without the store.", "cause")
        self.events = counter("events", "Events received, by what became of them.", "status")
        self.items = counter("items", "Items put or removed, by what became of them.", "status")
        self.commits = counter("event_commits", "Durable writes, each of one or more requests.")
        self.commit_seconds = seconds("event_commit", "How long one durable write took.")
        self.cache_failures = counter("cache_failures", "Calls that the cache did not serve.", "operation", "cause")
        self.store_failures = counter("store_failures", "Writes that the store refused.", "operation")
        self.bundle_loads = counter("bundle_loads", "Bundles taken into use or refused.", "result")
        self.placement_loads = counter("placement_loads", "Versions of placements taken into use or refused.", "result")
        self.shop_list_bytes = gauge("shop_list_bytes", "Popular, rising and new lists in the workers' memory.")
        self.cache_bytes = gauge("cache_bytes", "Lists in the workers' own memory, about.")
        self.cache_entries = gauge("cache_entries", "Lists in the workers' own memory.")
        self.cache_pending_writes = gauge("cache_pending_writes", "Lists on their way into Redis.")
        self.history_copies = gauge("history_copies", "Customers' histories in the workers' memory.")
        self.events_waiting = gauge("events_waiting", "Events that wait for the disk.")
        self.bundle_loaded_at = Gauge(
            "bookmatch_bundle_loaded_timestamp_seconds",
            "When the bundle in use was loaded; of several workers the one that is furthest behind.",
            multiprocess_mode="livemin",
            registry=registry,
        )
        self.placements_version = Gauge(
            "bookmatch_placements_version",
            "The version of the placements in force, 0 for the built-in one; of several workers the oldest.",
            multiprocess_mode="livemin",
            registry=registry,
        )
        if folder is None:
            ProcessCollector(registry=registry)
        self._children: dict[tuple[str, ...], Counter | Histogram] = {}

    def answered(self, route: str, basis: str, cache: str) -> None:
        """Counts one list."""
        self._child(self.answers, route, basis, cache).inc()

    def requested(self, route: str, method: str, status: str, seconds: float) -> None:
        """Counts one request."""
        self._child(self.requests, route, method, status).inc()
        timed = self._children.get(("seconds", route))
        if timed is None:
            timed = self._children["seconds", route] = self.request_seconds.labels(route)
        assert isinstance(timed, Histogram)  # noqa: S101 - the only one under such a name
        timed.observe(seconds)

    def _child(self, counter: Counter, *labels: str) -> Counter:
        """The counter of these labels; looking it up in the library takes longer than counting."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = counter.labels(*labels)
        assert isinstance(child, Counter)  # noqa: S101 - label sets of different counters differ
        return child

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
