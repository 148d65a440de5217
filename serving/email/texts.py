"""The fixed texts of mails by language: shipped ones, and what a shop puts in their place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from string import Formatter

from recsys.errors import InputError

SHIPPED = Path(__file__).with_name("texts")
_NAMES = frozenset({"name", "shop", "purpose"})
"""What a text may name in braces."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language. Each may name `{shop}` and `{purpose}`, and `greeting` `{name}` too.

    Attributes
    ----------
    greeting, greeting_without_name : above everything else.
    preheader : what mail programs show beside the subject.
    why : below everything else: why the customer gets this mail.
    unsubscribe : the words of the link, and of the button behind it.
    page_ask, page_done, page_unknown : of the page behind the link: before, after, and where the link is none.
    """

    greeting: str
    greeting_without_name: str
    preheader: str
    why: str
    unsubscribe: str
    page_ask: str
    page_done: str
    page_unknown: str


def texts_of(language: str, own: Path | None, otherwise: str) -> Texts:
    """The texts of a language such as `de` or `de-AT`, which takes those of `de`; where nobody wrote any, those of
    `otherwise`.

    Parameters
    ----------
    own : a shop's folder of TOML files by language; each text in them replaces the shipped one.

    Raises InputError, with file and line, for a file that cannot be read or has an unknown text, and where there are
    none for `otherwise` either.
    """
    for name in _languages(language, otherwise):
        found = _found(name, own)
        if found is not None:
            return found
    raise InputError(
        f"there are no texts in the language {otherwise!a}",
        expected=f"one of {', '.join(shipped_languages())}, or a file {otherwise}.toml in {own}",
        remedy="write that file, or name another language for the shop",
    )


def shipped_languages() -> list[str]:
    """The languages that need no file of the shop's own."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def check_texts(own: Path | None) -> None:
    """Reads every file of a shop's folder; raises InputError for the first that does not fit."""
    for path in sorted(own.glob("*.toml")) if own is not None and own.is_dir() else ():
        _found(path.stem, own)


def _languages(language: str, otherwise: str) -> list[str]:
    return [each for wanted in (language, otherwise) for each in (wanted.lower(), re.split("[-_]", wanted.lower())[0])]


def _found(language: str, own: Path | None) -> Texts | None:
    files = [folder / f"{language}.toml" for folder in (SHIPPED, own) if folder is not None]
    # A language is part of a file's name, and comes from a customer's row.
    there = [path for path in files if re.fullmatch("[a-z]{2,3}([-_][a-z0-9]{2,8})*", language) and path.is_file()]
    if not there:
        return None
    known = {name: text for path in there for name, text in _read(path).items()}
    missing = sorted(field.name for field in fields(Texts) if field.name not in known)
    if missing:
        raise InputError(f"{there[-1]}:1: the texts {', '.join(missing)} are missing", remedy="write them there")
    return Texts(**known)


@cache
def _read(path: Path) -> Mapping[str, str]:
    try:
        source = path.read_text(encoding="utf-8")
        read = tomllib.loads(source)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: the texts cannot be read: {error}", expected='lines such as why = "…"') from error
    allowed = [field.name for field in fields(Texts)]
    for name, text in read.items():
        line = next((n for n, each in enumerate(source.splitlines(), 1) if each.lstrip().startswith(name)), 1)
        if name not in allowed or not isinstance(text, str):
            raise InputError(f"{path}:{line}: {name!a} is no text", expected=f"one of {', '.join(allowed)}, in quotes")
        _check_names(path, line, name, text)
    return read


def _check_names(path: Path, line: int, name: str, text: str) -> None:
    allowed = _NAMES if name == "greeting" else _NAMES - {"name"}
    try:
        named = {field for _, field, _, _ in Formatter().parse(text) if field is not None}
    except ValueError as error:
        raise InputError(f"{path}:{line}: the text {name} has a brace that is not closed: {error}") from error
    if not named <= allowed:
        raise InputError(
            f"{path}:{line}: the text {name} names {{{sorted(named - allowed)[0]}}}",
            expected=" or ".join(f"{{{each}}}" for each in sorted(allowed)),
        )
