"""The HTTP protocol under the application, with problem documents for what is not even HTTP."""

from __future__ import annotations

import uuid
from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.problems import MEDIA_TYPE, Problem

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers that come in pieces; in one piece they are no longer than one read. The same of the
trailers after a body in chunks."""


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's protocol over httptools; the application never sees a request that this answers."""

    _in_head = False
    _in_trailers = False
    _head_bytes = 0

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
