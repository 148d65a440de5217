"""A mailing as a file for an e-mail service provider, who renders and sends: handing it over is sending it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final

import orjson
import polars as pl

from recsys.durable import sync
from recsys.errors import InputError
from recsys.shop import ShopFolder
from recsys.shop_lock import sending_alone, shop_in_use
from recsys.stores.ledger import MailState, Move
from recsys.stores.protocols import Store
from serving.email.campaign import Restraint
from serving.email.claims import sent_event
from serving.email.deliver import Sending
from serving.email.links import is_link, tracked
from serving.email.planned import PlannedMail
from serving.email.rechecking import Postponement, Recheck, Suppression
from serving.email.sending import PlannedMailing, Sent, begin, mailing_name, recover
from serving.email.settings import DeliverySettings
from serving.email.unsubscribe import UnsubscribeLinks
from serving.http.unsubscribe_page import PATH


class Shape(StrEnum):
    """Which columns or fields a file has."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON_LINES = "jsonl"
    BRAZE = "braze"
    MAILCHIMP = "mailchimp"
    SENDGRID = "sendgrid"


_ITEM = ("item_id", "title", "author", "price", "currency", "url", "image", "reason")
_AT_ONCE: Final = 1_000
"""Mails that are rechecked together."""
_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A cell that begins with one of these is a formula to a spreadsheet."""

Record = dict[str, object]


def export(
    shop: ShopFolder,
    store: Store,
    plan: PlannedMailing,
    restraint: Restraint,
    settings: DeliverySettings,
    target: Path,
    shape: Shape,
    now: Callable[[], int],
) -> Sent:
    """Writes what waits of a plan's mailing into a new file and counts it as sent; everything that is asked before a
    mail is sent is asked here, but for quiet hours: `not_before` is in the file, for the provider to keep.

    The ledger says `sending` before the file has its name, and `sent` after. Raises InputError for a file that is there
    already or cannot be written; then nothing is sent.
    """
    if target.exists():
        raise InputError(f"{target} is there already", expected="a new file", remedy="name another")
    with shop_in_use(shop.home), sending_alone(shop.home):
        begin(store, plan, settings.sender.domain, now())
        name = mailing_name(plan.header)
        left = recover(store, name, now())
        waiting = store.ledger.rows(name, [MailState.WAITING]).select("customer_id", "message_id")
        message_ids: dict[str, str] = dict(waiting.iter_rows())
        links, sending = UnsubscribeLinks.of_shop(shop.email), Sending()
        recheck = Recheck(store, plan.header.purpose, replace(restraint, quiet=None), now())
        wanted = (mail for mail in plan.mails() if mail.customer_id in message_ids)
        mails: list[PlannedMail] = []
        while some := list(islice(wanted, _AT_ONCE)):
            judged = recheck(store, [replace(mail, not_before=0) for mail in some], now())
            moves = []
            for mail, checked in zip(some, judged, strict=True):
                if isinstance(checked, Suppression):
                    moves.append(Move(mail.customer_id, MailState.SUPPRESSED, checked.cause))
                elif not isinstance(checked, Postponement):
                    mails.append(replace(checked, not_before=mail.not_before))
            store.ledger.move(name, moves, now())
            sending.moved[MailState.SUPPRESSED] += len(moves)

        def record(mail: PlannedMail) -> Record:
            link = f"{settings.service}{PATH}{links.token(mail.customer_id, mail.purpose)}"
            return record_of(mail, message_ids[mail.customer_id], link, settings.home_page)

        unfinished = target.with_name(f".{target.name}.unfinished")
        try:
            write(unfinished, shape, [record(mail) for mail in mails])
            sync(unfinished)
            claimed = store.ledger.move(name, [Move(mail.customer_id, MailState.SENDING) for mail in mails], now())
            if not all(claimed):
                # Who was forgotten meanwhile is in no row any more, and must be in no file.
                mails = [mail for mail, is_claimed in zip(mails, claimed, strict=True) if is_claimed]
                write(unfinished, shape, [record(mail) for mail in mails])
                sync(unfinished)
            unfinished.rename(target)
            sync(target.parent)
        except (OSError, pl.exceptions.ComputeError) as error:
            # What waits again must be in no file that somebody could send.
            unfinished.unlink(missing_ok=True)
            target.unlink(missing_ok=True)
            back = [Move(mail.customer_id, MailState.WAITING) for mail in mails]
            store.ledger.move(name, back, now())
            raise InputError(f"{target} cannot be written: {error}", expected="a place with room") from error
        with store.transaction():
            store.ledger.move(name, [Move(mail.customer_id, MailState.SENT) for mail in mails], now())
            gone = store.persons.forgotten([mail.customer_id for mail in mails])
            still_there = [mail for mail in mails if mail.customer_id not in gone]
            store.events.append([sent_event(mail, message_ids[mail.customer_id], now()) for mail in still_there])
        sending.moved[MailState.SENT] = len(mails)
        return Sent(name, left, sending, store.ledger.totals(name))


def record_of(mail: PlannedMail, message_id: str, unsubscribe_url: str, home_page: str) -> Record:
    """A mail as nested fields, the same for every shape."""
    blocks = [
        {
            "kind": block.kind,
            "heading": block.heading,
            "items": [
                {field: getattr(item, field) for field in _ITEM}
                | {"url": tracked(item.url if item.url and is_link(item.url) else home_page, mail.campaign, mail.token)}
                for item in block.items
            ],
        }
        for block in mail.blocks
    ]
    return {
        "customer_id": mail.customer_id,
        "email": mail.address,
        "name": mail.name,
        "language": mail.language,
        "time_zone": mail.time_zone,
        "not_before": mail.not_before,
        "campaign": mail.campaign,
        "purpose": mail.purpose,
        "theme": mail.theme,
        "recommendation_id": mail.token,
        "message_id": message_id,
        "unsubscribe_url": unsubscribe_url,
        "blocks": blocks,
    }


def write(path: Path, shape: Shape, records: Sequence[Record]) -> None:
    """Writes a file of this shape, which its owner alone may read. Raises OSError, and polars' ComputeError."""
    path.touch(0o600)
    if shape is Shape.PARQUET:
        pl.DataFrame([_flat(record) for record in records], infer_schema_length=None).write_parquet(path)
        return
    text = _csv(records, shape) if shape in (Shape.CSV, Shape.MAILCHIMP) else _lines(records, shape)
    path.write_bytes(text)


def _lines(records: Sequence[Record], shape: Shape) -> bytes:
    if shape is Shape.BRAZE:
        records = [_braze(record) for record in records]
    elif shape is Shape.SENDGRID:
        records = [_sendgrid(record) for record in records]
    return b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)


def _braze(record: Record) -> Record:
    """A recipient of `/campaigns/trigger/send`."""
    properties = {key: value for key, value in record.items() if key not in ("customer_id", "email", "name")}
    attributes = {"email": record["email"], "first_name": record["name"], "language": record["language"]}
    return {"external_user_id": record["customer_id"], "attributes": attributes, "trigger_properties": properties}


def _sendgrid(record: Record) -> Record:
    """A personalization of `/v3/mail/send` with a dynamic template."""
    to = {"email": record["email"]} | ({"name": record["name"]} if record["name"] else {})
    about = {key: record[key] for key in ("customer_id", "campaign", "recommendation_id", "message_id")}
    data = {key: record[key] for key in ("name", "language", "theme", "unsubscribe_url", "blocks")}
    headers = {
        "List-Unsubscribe": f"<{record['unsubscribe_url']}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    return {
        "to": [to],
        "subject": record["theme"],
        "headers": headers,
        "custom_args": about,
        "dynamic_template_data": data,
    }


_MAILCHIMP: Final[Mapping[str, str]] = {
    "Email Address": "email",
    "First Name": "name",
    "LANGUAGE": "language",
    "CUSTOMER": "customer_id",
    "THEME": "theme",
    "UNSUB": "unsubscribe_url",
}


def _csv(records: Sequence[Record], shape: Shape) -> bytes:
    rows = [_mailchimp(_flat(record)) if shape is Shape.MAILCHIMP else _flat(record) for record in records]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([[_cell(row.get(column)) for column in columns] for row in rows])
    return out.getvalue().encode()


def _mailchimp(row: Record) -> Record:
    """Merge tags are at most ten letters."""
    kept: Record = {column: row[field] for column, field in _MAILCHIMP.items()}
    for key, value in row.items():
        block, _, rest = key.partition("_")
        if block.startswith("block") and block[5:].isdigit():
            what = rest.removeprefix("item").replace("_item_id", "_id")
            kept[f"B{block[5:]}{what.upper().replace('_', '')}"[:10]] = value
    return kept


def _flat(record: Record) -> Record:
    """One column for each field, blocks and items counted from 1: `block1_item2_title`."""
    row = {key: value for key, value in record.items() if key != "blocks"}
    return row | dict(_columns(record))


def _columns(record: Record) -> Iterator[tuple[str, object]]:
    blocks = record["blocks"]
    for number, block in enumerate(blocks if isinstance(blocks, list) else (), 1):
        yield f"block{number}_kind", block["kind"]
        yield f"block{number}_heading", block["heading"]
        for place, item in enumerate(block["items"], 1):
            for field in _ITEM:
                yield f"block{number}_item{place}_{field}", item[field]


def _cell(value: object) -> object:
    """A text that a spreadsheet does not run."""
    if isinstance(value, str) and value.startswith(_DANGEROUS):
        return f"'{value}"
    return "" if value is None else value
