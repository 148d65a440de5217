"""Redis behind sentinels and as a cluster: whatever becomes of its servers, answers go on, and the cache comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from serving.cache.protocol import PAUSED, TIMED_OUT, UNREACHABLE, CacheUnavailableError
from serving.cache.redis import RedisCache
from serving.http.settings import Settings
from tests.serving.processes import free_port, wait_until
from tests.serving.redis_server import ClusterOfRedis, WatchedRedis
from tests.serving.service import FakeClock, Service
from tests.serving.test_redis_faults import slowed

pytestmark = pytest.mark.redis

TARGET = "/v1/customers/c1/recommendations"
TIMEOUT = 0.4
SLACK = 0.4
"""Seconds that a busy machine may add to a call."""

Check = Callable[[RedisCache], Awaitable[None]]


@pytest.fixture
def truth(service: Service) -> list[object]:
    """The right items, from a service without Redis."""
    items: list[object] = service.get(TARGET).json()["items"]
    return items


@contextmanager
def with_redis(home: Path, clock: FakeClock, url: str) -> Iterator[Service]:
    """A service that caches there."""
    with Service(Settings(home=home, redis_url=url, redis_timeout_ms=int(TIMEOUT * 1000)), clock) as running:
        yield running


def using(url: str, check: Check, timeout: float = TIMEOUT) -> None:
    """Runs a check with a cache of its own, whose breakers are open for no more than a moment of real time."""

    async def session() -> None:
        cache = RedisCache(url, timeout, 30, time.monotonic)
        try:
            await check(cache)
        finally:
            await cache.close()

    asyncio.run(session())


async def outcome(call: Awaitable[object]) -> object:
    """What the call returned, or the cause of its failure; it ends in time."""
    start = time.monotonic()
    try:
        result = await call
    except CacheUnavailableError as error:
        result = error.cause
    assert time.monotonic() - start < TIMEOUT + SLACK
    return result


async def until(wanted: object, call: Callable[[], Awaitable[object]]) -> None:
    """Calls until the wanted outcome."""
    deadline = time.monotonic() + 20
    while (found := await outcome(call())) != wanted:
        assert time.monotonic() < deadline, f"still {found!r}"
        await asyncio.sleep(0.05)


def ask_until_hit(service: Service, clock: FakeClock, truth: list[object]) -> set[str]:
    """Asks until the cache serves again; every answer is right. Returns what the cache did meanwhile."""
    seen = set()

    def is_hit() -> bool:
        clock.forward(1)
        reply = service.get(TARGET)
        assert reply.json()["items"] == truth
        status = reply.served_from["cache"]["status"]
        seen.add(status)
        service.runner.run(service.state.answerer.close())
        return status == "hit"

    wait_until(is_hit, what="the cache serving again")
    return seen


def test_the_primary_is_killed_and_the_replica_takes_its_place(
    home: Path, clock: FakeClock, own_watched_redis: WatchedRedis, truth: list[object]
) -> None:
    """Answers go on; the cache comes back without a restart; log and metrics tell."""
    with with_redis(home, clock, own_watched_redis.url) as service, structlog.testing.capture_logs() as logs:
        ask_until_hit(service, clock, truth)
        own_watched_redis.primary.kill()
        assert "unavailable" in ask_until_hit(service, clock, truth)
        wait_until(lambda: ask_until_hit(service, clock, truth) == {"hit"}, what="only hits")
        told = [entry["event"] for entry in logs if "cache" in entry["event"]]
        moved = "the cache's primary is another one"
        assert sorted(told) == sorted(["the cache does not serve", moved, "the cache serves again"])
        assert 'bookmatch_cache_failures_total{cause="un' in service.get("/metrics").body.decode()
    assert own_watched_redis.replica.info("replication")["role"] == "master"


def test_sentinels_that_are_gone_paused_or_strange_do_not_hide_the_one_that_knows(
    own_watched_redis: WatchedRedis,
) -> None:
    """A dead address, a server that is no sentinel and one that knows: the cache works at once."""
    ports = (free_port(), own_watched_redis.replica.port, own_watched_redis.sentinel.port)
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)

    async def check(cache: RedisCache) -> None:
        await cache.put("a", b"x")
        assert await cache.get("a") == b"x"

    using(f"redis+sentinel://{hosts}/{WatchedRedis.SERVICE}", check)


def test_a_primary_that_was_found_serves_without_the_sentinel(own_watched_redis: WatchedRedis) -> None:
    """Sentinels are asked when a server fails, not with every connection."""

    async def check(cache: RedisCache) -> None:
        await cache.put("a", b"x")
        own_watched_redis.sentinel.pause()
        assert await asyncio.gather(*(cache.get("a") for _ in range(100))) == [b"x"] * 100

    using(own_watched_redis.url, check)


def test_a_sentinel_that_is_paused_or_knows_no_such_primary(own_watched_redis: WatchedRedis) -> None:
    """Calls end in time and say why; when it answers again, the cache works."""

    async def nobody(cache: RedisCache) -> None:
        assert await outcome(cache.get("a")) == UNREACHABLE

    using(own_watched_redis.url.replace(WatchedRedis.SERVICE, "nobody"), nobody)

    async def paused(cache: RedisCache) -> None:
        own_watched_redis.sentinel.pause()
        assert [await outcome(cache.get("a")) for _ in range(4)] == [TIMED_OUT, TIMED_OUT, TIMED_OUT, PAUSED]
        own_watched_redis.sentinel.resume()
        await until(None, lambda: cache.get("a"))

    using(own_watched_redis.url, paused)


def test_a_search_that_takes_longer_than_a_call_is_not_begun_anew_by_each(watched_redis: WatchedRedis) -> None:
    """A sentinel slower than the timeout: the first call gives up, and what it began serves the second."""

    async def check(cache: RedisCache) -> None:
        async def second() -> object:
            await asyncio.sleep(0.8 * TIMEOUT)
            return await outcome(cache.get("a"))

        assert await asyncio.gather(outcome(cache.put("a", b"x")), second()) == [TIMED_OUT, None]

    with slowed(watched_redis.sentinel, 1.3 * TIMEOUT) as url:
        using(url.replace("redis:", "redis+sentinel:").replace("/0", f"/{WatchedRedis.SERVICE}"), check)


def test_a_primary_that_was_demoted_is_left_for_the_new_one(own_watched_redis: WatchedRedis) -> None:
    """It still answers, but takes no more writes: the next look finds the one that does."""

    async def check(cache: RedisCache) -> None:
        await cache.put("a", b"x")
        own_watched_redis.swap()
        await until(None, lambda: cache.put("a", b"y"))
        assert await cache.get("a") == b"y"
        assert cache.trouble is None

    using(own_watched_redis.url, check)


def keys_by_node(cluster: ClusterOfRedis) -> list[str]:
    """A key of each primary."""
    keys: dict[int, str] = {}
    for number in range(200):
        slot = int(cluster.nodes[0].say("CLUSTER", "KEYSLOT", f"k{number}"))
        place = next(place for place, (start, end) in enumerate(cluster.SLOTS) if start <= slot <= end)
        keys.setdefault(place, f"k{number}")
    return [keys[place] for place in range(len(cluster.SLOTS))]


async def fill(cache: RedisCache, keys: list[str]) -> None:
    """Each key holds its own name."""
    for key in keys:
        await cache.put(key, key.encode())


def test_the_other_servers_of_a_cluster_go_on_when_one_is_killed(own_cluster: ClusterOfRedis) -> None:
    """Its own keys fail at once and are left alone; all others are served; then its replica serves its keys."""
    keys = keys_by_node(own_cluster)

    async def check(cache: RedisCache) -> None:
        await fill(cache, keys)
        own_cluster.nodes[0].kill()
        for _ in range(5):
            assert await outcome(cache.get(keys[0])) in (UNREACHABLE, PAUSED)
        for _ in range(5):
            assert [await cache.get(key) for key in keys[1:]] == [key.encode() for key in keys[1:]]
        await until(b"new", lambda: renewed(cache, keys[0]))
        assert cache.trouble is None

    using(own_cluster.url, check)


async def renewed(cache: RedisCache, key: str) -> bytes | None:
    """What is there after putting something new."""
    await cache.put(key, b"new")
    return await cache.get(key)


def test_a_server_of_a_cluster_that_is_paused_costs_its_own_keys_alone(own_cluster: ClusterOfRedis) -> None:
    """A hundred questions at once: those of the others are answered, and its own wait for the timeout once."""
    keys = keys_by_node(own_cluster)

    async def check(cache: RedisCache) -> None:
        await fill(cache, keys)
        own_cluster.nodes[2].pause()
        found = await asyncio.gather(*(outcome(cache.get(key)) for key in keys * 34))
        assert [*found[:2], *found[3:5]] == [keys[0].encode(), keys[1].encode()] * 2
        assert set(found[2::3]) == {TIMED_OUT}
        assert set(found) == {keys[0].encode(), keys[1].encode(), TIMED_OUT}
        assert await outcome(cache.get(keys[2])) == PAUSED
        assert cache.trouble == PAUSED
        own_cluster.nodes[2].resume()
        await until(keys[2].encode(), lambda: cache.get(keys[2]))
        assert cache.trouble is None

    using(own_cluster.url, check)


def test_slots_of_a_cluster_that_move_are_followed(own_cluster: ClusterOfRedis) -> None:
    """While a slot moves and when it has moved: each call is redirected at most once, and succeeds."""
    keys = keys_by_node(own_cluster)
    source, target = own_cluster.nodes[1], own_cluster.nodes[2]
    slot = int(source.say("CLUSTER", "KEYSLOT", keys[1]))

    async def check(cache: RedisCache) -> None:
        await fill(cache, keys)
        target.say("CLUSTER", "SETSLOT", slot, "IMPORTING", source.node_id)
        source.say("CLUSTER", "SETSLOT", slot, "MIGRATING", target.node_id)
        assert await cache.get(keys[1]) == keys[1].encode()
        source.say("MIGRATE", "127.0.0.1", target.port, keys[1], 0, 1000)
        assert await asyncio.gather(*(cache.get(keys[1]) for _ in range(50))) == [keys[1].encode()] * 50
        await cache.put(keys[1], b"new")
        for node in (target, source):
            node.say("CLUSTER", "SETSLOT", slot, "NODE", target.node_id)
        assert await asyncio.gather(*(cache.get(keys[1]) for _ in range(50))) == [b"new"] * 50
        assert cache.trouble is None

    # It is about redirections: a busy machine may take its time.
    using(own_cluster.url, check, timeout=30)


def test_a_cluster_without_some_slots_keeps_the_rest(redis_cluster: ClusterOfRedis) -> None:
    """A key that no server keeps is a failure with its cause, and not one of the others'."""
    keys = keys_by_node(redis_cluster)
    slot = int(redis_cluster.nodes[0].say("CLUSTER", "KEYSLOT", keys[0]))
    for node in redis_cluster.nodes:
        node.say("CLUSTER", "DELSLOTS", slot)

    async def check(cache: RedisCache) -> None:
        assert await outcome(cache.get(keys[0])) == UNREACHABLE
        await fill(cache, keys[1:])
        assert await cache.get(keys[1]) == keys[1].encode()

    try:
        using(redis_cluster.url, check)
    finally:
        redis_cluster.nodes[0].say("CLUSTER", "ADDSLOTS", slot)


def test_a_cluster_that_is_down_from_the_start(home: Path, clock: FakeClock, truth: list[object]) -> None:
    """As with one server: the service starts, is ready, and says that the cache is unavailable."""
    with with_redis(home, clock, f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{free_port()}") as service:
        assert service.get("/health/ready").status == 200
        replies = [service.get(TARGET) for _ in range(5)]
        assert all(reply.json()["items"] == truth for reply in replies)
        troubles = [reply.served_from["cache"]["trouble"] for reply in replies]
        assert troubles == [UNREACHABLE] * 3 + [PAUSED] * 2


def test_the_cluster_serves_lists(
    home: Path, clock: FakeClock, redis_cluster: ClusterOfRedis, truth: list[object]
) -> None:
    """Another worker finds what the first one put there."""
    with with_redis(home, clock, redis_cluster.url) as one:
        ask_until_hit(one, clock, truth)
    with with_redis(home, clock, redis_cluster.url) as two:
        assert two.get(TARGET).served_from["cache"]["status"] == "hit"


def test_a_server_that_is_no_cluster_is_named_as_what_is_wrong(own_watched_redis: WatchedRedis) -> None:
    """Its address taken for a cluster's: a failure of the protocol."""

    async def check(cache: RedisCache) -> None:
        with pytest.raises(CacheUnavailableError, match="Cluster mode is not enabled") as raised:
            await cache.get("a")
        assert raised.value.cause == "protocol_error"

    using(f"redis+cluster://127.0.0.1:{own_watched_redis.primary.port}", check)
