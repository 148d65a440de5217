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
        self._registry = CollectorRegistry()
        registry = self._registry
        self.requests = Counter(
            "bookmatch_http_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "bookmatch_http_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self.answers = Counter(
            "bookmatch_answers",
            "Recommendation lists answered, by what they were made from and what the cache did.",
            ["route", "basis", "cache"],
            registry=registry,
        )
        self.short_answers = Counter(
            "bookmatch_short_answers", "Lists with fewer items than asked for.", ["route"], registry=registry
        )
        self.degraded = Counter(
            "bookmatch_degraded_answers", "Lists that were answered without the store.", ["cause"], registry=registry
        )
        self.events = Counter(
            "bookmatch_events", "Events received, by what became of them.", ["status"], registry=registry
        )
        self.commit_seconds = Histogram(
            "bookmatch_event_commit_seconds",
            "How long one durable write to the store took.",
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self.commit_events = Counter(
            "bookmatch_event_commits", "Durable writes to the store, each of one or more requests.", registry=registry
        )
        self.cache_failures = Counter(
            "bookmatch_cache_failures", "Calls that the cache did not serve.", ["operation", "cause"], registry=registry
        )
        self.store_failures = Counter(
            "bookmatch_store_failures", "Reads and writes that the store refused.", ["operation"], registry=registry
        )
        self.bundle_loads = Counter(
            "bookmatch_bundle_loads", "Bundles taken into use or refused.", ["result"], registry=registry
        )
        self.bundle_loaded_at = Gauge(
            "bookmatch_bundle_loaded_timestamp_seconds",
            "When the bundle that answers was taken into use; of several workers the one that is furthest behind.",
            multiprocess_mode="livemin",
            registry=registry,
        )
        if folder is None:
            ProcessCollector(registry=registry)

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
