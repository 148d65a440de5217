"""Mails as files: to look at in a browser, to open in a mail program, to read as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from recsys.errors import InputError
from serving.email.message import message_bytes
from serving.email.planned import PlanHeader, PlannedMail
from serving.email.sending import renderer_of
from serving.email.settings import DeliverySettings

_PHONE, _DESKTOP = 390, 720


def write_previews(
    header: PlanHeader, mails: Sequence[PlannedMail], folder: Path, email: Path, settings: DeliverySettings, now: int
) -> Path:
    """Writes each mail as `.html`, `.txt` and `.eml`, and a page that shows them at the width of a phone and of a
    desktop, whose path is returned. Links to unsubscribe in them work, as those of the mails will.

    Parameters
    ----------
    folder : is made where there is none; what is there of an earlier preview is replaced.
    email : the shop's folder `email`.
    now : milliseconds UTC.

    Raises InputError for a template or texts that do not fit, and where files cannot be written.
    """
    renderer = renderer_of(header, email, settings)
    pages = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, mail in enumerate(mails, 1):
            rendered = renderer.render(mail)
            name = f"mail-{number:03}"
            identifier = f"<preview-{number}@{settings.sender.domain}>"
            message = message_bytes(rendered, settings.sender, mail.address, mail.name, identifier, now)
            (folder / f"{name}.html").write_text(rendered.html, encoding="utf-8")
            (folder / f"{name}.txt").write_text(rendered.text, encoding="utf-8")
            (folder / f"{name}.eml").write_bytes(message)
            pages.append(_section(name, rendered.subject, f"{mail.name or ''} <{mail.address}>".strip(), rendered.text))
        index = folder / "index.html"
        index.write_text(_index(header.campaign, pages), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the preview in {folder} cannot be written: {error}", expected="a folder with room"
        ) from error
    return index


def _section(name: str, subject: str, to: str, text: str) -> str:
    frames = "".join(
        f'<iframe src="{name}.html" width="{width}" height="900" sandbox title="{width}"></iframe>'
        for width in (_PHONE, _DESKTOP)
    )
    return (
        f"<section><h2>{escape(subject)}</h2><p>{escape(to)} · <a href='{name}.html'>HTML</a> · "
        f"<a href='{name}.txt'>text</a> · <a href='{name}.eml'>message</a></p>"
        f"<div>{frames}<pre>{escape(text)}</pre></div></section>"
    )


def _index(campaign: str, sections: Sequence[str]) -> str:
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{escape(campaign)}</title><style>'
        "body{font:15px/1.5 system-ui,sans-serif;margin:2rem}div{display:flex;gap:1rem;align-items:flex-start;"
        "overflow-x:auto}iframe{border:1px solid #888;flex:none;background:#fff}pre{white-space:pre-wrap;"
        "overflow-wrap:anywhere;min-width:30rem;max-width:40rem;border:1px solid #888;padding:1rem;margin:0}</style>"
        f"</head><body><h1>{escape(campaign)}</h1>{''.join(sections)}</body></html>\n"
    )
