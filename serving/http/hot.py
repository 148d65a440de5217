"""The routes that every page of a shop asks, answered before the framework sees them.

Only what is beyond doubt is answered here: a request whose path and parameters fit. Everything else, and every error,
goes the framework's way, so that there is one validation and one set of problem documents. Of events the body is read
and answered by the route's own function, and only finding and calling it is left out.
"""

from __future__ import annotations

import re
from typing import Final

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from recsys.errors import BookmatchError
from serving.http.event_input import id_fault
from serving.http.parameters import DEFAULT, DEFAULT_LIMIT, MAX_LIMIT, PLACEMENT_NAME
from serving.http.problems import of_domain
from serving.http.raw_path import decoded_segment
from serving.http.routes import events, lists
from serving.http.routes.describing import route_of
from serving.http.state import ServiceState

_PATH: Final = re.compile(r"/v1/customers/([^/]+)/recommendations")
_LIMIT, _PLACEMENT = "limit=([1-9][0-9]{0,2})", f"placement=({PLACEMENT_NAME})"
_QUERY: Final = re.compile(f"{_LIMIT}(?:&{_PLACEMENT})?|{_PLACEMENT}(?:&{_LIMIT})?".encode())


class HotRoutes:
    """Wraps the framework; what it does not answer passes untouched."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._state = app.state
        self._lists: APIRoute = route_of(lists.router, lists.recommendations)
        self._events: APIRoute = route_of(events.router, events.events)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        asked = _asked(scope)
        if asked is None and not _posts_events(scope):
            await self._app(scope, receive, send)
            return
        state: ServiceState = self._state.service
        scope["route"] = self._events if asked is None else self._lists
        try:
            if asked is None:
                body = (await events.events(Request(scope, receive), state)).body
            else:
                customer_id, limit, placement = asked
                looked = scope.get("bookmatch.looked")
                body = await state.answerer.plain_recommendations(customer_id, limit, placement, looked)
        except BookmatchError as error:
            problem = of_domain(error)
            if problem is None:
                raise
            raise problem from error
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _posts_events(scope: Scope) -> bool:
    """Whether events come; a parameter is the framework's to refuse."""
    is_there = scope["type"] == "http" and scope["path"] == "/v1/events"
    return is_there and scope["method"] == "POST" and not scope["query_string"]


def _asked(scope: Scope) -> tuple[str, int, str] | None:
    """Customer, limit and placement of a question that this module answers."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    path = _PATH.fullmatch(scope["path"])
    if path is None:
        return None
    limit, placement, query = DEFAULT_LIMIT, DEFAULT, scope["query_string"]
    if query:
        given = _QUERY.fullmatch(query)
        if given is None:
            return None
        first, then, named, last = given.groups()
        limit = int(first or last or DEFAULT_LIMIT)
        placement = (then or named or b"").decode() or DEFAULT
        if limit > MAX_LIMIT:
            return None
    customer_id = decoded_segment(path[1])
    return None if id_fault(customer_id) is not None else (customer_id, limit, placement)
