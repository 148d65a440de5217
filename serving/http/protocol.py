"""The HTTP protocol under the application, with problem documents for what is not even HTTP."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final

import orjson
from starlette.types import Message
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from serving.http.problems import MEDIA_TYPE, Problem

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers that come in pieces; in one piece they are no longer than one read. The same of the
trailers after a body in chunks."""

WHOLE: Final = "bookmatch.whole"
"""In a request's scope: what writes the answer in one go, if it can. It goes past every layer further out than the one
that uses it: a layer there that has to see the answer takes it out."""

Whole = Callable[[Message, bytes], bool]
"""Takes what starts an answer, and all of its body. False: nothing was written, and it is to be sent as usual."""

_HEADERS: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9a-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")
"""What may stand between the status line and the end of the head (RFC 9110), names in small letters."""


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's protocol over httptools; the application never sees a request that this answers."""

    _in_head = False
    _in_trailers = False
    _head_bytes = 0
    _idle_since: float | None = None

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """The head is whole. While the service stops, its answer ends the connection and says so."""
        self._in_head = False
        super().on_headers_complete()
        # The cycle that answers has not begun: it is a task of its own.
        if getattr(self.server_state, "stopping", False) and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Trailers are dropped: nobody here asks for one, and who may ask was decided by the head alone."""
        if not self._in_trailers:
            super().on_header(name, value)

    def on_chunk_header(self) -> None:
        """A chunk of the body begins; of the last one, which is empty, trailers follow."""
        self._in_trailers, self._head_bytes = True, 0

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._in_trailers = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_trailers = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Reads on. A head that goes on and on is refused, and so are trailers: the parser would keep all of it."""
        is_going_on = self._in_head or self._in_trailers
        if is_going_on:
            self._head_bytes += len(data)
        super().data_received(data)
        if not is_going_on or self._head_bytes <= MAX_HEAD_BYTES:
            return
        if self._in_trailers and self.cycle.response_started:
            self.transport.close()  # It has its answer.
        elif self._in_head or self._in_trailers:
            detail = f"The request's line and headers have more than {MAX_HEAD_BYTES} bytes. Send less."
            self._refuse(Problem(431, "head-too-large", detail))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.scope[WHOLE] = partial(_write_whole, cycle)  # type: ignore[typeddict-unknown-key]
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """The answer is out. One timer waits for a connection that stays silent, and not a new one after each
        answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def timeout_keep_alive_handler(self) -> None:
        """Closes the connection if it was silent for so long; while a request is under way the next answer begins
        anew."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
            return
        super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be parsed, and closes the connection."""
        detail = f"{msg} Send HTTP/1.1, with everything in the path encoded."
        self._refuse(Problem(400, "malformed-request", detail))

    def _refuse(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        body = orjson.dumps(problem.to_json(f"urn:bookmatch:request:{uuid.uuid4().hex}"))
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
            f"content-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\n"
            "x-content-type-options: nosniff\r\n"
            "cache-control: no-store\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()


def _write_whole(cycle: RequestResponseCycle, start: Message, body: bytes) -> bool:
    """As `Whole`: of an answer whose length is known, on a connection that takes it now. What the library's `send` does
    in two messages, with each header looked at by itself."""
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_started:
        return False
    length: bytes | None = None
    headers: list[bytes] = []
    for name, value in (*cycle.default_headers, *start["headers"]):
        if name == b"content-length":
            length = value
        elif name in {b"connection", b"transfer-encoding"}:
            return False
        headers += (name, b": ", value, b"\r\n")
    if length is None or (cycle.scope["method"] != "HEAD" and int(length) != len(body)):
        return False
    lines = len(headers) // 4
    if not cycle.keep_alive:
        headers.append(b"connection: close\r\n")
        lines += 1
    head = b"".join(headers)
    # As many lines as headers: none brings another one with it.
    if _HEADERS.fullmatch(head) is None or head.count(b"\n") != lines:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join((STATUS_LINE[start["status"]], head, b"\r\n", body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
