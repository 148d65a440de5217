"""What a campaign decided for each customer of its audience: the seam between planning and sending.

A plan is a folder that never changes once it is whole:

    plan.json             the campaign, when and from what it was planned, and the totals
    campaign.toml         the campaign's file as it was read
    mails-00000.parquet   one row per customer of the audience, in `MAIL_SCHEMA`, by customer id
    items-00000.parquet   the items of the mails of the file with the same number, in `LISTED_SCHEMA`
    items.parquet         what the catalogue said of every item that is named, in `NAMED_SCHEMA`, by item id
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import orjson
import polars as pl

from recsys.errors import InputError

FORMAT_VERSION = 1
PLAN, CAMPAIGN, NAMED = "plan.json", "campaign.toml", "items.parquet"

PLANNED, SUPPRESSED = "planned", "suppressed"


class Cause(StrEnum):
    """Why a customer of the audience gets no mail, in the order in which it is asked; the first one counts."""

    FORGOTTEN = "forgotten"
    NO_CONSENT = "no_consent"
    RECOMMENDATIONS_OFF = "recommendations_off"
    NO_ADDRESS = "no_address"
    INVALID_ADDRESS = "invalid_address"
    UNREACHABLE = "unreachable"
    SAME_ADDRESS = "same_address"
    FREQUENCY_CAP = "frequency_cap"
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
    "reason": pl.String(),
    "because": pl.String(),
    "did": pl.String(),
}
"""One row per item of a mail, in the order of the mails, then of the blocks, then of the list. `block` counts the
campaign's blocks from 0; `because` is the item that speaks for this one, and `did` what the customer did with it."""

NAMED_SCHEMA: dict[str, pl.DataType] = {
    "item_id": pl.String(),
    "title": pl.String(),
    "author": pl.String(),
    "category": pl.String(),
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
    reason : a short text for the customer, in the language of the mail; empty where there is nothing to say.
    reason_code : why it is there: `history`, `popular`, `similar`, `new_from_author`, `bought_before`, `in_cart`,
        `popular_in_category`.
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
    kind : such as `for_you`; one of `recsys.recommend.mail_blocks`.
    heading : for the customer, in the language of the mail.
    """

    kind: str
    heading: str
    items: tuple[PlannedItem, ...]


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


@dataclass(frozen=True, slots=True)
class BlockHead:
    """A block of the campaign, the same in all mails: its kind and its heading by language. A heading may name
    `{because}` and `{author}`, which the first item of the block fills in."""

    kind: str
    heading: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PlanHeader:
    """What `plan.json` says.

    Attributes
    ----------
    campaign, purpose, template : of the campaign; `template` is None where the built-in one is meant.
    language, time_zone, shop_name : the shop's.
    planned_at : as of when, milliseconds UTC.
    bundle : the models' id.
    audience, planned : how many customers.
    suppressed : how many for each cause; all sum to `audience` with `planned`.
    counted : other numbers worth knowing, such as how many got the shop's language.
    holdout, salt : the share that is held out, and what its hash is keyed with.
    blocks : the campaign's.
    reasons : texts by language, then by reason code.
    parts : how many pairs of files.
    """

    campaign: str
    purpose: str
    template: str | None
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
    blocks: tuple[BlockHead, ...]
    reasons: Mapping[str, Mapping[str, str]]
    parts: int


class Plan:
    """A plan in a folder. Raises InputError where there is none, or one of another version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = _header(folder)

    def mails(self) -> Iterator[PlannedMail]:
        """All mails that are planned, by customer id; a file is held at a time."""
        raise NotImplementedError

    def suppressed(self) -> pl.DataFrame:
        """The others: `customer_id` and `cause`, by customer id."""
        frames = [
            pl.scan_parquet(self.folder / f"mails-{number:05}.parquet")
            .filter(pl.col("cause").is_not_null())
            .select("customer_id", "cause")
            for number in range(self.header.parts)
        ]
        return pl.concat(frames).collect()


def _header(folder: Path) -> PlanHeader:
    path = folder / PLAN
    try:
        said = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", expected="a folder of `bookmatch email plan`") from error
    if not isinstance(said, dict) or said.pop("format_version", None) != FORMAT_VERSION:
        raise InputError(f"{path} is no plan of version {FORMAT_VERSION}", remedy="plan the campaign again")
    blocks = tuple(BlockHead(each["kind"], each["heading"]) for each in said.pop("blocks"))
    return PlanHeader(blocks=blocks, **said)
