"""How values read on a terminal."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_PAST = {
    "view": "viewed",
    "add_to_cart": "put in the cart",
    "remove_from_cart": "took out of the cart",
    "purchase": "bought",
    "return": "returned",
    "rate": "rated",
    "review": "reviewed",
    "own": "owns",
    "like": "liked",
    "add_to_list": "put on a list",
    "share": "shared",
    "not_interested": "not interested in",
    "ignore_for_recommendations": "does not count",
    "click": "clicked",
    "email_click": "clicked in a mail",
}


def harmless(text: str) -> str:
    """The text without control characters: a title from a file must not move the cursor or colour the screen."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def verbatim(text: str) -> Text:
    """An id or a title for a table, exactly as it is written: `[/x]` is an id, no mark-up."""
    return Text(harmless(text))


def did(kind: str) -> str:
    """What somebody did, as one would say it; a kind without such words is named as it is."""
    return _PAST.get(kind, kind)


def utc(milliseconds: object) -> str:
    """A time in milliseconds UTC, to the minute; a dash when unknown."""
    if not isinstance(milliseconds, int):
        return "–"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M")
