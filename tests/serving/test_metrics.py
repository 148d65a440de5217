"""Metrics: names and units as Prometheus wants them, buckets where answers lie, labels that stay few."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from recsys import __version__
from serving.http.metrics import Metrics
from serving.http.settings import Settings
from tests.serving.redis_server import RedisServer
from tests.serving.service import FakeClock, Service
from tests.serving.shop import DAY, START, train_shop

FAMILIES = [each for each in vars(Metrics()).values() if isinstance(each, Counter | Gauge | Histogram)]
UNITS = (
    "seconds",
    "bytes",
    "items",
    "entries",
    "fds",
    "copies",
    "writes",
    "waiting",
    "workers",
    "ready",
    "info",
    "version",
)


def samples(service: Service, name: str) -> list[Sample]:
    """The values of one metric as /metrics shows them."""
    families = text_string_to_metric_families(service.get("/metrics").body.decode())
    return [sample for family in families for sample in family.samples if sample.name == name]


def value(service: Service, name: str, **labels: str) -> float:
    """The only value with these labels."""
    (sample,) = [each for each in samples(service, name) if each.labels == labels]
    return sample.value


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family._name)
def test_names_say_the_unit_and_what_they_count(family: Counter | Gauge | Histogram) -> None:
    """Snake case under one prefix; times in seconds and sizes in bytes; a help text that is a sentence."""
    name = family._name
    assert re.fullmatch(r"bookmatch(_[a-z]+)+", name)
    assert re.search(r"[.;]$", family._documentation)
    if isinstance(family, Histogram):
        assert name.endswith("_seconds")
    if isinstance(family, Gauge):
        assert name.endswith(UNITS), name


def test_buckets_tell_apart_answers_of_a_tenth_and_of_fifty_milliseconds() -> None:
    """At least two buckets between one step of the budget and the next, and all in ascending order."""
    bounds = Metrics().request_seconds._upper_bounds
    assert bounds == sorted(bounds)
    for low, high in [(0.0001, 0.0005), (0.0005, 0.0025), (0.0025, 0.01), (0.01, 0.05), (0.05, 0.25)]:
        assert sum(low <= bound < high for bound in bounds) >= 2, (low, high)


def test_no_request_makes_a_new_label_value(service: Service) -> None:
    """Ids, paths, methods and texts from outside leave the series as they are."""
    strangers = ["/v1/customers/nobody/recommendations"] * 2
    for target in ("/v1/customers/c1/recommendations", *strangers, "/nowhere", "/metrics"):
        service.get(target)
    service.ask("BREW", "/v1/events")
    before = {(each.name, *each.labels.items()) for each in every_sample(service)}
    for number in range(5):
        service.get(f"/v1/customers/stranger-{number}/recommendations")
        service.get(f"/nowhere/{number}")
        service.ask(f"BREW{number}", "/v1/events")
    new = {(each.name, *each.labels.items()) for each in every_sample(service)} - before
    assert new == set()


def every_sample(service: Service) -> list[Sample]:
    """All values of /metrics but those of the process."""
    families = text_string_to_metric_families(service.get("/metrics").body.decode())
    return [sample for family in families for sample in family.samples if sample.name.startswith("bookmatch_")]


def test_the_version_is_in_the_metrics(service: Service) -> None:
    """As a label of a value that is always 1."""
    (info,) = samples(service, "bookmatch_build_info")
    assert (info.labels["version"], info.value) == (__version__, 1.0)


def test_the_bundle_says_how_old_it_is(service: Service) -> None:
    """When it was put in force, when this worker took it, the newest event that it knows, and how many items."""
    assert value(service, "bookmatch_bundle_published_timestamp_seconds") == START / 1000
    assert value(service, "bookmatch_bundle_loaded_timestamp_seconds") == (START + 100 * DAY) / 1000
    assert value(service, "bookmatch_bundle_newest_event_timestamp_seconds") == (START + 9 * DAY) / 1000
    assert value(service, "bookmatch_bundle_items") == len(service.state.engines.in_force.bundle.items)  # type: ignore[union-attr]
    assert value(service, "bookmatch_bundle_load_seconds_count") == 1


def test_reading_from_the_store_is_timed_only_when_something_is_read(service: Service) -> None:
    """A second answer for the same customer reads nothing."""
    for _ in range(2):
        service.get("/v1/customers/c1/recommendations")
    assert value(service, "bookmatch_store_read_seconds_count", operation="history") == 1


def test_stored_events_are_timed_and_dated(service: Service, clock: FakeClock) -> None:
    """An event that is only a duplicate is no sign of life of the shop."""
    event = {"event_id": "e1", "customer_id": "c1", "kind": "view", "item_id": "s1/b02", "timestamp": clock.ms}
    service.post_events(event)
    stored = value(service, "bookmatch_last_event_stored_timestamp_seconds")
    assert stored == clock.ms / 1000
    clock.forward(60)
    service.post_events(event)
    assert value(service, "bookmatch_last_event_stored_timestamp_seconds") == stored
    assert value(service, "bookmatch_event_wait_seconds_count") == 2


def test_calls_of_redis_that_serve_are_timed(home: Path, clock: FakeClock, own_redis: RedisServer) -> None:
    """Those that fail are counted elsewhere."""
    with Service(Settings(home=home, redis_url=own_redis.url, redis_timeout_ms=1000), clock) as service:
        service.get("/v1/customers/c1/recommendations")
        service.runner.run(service.state.answerer.close())
        own_redis.kill()
        service.get("/v1/customers/c2/recommendations")
        counts = {
            each.labels["operation"]: each.value for each in samples(service, "bookmatch_cache_call_seconds_count")
        }
    assert counts == {"get": 1, "put": 1}


def test_readiness_sizes_and_room_are_there(service: Service, home: Path) -> None:
    """Ready until the store is gone; the worker's memory, its open files, the store's files, the disk."""
    service.get("/v1/customers/c1/recommendations")
    assert value(service, "bookmatch_ready") == 1
    assert value(service, "bookmatch_workers") == 1
    assert value(service, "bookmatch_resident_memory_bytes") > 10_000_000
    assert 3 < value(service, "bookmatch_open_fds") < value(service, "bookmatch_max_fds")
    assert value(service, "bookmatch_store_bytes", file="database") == (home / "store.db").stat().st_size
    assert 0 < value(service, "bookmatch_disk_free_bytes") < value(service, "bookmatch_disk_bytes")
    (home / "store.db").rename(home / "elsewhere")
    service.get("/v1/customers/c1/recommendations")
    assert value(service, "bookmatch_ready") == 0


def test_a_worker_without_a_bundle_is_not_ready(home: Path, clock: FakeClock) -> None:
    """As /health/ready says."""
    (home / "models" / "current").unlink()
    with Service(Settings(home=home), clock) as service:
        assert value(service, "bookmatch_ready") == 0
        assert train_shop(home)
        service.look_for_bundles()
        assert value(service, "bookmatch_ready") == 1


def test_what_alerts_watch_is_there_from_zero_on(service: Service) -> None:
    """Of a series that begins with its first count, Prometheus sees no increase, and nobody would be told."""
    for name, label, counted in (
        ("bookmatch_bundle_loads_total", "result", {"used": 1.0, "refused": 0.0}),
        ("bookmatch_store_failures_total", "operation", {"write": 0.0, "pack": 0.0}),
        ("bookmatch_events_total", "status", {"accepted": 0.0, "duplicate": 0.0, "refused": 0.0}),
    ):
        assert {each.labels[label]: each.value for each in samples(service, name)} == counted
