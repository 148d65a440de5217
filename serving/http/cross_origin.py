"""Pages of the web that ask: the Fetch standard's questions before a request, and who may read the answer."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.types import Scope

from recsys.access.keys import ApiKey
from serving.http.client import header
from serving.http.key_ring import KeyRing
from serving.http.problems import Fault
from serving.http.refusal import Refusal, forbidden

PREFLIGHT_SECONDS: Final = 600
"""So long a browser need not ask again; a key that was revoked meanwhile is refused all the same."""

_READABLE: Final = b"x-request-id, retry-after, ratelimit, ratelimit-policy"
PREFLIGHT_HEADERS: Final = [
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"authorization, content-type, x-api-key, x-request-id"),
    (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
]


def check_origin(scope: Scope, key: ApiKey, origin: str | None) -> None:
    """Whether a page of this origin, or a program, may use this key. Raises Refusal."""
    if not key.origins:
        assert origin is not None  # noqa: S101 - else there is nothing to check
        require_own_page(scope, origin)
        return
    if origin not in key.origins:
        found = "no origin" if origin is None else f"the origin {origin[:100]!r}"
        detail = f"The key {key.key_id} is for browsers on {', '.join(key.origins)}; found {found}."
        raise Refusal("origin", forbidden(detail, Fault(("header", "origin"), found, "an origin of the key")))
    allow(scope, origin)


def require_own_page(scope: Scope, origin: str) -> None:
    """A page of another site must not ask with what only programs hold; that of /docs may. Raises Refusal."""
    if origin.partition("://")[2] == (header(scope, b"host") or ""):
        return
    detail = (
        "A page of another site asks, without a key for it. `bookmatch keys create --role events --origin URL` makes "
        "one that may stand in a page; for lists let the shop's own server ask."
    )
    raise Refusal("origin", forbidden(detail, Fault(("header", "origin"), repr(origin[:100]), "none")))


def is_preflight(scope: Scope) -> bool:
    """Whether a request with OPTIONS is a browser's question what it may ask (the Fetch standard)."""
    return header(scope, b"access-control-request-method") is not None


def check_preflight(scope: Scope, ring: KeyRing, now: int) -> None:
    """Only the route of events has anything for browsers; which key will come is not known yet. Raises Refusal."""
    origin = header(scope, b"origin") or ""
    if scope["path"] != "/v1/events" or not ring.admits_origin(origin, now):
        fault = Fault(("header", "origin"), repr(origin[:100]), "an origin of a key")
        raise Refusal("origin", forbidden("No key lets pages of this origin ask this from a browser.", fault))
    allow(scope, origin)


def allow(scope: MutableMapping[str, Any], origin: str) -> None:
    """Lets the page read the answer, also one that says what is wrong."""
    scope["bookmatch.headers"] += [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _READABLE),
        (b"vary", b"origin"),
    ]
