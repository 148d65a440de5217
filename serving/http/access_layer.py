"""Who may ask: every request is let in here or gets the problem that says why not, before any route sees it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from recsys.access.keys import KEY, ApiKey, Role, digest
from recsys.access.rates import Rate
from serving.http.client import address, header, is_of_this_machine
from serving.http.cross_origin import (
    PREFLIGHT_HEADERS,
    allow,
    check_origin,
    check_preflight,
    is_preflight,
    require_own_page,
)
from serving.http.limits import rate_headers
from serving.http.permissions import OPEN_TO_ALL, Place, place_of
from serving.http.problems import Fault, Problem, of_status
from serving.http.refusal import Refusal, forbidden

if TYPE_CHECKING:
    from starlette.datastructures import State

    from serving.http.state import ServiceState

log = structlog.get_logger("bookmatch.serving")

FAILURES: Final = Rate(60, 60)
"""So often an address is told that its key is none, and beyond that only to wait. Nobody guesses a key, but whoever
sends none must not cost much, nor fill the log: of one address it tells of so many refusals, too."""

OPEN: Final = Rate(600, 60)
"""So often an address may follow links that need no key. A mail provider follows them for all its customers, from few
addresses; nobody guesses a signature of 160 bits."""

_CHALLENGE: Final = 'Bearer realm="bookmatch"'
_HOW: Final = "Send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`; `bookmatch keys create` makes one."


class AccessLayer:
    """Between the layer that gives every request its id and the routes.

    What later layers may want to know stands in the scope: `bookmatch.key`, the `ApiKey` (None where none was asked
    for), and `bookmatch.looked`, the store's state when the request started.

    Parameters
    ----------
    state : of the application; its `service` is there once the application has started.
    """

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; anything but HTTP passes untouched. Raises Problem for what is not let in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state: ServiceState = self._state.service
        place = place_of(scope["path"])
        try:
            if scope["method"] == "OPTIONS" and is_preflight(scope):
                state.live.look()
                check_preflight(scope, state.key_ring, state.clocks.now())
                await send({"type": "http.response.start", "status": 204, "headers": PREFLIGHT_HEADERS})
                await send({"type": "http.response.body", "body": b""})
                scope["route"] = place
                return
            _let_in(scope, place, state)
        except Refusal as refusal:
            if place is not None:
                scope["route"] = place  # Counted under the path that was asked for.
            state.metrics.refused_requests.labels(refusal.cause).inc()
            _log(refusal, scope, state)
            raise refusal.problem from None
        await self._app(scope, receive, send)


def _log(refusal: Refusal, scope: Scope, state: ServiceState) -> None:
    if refusal.problem.status == 429:
        return
    if not state.limits.take(f"log {address(scope, state.settings.trusted_proxies)}", FAILURES).wait:
        key: ApiKey | None = scope.get("bookmatch.key")
        log.info("refused", cause=refusal.cause, key=None if key is None else key.key_id)


def _let_in(scope: Scope, place: Place | None, state: ServiceState) -> None:
    """Finds the key and sees what it opens. Raises Refusal."""
    given, origin = _sent(scope)
    query: bytes = scope["query_string"]
    if b"bm_" in query and KEY.search(query.decode("latin-1")):
        raise Refusal("key_in_query", _key_in_query())
    scope["bookmatch.key"] = None
    if place is not None and place.area == OPEN_TO_ALL:
        # From whatever page: the browser says of a mail's page, or of ours, that it has no origin.
        allowance = state.limits.take(f"open {address(scope, state.settings.trusted_proxies)}", OPEN)
        if allowance.wait:
            raise Refusal("rate", _too_many("Too many links were followed from here.", allowance.wait))
        return
    if state.settings.no_keys or (place is not None and place.area is not None and _is_open(place.area, scope, state)):
        if origin is not None:
            require_own_page(scope, origin)
        return
    # Looked at before the key is: a key that was revoked before this request started is known to be.
    scope["bookmatch.looked"] = state.live.look_together()
    key = _key(given, scope, origin, state)
    if key is None:
        if origin is not None:
            require_own_page(scope, origin)
        return
    scope["bookmatch.key"] = key
    if key.rate is not None:
        _count(scope, key, key.rate, state)
    if origin is not None or key.origins:
        check_origin(scope, key, origin)
    _check_role(scope, key, place)


def _sent(scope: Scope) -> tuple[bytes | None, str | None]:
    """The key and the origin that a request names; of two keys the one in Authorization."""
    given = bearer = None
    origin = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                bearer = value[7:].strip()
        elif name == b"x-api-key":
            given = value.strip()
        elif name == b"origin":
            origin = value.decode("latin-1")
    return (given if bearer is None else bearer), origin


def _is_open(area: str, scope: Scope, state: ServiceState) -> bool:
    return area in state.settings.public or is_of_this_machine(scope)


def _key(given: bytes | None, scope: Scope, origin: str | None, state: ServiceState) -> ApiKey | None:
    """The valid key that was sent; None where no key was ever made and this machine asks. Raises Refusal."""
    ring = state.key_ring
    now = state.clocks.now()
    if given is not None:
        key = ring.by_digest.get(digest(given))
        if key is not None and key.is_valid(now):
            return key
    if not ring.is_known:
        detail = "The store has not been readable since this process started, so that no key can be checked."
        raise Refusal("keys_unknown", Problem(503, "store-unavailable", detail, headers={"Retry-After": "1"}))
    if ring.is_empty and is_of_this_machine(scope):
        return None
    if origin is not None and ring.admits_origin(origin, now):
        allow(scope, origin)
    if given is None:
        cause, detail = "no_key", f"A key is needed. {_HOW}"
        if ring.is_empty:
            detail = f"There is no key yet, and without one only programs of this machine are answered. {_HOW}"
    elif key is None:
        cause, detail = "unknown_key", f"The key that was sent is none of this service's. {_HOW}"
    else:
        cause = "revoked_key" if key.revoked is not None else "expired_key"
        detail = f"The key {key.key_id} is {cause.partition('_')[0]}. {_HOW}"
    allowance = state.limits.take(f"failures {address(scope, state.settings.trusted_proxies)}", FAILURES)
    if allowance.wait:
        raise Refusal("failures", _too_many("Too many requests without a valid key came from here.", allowance.wait))
    challenge = _CHALLENGE if given is None else f'{_CHALLENGE}, error="invalid_token"'
    raise Refusal(cause, Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": challenge}))


def _count(scope: Scope, key: ApiKey, rate: Rate, state: ServiceState) -> None:
    """Counts the request. A key that stands in a page is everybody's: there each address has the limit for itself."""
    name = f"{key.key_id} {address(scope, state.settings.trusted_proxies)}" if key.origins else key.key_id
    allowance = state.limits.take(name, rate)
    scope["bookmatch.headers"] += rate_headers(rate, allowance)
    if allowance.wait:
        origin = header(scope, b"origin")
        if origin in key.origins:
            allow(scope, origin)
        raise Refusal("rate", _too_many(f"The key {key.key_id} may ask {rate}.", allowance.wait))


def _too_many(why: str, wait: float) -> Problem:
    seconds = math.ceil(wait)
    headers = {"Retry-After": str(seconds)}
    return Problem(429, "too-many-requests", f"{why} Come back in {seconds} s.", headers=headers)


def _check_role(scope: Scope, key: ApiKey, place: Place | None) -> None:
    if key.role is Role.ADMIN:
        return
    if place is None:
        # What is not in the table may be a route that somebody forgot to put there: it is for admin keys alone.
        raise Refusal("role", of_status(404, "Not Found"))
    roles = place.roles.get(scope["method"])
    if roles is None:
        raise Refusal("role", of_status(405, "Method Not Allowed", {"Allow": ", ".join(sorted(place.roles))}))
    if key.role not in roles:
        wanted = " or ".join(sorted(roles))
        detail = f"The key {key.key_id} has the role {key.role}; {scope['method']} {place.path} needs {wanted}."
        raise Refusal("role", forbidden(detail, Fault(("header", "authorization"), f"role {key.role}", wanted)))


def _key_in_query() -> Problem:
    return Problem(
        400,
        "key-in-query",
        "A key stands in the query, where logs and browsers keep it. Send it as a header, and replace it: "
        "`bookmatch keys rotate ID --overlap 0s`.",
    )
