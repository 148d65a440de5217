"""Every error as an RFC 9457 problem document: which type, which status, and the place of each fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from starlette.responses import Response

from recsys.errors import (
    BookmatchError,
    BundleError,
    ForgottenCustomerError,
    InputError,
    StoreError,
    UnknownCustomerError,
    UnknownItemError,
)

MEDIA_TYPE = "application/problem+json"

TITLES: dict[str, str] = {
    "malformed-request": "The request is not HTTP",
    "malformed-path": "The path cannot be decoded",
    "malformed-body": "The body cannot be read",
    "key-in-query": "A key must not stand in the query",
    "unauthorized": "A valid key is needed",
    "forbidden": "The key does not open this",
    "no-such-route": "There is nothing at this path",
    "unknown-item": "The item is not known",
    "unknown-customer": "The customer is not known",
    "forgotten-customer": "The customer asked to be forgotten",
    "method-not-allowed": "The method does not fit this path",
    "body-too-large": "The body is too large",
    "unsupported-media-type": "The body's type is not understood",
    "invalid-request": "The request does not fit",
    "too-many-requests": "Too many requests in a short time",
    "head-too-large": "The request's head is too large",
    "internal-error": "The service made a mistake",
    "not-ready": "The service cannot answer yet",
    "stopping": "The service is stopping",
    "store-unavailable": "The store cannot be read or written",
    "http-error": "The request failed",
}
"""The last part of each problem's `type` and its `title`; docs/http-api.md explains each."""

_BY_STATUS = {404: "no-such-route", 405: "method-not-allowed", 413: "body-too-large", 415: "unsupported-media-type"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request.

    Attributes
    ----------
    place : where, as the parts of a path: `("query", "limit")`, `("body", "events", 3, "kind")`.
    found : what was there, shortened.
    expected : what should have been there.
    """

    place: tuple[str | int, ...]
    found: str
    expected: str

    def to_json(self) -> dict[str, object]:
        """As it stands in a problem's `errors`."""
        return {"place": list(self.place), "found": self.found, "expected": self.expected}


class Problem(Exception):  # noqa: N818 - the name that RFC 9457 gives it
    """A request that ends with a problem document.

    Parameters
    ----------
    status : the HTTP status.
    code : the last part of the type, a key of `TITLES`.
    detail : what happened this time and what to do.
    faults : the place of each fault.
    headers : to send with it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = dict(headers or {})
        super().__init__(detail)

    def to_json(self, instance: str) -> dict[str, object]:
        """The document; `instance` names this very occurrence."""
        return {
            "type": f"urn:bookmatch:problem:{self.code}",
            "title": TITLES[self.code],
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "errors": [fault.to_json() for fault in self.faults],
        }

    def response(self, instance: str) -> Response:
        """The document as a response."""
        return Response(orjson.dumps(self.to_json(instance)), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def shortened(value: object, limit: int = 80) -> str:
    """What was found, for people: text and numbers as they are, containers by their type alone."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None:
        return "null"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def invalid(faults: Sequence[Fault]) -> Problem:
    """A request of the right form with values that do not fit (422)."""
    first = faults[0]
    place = ".".join(str(part) for part in first.place)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Problem(
        422, "invalid-request", f"{place}: found {first.found}, expected {first.expected}{more}.", faults=faults
    )


def of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem of a bare HTTP status, as routing raises it."""
    code = _BY_STATUS.get(status, "http-error")
    text = detail if detail != HTTPStatus(status).phrase else f"{TITLES[code]}; see /docs for what there is."
    return Problem(status, code, text, headers=headers)


def of_domain(error: BookmatchError) -> Problem | None:
    """The problem that an error of the domain is for the client, or None when it is the service's own fault."""
    if isinstance(error, UnknownItemError):
        return Problem(404, "unknown-item", str(error))
    if isinstance(error, UnknownCustomerError):
        return Problem(404, "unknown-customer", str(error))
    if isinstance(error, ForgottenCustomerError):
        return Problem(409, "forgotten-customer", str(error))
    if isinstance(error, StoreError):
        return Problem(503, "store-unavailable", str(error), headers={"Retry-After": "1"})
    if isinstance(error, BundleError):
        return Problem(503, "not-ready", str(error), headers={"Retry-After": "1"})
    if isinstance(error, InputError):
        return Problem(422, "invalid-request", str(error))
    return None
