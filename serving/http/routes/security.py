"""What the API's description says about keys: how they are sent, what each role opens, how a request is refused."""

from __future__ import annotations

from typing import Any, Final

from serving.http.permissions import PLACES
from serving.http.routes.describing import problems

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_REFUSALS: Final = problems(
    s401="No valid key was sent.",
    s403="The key has not the role that this needs, or must not be used by pages of this origin.",
    s429="The key, or this address without a valid key, asks too often; `Retry-After` says when to come back.",
)
_KEYS_UNKNOWN: Final = problems(
    s503="The store has not been readable since the service started: no key can be checked."
)


def describe_security(document: dict[str, Any]) -> None:
    """Adds it to every operation of an OpenAPI document that a key opens."""
    document["components"]["securitySchemes"] = _SCHEMES
    for place in PLACES:
        for method, roles in place.roles.items():
            operation = document["paths"].get(place.path, {}).get(method.lower())
            if operation is None:
                continue
            either: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
            operation["security"] = [*either, {}] if place.area else either
            operation["description"] += f"\n\nRoles: {', '.join(sorted(roles))}."
            for status, answer in (_KEYS_UNKNOWN | _REFUSALS).items():
                operation["responses"].setdefault(str(status), answer)
