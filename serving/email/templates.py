"""MJML templates: compiled once, and refused where a customer could not unsubscribe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from xml.parsers import expat

import mjml
from jinja2 import Environment, StrictUndefined, Template, TemplateSyntaxError, UndefinedError, meta
from markupsafe import Markup, escape

from recsys.errors import InputError

SHIPPED: Final = Path(__file__).with_name("templates")
DEFAULT: Final = "cards"
TEXT: Final = SHIPPED / "mail.txt"
"""The text alternative of every template."""

VARIABLES: Final = frozenset(
    {
        "language",
        "subject",
        "preheader",
        "shop",
        "greeting",
        "blocks",
        "why",
        "unsubscribe",
        "unsubscribe_url",
        "imprint",
    }
)
"""What a template may name."""

TAGS: Final = frozenset(
    {
        "mjml",
        "mj-head",
        "mj-attributes",
        "mj-all",
        "mj-class",
        "mj-breakpoint",
        "mj-font",
        "mj-html-attributes",
        "mj-selector",
        "mj-html-attribute",
        "mj-preview",
        "mj-style",
        "mj-title",
        "mj-body",
        "mj-accordion",
        "mj-accordion-element",
        "mj-accordion-text",
        "mj-accordion-title",
        "mj-button",
        "mj-carousel",
        "mj-carousel-image",
        "mj-column",
        "mj-divider",
        "mj-group",
        "mj-hero",
        "mj-image",
        "mj-navbar",
        "mj-navbar-link",
        "mj-raw",
        "mj-section",
        "mj-social",
        "mj-social-element",
        "mj-spacer",
        "mj-table",
        "mj-text",
        "mj-wrapper",
    }
)
"""MJML's elements: the compiler passes over one that it does not know, and what is in it is lost."""

_ELEMENTS: Final = ("<div ", "<td ", "<a ", "<table ", "<img ", "<span ")
_BREAKABLE: Final = re.compile(f"({'|'.join(_ELEMENTS)})")
_FILLED_IN: Final = re.compile(r"{{")
_LINE, _VALUE = 620, 150
_ELEMENT: Final = re.compile(r"""<(/?)(mj[\w-]*)(?:"[^"]*"|'[^']*'|[^"'>])*?(/?)>""")
_PROBE: Final = "https://unsubscribe.invalid/probe"


@dataclass(frozen=True, slots=True)
class MailTemplate:
    """A template that can be filled in.

    Attributes
    ----------
    html, text : compiled; both are given `VARIABLES`. Only `html` escapes what it is given.
    """

    name: str
    html: Template
    text: Template


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item as templates see it; texts are empty where nothing is known. `tint` and `initial` stand for a picture
    that is not there: a colour, and the first letter of the title."""

    title: str
    author: str
    price: str
    url: str
    image: str
    reason: str
    tint: str
    initial: str


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block as templates see it; `rows` are its items two by two."""

    kind: str
    heading: str
    items: tuple[ItemView, ...]
    rows: tuple[tuple[ItemView, ...], ...]


def find_template(name: str | None, own: Path | None) -> Path:
    """The file of a template: the shop's own `NAME.mjml` in the folder `own`, or the shipped one. A name with a slash
    or an ending is a path. Raises InputError where there is none."""
    wanted = name or DEFAULT
    if "/" in wanted or wanted.endswith(".mjml"):
        if Path(wanted).is_file():
            return Path(wanted)
        raise InputError(f"there is no template {wanted}", expected="the path of a file of MJML")
    for folder in (own, SHIPPED):
        if folder is not None and (folder / f"{wanted}.mjml").is_file():
            return folder / f"{wanted}.mjml"
    names = {path.stem for folder in (own, SHIPPED) if folder is not None for path in folder.glob("*.mjml")}
    raise InputError(f"there is no template {wanted!a}", expected=f"one of {', '.join(sorted(names))}")


def load_template(path: Path) -> MailTemplate:
    """The template in a file of MJML whose values are filled in by Jinja, with the shipped text alternative.

    Raises InputError, with file and line, where it does not compile, names what is not there, or has no link to
    `{{ unsubscribe_url }}` in some mail.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the template {path} cannot be read: {error}", expected="MJML in UTF-8") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_filled_in)
    _check_source(path, source, environment)
    try:
        # No fonts: a mail that fetches some tells a stranger who reads it when.
        compiled = _with_lines(mjml.mjml2html(source, fonts={}))
    except ValueError as error:
        line, why = _not_xml(source, str(error))
        raise InputError(f"{path}:{line}: the template is no MJML: {why}", remedy="correct the template") from error
    try:
        html = environment.from_string(compiled)
    except TemplateSyntaxError as error:
        raise _refused(path, source, str(error.message), "for") from error
    plain = Environment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    template = MailTemplate(path.stem, html, plain.from_string(TEXT.read_text(encoding="utf-8")))
    _check_links(path, source, template)
    return template


def _filled_in(value: object) -> object:
    """A value as a page has it; what is marked as HTML already stays as it is."""
    return _as_html(value) if type(value) is str else value


@lru_cache(maxsize=20_000)
def _as_html(text: str) -> Markup:
    """A text as HTML says it, in ASCII alone: a page of ASCII needs no encoding. The same few thousand titles, authors
    and prices are in all mails of a mailing."""
    if text.isascii():
        return escape(text)
    whole = str(escape(text.encode("utf-8", "replace").decode()))
    return Markup(whole.encode("ascii", "xmlcharrefreplace").decode())  # noqa: S704 - escaped right here


def _with_lines(page: str) -> str:
    """The compiler writes the body in one line, and a line of a mail ends at 998 bytes. A line's end between an
    element's name and its first attribute means nothing; few of them are put in, as servers read line by line."""
    parts, length = [], 0
    for part in _BREAKABLE.split(page):
        newest = part.rpartition("\n")[2]
        # What a value will take is not known yet: an address with a token in it, at most.
        length = (length if newest == part else 0) + len(newest) + _VALUE * len(_FILLED_IN.findall(newest))
        if part in _ELEMENTS and length > _LINE:
            parts.append(part.replace(" ", "\n"))
            length = 0
        else:
            parts.append(part)
    return "".join(parts)


def _check_source(path: Path, source: str, environment: Environment) -> None:
    try:
        named = meta.find_undeclared_variables(environment.parse(source))
    except TemplateSyntaxError as error:
        raise InputError(f"{path}:{error.lineno}: {error.message}", remedy="correct the template") from error
    unknown = sorted(named - VARIABLES)
    if unknown:
        line = _line(source, rf"{{[{{%][^}}]*\b{re.escape(unknown[0])}\b")
        raise InputError(
            f"{path}:{line}: the template names {unknown[0]!a}", expected=f"one of {', '.join(sorted(VARIABLES))}"
        )
    _check_elements(path, source)


def _check_elements(path: Path, source: str) -> None:
    """The compiler passes over elements that it does not know and over ends that do not fit their beginnings."""
    opened: list[str] = []
    for found in _ELEMENT.finditer(
        re.sub(r"<!--.*?-->", lambda comment: re.sub(r"[^\n]", " ", comment[0]), source, flags=re.S)
    ):
        is_end, name, is_whole = bool(found[1]), found[2], bool(found[3])
        line = source.count("\n", 0, found.start()) + 1
        if name not in TAGS:
            raise InputError(f"{path}:{line}: MJML has no element <{name}>", expected="an element of MJML")
        if is_end:
            if not opened or opened.pop() != name:
                raise InputError(
                    f"{path}:{line}: </{name}> ends what was not begun", expected="elements that end as they began"
                )
        elif not is_whole:
            opened.append(name)


def _check_links(path: Path, source: str, template: MailTemplate) -> None:
    for values in _probes():
        try:
            page = template.html.render(values)
        except UndefinedError as error:
            attribute = re.findall(r"'(\w+)'", str(error))
            raise _refused(path, source, str(error), attribute[-1] if attribute else "{{") from error
        except Exception as error:  # Whatever a template computes may not work.
            raise _refused(path, source, f"the template cannot be filled in: {error}", "{{") from error
        links = _Links()
        links.feed(page)
        if _PROBE not in links.found:
            line = _line(source, "</mj-body") if "unsubscribe_url" not in source else _line(source, "unsubscribe_url")
            raise InputError(
                f"{path}:{line}: the template has no link to unsubscribe, or not in every mail",
                expected='<a href="{{ unsubscribe_url }}"> in the body, outside of conditions and comments',
                remedy="put the link into the template; nothing is sent without it",
            )


def _probes() -> Iterator[Mapping[str, object]]:
    """The mails with most and with least in them."""
    texts = dict.fromkeys(VARIABLES, "x") | {"unsubscribe_url": _PROBE}
    full = ItemView("t", "a", "1", "https://shop.invalid/t", "https://shop.invalid/t.jpg", "r", "#000000", "t")
    bare = ItemView("t", "", "", "https://shop.invalid/t", "", "", "#000000", "t")
    yield texts | {"blocks": [BlockView("k", "h", (full,) * 3, ((full, full), (full,)))] * 2}
    yield texts | {"blocks": [BlockView("k", "h", (bare,), ((bare,),))], "greeting": "", "preheader": "", "imprint": ""}


class _Links(HTMLParser):
    """Where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser`."""
        if tag == "a":
            self.found |= {value for name, value in attrs if name == "href" and value}


def _refused(path: Path, source: str, why: str, word: str) -> InputError:
    return InputError(f"{path}:{_line(source, re.escape(word))}: {why}", remedy="correct the template")


def _line(source: str, pattern: str) -> int:
    """The first line in which a pattern is found; 1 where it is in none."""
    found = re.search(pattern, source)
    return source.count("\n", 0, found.start()) + 1 if found else 1


def _not_xml(source: str, why: str) -> tuple[int, str]:
    """Where a text stops being XML, which MJML is: the compiler itself names no line."""
    try:
        expat.ParserCreate().Parse(source, True)
    except expat.ExpatError as error:
        return error.lineno, expat.ErrorString(error.code)
    place = re.search(r"position (\d+)", why)
    return (source.encode()[: int(place[1])].count(b"\n") + 1 if place else 1), why
