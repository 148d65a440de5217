"""What `bookmatch email` plans from: the shop as it is, and what a campaign's file is checked against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from recsys.cli.answering import OpenShop, open_shop
from recsys.data.catalog import UNREAD
from recsys.data.interactions import EventTable, Interactions
from recsys.data.item_table import ItemTable
from recsys.data.signals import MS_PER_DAY
from recsys.shop import ShopFolder
from recsys.stores.protocols import Store

if TYPE_CHECKING:
    from serving.email.campaign import Campaign
    from serving.email.plan import Shop


@dataclass(frozen=True, eq=False)
class MailShop:
    """A shop whose campaigns can be read and planned.

    Attributes
    ----------
    now : milliseconds UTC; everything is as of then.
    segments, tiers : the names that an audience may name.
    events : of everybody.
    people : as `people_of` gives them.
    table : of the catalogue.
    """

    shop: OpenShop
    folder: ShopFolder
    now: int
    segments: tuple[str, ...]
    tiers: tuple[str, ...]
    events: EventTable
    people: pl.DataFrame
    table: ItemTable

    def read(self, path: Path) -> Campaign:
        """What a campaign's file says. Raises CampaignFileError with every fault that the shop can tell."""
        from recsys.recommend.placements import placements_text
        from serving.email.people import customer_table
        from serving.email.reading import Surroundings, check_plain, read_campaign

        relevance = self.shop.recommender.relevance
        around = Surroundings(
            segments=self.segments,
            tiers=self.tiers,
            check_items=lambda text: check_plain(text, self.table.kinds),
            check_customers=lambda text: check_plain(text, customer_table(self.people).kinds),
            is_item=lambda item: item in self.shop.bundle.items,
            foresees=relevance is not None,
            check_template=lambda name: check_template(name, self.folder),
        )
        return read_campaign(placements_text(path), str(path), around)

    def forget_meanwhile(self, plan: Path) -> bool:
        """Takes who was forgotten while a plan was made out of it; whether anybody was. Forgetting from then on finds
        the plan itself."""
        from recsys.customers.planned_mails import remove_from_plans

        gone = self.shop.store.persons.forgotten(self.people["customer_id"].to_list())
        return remove_from_plans(plan.parent, gone) > 0 if gone else False

    def planning(self, campaign: Campaign) -> Shop:
        """What a plan of a campaign is made from."""
        from serving.email.mailed import MAILED_DAYS
        from serving.email.people import with_contacts
        from serving.email.plan import Shop
        from serving.http.tokens import RecommendationTokens

        store, bundle = self.shop.store, self.shop.bundle
        # As far back as the longest cap: what is sent is asked that far back once more.
        days = max([MAILED_DAYS, *(cap.days for cap in campaign.restraint.caps)])
        addresses = with_contacts(self.people)["email"].drop_nulls().unique().to_list()
        return Shop(
            recommender=self.shop.recommender,
            catalog=self.shop.catalog,
            table=self.table,
            items=store.catalog.read(),
            interactions=Interactions.from_events(self.events).over(bundle.items),
            people=self.people,
            permissions=store.customers.permissions(campaign.purpose),
            forgotten=frozenset(store.persons.forgotten(self.people["customer_id"].to_list())),
            unreachable=_unreachable(store, addresses),
            mailed=_mailed(store, campaign.purpose, self.now - int(days * MS_PER_DAY)),
            tokens=RecommendationTokens(store.secret()),
        )


@contextmanager
def open_mail_shop(home: Path, now: int) -> Iterator[MailShop]:
    """Opens a shop as of a moment (milliseconds UTC); a clear error where there is no store or no model."""
    from serving.email.people import people_of

    folder = ShopFolder(home)
    with open_shop(folder) as shop:
        table = ItemTable.of(shop.store.catalog.changes(UNREAD), shop.bundle.items)
        facts, segments, tiers = _facts(shop.store, folder, now)
        events = shop.store.events.read()
        people = people_of(shop.store.customers.read(), events.customer_ids, facts)
        yield MailShop(shop, folder, now, segments, tiers, events, people, table)


def check_template(name: str | None, shop: ShopFolder) -> None:
    """Raises InputError where there is no such template, or where it or the shop's own texts do not fit."""
    from serving.email.sending import TEMPLATES, TEXTS
    from serving.email.templates import find_template, load_template
    from serving.email.texts import check_texts

    load_template(find_template(name, shop.email / TEMPLATES))
    check_texts(shop.email / TEXTS)


def _facts(store: Store, folder: ShopFolder, now: int) -> tuple[pl.DataFrame, tuple[str, ...], tuple[str, ...]]:
    """What follows from what customers did, and the names of segments and tiers."""
    from recsys.customers import Segment, facts, rules_in

    rules = rules_in(folder.customer_rules)
    return facts(store, now, rules), tuple(map(str, Segment)), tuple(tier.name for tier in rules.tiers)


def _mailed(store: Store, purpose: str, since: int) -> pl.DataFrame:
    """The mails of a purpose that went out or may have."""
    return store.ledger.mailed(since, purpose).select("customer_id", "at", "content")


def _unreachable(store: Store, addresses: list[str]) -> frozenset[str]:
    """Which addresses mail servers refused for good, in lower case."""
    return frozenset(address.lower() for address in store.addresses.undeliverable(addresses))
