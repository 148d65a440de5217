"""What `bookmatch email` plans from: the shop as it is, and what a campaign's file is checked against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from recsys.cli.answering import OpenShop, open_shop
from recsys.data.catalog import UNREAD
from recsys.data.interactions import EventTable, Interactions
from recsys.data.item_table import ItemTable
from recsys.data.shown import MOST_IMPRESSIONS, Shown
from recsys.data.signals import MS_PER_DAY
from recsys.errors import InputError
from recsys.recommend.placement import DEFAULT_PLACEMENT, Placement
from recsys.recommend.placements import PlacementRepository
from recsys.recommend.recommender import Recommender
from recsys.shop import ShopFolder
from recsys.stores.protocols import Store

if TYPE_CHECKING:
    from recsys.recommend.crowd.spots import Spot
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
    placements : in force, by name.
    """

    shop: OpenShop
    folder: ShopFolder
    now: int
    segments: tuple[str, ...]
    tiers: tuple[str, ...]
    events: EventTable
    people: pl.DataFrame
    table: ItemTable
    placements: Mapping[str, Placement]

    def read(self, path: Path) -> Campaign:
        """What a campaign's file says. Raises CampaignFileError with every fault that the shop can tell, and InputError
        where the shop says how it sends, and that does not fit."""
        from recsys.cli.email_delivery import delivery_settings
        from recsys.recommend.placements import placements_text
        from serving.email.people import customer_table
        from serving.email.reading import Surroundings, check_plain, read_campaign
        from serving.email.settings import FILE

        around = Surroundings(
            segments=self.segments,
            tiers=self.tiers,
            check_items=lambda text: check_plain(text, self.table.kinds),
            check_customers=lambda text: check_plain(text, customer_table(self.people).kinds),
            is_item=lambda item: item in self.shop.bundle.items,
            foresees=lambda name: self._spot(name).relevance is not None,
            check_template=lambda name: check_template(name, self.folder),
        )
        campaign = read_campaign(placements_text(path), str(path), around)
        if (self.folder.email / FILE).exists():
            # Planned mails that could never be sent help nobody.
            delivery_settings(self.folder, login=False)
        return campaign

    def _spot(self, name: str | None) -> Recommender:
        """What answers at a placement in force, `default` for None. Raises InputError where there is none, or where
        its rules do not fit the shop's items."""
        name = DEFAULT_PLACEMENT.name if name is None else name
        if name not in self.placements:
            raise InputError(f"there is no placement {name[:80]!r}", expected=f"one of {', '.join(self.placements)}")
        found = self.shop.recommender.at(self.placements[name])
        found.rules.check(self.table.kinds)
        found.layout.check(self.table)
        return found

    def _spots(self, campaign: Campaign) -> Mapping[str | None, Spot]:
        """The placements of a campaign's blocks that have rules of their own."""
        from recsys.recommend.crowd.spots import Spot, is_plain
        from serving.email.campaign import BlockKind
        from serving.email.people import Attributes

        attributes, items, histories = Attributes(self.people), self.shop.bundle.items, self.shop.store.histories
        names = {block.placement for block in campaign.blocks if block.kind is BlockKind.FOR_YOU}
        return {
            name: Spot(spot, attributes, lambda who: Shown.of(histories.shown(who, MOST_IMPRESSIONS)[1], items))
            for name in names
            if not is_plain((spot := self._spot(name)).placement)
        }

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
            spots=self._spots(campaign),
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
        placements = PlacementRepository(folder.placements).current().placements
        yield MailShop(shop, folder, now, segments, tiers, events, people, table, placements)


def check_template(name: str | None, shop: ShopFolder) -> None:
    """Raises InputError where there is no such template, or where it or the shop's own texts do not fit."""
    from serving.email.sending import TEMPLATES, TEXTS
    from serving.email.templates import find_template, load_template
    from serving.email.texts import check_texts

    load_template(find_template(name, shop.email / TEMPLATES))
    check_texts(shop.email / TEXTS)


def _facts(store: Store, folder: ShopFolder, now: int) -> tuple[pl.DataFrame, tuple[str, ...], tuple[str, ...]]:
    """What follows from what customers did, and the names of segments and tiers."""
    from recsys.customers import Segment, Unit, facts, rules_in
    from recsys.customers.kept import with_accounts

    rules = rules_in(folder.customer_rules)
    table = facts(store, now, rules)
    if table["account_id"].null_count() < len(table):
        table = with_accounts(table, facts(store, now, rules, Unit.ACCOUNT))
    return table, tuple(map(str, Segment)), tuple(tier.name for tier in rules.tiers)


def _mailed(store: Store, purpose: str, since: int) -> pl.DataFrame:
    """The mails of a purpose that went out or may have."""
    return store.ledger.mailed(since, purpose).select("customer_id", "at", "content")


def _unreachable(store: Store, addresses: list[str]) -> frozenset[str]:
    """Which addresses mail servers refused for good, in lower case."""
    return frozenset(address.lower() for address in store.addresses.undeliverable(addresses))
