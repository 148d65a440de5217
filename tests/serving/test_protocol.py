"""Answers on a real connection: written in one go or as the library does, they are the same."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from serving.http.metrics import Metrics
from serving.http.protocol import WHOLE, ProblemProtocol
from serving.http.request_layer import RequestLayer
from serving.process.server import GracefulServer
from serving.process.urgency import of_people

SILENT_SECONDS = 0.3
PLAIN = (b"content-type", b"text/plain")
LARGE = 16 * 1024 * 1024


async def answers(scope: Scope, _receive: Receive, send: Send) -> None:
    """One answer of each kind, by its path."""
    path = scope["path"]

    async def start(status: int, *headers: tuple[bytes, bytes]) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def body(content: bytes, *, more: bool = False) -> None:
        await send({"type": "http.response.body", "body": content, "more_body": more})

    if path == "/whole":
        await start(200, (b"content-length", b"5"), PLAIN)
        await body(b"hello")
    elif path == "/refused":
        await start(422, (b"content-length", b"2"), PLAIN)
        await body(b"no")
    elif path == "/empty":
        await start(204)
        await body(b"")
    elif path == "/without-length":
        await start(200, PLAIN)
        await body(b"hello")
    elif path == "/in-pieces":
        await start(200, (b"content-length", b"10"), PLAIN)
        await body(b"hello", more=True)
        await body(b"there")
    elif path == "/closing":
        await start(200, (b"content-length", b"5"), (b"connection", b"close"))
        await body(b"hello")
    elif path == "/large":
        await start(200, (b"content-length", b"%d" % LARGE))
        await body(b"x" * LARGE)
    elif path == "/two-lines":
        await start(200, (b"content-length", b"5"), (b"x-more", b"one\r\nx-smuggled: two"))
        await body(b"hello")
    elif path == "/too-short":
        await start(200, (b"content-length", b"9"))
        await body(b"hello")
    else:
        await start(200, (b"content-length", b"5"))
        raise RuntimeError("before anything of the body")


class Usual(ProblemProtocol):
    """Without writing in one go: the library's own way, which is the oracle."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        async def without(scope: Scope, receive: Receive, send: Send) -> None:
            scope.pop(WHOLE, None)
            await app(scope, receive, send)

        super()._start_asgi_task(cycle, without)  # type: ignore[arg-type]


@contextmanager
def listening(protocol: type[ProblemProtocol], around: Callable[[ASGIApp], ASGIApp] = lambda app: app) -> Iterator[int]:
    """A server of this process with the outermost layer of the service, and what is around it; its port."""
    app = around(RequestLayer(answers, Metrics(), time.monotonic))
    config = Config(
        app, http=protocol, lifespan="off", log_config=None, access_log=False, server_header=False, date_header=False,
        timeout_keep_alive=SILENT_SECONDS,  # type: ignore[arg-type]
    )  # fmt: skip
    listener = socket.create_server(("127.0.0.1", 0))
    server = GracefulServer(config, 0.0, of_people)
    # Signals are the main thread's.
    server.capture_signals = _nothing  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server._close_at = 0.0
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@pytest.fixture(scope="module")
def whole() -> Iterator[int]:
    """The port of a server that writes in one go."""
    with listening(ProblemProtocol) as port:
        yield port


@pytest.fixture(scope="module")
def usual() -> Iterator[int]:
    """The port of one that does not."""
    with listening(Usual) as port:
        yield port


def request(path: str, method: str = "GET", version: str = "1.1", *headers: str) -> bytes:
    """A request with an id of its own, so that answers can be compared."""
    lines = [f"{method} {path} HTTP/{version}", "host: shop", "x-request-id: mine", *headers]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def received(port: int, *sent: bytes, pause: float = 0.0) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for each in sent:
            connection.sendall(each)
            time.sleep(pause)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("path", ["whole", "refused", "empty", "without-length", "in-pieces", "closing", "too-short"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("how", [("1.1",), ("1.1", "connection: close"), ("1.0",), ("1.0", "connection: keep-alive")])
def test_an_answer_is_the_same_byte_for_byte(
    whole: int, usual: int, path: str, method: str, how: tuple[str, ...]
) -> None:
    """Whichever way it is written: status, headers, body, and whether the connection ends."""
    asked = request(f"/{path}", method, *how)
    assert received(whole, asked) == received(usual, asked) != b""


def test_requests_that_come_at_once_are_answered_in_their_order(whole: int, usual: int) -> None:
    """Three requests in one piece, and one after an answer."""
    asked = request("/whole") + request("/refused") + request("/in-pieces")
    answer = received(whole, asked, request("/whole", "HEAD"), pause=0.1)
    assert answer == received(usual, asked, request("/whole", "HEAD"), pause=0.1)
    assert answer.count(b"HTTP/1.1 ") == 4


@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_a_client_that_reads_slowly_gets_everything(whole: int, pause: float) -> None:
    """More than the socket takes at once; and a second answer behind it."""
    with socket.create_connection(("127.0.0.1", whole), timeout=10) as connection:
        connection.sendall(request("/large") + request("/whole"))
        time.sleep(pause)
        size = 0
        while part := connection.recv(1 << 20):
            size += len(part)
            last = part
    assert size > LARGE
    assert last.endswith(b"hello")


def test_a_header_of_two_lines_smuggles_nothing(whole: int) -> None:
    """It is a fault of the service and is answered as one, or by the end of the connection."""
    assert b"x-smuggled" not in received(whole, request("/two-lines"))


def test_a_fault_before_anything_is_out_is_a_problem(whole: int) -> None:
    """An answer that was begun and of which nothing was sent is taken back."""
    answer = received(whole, request("/broken"))
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"internal-error" in answer


def closed_after(port: int, send: Callable[[socket.socket], None]) -> float:
    """Seconds from the last answer until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        send(connection)
        began = time.monotonic()
        assert connection.recv(1) == b""
        return time.monotonic() - began


def test_a_connection_that_stays_silent_is_closed_and_one_that_speaks_is_not(whole: int) -> None:
    """Silence counts from the last answer on, however many there were before."""

    def once(connection: socket.socket) -> None:
        connection.sendall(request("/whole"))
        while b"hello" not in connection.recv(4096):
            pass

    def often(connection: socket.socket) -> None:
        for _ in range(4):
            once(connection)
            time.sleep(SILENT_SECONDS * 0.6)
        once(connection)

    for send in (once, often):
        assert closed_after(whole, send) >= SILENT_SECONDS * 0.9
