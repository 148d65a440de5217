"""Whatever Redis does, every question is answered, soon, and the same; and what is wrong can be seen."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.cache.payload import Sealer
from serving.cache.protocol import CAUSES, CacheUnavailableError
from serving.cache.redis import RedisCache
from serving.http.settings import Settings
from tests.serving.processes import free_port
from tests.serving.redis_server import RedisServer
from tests.serving.service import FakeClock, Reply, Service

pytestmark = pytest.mark.redis

TARGET = "/v1/customers/c1/recommendations"
TIMEOUT_MS = 60
BREAKER_FAILURES = 3


@pytest.fixture
def truth(service: Service) -> list[object]:
    """The right items, from a service without Redis."""
    items: list[object] = service.get(TARGET).json()["items"]
    return items


@contextmanager
def with_redis(home: Path, clock: FakeClock, url: str) -> Iterator[Service]:
    """A service that caches in Redis."""
    with Service(Settings(home=home, redis_url=url, redis_timeout_ms=TIMEOUT_MS), clock) as running:
        yield running


def ask_again_and_again(service: Service, truth: list[object], times: int = 30) -> list[Reply]:
    """Every answer is right, and together they lose no more than the breaker allows."""
    start = time.monotonic()
    replies = []
    for _ in range(times):
        replies.append(service.get(TARGET))
        # A list on its way into the cache would be found: the next question must find what arrived.
        service.runner.run(service.state.answerer.close())
    seconds = time.monotonic() - start
    assert all(reply.status == 200 and reply.json()["items"] == truth for reply in replies)
    # A get and a put may each wait for the timeout until the breaker opens; computing takes its own time.
    allowed = 2 * BREAKER_FAILURES * TIMEOUT_MS / 1000 + times * 0.06
    assert seconds < allowed, f"{times} answers took {seconds:.2f} s"
    return replies


def statuses(replies: list[Reply]) -> list[str]:
    """What the cache did for each."""
    return [reply.served_from["cache"]["status"] for reply in replies]


def test_redis_serves_what_was_ranked_before(
    home: Path, clock: FakeClock, redis_server: RedisServer, truth: list[object]
) -> None:
    """Miss, then hits, also for another worker; the age is said."""
    with with_redis(home, clock, redis_server.url) as one:
        assert statuses(ask_again_and_again(one, truth, 3)) == ["miss", "hit", "hit"]
        clock.forward(5)
        with with_redis(home, clock, redis_server.url) as two:
            reply = two.get(TARGET)
            assert reply.served_from["cache"] == {"status": "hit", "age_s": 5.0, "trouble": None}
            assert reply.json()["items"] == truth


def test_redis_that_is_down_from_the_start(home: Path, clock: FakeClock, truth: list[object]) -> None:
    """The service starts, is ready, and says that the cache is unavailable."""
    with with_redis(home, clock, f"redis://127.0.0.1:{free_port()}/0") as service:
        assert service.get("/health/ready").status == 200
        replies = ask_again_and_again(service, truth)
        assert set(statuses(replies)) == {"unavailable"}
        assert replies[0].served_from["cache"]["trouble"] == "unreachable"
        assert replies[-1].served_from["cache"]["trouble"] == "paused"
        text = service.get("/metrics").body.decode()
        assert 'bookmatch_cache_failures_total{cause="unreachable",operation="get"} 3.0' in text
        assert 'bookmatch_cache_failures_total{cause="paused",operation="get"} 27.0' in text


def test_redis_that_is_killed_and_comes_back(
    home: Path, clock: FakeClock, own_redis: RedisServer, truth: list[object]
) -> None:
    """Unavailable while it is gone; used again after a pause, without a restart; told once in the log."""
    with with_redis(home, clock, own_redis.url) as service, structlog.testing.capture_logs() as logs:
        assert statuses(ask_again_and_again(service, truth, 2)) == ["miss", "hit"]
        own_redis.kill()
        assert set(statuses(ask_again_and_again(service, truth))) == {"unavailable"}
        own_redis.start()
        clock.forward(60)
        assert statuses(ask_again_and_again(service, truth, 3)) == ["miss", "hit", "hit"]
        told = [entry["event"] for entry in logs if "cache" in entry["event"]]
        assert told == ["the cache does not serve", "the cache serves again"]


def test_redis_that_is_paused(home: Path, clock: FakeClock, own_redis: RedisServer, truth: list[object]) -> None:
    """It takes connections and never answers: each try ends at the timeout, and few are made."""
    with with_redis(home, clock, own_redis.url) as service:
        ask_again_and_again(service, truth, 2)
        own_redis.pause()
        replies = ask_again_and_again(service, truth)
        assert set(statuses(replies)) == {"unavailable"}
        assert replies[0].served_from["cache"]["trouble"] == "timed_out"
        own_redis.resume()
        clock.forward(60)
        assert statuses(ask_again_and_again(service, truth, 3))[-1] == "hit"


def test_redis_that_is_full(home: Path, clock: FakeClock, redis_server: RedisServer, truth: list[object]) -> None:
    """It refuses to keep more: what it has is still read, and the trouble is named."""
    with with_redis(home, clock, redis_server.url) as service:
        service.get("/v1/customers/c2/recommendations")
        service.runner.run(asyncio.sleep(0.05))
        redis_server.configure("maxmemory-policy", "noeviction")
        redis_server.configure("maxmemory", "1")
        replies = ask_again_and_again(service, truth)
        assert set(statuses(replies)) == {"miss"}
        assert replies[-1].served_from["cache"]["trouble"] == "full"
        kept = service.get("/v1/customers/c2/recommendations")
        assert kept.served_from["cache"]["status"] == "hit"
        assert 'cause="full",operation="put"' in service.get("/metrics").body.decode()
        redis_server.configure("maxmemory", "0")
        assert ask_again_and_again(service, truth, 3)[-1].served_from["cache"]["trouble"] is None


def test_redis_that_holds_something_else_under_our_keys(
    home: Path, clock: FakeClock, redis_server: RedisServer, truth: list[object]
) -> None:
    """Rubbish, a list of another type, a payload of another key: ranked anew and counted as damaged."""
    with with_redis(home, clock, redis_server.url) as service:
        service.get("/v1/customers/c2/recommendations")
        service.runner.run(service.state.answerer.close())
        ask_again_and_again(service, truth, 2)
        with redis_server.client() as client:
            keys = client.keys("bookmatch:*")
            assert len(keys) == 2
            swapped = {keys[0]: client.get(keys[1]), keys[1]: client.get(keys[0])}
            for values in (dict.fromkeys(keys, b"\x80\x04rubbish"), swapped):
                for key, value in values.items():
                    client.set(key, value)
                assert service.get(TARGET).json()["items"] == truth
                service.runner.run(asyncio.sleep(0.05))
                assert service.get(TARGET).served_from["cache"]["status"] == "hit"
            for key in keys:
                client.delete(key)
                client.rpush(key, "a", "b")
            assert service.get(TARGET).json()["items"] == truth
        assert 'cause="damaged",operation="get"} 2.0' in service.get("/metrics").body.decode()


Answering = Callable[[socket.socket], None]


@contextmanager
def something_else(answer: Answering) -> Iterator[str]:
    """A server that is not Redis: `answer` deals with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            threading.Thread(target=_quietly, args=(answer, connection), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in held:
            connection.close()


def _quietly(answer: Answering, connection: socket.socket) -> None:
    with suppress(OSError):
        answer(connection)


def _says(text: bytes) -> Answering:
    def answer(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(text)

    return answer


def _hangs_up(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.close()


def _drips(connection: socket.socket) -> None:
    while connection.recv(65536):
        for byte in b"$100000\r\n" + b"x" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.01)


@pytest.mark.parametrize(
    "answer",
    [
        _says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        _says(bytes(range(256)) * 20),
        _says(b"+OK\r\n"),
        _says(b":1\r\n"),
        _says(b"*3\r\n$1\r\na\r\n"),
        _says(b"$-5\r\n"),
        _says(b"$99999999999999\r\nx"),
        _says(b"$3\r\nabc\r\n$3\r\nabc\r\n"),
        _says(b"-LOADING Redis is loading\r\n"),
        _says(b"-NOAUTH Authentication required.\r\n"),
        _says(b"%1\r\n+a\r\n+b\r\n"),
        _hangs_up,
        _drips,
    ],
    ids=[
        "http",
        "bytes",
        "ok",
        "number",
        "half-list",
        "minus",
        "huge",
        "twice",
        "loading",
        "auth",
        "map",
        "eof",
        "slow",
    ],
)
def test_a_server_that_is_not_redis(home: Path, clock: FakeClock, truth: list[object], answer: Answering) -> None:
    """Whatever it says, every answer is right and in time, and no list is taken from it."""
    with something_else(answer) as url, with_redis(home, clock, url) as service:
        replies = ask_again_and_again(service, truth)
        assert "hit" not in statuses(replies)
        assert replies[-1].served_from["cache"]["trouble"] in (*CAUSES, None)
        counted = service.get("/metrics").body.decode()
        assert "bookmatch_cache_failures_total{" in counted


def test_many_questions_at_once_while_redis_is_paused(
    home: Path, clock: FakeClock, own_redis: RedisServer, truth: list[object]
) -> None:
    """Two hundred together wait for the timeout once, not one after the other."""
    with with_redis(home, clock, own_redis.url) as service:
        own_redis.pause()

        async def together() -> list[Reply]:
            return await asyncio.gather(*(service.asking("GET", TARGET) for _ in range(200)))

        start = time.monotonic()
        replies = service.runner.run(together())
        assert all(reply.json()["items"] == truth for reply in replies)
        assert time.monotonic() - start < 2 * TIMEOUT_MS / 1000 + 200 * 0.02


REPLY = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda head, body: head + body + b"\r\n",
        st.sampled_from(
            [b"+", b"-", b"-MOVED ", b"-ASK 1 ", b"-CLUSTERDOWN ", b":", b"$", b"*", b"*1\r\n$", b"%", b"_"]
        ),
        st.one_of(st.binary(max_size=20), st.integers(-5, 2**70).map(lambda number: b"%d" % number)),
    ),
)


@settings(max_examples=40, deadline=None)
@given(
    form=st.sampled_from(["redis://{}", "redis+sentinel://{}/lists", "redis+cluster://{}"]),
    said=st.lists(REPLY, min_size=1, max_size=4),
)
def test_whatever_a_server_says_a_call_ends_in_time_without_a_list(form: str, said: list[bytes]) -> None:
    """Any bytes from what should be a server, a sentinel or a node: nothing, a cause of failure, or no payload."""

    async def ask(url: str) -> None:
        cache = RedisCache(url, TIMEOUT_MS / 1000, 30, time.monotonic)
        try:
            for call in (cache.get, lambda key: cache.put(key, b"x"), cache.get):
                start = time.monotonic()
                found, cause = None, None
                try:
                    found = await call("key")
                except CacheUnavailableError as error:
                    cause = error.cause
                assert cause is None or cause in CAUSES
                assert found is None or Sealer(b"s" * 32).unseal("key", found) is None
                assert time.monotonic() - start < TIMEOUT_MS / 1000 + 0.5
        finally:
            await cache.close()

    def answer(connection: socket.socket) -> None:
        for text in said:
            if not connection.recv(65536):
                return
            connection.sendall(text)

    with something_else(answer) as url:
        asyncio.run(ask(form.format(url.removeprefix("redis://").removesuffix("/0"))))


@contextmanager
def slowed(server: RedisServer, seconds: float) -> Iterator[str]:
    """The server behind a line on which every answer takes so long."""

    def answer(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            while question := connection.recv(65536):
                line.sendall(question)
                reply = line.recv(1 << 20)
                time.sleep(seconds)
                connection.sendall(reply)

    with something_else(answer) as url:
        yield url


def test_redis_that_is_slow(home: Path, clock: FakeClock, redis_server: RedisServer, truth: list[object]) -> None:
    """Slower than the timeout: left alone, and answers cost what computing costs. Within it: used."""
    with slowed(redis_server, 2 * TIMEOUT_MS / 1000) as url, with_redis(home, clock, url) as service:
        replies = ask_again_and_again(service, truth)
        assert set(statuses(replies)) == {"unavailable"}
        assert [reply.served_from["cache"]["trouble"] for reply in replies] == ["timed_out"] * 3 + ["paused"] * 27
        assert 'cause="timed_out",operation="get"} 3.0' in service.get("/metrics").body.decode()
    redis_server.clear()
    with slowed(redis_server, TIMEOUT_MS / 6000) as url, with_redis(home, clock, url) as service:
        assert statuses(ask_again_and_again(service, truth, 3)) == ["miss", "hit", "hit"]


def test_trouble_is_told_once_while_it_comes_and_goes(
    home: Path, clock: FakeClock, own_redis: RedisServer, truth: list[object]
) -> None:
    """Calls that fail now and then fill no log: the end is told after a second without a failure."""
    with with_redis(home, clock, own_redis.url) as service, structlog.testing.capture_logs() as logs:
        for _ in range(5):
            own_redis.pause()
            service.get(TARGET)
            own_redis.resume()
            clock.forward(0.1)
            service.get(TARGET)
        assert [entry["event"] for entry in logs if "cache" in entry["event"]] == ["the cache does not serve"]
        clock.forward(1)
        service.get(TARGET)
        told = [entry["event"] for entry in logs if "cache" in entry["event"]]
        assert told == ["the cache does not serve", "the cache serves again"]
