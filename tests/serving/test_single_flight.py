"""What many want at the same time is made once, whatever becomes of the one that makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.cache.single_flight import SingleFlight
from serving.http.engine import Engine
from serving.http.settings import Settings
from tests.serving.redis_server import RedisServer
from tests.serving.service import FakeClock, Reply, Service

TARGETS = [f"/v1/customers/c{number}/recommendations" for number in range(1, 4)]


class Making:
    """Makes numbers, slowly, and counts how often."""

    def __init__(self, steps: int, error: Exception | None = None) -> None:
        self._steps = steps
        self._error = error
        self.begun = 0
        self.ended = 0

    async def make(self) -> int:
        """The number of this making."""
        self.begun += 1
        mine = self.begun
        for _ in range(self._steps):
            await asyncio.sleep(0)
        self.ended += 1
        if self._error is not None:
            raise self._error
        return mine


def test_all_who_ask_at_the_same_time_share_one_making() -> None:
    """One of them made it; later callers make it anew; nothing stays behind."""

    async def check() -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        making = Making(5)
        found = await asyncio.gather(*(flights.share("a", making.make) for _ in range(50)))
        assert sorted(found) == [(1, False)] * 49 + [(1, True)]
        assert await flights.share("a", making.make) == (2, True)
        assert len(flights) == 0

    asyncio.run(check())


def test_keys_do_not_wait_for_each_other() -> None:
    """Each key's own value."""

    async def check() -> None:
        flights: SingleFlight[int, int] = SingleFlight()
        makings = [Making(3) for _ in range(4)]
        calls = [flights.share(key, making.make) for key, making in enumerate(makings) for _ in range(5)]
        await asyncio.gather(*calls)
        assert [making.begun for making in makings] == [1] * 4

    asyncio.run(check())


def test_what_making_raises_reaches_all_who_wait() -> None:
    """And the next caller tries again."""

    async def check() -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        making = Making(3, ValueError("no"))
        calls = (flights.share("a", making.make) for _ in range(10))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [str(error) for error in found] == ["no"] * 10
        assert making.begun == 1
        assert await flights.share("a", Making(1).make) == (1, True)
        assert len(flights) == 0

    asyncio.run(check())


@settings(max_examples=200, deadline=None)
@given(
    starts=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    cancels=st.dictionaries(st.integers(0, 11), st.integers(0, 15)),
    steps=st.integers(0, 6),
)
def test_callers_may_come_and_go_at_any_time(starts: list[int], cancels: dict[int, int], steps: int) -> None:
    """Who was not cancelled gets a value that somebody finished; two makings never run at the same time."""

    async def check() -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        making = Making(steps)
        running = most = 0

        async def watched() -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                return await making.make()
            finally:
                running -= 1

        tasks: dict[int, asyncio.Task[tuple[int, bool]]] = {}
        for moment in range(40):
            for number, start in enumerate(starts):
                if start == moment:
                    tasks[number] = asyncio.create_task(flights.share("a", watched))
                if number in tasks and cancels.get(number) == moment:
                    tasks[number].cancel()
            await asyncio.sleep(0)
        found = await asyncio.wait_for(asyncio.gather(*tasks.values(), return_exceptions=True), 5)
        for number, result in zip(tasks, found, strict=True):
            if isinstance(result, BaseException):
                assert isinstance(result, asyncio.CancelledError)
                assert number in cancels
            else:
                assert 1 <= result[0] <= making.begun
        assert most <= 1
        assert sum(result[1] for result in found if isinstance(result, tuple)) <= making.ended
        assert len(flights) == 0

    asyncio.run(check())


class Ranked:
    """Counts the lists that engines rank."""

    def __init__(self) -> None:
        self.times = 0


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch) -> Ranked:
    """Lists ranked for customers, all services together."""
    counted = Ranked()
    rank = Engine.for_customer

    def counting(self: Engine, *arguments: object) -> object:
        counted.times += 1
        return rank(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "for_customer", counting)
    return counted


@pytest.fixture
def cached(home: Path, redis_server: RedisServer) -> Iterator[Service]:
    """A service over an empty Redis."""
    # The timeout is out of reach of a busy machine: a get that fails is no miss.
    with Service(Settings(home=home, redis_url=redis_server.url, redis_timeout_ms=5000), FakeClock()) as running:
        yield running


@pytest.mark.redis
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(delays=st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 0, 0.001, 0.003])), min_size=2, max_size=40))
def test_a_list_is_ranked_once_however_many_want_it(
    cached: Service, redis_server: RedisServer, ranked: Ranked, delays: list[tuple[int, float]]
) -> None:
    """Requests at the same time or while the list is on its way into Redis: as many rankings as customers."""
    redis_server.clear()
    before = ranked.times

    async def late(place: int, delay: float) -> Reply:
        await asyncio.sleep(delay)
        return await cached.asking("GET", TARGETS[place])

    async def together() -> list[Reply]:
        replies = await asyncio.gather(*(late(place, delay) for place, delay in delays))
        await cached.state.answerer.close()
        return replies

    replies = cached.runner.run(together())
    assert ranked.times - before == len({place for place, _ in delays})
    by_place: dict[int, list[Reply]] = {}
    for (place, _), reply in zip(delays, replies, strict=True):
        assert reply.status == 200
        by_place.setdefault(place, []).append(reply)
    for same in by_place.values():
        assert len({str(reply.json()["items"]) for reply in same}) == 1
        found = sorted(reply.served_from["cache"]["status"] for reply in same)
        assert found == ["hit"] * (len(same) - 1) + ["miss"]


@pytest.mark.redis
def test_a_request_that_goes_away_leaves_the_others_their_list(cached: Service, ranked: Ranked) -> None:
    """The one that asked Redis is cancelled while it waits: the next one does it, once."""
    before = ranked.times

    async def together() -> list[Reply | BaseException]:
        tasks = [asyncio.create_task(cached.asking("GET", TARGETS[0])) for _ in range(10)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = cached.runner.run(together())
    # Requests are cancelled only where the service stops, and are told so.
    assert isinstance(first, Reply)
    assert first.status == 503
    assert [reply.status for reply in others if isinstance(reply, Reply)] == [200] * 9
    assert ranked.times - before == 1


@pytest.mark.redis
def test_an_item_that_is_unknown_is_unknown_to_all_who_ask(cached: Service) -> None:
    """The same problem for each of them, every time."""

    async def together() -> list[Reply]:
        return await asyncio.gather(*(cached.asking("GET", "/v1/items/nothing/related") for _ in range(10)))

    for _ in range(2):
        assert [reply.status for reply in cached.runner.run(together())] == [404] * 10
