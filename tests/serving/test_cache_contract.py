"""What every cache does; and the parts that the caches are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.cache.breaker import CircuitBreaker
from serving.cache.memory import ENTRY_OVERHEAD, MemoryCache
from serving.cache.payload import Question, RankedList, Sealer
from serving.cache.protocol import Cache
from serving.cache.redis import RedisCache
from tests.serving.redis_server import ClusterOfRedis, RedisServer, WatchedRedis
from tests.serving.service import FakeClock

Check = Callable[[Cache], Coroutine[None, None, None]]
TTL = 30


class InMemory:
    """The memory cache with the manners of one that is far."""

    trouble: str | None = None

    def __init__(self) -> None:
        self._cache: MemoryCache[str, bytes] = MemoryCache(1_000_000, TTL, FakeClock().clocks().monotonic)

    async def get(self, key: str) -> bytes | None:
        """See `Cache`."""
        return self._cache.get(key)

    async def put(self, key: str, value: bytes) -> None:
        """See `Cache`."""
        self._cache.put(key, value, len(value))

    async def forget(self, prefix: str) -> int:
        """See `Cache`."""
        mine = [key for key in self._cache._entries if key.startswith(prefix)]
        for key in mine:
            self._cache._forget(key)
        return len(mine)

    async def close(self) -> None:
        """See `Cache`."""
        self._cache.clear()


FAR = ("redis_server", "watched_redis", "redis_cluster")


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.redis) for name in FAR)])
def checked(request: pytest.FixtureRequest) -> Callable[[Check], None]:
    """Runs a check against each implementation."""

    def make() -> Cache:
        if request.param == "memory":
            return InMemory()
        server: RedisServer | WatchedRedis | ClusterOfRedis = request.getfixturevalue(request.param)
        return RedisCache(server.url, 1.0, TTL, FakeClock().clocks().monotonic)

    def run(check: Check) -> None:
        async def session() -> None:
            cache = make()
            await check(cache)
            assert cache.trouble is None
            await cache.close()

        asyncio.run(session())

    return run


def test_what_was_put_is_got(checked: Callable[[Check], None]) -> None:
    """Byte for byte, under its own key alone."""

    async def check(cache: Cache) -> None:
        await cache.put("a", b"\x00\xff\r\n")
        await cache.put("b", b"")
        assert await cache.get("a") == b"\x00\xff\r\n"
        assert await cache.get("b") == b""
        assert await cache.get("c") is None

    checked(check)


def test_the_last_value_put_counts(checked: Callable[[Check], None]) -> None:
    """Putting again replaces."""

    async def check(cache: Cache) -> None:
        await cache.put("a", b"old")
        await cache.put("a", b"new")
        assert await cache.get("a") == b"new"

    checked(check)


def test_all_that_begins_alike_is_forgotten_and_nothing_else(checked: Callable[[Check], None]) -> None:
    """However much there is; the count says so, and twice forgotten is forgotten."""

    async def check(cache: Cache) -> None:
        mine, others = "bookmatch:{ab}:", ("bookmatch:{abc}:", "bookmatch:{ac}:", "bookmatch:{ab}")
        keys = [f"{mine}{number}" for number in range(60)]
        kept = [f"{other}{number}" for other in others for number in range(20)]
        await asyncio.gather(*(cache.put(key, b"x") for key in (*keys, *kept)))
        assert await cache.forget(mine) == 60
        assert {await cache.get(key) for key in keys} == {None}
        assert {await cache.get(key) for key in kept} == {b"x"}
        assert await cache.forget(mine) == 0

    checked(check)


def test_many_may_ask_at_once(checked: Callable[[Check], None]) -> None:
    """Two hundred callers each get their own value."""

    async def check(cache: Cache) -> None:
        await asyncio.gather(*(cache.put(f"k{number}", b"%d" % number) for number in range(200)))
        values = await asyncio.gather(*(cache.get(f"k{number}") for number in range(200)))
        assert values == [b"%d" % number for number in range(200)]

    checked(check)


def test_a_caller_that_goes_away_does_not_spoil_anothers_answer(checked: Callable[[Check], None]) -> None:
    """Cancelled calls leave no answer behind that the next caller would take for its own."""

    async def check(cache: Cache) -> None:
        for number in range(20):
            await cache.put(f"k{number}", b"%d" % number)
        for number in range(20):
            call = asyncio.create_task(_get(cache, f"k{number}"))
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            other = (number + 1) % 20
            assert await cache.get(f"k{other}") == b"%d" % other

    checked(check)


async def _get(cache: Cache, key: str) -> bytes | None:
    return await cache.get(key)


def test_memory_forgets_after_its_time() -> None:
    """At the time to live, not before."""
    clock = FakeClock()
    cache: MemoryCache[str, bytes] = MemoryCache(10_000, TTL, clock.clocks().monotonic)
    cache.put("a", b"x", 1)
    clock.forward(TTL - 0.001)
    assert cache.get("a") == b"x"
    clock.forward(0.001)
    assert cache.get("a") is None
    assert (len(cache), cache.bytes_used) == (0, 0)


@pytest.mark.redis
def test_redis_is_told_the_time_to_live(redis_server: RedisServer) -> None:
    """The key ends by itself."""

    async def check() -> None:
        cache = RedisCache(redis_server.url, 1.0, TTL, FakeClock().clocks().monotonic)
        await cache.put("a", b"x")
        await cache.close()

    asyncio.run(check())
    with redis_server.client() as client:
        assert 0 < client.pttl("a") <= TTL * 1000


@given(puts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 700)), max_size=40))
def test_memory_never_holds_more_than_it_may(puts: list[tuple[int, int]]) -> None:
    """Whatever is put, values and overhead stay within the bound, and the last value that fits is there."""
    bound = 4 * (250 + ENTRY_OVERHEAD)
    cache: MemoryCache[int, bytes] = MemoryCache(bound, TTL, FakeClock().clocks().monotonic)
    for key, size in puts:
        cache.put(key, b"x" * size, size)
        assert cache.bytes_used <= bound
        assert cache.get(key) == (b"x" * size if size + ENTRY_OVERHEAD <= bound else None)


def test_memory_lets_go_of_what_was_used_longest_ago() -> None:
    """With room for two, a third takes the place of the one not asked for."""
    cache: MemoryCache[str, bytes] = MemoryCache(2 * (1 + ENTRY_OVERHEAD), TTL, FakeClock().clocks().monotonic)
    cache.put("a", b"1", 1)
    cache.put("b", b"2", 1)
    cache.get("a")
    cache.put("c", b"3", 1)
    assert [cache.get(key) for key in "abc"] == [b"1", None, b"3"]


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    """Three failures, then one caller per pause; the pause doubles up to its bound; a success closes it."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock.clocks().monotonic, threshold=3, first_pause=1, longest_pause=4)
    breaker.failed()
    breaker.failed()
    breaker.succeeded()
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    assert breaker.is_open
    for pause in (1, 2, 4, 4):
        clock.forward(pause - 0.01)
        assert not breaker.allows()
        clock.forward(0.01)
        assert [breaker.allows() for _ in range(5)] == [True, False, False, False, False]
        breaker.failed()
    clock.forward(4)
    assert breaker.allows()
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.allows()


def test_failures_of_callers_that_were_under_way_do_not_lengthen_the_pause() -> None:
    """A hundred requests that time out together open the breaker once."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock.clocks().monotonic, threshold=3, first_pause=1, longest_pause=60)
    for _ in range(100):
        breaker.failed()
    clock.forward(1)
    assert breaker.allows()


QUESTION = Question((1, 2), "b", ("customer", "c"), 7, 0, "default", 1, 500, 30)


def ranked_list(*parts: str) -> RankedList:
    """A list of these items."""
    ends = np.cumsum([len(part.encode()) + 1 for part in parts], dtype=np.int32) - np.int32(1)
    positions = np.arange(len(parts), dtype=np.int32) * 7
    text = ",".join(parts).encode()
    return RankedList(text, ends, positions, ["als"], None, {"seen": 3}, None, 1_700_000_000_000, 5)


def said(ranked: RankedList) -> tuple[object, ...]:
    """All that a list says, comparable."""
    values = tuple(ranked)
    return tuple(value.tolist() if isinstance(value, np.ndarray) else value for value in values)


RANKED = ranked_list('{"item_id":"x","score":0.3}', '{"item_id":"ü"}', '{"item_id":"z"}')


@pytest.mark.parametrize("ranked", [RANKED, ranked_list()])
def test_a_payload_gives_back_the_list_to_the_last_bit(ranked: RankedList) -> None:
    """Scores and all."""
    sealer = Sealer(b"s" * 32)
    key = sealer.key(QUESTION)
    found = sealer.unseal(key, sealer.seal(key, ranked))
    assert found is not None
    assert said(found) == said(ranked)


def test_a_list_without_some_of_its_items_is_the_list_of_the_others() -> None:
    """Their JSON, where it ends, and where they are; the first few of a list are their JSON alone."""
    parts = ('{"item_id":"x","score":0.3}', '{"item_id":"ü"}', '{"item_id":"z"}')
    shorter = RANKED.only(np.array([0, 2]))
    assert (shorter.items, shorter.ends.tolist()) == (f"{parts[0]},{parts[2]}".encode(), [27, 43])
    assert shorter.positions.tolist() == [0, 14]
    assert [RANKED.first(count) for count in (1, 2, 9)] == [",".join(parts[:count]).encode() for count in (1, 2, 3)]
    assert RANKED.only(np.array([], dtype=np.int64)).first(5) == b""


def test_every_part_of_a_question_is_part_of_the_key() -> None:
    """Change one, and it is another list."""
    sealer = Sealer(b"s" * 32)
    others = [
        Question((1, 3), "b", ("customer", "c"), 7, 0, "default", 1, 500, 30),
        Question((1, 2), "B", ("customer", "c"), 7, 0, "default", 1, 500, 30),
        Question((1, 2), "b", ("item", "c"), 7, 0, "default", 1, 500, 30),
        Question((1, 2), "b", ("customer", "d"), 7, 0, "default", 1, 500, 30),
        Question((1, 2), "b", ("customer", "c"), 8, 0, "default", 1, 500, 30),
        Question((1, 2), "b", ("customer", "c"), 7, 1, "default", 1, 500, 30),
        Question((1, 2), "b", ("customer", "c"), 7, 0, "cart", 1, 500, 30),
        Question((1, 2), "b", ("customer", "c"), 7, 0, "default", 2, 500, 30),
        Question((1, 2), "b", ("customer", "c"), 7, 0, "default", 1, 400, 30),
        Question((1, 2), "b", ("customer", "c"), 7, 0, "default", 1, 500, 75),
        Question((1, 2), "b", ("customer", "c"), 7, 0, "default", 1, 500, 30, "other rules"),
    ]
    keys = {sealer.key(question) for question in (QUESTION, *others)}
    assert len(keys) == 1 + len(others)
    assert Sealer(b"t" * 32).key(QUESTION) not in keys
    # A cluster keeps all keys with the same text in braces on one server.
    assert len({key[: key.index("}")].partition("{")[2] for key in keys}) == 3
    assert not any(part == "c" for key in keys for part in key.split(":"))


@given(data=st.data())
def test_bytes_that_were_changed_are_not_taken_for_a_list(data: st.DataObject) -> None:
    """One byte changed, cut off, added, put under another key or sealed by another shop: nothing."""
    sealer = Sealer(b"s" * 32)
    key = sealer.key(QUESTION)
    payload = sealer.seal(key, RANKED)
    place = data.draw(st.integers(0, len(payload) - 1))
    change = data.draw(st.integers(1, 255))
    changed = payload[:place] + bytes([payload[place] ^ change]) + payload[place + 1 :]
    for damaged in (changed, payload[:place], payload + b"x", data.draw(st.binary(max_size=80))):
        assert sealer.unseal(key, damaged) is None
    assert sealer.unseal(f"{key}x", payload) is None
    assert Sealer(b"t" * 32).unseal(key, payload) is None
