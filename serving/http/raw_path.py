"""Ids in paths, exactly as they were sent.

Servers decode `%2F` before they route, so `items/a%2Frelated` and `items/a/related` look alike to a router. Here the
path that came over the wire is split first and decoded afterwards; inside a segment `/` and `%` stay percent-encoded
for the router, and `decoded_segment` takes that one encoding off again. Dot segments are ids like any other: nothing is
collapsed.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_to_bytes

from starlette.types import Scope

from serving.http.problems import Problem

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def routable_path(scope: Scope) -> str:
    """The path for the router, of a scope as the server made it. Raises Problem (400) for bytes that are no text."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return str(scope["path"])
    raw = raw.partition(b"?")[0]
    if b"%" not in raw and raw.isascii():
        return raw.decode()
    if _BAD_ESCAPE.search(raw):
        raise _refused("the path has a % that two hexadecimal digits do not follow", "%25 for the character %")
    try:
        return "/".join(_segment(segment) for segment in raw.split(b"/"))
    except UnicodeDecodeError:
        raise _refused("the path is not UTF-8 after percent-decoding", "ids as percent-encoded UTF-8") from None


def decoded_segment(segment: str) -> str:
    """The text of one segment that the router matched."""
    return unquote(segment) if "%" in segment else segment


def _segment(raw: bytes) -> str:
    return unquote_to_bytes(raw).decode("utf-8").replace("%", "%25").replace("/", "%2F")


def _refused(found: str, expected: str) -> Problem:
    return Problem(400, "malformed-path", f"{found}. Expected: {expected}.")
