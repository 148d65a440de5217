"""What a campaign decided for each customer of its audience: the seam between planning and sending.

A plan is a folder that never changes once it is whole:

    plan.json             the campaign, when and from what it was planned, and the totals
    campaign.toml         the campaign's file as it was read
    mails-00000.parquet   one row per customer of the audience, in `MAIL_SCHEMA`, by customer id
    items-00000.parquet   the items of the mails of the file with the same number, in `LISTED_SCHEMA`
    items.parquet         what the catalogue said of every item that is named, in `NAMED_SCHEMA`, by item id
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from recsys.data.events import EventKind
from recsys.errors import InputError
from recsys.recommend.crowd.picks import REASONS
from serving.email.words import Words, filled, spoken

FORMAT_VERSION = 1
PLAN, CAMPAIGN, NAMED = "plan.json", "campaign.toml", "items.parquet"


class Cause(StrEnum):
    """Why a customer of the audience gets no mail, in the order in which it is asked; the first one counts."""

    FORGOTTEN = "forgotten"
    NO_CONSENT = "no_consent"
    RECOMMENDATIONS_OFF = "recommendations_off"
    NO_ADDRESS = "no_address"
    INVALID_ADDRESS = "invalid_address"
    UNREACHABLE = "unreachable"
    FREQUENCY_CAP = "frequency_cap"
    SAME_ACCOUNT = "same_account"
    SAME_ADDRESS = "same_address"
    NOTHING_GOOD_ENOUGH = "nothing_good_enough"
    HOLDOUT = "holdout"


MAIL_SCHEMA: dict[str, pl.DataType] = {
    "customer_id": pl.String(),
    "account_id": pl.String(),
    "cause": pl.String(),
    "address": pl.String(),
    "name": pl.String(),
    "language": pl.String(),
    "time_zone": pl.String(),
    "not_before": pl.Int64(),
    "theme": pl.String(),
    "token": pl.String(),
    "items": pl.Int32(),
}
"""One row per customer of the audience. `cause` is null where a mail is planned; `not_before` is milliseconds UTC;
`token` is the mail's `recommendation_id`; `items` says how many rows of the other file are this one's."""

LISTED_SCHEMA: dict[str, pl.DataType] = {
    "block": pl.Int16(),
    "item_id": pl.String(),
    "relevance": pl.Float32(),
    "reason": pl.Enum(REASONS),
    "because": pl.String(),
    "did": pl.Enum([str(kind) for kind in EventKind]),
}
"""One row per item of a mail, in the order of the mails, then of the blocks, then of the list. `block` counts the
campaign's blocks from 0; `because` is the item that speaks for this one, and `did` what the customer did with it."""

NAMED_SCHEMA: dict[str, pl.DataType] = {
    "item_id": pl.String(),
    "title": pl.String(),
    "author": pl.String(),
    "category": pl.String(),
    "series": pl.String(),
    "price": pl.Float64(),
    "currency": pl.String(),
    "url": pl.String(),
    "image": pl.String(),
}


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One item of a mail, as the catalogue described it when the mail was planned.

    Attributes
    ----------
    title : the id where the catalogue has none.
    reason : a short text for the customer, in the language of the mail; empty where there is nothing to say.
    reason_code : one of `recsys.recommend.crowd.picks.REASONS`.
    because : the item that speaks for it, such as one that the customer bought; None where no single one does.
    relevance : the probability that the customer buys it; None where it is not known.
    """

    item_id: str
    title: str
    author: str | None
    price: float | None
    currency: str | None
    url: str | None
    image: str | None
    reason: str
    reason_code: str
    because: str | None
    relevance: float | None


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """One part of a mail, with at least one item.

    Attributes
    ----------
    kind : such as `for_you`; one of `serving.email.campaign.BlockKind`.
    heading : for the customer, in the language of the mail.
    again : whether it may list what the customer had.
    """

    kind: str
    heading: str
    items: tuple[PlannedItem, ...]
    again: bool = False


@dataclass(frozen=True, slots=True)
class PlannedMail:
    """One mail that is to be sent, unless something speaks against it by then.

    Attributes
    ----------
    campaign, purpose : the campaign's name, and what the customer consented to.
    account_id : the household or company; None where the customer is in none.
    name : the customer's; None where it is not known.
    language, time_zone : the customer's own, or the shop's.
    not_before : milliseconds UTC; until then quiet hours forbid to send it.
    theme : the subject line; one line.
    blocks : at least one; no item stands in two of them.
    token : the `recommendation_id` of the mail, for links and for events that come back.
    """

    campaign: str
    purpose: str
    customer_id: str
    account_id: str | None
    address: str
    name: str | None
    language: str
    time_zone: str
    not_before: int
    theme: str
    blocks: tuple[PlannedBlock, ...]
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHeader:
    """What `plan.json` says.

    Attributes
    ----------
    campaign, purpose, template : of the campaign; `template` is None where the shipped one is meant.
    shop, language, time_zone : the shop's name, and what customers get of whom these are not known.
    planned_at : as of when, milliseconds UTC.
    bundle : the models' id.
    audience, planned : how many customers.
    suppressed : how many for each cause that occurs; with `planned` they sum to `audience`.
    counted : other numbers worth knowing, such as how many got the shop's language.
    holdout, salt : the share that is held out, and what its draw depends on.
    blocks : the kinds of the campaign's blocks.
    again : for each of them whether it may list what a customer had; empty where none may.
    words : by language.
    parts : how many pairs of files there are.
    """

    campaign: str
    purpose: str
    template: str | None
    shop: str
    language: str
    time_zone: str
    planned_at: int
    bundle: str
    audience: int
    planned: int
    suppressed: Mapping[str, int]
    counted: Mapping[str, int]
    holdout: float
    salt: str
    blocks: tuple[str, ...]
    again: tuple[bool, ...] = ()
    words: Mapping[str, Words]
    parts: int

    def to_json(self) -> bytes:
        """As `plan.json` holds it: the same for equal headers."""
        said = {"format_version": FORMAT_VERSION} | asdict(self)
        return orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


class Plan:
    """A plan in a folder. Raises InputError where there is none, or one of another version; `mails` does for one whose
    files do not belong together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = _header(folder)

    def mails(self) -> Iterator[PlannedMail]:
        """All mails that are planned, by customer id; one file is held at a time."""
        named = {row[0]: row[1:] for row in pl.read_parquet(self.folder / NAMED).iter_rows()}
        for number in range(self.header.parts):
            rows = pl.read_parquet(self.folder / mails_file(number))
            items = pl.read_parquet(self.folder / items_file(number)).rows()
            if rows["items"].sum() != len(items):
                raise InputError(
                    f"the mails and the items in part {number} of the plan {self.folder} do not belong together",
                    expected="as many items as the mails have",
                    remedy="if a customer is being forgotten, send again then; plan the campaign again otherwise",
                )
            first = 0
            for row in rows.iter_rows(named=True):
                if row["cause"] is None:
                    yield self._mail(row, items[first : first + row["items"]], named)
                first += row["items"]

    def suppressed(self) -> pl.DataFrame:
        """The others: `customer_id` and `cause`, by customer id."""
        rows = pl.scan_parquet([self.folder / mails_file(number) for number in range(self.header.parts)])
        return rows.filter(pl.col("cause").is_not_null()).select("customer_id", "cause").collect()

    def _mail(
        self, row: Mapping[str, Any], items: Sequence[tuple[Any, ...]], named: Mapping[str, tuple[Any, ...]]
    ) -> PlannedMail:
        header = self.header
        words = header.words[spoken(row["language"], header.words, header.language)]
        blocks = []
        for number, own in groupby(items, key=itemgetter(0)):
            kind, rows = header.blocks[number], list(own)
            listed = tuple(_item(each, named, words) for each in rows)
            values = spot(rows[0][1], rows[0][4], named) | {"name": row["name"], "shop": header.shop}
            again = number < len(header.again) and header.again[number]
            blocks.append(PlannedBlock(kind, filled(words.headings[kind], values) or "", listed, again))
        return PlannedMail(
            header.campaign, header.purpose, row["customer_id"], row["account_id"], row["address"], row["name"],
            row["language"], row["time_zone"], row["not_before"], row["theme"], tuple(blocks), row["token"],
        )  # fmt: skip


def mails_file(number: int) -> str:
    """The name of a file of mails."""
    return f"mails-{number:05}.parquet"


def items_file(number: int) -> str:
    """The name of the file with the items of those mails."""
    return f"items-{number:05}.parquet"


def spot(item_id: str, because: str | None, named: Mapping[str, tuple[Any, ...]]) -> dict[str, str | None]:
    """What a text may name of an item and of what speaks for it: see `serving.email.words`. `named` are the rows of
    `NAMED_SCHEMA` without their ids, by id."""
    title, author, category, series, *_ = named[item_id]
    reason = None if because is None else named[because][0] or because
    return {"title": title or item_id, "author": author, "category": category, "series": series, "because": reason}


def _item(row: tuple[Any, ...], named: Mapping[str, tuple[Any, ...]], words: Words) -> PlannedItem:
    _, item_id, relevance, code, because, _ = row
    title, author, _, _, price, currency, url, image = named[item_id]
    reason = filled(words.reasons[code], spot(item_id, because, named)) or ""
    return PlannedItem(item_id, title or item_id, author, price, currency, url, image, reason, code, because, relevance)


def _header(folder: Path) -> PlanHeader:
    path = folder / PLAN
    try:
        said = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", expected="a folder of `bookmatch email plan`") from error
    if not isinstance(said, dict) or said.pop("format_version", None) != FORMAT_VERSION:
        raise InputError(f"{path} is no plan of version {FORMAT_VERSION}", remedy="plan the campaign again")
    words = {language: Words(**each) for language, each in said.pop("words").items()}
    return PlanHeader(words=words, blocks=tuple(said.pop("blocks")), again=tuple(said.pop("again", ())), **said)
