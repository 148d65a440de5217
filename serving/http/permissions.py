"""Which role may ask for what: the one table. What is not in it is for admin keys alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from recsys.access.keys import Role

PUBLIC_AREAS: Final = ("health", "metrics", "docs")
"""What BOOKMATCH_PUBLIC may name: open to everybody, and not only to this machine and to keys."""

OPEN_TO_ALL: Final = "unsubscribe"
"""The area whose links carry their own signature: mail programs and people without any key follow them."""

_LISTS: Final = frozenset({Role.STOREFRONT, Role.ADMIN})
_EVENTS: Final = frozenset({Role.EVENTS, Role.ADMIN})
_ADMIN: Final = frozenset({Role.ADMIN})
_ANY: Final = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Place:
    """One path and who may use it.

    Attributes
    ----------
    path : as the API's description writes it.
    roles : by method.
    area : of `PUBLIC_AREAS`, or `OPEN_TO_ALL`; None for what always needs a key.
    """

    path: str
    roles: Mapping[str, frozenset[Role]] = field(hash=False)
    area: str | None = None


PLACES: Final = (
    Place("/v1/customers/{id}/recommendations", {"GET": _LISTS}),
    Place("/v1/recommendations", {"POST": _LISTS}),
    Place("/v1/items/{id}/related", {"GET": _LISTS}),
    Place("/v1/popular", {"GET": _LISTS}),
    Place("/v1/rank", {"POST": _LISTS}),
    Place("/v1/pages", {"POST": _LISTS}),
    Place("/v1/customers/{id}/buy-again", {"GET": _LISTS}),
    Place("/v1/customers/{id}/recently-viewed", {"GET": _LISTS}),
    Place("/v1/events", {"POST": _EVENTS}),
    # What a shop window shows of an item anyway; changing it is another matter.
    Place("/v1/items/{id}", {"GET": _LISTS, "PUT": _ADMIN, "DELETE": _ADMIN}),
    Place("/v1/items", {"GET": _LISTS, "PUT": _ADMIN, "DELETE": _ADMIN}),
    # Names customers, or tells of one what no page shows.
    Place("/v1/items/{id}/audience", {"GET": _ADMIN}),
    Place("/v1/customers/{id}", {"GET": _ADMIN, "PUT": _ADMIN, "DELETE": _ADMIN}),
    Place("/v1/customers", {"GET": _ADMIN, "PUT": _ADMIN, "DELETE": _ADMIN}),
    Place("/v1/customers/{id}/export", {"GET": _ADMIN}),
    Place("/v1/customers/{id}/merge", {"POST": _ADMIN}),
    Place("/v1/email/unsubscribe/{token}", {"GET": _ANY, "POST": _ANY}, OPEN_TO_ALL),
    Place("/health/live", {"GET": _ANY}, "health"),
    Place("/health/ready", {"GET": _ANY}, "health"),
    Place("/metrics", {"GET": _ADMIN}, "metrics"),
    Place("/openapi.json", {"GET": _ANY}, "docs"),
    Place("/docs", {"GET": _ANY}, "docs"),
    Place("/docs/oauth2-redirect", {"GET": _ANY}, "docs"),
    Place("/docs/static/{file}", {"GET": _ANY}, "docs"),
)

_ANYWHERE: Final = re.compile("|".join(f"({re.sub(r'{[a-z]+}', '[^/]+', place.path)})" for place in PLACES))
"""One group for each place: which of them matched says all, in one step, however many there are."""


def place_of(path: str) -> Place | None:
    """The place of a path as the router sees it; None for one that the table does not know."""
    found = _ANYWHERE.fullmatch(path)
    return None if found is None or found.lastindex is None else PLACES[found.lastindex - 1]
