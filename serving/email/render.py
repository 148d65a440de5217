"""One planned mail as people see it: subject, HTML and text, all from the same blocks."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, format_decimal

from recsys.errors import InputError
from serving.email.links import is_link, tracked
from serving.email.planned import PlannedBlock, PlannedItem, PlannedMail
from serving.email.templates import BlockView, ItemView, MailTemplate
from serving.email.texts import Texts, texts_of

_PER_ROW = 2
_TINTS = ("#2f5d62", "#7a4b3a", "#3d4f7c", "#5b3f66", "#4a6034", "#7d3c4a", "#2d5a7b", "#6a5420")
"""Dark enough for white letters on them."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail as people see it.

    Attributes
    ----------
    subject : one line.
    unsubscribe_url : the link that is in both.
    """

    subject: str
    html: str
    text: str
    unsubscribe_url: str


class Renderer:
    """Fills in one template for any number of mails.

    Parameters
    ----------
    shop : its name.
    imprint : who sends this, with a postal address.
    home_page : where an item's link leads that has none of its own.
    language : the shop's.
    own_texts : see `serving.email.texts.texts_of`.
    unsubscribe_url : the link of a customer and a purpose.
    """

    def __init__(
        self,
        template: MailTemplate,
        *,
        shop: str,
        imprint: str,
        home_page: str,
        language: str,
        own_texts: Path | None,
        unsubscribe_url: Callable[[str, str], str],
    ) -> None:
        self._html, self._text = template.html.render, template.text.render
        self._shop, self._imprint, self._home_page = shop, imprint, home_page
        self._language, self._own_texts = language, own_texts
        self._unsubscribe_url = unsubscribe_url
        self._texts: dict[str, Texts] = {}

    def render(self, mail: PlannedMail) -> Rendered:
        """The mail. Raises InputError where the texts of its language, or the template, do not fit."""
        texts = self._texts_of(mail.language)
        words = {"shop": self._shop, "purpose": mail.purpose}
        named = _one_line(mail.name or "")
        greeting = texts.greeting.format(name=named, **words) if named else texts.greeting_without_name.format(**words)
        link = self._unsubscribe_url(mail.customer_id, mail.purpose)
        subject = _one_line(mail.theme)
        values = {
            "language": mail.language,
            "subject": subject,
            "preheader": texts.preheader.format(**words),
            "shop": self._shop,
            "greeting": greeting,
            "blocks": [self._block(mail, block) for block in mail.blocks],
            "why": texts.why.format(**words),
            "unsubscribe": texts.unsubscribe,
            "unsubscribe_url": link,
            "imprint": self._imprint,
        }
        try:
            return Rendered(subject, self._html(values), self._text(values), link)
        except MemoryError:
            raise
        except Exception as error:
            # A template is a program, whose author did not think of this mail.
            raise InputError(f"the template does not fit this mail: {error}") from error

    def _texts_of(self, language: str) -> Texts:
        if language not in self._texts:
            self._texts[language] = texts_of(language, self._own_texts, self._language)
        return self._texts[language]

    def _block(self, mail: PlannedMail, block: PlannedBlock) -> BlockView:
        items = tuple([self._item(mail, item) for item in block.items])
        rows = tuple([items[start : start + _PER_ROW] for start in range(0, len(items), _PER_ROW)])
        return BlockView(block.kind, block.heading, items, rows)

    def _item(self, mail: PlannedMail, item: PlannedItem) -> ItemView:
        url = item.url if item.url is not None and is_link(item.url) else self._home_page
        title, initial, tint = _shown(item.title, item.item_id)
        return ItemView(
            title=title,
            author=item.author or "",
            price="" if item.price is None else price_text(item.price, item.currency, mail.language),
            url=tracked(url, mail.campaign, mail.token),
            image=item.image if item.image is not None and is_link(item.image) else "",
            reason=item.reason,
            tint=tint,
            initial=initial,
        )


@lru_cache(maxsize=100_000)
def price_text(price: float, currency: str | None, language: str) -> str:
    """A price as people of a language write it, such as `12,50 €`; without its currency where none is known."""
    locale = _locale(language)
    if currency is None:
        return str(format_decimal(price, format="#,##0.00", locale=locale))
    return str(format_currency(price, currency, locale=locale))


@lru_cache(maxsize=1_000)
def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")


@lru_cache(maxsize=100_000)
def _shown(title: str, item_id: str) -> tuple[str, str, str]:
    """The title in one line, its first letter and a colour."""
    line = _one_line(title) or item_id
    letter = next((each for each in line if each.isalnum()), "•").upper()
    return line, letter, _TINTS[zlib.crc32(line.encode()) % len(_TINTS)]


def _one_line(text: str) -> str:
    """Without what could end a header or a line."""
    return re.sub(r"[\s\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text).strip()
