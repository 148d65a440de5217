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
from recsys.data.history import HISTORY_LIMIT
from recsys.data.profile import Profile
from recsys.data.signals import MS_PER_DAY
from recsys.stores.ledger import MAILED_SCHEMA
from recsys.stores.protocols import Store
from serving.email.addresses import is_address
from serving.email.campaign import Restraint
from serving.email.mailed import MAILED_DAYS, contents_of_last_mails, items_in
from serving.email.permission import not_before
from serving.email.planned import Cause, PlannedBlock, PlannedItem, PlannedMail
from serving.email.still_wanted import Did, named_in, still_wanted

_OF_MAILS = ("customer_id", "at", "content")
_ASKED = ("item_id", "price", "currency", "available", "published", "expires")


class LateCause(StrEnum):
    """Why a mail that was planned is suppressed after all, beside the causes of planning."""

    NOTHING_LEFT = "nothing_left"
    """Less than a mail needs of what was to be in it can be bought still, and is wanted still."""


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
    now : milliseconds UTC; what was mailed before, and who shares an account, is read once, as of now.
    again : the uncertain mails that are to be sent again, with `customer_id` and `at` as in the ledger: no mail stands
        in its own way.
    """

    def __init__(
        self, store: Store, purpose: str, restraint: Restraint, now: int, again: pl.DataFrame | None = None
    ) -> None:
        self._purpose, self._restraint = purpose, restraint
        together = restraint.one_per_account
        sharing = store.customers.read().select("customer_id", "account_id").drop_nulls() if together else None
        mailed = _mailed(store, purpose, restraint, now, again, sharing)
        self._mailed: Mapping[str, Sequence[int]] = dict(mailed.group_by("customer_id").agg("at").iter_rows())
        self._contents = contents_of_last_mails(mailed, restraint.last_mails, now)
        self._accounts = _accounts(sharing)
        self._rows: dict[str, Mapping[str, object]] = {}
        self._catalog_version = UNREAD

    def __call__(self, store: Store, mails: Sequence[PlannedMail], now: int) -> list[Checked]:
        """Of each mail: itself with what can be bought and is wanted now, at the price of now; or why it is not sent.
        What the store can tell of many at once is asked for all of them."""
        self._look(store)
        profiles = [store.profiles.get(mail.customer_id) for mail in mails]
        addresses = _addresses(store, profiles, mails)
        unreachable = store.addresses.undeliverable(set(addresses))
        return [
            self._checked(store, mail, profile, address, address in unreachable, now)
            for mail, profile, address in zip(mails, profiles, addresses, strict=True)
        ]

    def _checked(
        self, store: Store, mail: PlannedMail, profile: Profile, address: str, is_unreachable: bool, now: int
    ) -> Checked:
        if not profile.allows(self._purpose):
            return Suppression(Cause.NO_CONSENT)
        if not profile.recommendations:
            return Suppression(Cause.RECOMMENDATIONS_OFF)
        if address != mail.address and not is_address(address):
            return Suppression(Cause.INVALID_ADDRESS if address else Cause.NO_ADDRESS)
        if is_unreachable:
            return Suppression(Cause.UNREACHABLE)
        if self._is_capped(profile.customer_id, now):
            return Suppression(Cause.FREQUENCY_CAP)
        until = max(mail.not_before, not_before(self._restraint.quiet, mail.time_zone, now))
        if until > now:
            return Postponement(until)
        blocks = self._still(self._wanted(store, profile.customer_id, mail.blocks, now), now)
        if sum(len(block.items) for block in blocks) < max(self._restraint.least_items, 1):
            return Suppression(LateCause.NOTHING_LEFT)
        theme = mail.theme if blocks == mail.blocks else _theme(mail, blocks)
        return replace(mail, address=address, blocks=blocks, theme=theme)

    def _is_capped(self, customer_id: str, now: int) -> bool:
        times = self._mailed.get(customer_id, ())
        return any(sum(at > now - cap.days * MS_PER_DAY for at in times) >= cap.mails for cap in self._restraint.caps)

    def _wanted(
        self, store: Store, customer_id: str, blocks: Sequence[PlannedBlock], now: int
    ) -> tuple[PlannedBlock, ...]:
        """Without what was bought, given back or refused, or stood in another mail, since the plan was made."""
        since, about = int(now - self._restraint.bought_days * MS_PER_DAY), named_in(blocks)

        def did(who: str) -> Did:
            return Did.of(store.histories.get(who, HISTORY_LIMIT), about, since)

        barred = {item for content in self._contents.get(customer_id, ()) for item in items_in(content)}
        for each in self._accounts.get(customer_id, ()):
            barred.update(did(each).bought if each != customer_id else ())
        return still_wanted(blocks, did(customer_id), barred)

    def _still(self, blocks: Sequence[PlannedBlock], now: int) -> tuple[PlannedBlock, ...]:
        kept = []
        for block in blocks:
            items = tuple([current for item in block.items if (current := self._current(item, now)) is not None])
            if items:
                kept.append(block if items == block.items else replace(block, items=items))
        return tuple(kept)

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
        published, expires, price, currency = row["published"], row["expires"], row["price"], row["currency"]
        ends = now + int(self._restraint.expires_days * MS_PER_DAY)
        if row["available"] is False or (isinstance(expires, int) and expires <= ends):
            return None
        if isinstance(published, int) and published > now:
            return None
        if (price, currency) == (item.price, item.currency):
            return item
        return replace(
            item,
            price=price if isinstance(price, float) else None,
            currency=currency if isinstance(currency, str) else None,
        )


def _addresses(store: Store, profiles: Sequence[Profile], mails: Sequence[PlannedMail]) -> list[str]:
    """The customers' addresses of now, empty for those who have none any more; the planned one of a customer without a
    row."""
    rows = store.customers.get([profile.customer_id for profile in profiles])
    said: dict[str, str | None] = dict(rows.select("customer_id", "attributes").iter_rows())
    return [
        _address(said[profile.customer_id]) if profile.customer_id in said else mail.address
        for profile, mail in zip(profiles, mails, strict=True)
    ]


def _address(attributes: str | None) -> str:
    said = None if attributes is None else orjson.loads(attributes).get("email")
    return said.strip() if isinstance(said, str) else ""


def _theme(mail: PlannedMail, blocks: Sequence[PlannedBlock]) -> str:
    """The theme line, which speaks of what stood first, as long as that still does: otherwise the first heading."""
    planned, now = mail.blocks[0].items[0], blocks[0].items[0]
    return mail.theme if planned.item_id == now.item_id else blocks[0].heading or now.title


def _mailed(
    store: Store, purpose: str, restraint: Restraint, now: int, again: pl.DataFrame | None, sharing: pl.DataFrame | None
) -> pl.DataFrame:
    """The mails that caps count, or whose items do not come again: `customer_id`, `at` and `content`, the oldest
    first."""
    days = [cap.days for cap in restraint.caps] + ([MAILED_DAYS] if restraint.last_mails else [])
    if not days:
        return pl.DataFrame(schema={name: MAILED_SCHEMA[name] for name in _OF_MAILS})
    mailed = store.ledger.mailed(int(now - max(days) * MS_PER_DAY), purpose).select(_OF_MAILS)
    if again is not None:
        # One of that moment alone: another mail may have gone out at the same time.
        nth = pl.int_range(pl.len(), dtype=pl.Int64).over("customer_id", "at").alias("nth")
        first = again.select("customer_id", "at", pl.lit(0, dtype=pl.Int64).alias("nth"))
        mailed = (
            mailed.with_columns(nth)
            .join(first, on=["customer_id", "at", "nth"], how="anti", maintain_order="left")
            .drop("nth")
        )
    return mailed if sharing is None else with_members(mailed, sharing)


def _accounts(sharing: pl.DataFrame | None) -> Mapping[str, Sequence[str]]:
    """By customer, everybody who shares an account with them, themselves too; none where everybody is on their own."""
    if sharing is None:
        return {}
    together = sharing.join(sharing.group_by("account_id").agg(pl.col("customer_id").alias("all")), on="account_id")
    return dict(together.select("customer_id", "all").iter_rows())
