"""Reading a request's body: bounded, of the right type, and JSON."""

from __future__ import annotations

import orjson
from fastapi import Request

from serving.http.problems import Fault, Problem

_JSON = "application/json"

ONE_ENTRY_BYTES = 256 * 1024
"""What describes one item or one customer is no larger, or it is a mistake."""

IDS_BYTES = 8 * 1024
"""Two ids, however they are written."""

BROWSER_BYTES = 64 * 1024
"""What a page has to say at a time; a key that everybody can read must not fill the disk quickly."""


async def read_json(request: Request, max_bytes: int) -> object:
    """The body as parsed JSON. Raises Problem: 415 for another type, 413 over `max_bytes`, 400 when it is not JSON."""
    _require_json(request)
    too_large = Problem(
        413,
        "body-too-large",
        f"The body has more than {max_bytes} bytes. Send less at a time.",
        faults=[Fault(("header", "content-length"), "too many bytes", f"at most {max_bytes} bytes")],
    )
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and (len(announced) > 18 or int(announced) > max_bytes):
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(
            400,
            "malformed-body",
            f"The body is not JSON, or nested too deep: {error}.",
            faults=[Fault(("body",), f"{error}", "a JSON object in UTF-8")],
        ) from error
    return parsed


def _require_json(request: Request) -> None:
    given = request.headers.get("content-type", "")
    kind, _, parameters = given.partition(";")
    charset = parameters.replace(" ", "").lower()
    if kind.strip().lower() != _JSON or charset not in ("", "charset=utf-8", 'charset="utf-8"'):
        raise Problem(
            415,
            "unsupported-media-type",
            f"The body is said to be {given or 'of no type'!r}. Send Content-Type: {_JSON}.",
            faults=[Fault(("header", "content-type"), given or "nothing", _JSON)],
        )
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise Problem(
            415,
            "unsupported-media-type",
            "The body is compressed. Send it as it is, in several requests if it is large.",
            faults=[Fault(("header", "content-encoding"), encoding, "no content encoding")],
        )
