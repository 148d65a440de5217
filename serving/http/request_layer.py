"""What happens to every request, whatever its route: a request id, the exact path, one count, and no bare error."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import re
import secrets
from collections.abc import Callable, Sequence

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.logs import REQUEST_ID
from serving.http.metrics import Metrics
from serving.http.problems import Problem
from serving.http.protocol import WHOLE, Whole
from serving.http.raw_path import routable_path
from serving.http.security_headers import RawHeaders, SecurityHeaders

log = structlog.get_logger("bookmatch.serving")
_LEVEL = logging.getLogger("bookmatch.serving")

REQUEST_ID_HEADER = "x-request-id"
_REQUEST_ID_NAME = REQUEST_ID_HEADER.encode()
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GONE = 499
"""The status under which a request is counted whose client went away before it was answered."""

_CUT = Problem(
    503,
    "stopping",
    "The service stopped before this was done. Whether something was stored is not known: send it again; an event with "
    "the same event_id counts once.",
    headers={"Retry-After": "1"},
)


def instance_of(scope: Scope) -> str:
    """The URI of this very request, as a problem document names it."""
    return f"urn:bookmatch:request:{scope['bookmatch.request_id']}"


class RequestLayer:
    """The outermost layer of the application.

    Parameters
    ----------
    clock : seconds from any origin, to time the requests.
    headers : what every answer carries.
    logged : the share of requests that are logged at level `info`; at level `debug` all are.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        clock: Callable[[], float],
        headers: SecurityHeaders | None = None,
        logged: float = 0.0,
    ) -> None:
        self._app = app
        self._headers = headers or SecurityHeaders()
        self._logged = logged
        self._metrics = metrics
        self._clock = clock
        self._prefix, self._requests = secrets.token_hex(8), itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; anything but HTTP passes untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._clock()
        own = self._own_scope(scope)
        fixed = self._headers.of(scope["path"])
        reply = _Reply(send, scope.get(WHOLE), fixed, own["bookmatch.headers"], is_head=scope["method"] == "HEAD")
        # Every line that is logged on the way carries the id; each request has a context of its own.
        told = REQUEST_ID.set(own["bookmatch.request_id"])
        try:
            status = await self._answered(own, receive, reply)
            self._record(scope, own, status, self._clock() - started)
        finally:
            REQUEST_ID.reset(told)

    def _own_scope(self, scope: Scope) -> Scope:
        """A copy to route by. HEAD is answered as GET, without the body."""
        # Random for this process, then counted: no system call for each request.
        request_id = _given_id(scope) or f"{self._prefix}{next(self._requests):016x}"
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        # What layers on the way want the answer to carry, whoever writes it in the end.
        headers = [(_REQUEST_ID_NAME, request_id.encode())]
        return {**scope, "method": method, "bookmatch.request_id": request_id, "bookmatch.headers": headers}

    async def _answered(self, scope: Scope, receive: Receive, reply: _Reply) -> int:
        try:
            scope["path"] = routable_path(scope)
            await self._app(scope, receive, reply)
        except Problem as problem:
            await problem.response(instance_of(scope))(scope, receive, reply)
        except ClientDisconnect:
            return _GONE
        except asyncio.CancelledError:
            # Only a service that stops and cannot wait any longer cuts a request.
            if reply.is_out:
                raise
            await _CUT.response(instance_of(scope))(scope, receive, reply)
        except Exception:
            log.exception("request failed")
            if reply.is_out:
                raise  # Half an answer is out; the server can only cut the connection.
            failure = Problem(500, "internal-error", "The fault is logged under this request's id.")
            await failure.response(instance_of(scope))(scope, receive, reply)
        return _GONE if reply.status is None else reply.status

    def _record(self, scope: Scope, own: Scope, status: int, seconds: float) -> None:
        route = getattr(own.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requested(route, method, str(status), seconds)
        # For whoever times the request further out, and has only the server's own scope.
        scope["bookmatch.route"] = route
        # Asked first: preparing a line that is not wanted takes longer than all else here.
        sampled = self._logged and random.random() < self._logged  # noqa: S311 - no secret
        level = logging.INFO if sampled else logging.DEBUG
        if _LEVEL.isEnabledFor(level):
            # The route and not the path: who is forgotten must not be found in old logs.
            log.log(level, "request", method=method, route=route, status=status, ms=round(seconds * 1000, 2))


def _given_id(scope: Scope) -> str | None:
    """The id that the client gave its request, if it is a sane one."""
    for name, value in scope["headers"]:
        if name == _REQUEST_ID_NAME:
            return value.decode() if _SANE_ID.fullmatch(value) else None
    return None


class _Reply:
    """Sends the answer with the headers of all answers and of this one; to HEAD without its body. Remembers the
    status.

    What starts an answer is held back until there is something of its body, as the protocol has it (ASGI, 2.5): where
    that is all of it, it is written in one go.
    """

    def __init__(
        self,
        send: Send,
        whole: Whole | None,
        fixed: RawHeaders,
        own: Sequence[tuple[bytes, bytes]],
        *,
        is_head: bool,
    ) -> None:
        self._send = send
        self._whole = whole
        self._start: Message | None = None
        self._fixed = fixed
        self._own = own
        self._is_head = is_head
        self.status: int | None = None

    @property
    def is_out(self) -> bool:
        """Whether any of it was sent."""
        return self.status is not None and self._start is None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message["headers"] = [*message["headers"], *self._fixed, *self._own]
            if self._whole is not None:
                self._start = message
                return
        elif message["type"] == "http.response.body":
            if self._is_head:
                message = {**message, "body": b""}
            start, whole, self._start = self._start, self._whole, None
            if start is not None:
                is_all = not message.get("more_body")
                if is_all and whole is not None and whole(start, message.get("body", b"")):
                    return
                await self._send(start)
        await self._send(message)
