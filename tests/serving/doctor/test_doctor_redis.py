"""What the doctor says of Redis, real servers with real faults."""

from __future__ import annotations

import itertools
import time

import pytest

from serving.doctor.circumstances import Circumstances
from serving.doctor.findings import Finding, Severity
from serving.doctor.redis import cache
from serving.http.settings import Settings
from tests.serving.doctor.conftest import worst_by_check
from tests.serving.redis_server import ClusterOfRedis, RedisServer, WatchedRedis

OK, NOTE, WARNING, PROBLEM = Severity


def asked(url: str, **circumstances: object) -> dict[str, Finding]:
    """The findings by check; the worst of several servers'."""
    told: dict[str, object] = {
        "settings": Settings(redis_url=url, redis_timeout_ms=1_000),
        "environment": {},
        "now": lambda: time.time_ns() // 1_000_000,
        "timer": time.perf_counter,
    }
    return worst_by_check(cache(Circumstances(**(told | circumstances))))  # type: ignore[arg-type]


def test_without_redis_there_is_nothing_to_say() -> None:
    """One good finding."""
    assert [each.severity for each in cache(circumstances_without())] == [OK]


def circumstances_without() -> Circumstances:
    """Of a service that caches by itself."""
    return Circumstances(settings=Settings(), environment={}, now=lambda: 0, timer=lambda: 0.0)


def test_a_redis_that_makes_room_is_well(redis_server: RedisServer) -> None:
    """Nothing but good findings."""
    redis_server.configure("maxmemory", "64mb")
    redis_server.configure("maxmemory-policy", "allkeys-lru")
    found = asked(redis_server.url)
    assert {each.severity for each in found.values()} == {OK}
    assert set(found) == {"redis version", "redis policy", "redis latency", "redis clock"}


@pytest.mark.parametrize(
    ("most", "policy", "severity"),
    [("64mb", "noeviction", PROBLEM), ("0", "allkeys-lru", WARNING), ("64mb", "volatile-ttl", OK)],
)
def test_what_redis_does_when_it_is_full_is_checked(
    own_redis: RedisServer, most: str, policy: str, severity: Severity
) -> None:
    """Every list has a time to live, so that policies for such keys make room too."""
    own_redis.configure("maxmemory", most)
    own_redis.configure("maxmemory-policy", policy)
    found = asked(own_redis.url)["redis policy"]
    assert found.severity is severity
    assert severity is OK or "allkeys-lru" in found.remedy


def test_a_redis_that_is_gone_is_a_problem_and_no_password_is_shown(own_redis: RedisServer) -> None:
    """Whatever the library says."""
    own_redis.kill()
    url = own_redis.url.replace("//", "//:sesame@")
    found = asked(url)["redis"]
    assert found.severity is PROBLEM
    assert "sesame" not in str(found)


def test_a_wrong_password_is_a_problem(own_redis: RedisServer) -> None:
    """It answers, but not to us."""
    own_redis.configure("requirepass", "open")
    found = asked(own_redis.url.replace("//", "//:sesame@"))["redis"]
    assert (found.severity, "sesame" in str(found)) == (PROBLEM, False)


def test_a_paused_redis_is_a_problem_within_seconds(own_redis: RedisServer) -> None:
    """It accepts connections and never answers."""
    own_redis.pause()
    started = time.monotonic()
    assert asked(own_redis.url)["redis"].severity is PROBLEM
    assert time.monotonic() - started < 10


def test_clocks_that_disagree_are_a_warning(redis_server: RedisServer) -> None:
    """Our clock is ten seconds behind."""
    found = asked(redis_server.url, now=lambda: time.time_ns() // 1_000_000 - 10_000)["redis clock"]
    assert (found.severity, "ahead" in found.found) == (WARNING, True)


def test_a_slow_redis_is_a_warning(redis_server: RedisServer) -> None:
    """On a clock where every call takes 0.6 s of a timeout of one."""
    ticks = itertools.count()
    found = asked(redis_server.url, timer=lambda: next(ticks) * 0.6)["redis latency"]
    assert (found.severity, "600.00 ms" in found.found) == (WARNING, True)


def test_a_redis_that_writes_everything_down_is_told_that_it_need_not(own_redis: RedisServer) -> None:
    """A note: others may need it."""
    assert "redis persistence" not in asked(own_redis.url)
    own_redis.configure("appendonly", "yes")
    assert asked(own_redis.url)["redis persistence"].severity is NOTE


def test_a_replica_is_a_problem(redis_server: RedisServer, watched_redis: WatchedRedis) -> None:
    """Nothing can be kept there."""
    assert "redis role" not in asked(redis_server.url)
    assert asked(watched_redis.replica.url)["redis role"].severity is PROBLEM


def test_sentinels_lead_to_the_primary(watched_redis: WatchedRedis) -> None:
    """Which is the one that is examined."""
    found = asked(watched_redis.url)
    assert str(watched_redis.primary.port) in found["redis latency"].found
    assert "redis role" not in found


def test_every_primary_of_a_cluster_is_examined(redis_cluster: ClusterOfRedis) -> None:
    """One that would refuse lists is found among those that would not."""
    servers = redis_cluster.nodes
    for server in servers:
        server.configure("maxmemory", "64mb")
        server.configure("maxmemory-policy", "allkeys-lru")
    assert asked(redis_cluster.url)["redis policy"].severity is OK
    servers[1].configure("maxmemory-policy", "noeviction")
    found = asked(redis_cluster.url)["redis policy"]
    servers[1].configure("maxmemory-policy", "allkeys-lru")
    assert (found.severity, str(servers[1].port) in found.found) == (PROBLEM, True)
