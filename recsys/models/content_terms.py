"""What a catalogue says of its items, as terms: the words of texts, and labels that are equal or not.

| field | from | terms |
|---|---|---|
| `title` | `title` | words |
| `author` | `author` | labels: the whole text, and each name of a list of names |
| `category` | `category` | labels: each entry of a list (`|`), and of `A > B > C` the paths `A` and `A > B` too |
| `attributes` | `attributes` | labels `name=value`; one per entry of a list; members of objects as `name.member` |
| `description` | `attributes` | words of texts too long for a label |
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import orjson
import polars as pl

from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import InputError

FIELDS = ("title", "author", "category", "attributes", "description")

LONGEST_LABEL = 8
"""An attribute with more words than this is a text, not a label."""

_WORD = re.compile(r"\w+")
# Scripts that write without spaces between words (and Korean, whose spaces do not part stem and particle).
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_NAMES = re.compile(r"[;|,&/]")

Terms = list[list[str]]


def words(text: str) -> list[str]:
    """The words of a text, in lower case; in scripts without spaces between words, every two letters that follow."""
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        end = 0
        for run in _UNSPACED.finditer(word):
            found += [word[end : run.start()]] if run.start() > end else []
            letters = run.group()
            found += [letters[at : at + 2] for at in range(max(1, len(letters) - 1))]
            end = run.end()
        found += [word[end:]] if end < len(word) else []
    return found


def label(text: str) -> str:
    """A text as a label: lower case, spaces collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def names(text: str) -> list[str]:
    """The labels of a text that may list several names: the whole, and each part of two or more words.

    `Carl Sagan, Ann Druyan` has three labels, `Sagan, Carl` one.
    """
    whole = label(text)
    parts = [part.strip() for part in _NAMES.split(whole)]
    return list(dict.fromkeys([whole, *(part for part in parts if " " in part)])) if whole else []


def paths(text: str) -> list[str]:
    """The labels of a category: entries of a list, each with the paths above it."""
    found: dict[str, None] = {}
    for entry in label(text).split("|"):
        steps = [step.strip() for step in entry.split(">")]
        found |= dict.fromkeys(" > ".join(steps[: depth + 1]) for depth in range(len(steps)) if steps[depth])
    return list(found)


def described(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """The members of an attribute object as (name, text), lists as several, objects below as `name.member`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from described(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from described(inner, name)
    elif isinstance(value, float) and value.is_integer():
        yield name, str(int(value))
    elif value is not None:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)


def item_terms(frame: pl.DataFrame, items: Vocabulary) -> dict[str, Terms]:
    """The terms of every item of a vocabulary, by field; an item without a row has none.

    `frame` is in `ITEM_SCHEMA`, each item once, in any order. Raises InputError for attributes that are no JSON object.
    """
    terms: dict[str, Terms] = {field: [[] for _ in range(len(items))] for field in FIELDS}
    columns = frame.select("item_id", "title", "author", "category", "attributes")
    for position, row in zip(items.positions(columns["item_id"]).tolist(), columns.iter_rows(), strict=True):
        if position == UNKNOWN:
            continue
        item_id, title, author, category, attributes = row
        terms["title"][position] = words(title or "")
        terms["author"][position] = names(author or "")
        terms["category"][position] = paths(category or "")
        for name, text in described(_object(item_id, attributes)):
            found = words(text)
            if len(found) > LONGEST_LABEL:
                terms["description"][position] += found
            elif found:
                terms["attributes"][position].append(f"{label(name)}={label(text)}")
    return terms


def _object(item_id: str, attributes: str | None) -> object:
    if not attributes:
        return {}
    try:
        value = orjson.loads(attributes)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise InputError(
            f"the attributes of item {item_id!r} are {attributes[:80]!r}",
            expected='a JSON object such as {"colour": "red"}',
            remedy="import the item again with a JSON object, or without attributes",
        )
    return value
