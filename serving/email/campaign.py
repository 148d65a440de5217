"""What a campaign is: whom it writes to, what stands in the mails, and when it rather stays silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from enum import StrEnum

from recsys.experiments import Arm, Experiment
from serving.email.words import Words


class BlockKind(StrEnum):
    """What a block of a mail lists."""

    FOR_YOU = "for_you"
    BECAUSE_YOU_BOUGHT = "because_you_bought"
    NEW_FROM_AUTHORS = "new_from_authors"
    NEXT_IN_SERIES = "next_in_series"
    BUY_AGAIN = "buy_again"
    LEFT_IN_CART = "left_in_cart"
    LOOKED_AT = "looked_at"
    POPULAR_NEAR_TASTE = "popular_near_taste"
    PICKED = "picked"


ITEMS, DAYS = 4, 90.0
"""Of a block that does not say how many items it lists, and how far back it looks."""

FORESEEN = frozenset({BlockKind.FOR_YOU, BlockKind.BUY_AGAIN})
"""Blocks of whose items it is known how likely they are bought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One part of the mails.

    Attributes
    ----------
    items : how many it lists at most.
    where : a filter on items that every one of it has to pass; None lets all through.
    days : how far back it looks, for the kinds that do.
    times : how often an item has to have been looked at, for `looked_at`.
    probability : how likely something has to be bought again, for `buy_again`.
    picked : ids, for `picked`.
    placement : whose rules hold, for `for_you`; None is `default`.
    """

    kind: BlockKind
    items: int = ITEMS
    where: str | None = None
    days: float = DAYS
    times: int = 1
    probability: float = 0.0
    picked: tuple[str, ...] = ()
    placement: str | None = None


@dataclass(frozen=True, slots=True)
class Viewed:
    """Looked at something at least so often within so many days, and never had it."""

    times: int
    days: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """The customers who would want an item, at most so many, those first for whom it scores most."""

    item_id: str
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who is in it: whoever everything that is said here is true of. What is not said keeps nobody out.

    Attributes
    ----------
    segments, tiers : names; any of them will do.
    where : a filter on attributes of customers.
    customers : these alone.
    viewed : see `Viewed`.
    in_cart_days : left something in the cart within so many days.
    series_continues : read a volume of a series whose next one is there and was not had.
    runs_out : something will be bought again with at least this probability, within the window of the model.
    wanted : see `Wanted`.
    """

    segments: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    where: str | None = None
    customers: tuple[str, ...] = ()
    viewed: Viewed | None = None
    in_cart_days: float | None = None
    series_continues: bool = False
    runs_out: float | None = None
    wanted: Wanted | None = None


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many mails of the campaign's purpose within so many days."""

    mails: int
    days: float


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From when until before when nobody is written to, by the clock where the customer is; may go over midnight."""

    starts: time
    ends: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Restraint:
    """When a mail stays away, and what of it.

    Attributes
    ----------
    last_mails : no item that stood in one of the customer's last so many mails of the purpose.
    bought_days : nothing that was bought within so many days.
    expires_days : nothing that expires within so many days.
    minimum_relevance : nothing that is known to be bought with less than this probability, and no mail without
        anything that is known to be bought with at least this one; 0 asks for nothing.
    least_items : a mail has at least so many items.
    caps : all hold.
    quiet : None where mails may go out at any hour.
    one_per_account : of a household or company one gets the mail; what any of them was sent before counts for all.
    """

    last_mails: int = 3
    bought_days: float = 30.0
    expires_days: float = 7.0
    minimum_relevance: float = 0.0
    least_items: int = 1
    caps: tuple[Cap, ...] = ()
    quiet: QuietHours | None = None
    one_per_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopFacts:
    """What the shop says of itself.

    Attributes
    ----------
    name : as it stands in mails.
    language, time_zone : of customers of whom neither is known.
    item_url, image_url : addresses with `{item_id}` in them, for items that have no `url` or `image` of their own.
    """

    name: str
    language: str = "en"
    time_zone: str = "UTC"
    item_url: str | None = None
    image_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What a file says.

    Attributes
    ----------
    name : of 1 to 64 of a-z, 0-9, _ and -.
    purpose : what customers consented to.
    template : the name or the path of one; None is the shipped one.
    holdout : the share that gets no mail, so that the others can be compared with it; from 0 to below 1.
    salt : what its draw depends on beside the customer.
    words : by language, the shipped ones among them.
    source, text : the file's name and content.
    """

    name: str
    purpose: str
    template: str | None
    shop: ShopFacts
    audience: Audience
    blocks: tuple[Block, ...]
    restraint: Restraint
    holdout: float
    salt: str
    words: Mapping[str, Words]
    source: str = ""
    text: str = ""

    @property
    def experiment(self) -> Experiment:
        """The comparison of those who get the mail with those who are held out."""
        arms = (Arm(name=MAILED),)
        placement = f"email:{self.name}"
        return Experiment(
            name=self.name, placement=placement, arms=arms, control=MAILED, holdout=self.holdout, salt=self.salt
        )


MAILED = "mailed"
"""The arm of those who get the mail."""
