"""The page behind a link to unsubscribe: it asks, and says what was done. In the languages that mails ship with."""

from __future__ import annotations

from html import escape
from typing import Final

from serving.email.texts import shipped_languages, texts_of

PATH: Final = "/v1/email/unsubscribe/"
STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:18px/1.6 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.5rem}"
    "button{font:inherit;padding:.6rem 1.4rem;cursor:pointer}"
)


def asking_page(purpose: str, accepted: str) -> str:
    """Asks whether mails for this purpose are to stop; its one button is a POST to the same address.

    `accepted` is the browser's `Accept-Language`.
    """
    language = _language(accepted)
    texts = texts_of(language, None, "en")
    question = escape(texts.page_ask.format(purpose=purpose))
    return _page(
        language,
        f'<p>{question}</p><form method="post"><button name="List-Unsubscribe" value="One-Click">'
        f"{escape(texts.unsubscribe)}</button></form>",
    )


def done_page(purpose: str, accepted: str) -> str:
    """Says that mails for this purpose stop."""
    language = _language(accepted)
    return _page(language, f"<p>{escape(texts_of(language, None, 'en').page_done.format(purpose=purpose))}</p>")


def unknown_page(accepted: str) -> str:
    """Says that the link is none of this shop's."""
    language = _language(accepted)
    return _page(language, f"<p>{escape(texts_of(language, None, 'en').page_unknown)}</p>")


def _page(language: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>·</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    )


def _language(accepted: str) -> str:
    """The first language of `Accept-Language` that there are texts in; browsers name them in order."""
    known = shipped_languages()
    wanted = [part.partition(";")[0].strip().lower().partition("-")[0] for part in accepted.split(",")]
    return next((language for language in wanted if language in known), "en")
