"""What is asked once more in the moment before a mail is handed over: the plan may be a day old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

import orjson
import polars as pl

from recsys.customers.accounts import with_members
from recsys.data.catalog import UNREAD
from recsys.data.signals import MS_PER_DAY
from recsys.stores.protocols import Store
from serving.email.addresses import is_address
from serving.email.campaign import Restraint
from serving.email.permission import not_before
from serving.email.planned import Cause, PlannedBlock, PlannedItem, PlannedMail

_ASKED = ("item_id", "price", "currency", "available", "expires")


class LateCause(StrEnum):
    """Why a mail that was planned is suppressed after all, beside the causes of planning."""

    NOTHING_LEFT = "nothing_left"
    """Less than a mail needs of what was to be in it can be bought still."""


class Suppression(NamedTuple):
    """There is no mail for this customer."""

    cause: str


class Postponement(NamedTuple):
    """Not before this moment, milliseconds UTC."""

    until: int


Checked = PlannedMail | Suppression | Postponement


class Recheck:
    """Asks for one mailing, inside the transaction that gives its mails the state `sending`: what was acknowledged
    before, such as an unsubscription, is seen.

    Parameters
    ----------
    store : nobody else sends from it meanwhile.
    now : milliseconds UTC; what was mailed before is read once, as of now.
    again : the uncertain mails that are to be sent again, with `customer_id` and `at` as in the ledger: no mail stands
        in its own way.
    """

    def __init__(
        self, store: Store, purpose: str, restraint: Restraint, now: int, again: pl.DataFrame | None = None
    ) -> None:
        self._purpose, self._restraint = purpose, restraint
        self._mailed = _mailed(store, purpose, restraint, now, again)
        self._rows: dict[str, Mapping[str, object]] = {}
        self._catalog_version = UNREAD

    def __call__(self, store: Store, mail: PlannedMail, now: int) -> Checked:
        """The mail with what can be bought now, at the price of now; or why it is not sent."""
        profile = store.profiles.get(mail.customer_id)
        if not profile.allows(self._purpose):
            return Suppression(Cause.NO_CONSENT)
        if not profile.recommendations:
            return Suppression(Cause.RECOMMENDATIONS_OFF)
        address = _address(store, profile.customer_id, mail.address)
        if address != mail.address and not is_address(address):
            return Suppression(Cause.INVALID_ADDRESS if address else Cause.NO_ADDRESS)
        if store.addresses.undeliverable([address]):
            return Suppression(Cause.UNREACHABLE)
        if self._is_capped(profile.customer_id, now):
            return Suppression(Cause.FREQUENCY_CAP)
        until = max(mail.not_before, not_before(self._restraint.quiet, mail.time_zone, now))
        if until > now:
            return Postponement(until)
        blocks = self._still(store, mail.blocks, now)
        if sum(len(block.items) for block in blocks) < max(self._restraint.least_items, 1):
            return Suppression(LateCause.NOTHING_LEFT)
        theme = mail.theme if blocks == mail.blocks else _theme(mail, blocks)
        return replace(mail, address=address, blocks=blocks, theme=theme)

    def _is_capped(self, customer_id: str, now: int) -> bool:
        times = self._mailed.get(customer_id, ())
        return any(sum(at > now - cap.days * MS_PER_DAY for at in times) >= cap.mails for cap in self._restraint.caps)

    def _still(self, store: Store, blocks: Sequence[PlannedBlock], now: int) -> tuple[PlannedBlock, ...]:
        self._look(store)
        kept = [
            replace(block, items=tuple(current for item in block.items if (current := self._current(item, now))))
            for block in blocks
        ]
        return tuple(block for block in kept if block.items)

    def _look(self, store: Store) -> None:
        """Follows the catalogue: a shop's stock changes while a mailing goes out."""
        if store.catalog.version() == self._catalog_version:
            return
        changes = store.catalog.changes(self._catalog_version)
        self._rows |= {str(row["item_id"]): row for row in changes.items.select(_ASKED).iter_rows(named=True)}
        for item_id in changes.removed:
            self._rows.pop(item_id, None)
        self._catalog_version = changes.version

    def _current(self, item: PlannedItem, now: int) -> PlannedItem | None:
        """The item at the price of now; None when it cannot be bought."""
        row = self._rows.get(item.item_id)
        if row is None:  # Taken off since, or never described.
            return None
        expires, price, currency = row["expires"], row["price"], row["currency"]
        if row["available"] is False or (isinstance(expires, int) and expires <= now):
            return None
        if (price, currency) == (item.price, item.currency):
            return item
        return replace(
            item,
            price=price if isinstance(price, float) else None,
            currency=currency if isinstance(currency, str) else None,
        )


def _address(store: Store, customer_id: str, planned: str) -> str:
    """The customer's address of now, empty where they have none any more; the planned one of a customer without a
    row."""
    for attributes in store.customers.get([customer_id])["attributes"]:
        said = None if attributes is None else orjson.loads(attributes).get("email")
        return said.strip() if isinstance(said, str) else ""
    return planned


def _theme(mail: PlannedMail, blocks: Sequence[PlannedBlock]) -> str:
    """The theme line, unless it names what is not in the mail any more: then the first heading says what is."""
    left = {item.item_id for block in blocks for item in block.items}
    gone = [item.title for block in mail.blocks for item in block.items if item.item_id not in left]
    return blocks[0].heading if any(title and title in mail.theme for title in gone) else mail.theme


def _mailed(
    store: Store, purpose: str, restraint: Restraint, now: int, again: pl.DataFrame | None
) -> Mapping[str, Sequence[int]]:
    """When mails that caps count were sent, by customer."""
    if not restraint.caps:
        return {}
    since = int(now - max(cap.days for cap in restraint.caps) * MS_PER_DAY)
    mailed = store.ledger.mailed(since, purpose).select("customer_id", "at")
    if again is not None:
        # One of that moment alone: another mail may have gone out at the same time.
        nth = pl.int_range(pl.len(), dtype=pl.Int64).over("customer_id", "at").alias("nth")
        first = again.select("customer_id", "at", pl.lit(0, dtype=pl.Int64).alias("nth"))
        mailed = mailed.with_columns(nth).join(first, on=["customer_id", "at", "nth"], how="anti").drop("nth")
    if restraint.one_per_account:
        mailed = with_members(mailed, store.customers.read())
    return dict(mailed.group_by("customer_id").agg("at").iter_rows())
