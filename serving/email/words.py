"""What mails say where a campaign says nothing else: theme lines, headings and reasons, by language.

Each may name in braces what `PLACES` lists: of the item that stands first (for a reason, the item itself) the title,
author, category and series; `{because}`, the title of the item that speaks for it; `{name}` of the customer; `{shop}`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

SHIPPED = Path(__file__).with_name("words")
ENGLISH = "en"
PLACES = ("title", "author", "category", "series", "because", "name", "shop")
"""What a text may name in braces."""

MOST_CHARACTERS = 78
"""Of a theme line: RFC 5322 advises lines of no more, and few inboxes show more."""

_PLACE = re.compile(r"\{([^{}]*)\}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Words:
    """What mails say in one language.

    Attributes
    ----------
    themes, headings : by the kind of block; the theme line is that of the first block of the mail.
    reasons : by the code of the reason (`recsys.recommend.crowd.picks.REASONS`); empty where there is nothing to say.
    """

    themes: Mapping[str, str] = field(default_factory=dict)
    headings: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@cache
def shipped() -> Mapping[str, Words]:
    """The words that need no campaign to say them, by language."""
    return {
        path.stem: Words(**tomllib.loads(path.read_text(encoding="utf-8"))) for path in sorted(SHIPPED.glob("*.toml"))
    }


def with_own(own: Mapping[str, Words]) -> dict[str, Words]:
    """The shipped words with a campaign's own in their place; what a language does not say, English says."""
    found = {}
    for language in sorted({*shipped(), *own}):
        base, said = shipped().get(language, shipped()[ENGLISH]), own.get(language, Words())
        found[language] = Words(
            {**base.themes, **said.themes}, {**base.headings, **said.headings}, {**base.reasons, **said.reasons}
        )
    return found


def spoken(language: str, languages: Mapping[str, object], otherwise: str) -> str:
    """Which language's words a mail in `language` has: its own, those of `de` for `de-AT`, else the shop's, else
    English."""
    for wanted in (language, otherwise, ENGLISH):
        for each in (wanted, wanted.lower(), re.split("[-_]", wanted.lower())[0]):
            if each in languages:
                return each
    return ENGLISH


def places(text: str) -> list[str]:
    """What a text names in braces."""
    return _PLACE.findall(text)


def filled(text: str, values: Mapping[str, str | None]) -> str | None:
    """The text with its braces filled in, in one line; None where a value is missing."""
    parts: Sequence[str] = _PLACE.split(text)
    found = [values.get(part) if number % 2 else part for number, part in enumerate(parts)]
    if any(number % 2 and not part for number, part in enumerate(found)):
        return None
    return " ".join(_CONTROLS.sub(" ", "".join(part or "" for part in found)).split())


def one_line(text: str) -> str:
    """A theme line that is not too long."""
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1].rstrip() + "…"
