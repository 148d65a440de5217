"""What the commands on placements are tried with: the shop and some of its customers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from recsys.bundle import BundleRepository
from recsys.cli.answering import open_shop
from recsys.customers.attributes import attributes_of
from recsys.data.catalog import UNREAD
from recsys.data.history import HISTORY_LIMIT, History
from recsys.data.item_table import ItemTable
from recsys.data.shown import MOST_IMPRESSIONS, NOTHING_SHOWN, Shown
from recsys.data.vocabulary import Vocabulary
from recsys.errors import UnknownCustomerError
from recsys.recommend.filters import NOBODY as NOBODY_KNOWN
from recsys.recommend.filters import AskerFacts, parse
from recsys.recommend.placements import PlacementsFile, read_placements
from recsys.recommend.placements.trial import NOBODY, Customer, Trial
from recsys.shop import ShopFolder
from recsys.stores.protocols import Store


@dataclass(frozen=True, slots=True)
class Wanted:
    """With whom placements are tried, and how long their lists are.

    Attributes
    ----------
    customers : these; where there are none, `sample` of all, drawn by `seed`, and one of whom nothing is known.
    """

    customers: tuple[str, ...] = ()
    sample: int = 20
    seed: int = 0
    limit: int = 10


@dataclass(frozen=True, slots=True)
class TryingShop:
    """The shop as it is now."""

    store: Store
    trial: Trial
    bundles: Sequence[str]
    now: int

    def read(self, text: str, source: str) -> PlacementsFile:
        """What a file says that is to be published; every fault of it that the shop can tell is raised."""
        columns = self.trial.table.kinds
        return read_placements(
            text, source, check=lambda each: parse(each, columns), bundles=self.bundles, now=self.now
        )

    def check(self, file: PlacementsFile) -> None:
        """Raises PlacementsFileError for what does not fit the shop's items, and for lists with nothing on them."""
        self.trial.check(file)

    def titles(self, item_ids: Sequence[str]) -> Mapping[str, str]:
        """The titles of those of these items that have one."""
        rows = self.store.catalog.get(item_ids).select("item_id", "title").drop_nulls()
        return dict(rows.iter_rows())


@contextmanager
def open_trial(home: ShopFolder, wanted: Wanted) -> Iterator[TryingShop]:
    """Opens a shop and draws the customers. UnknownCustomerError for one who was named and is not known."""
    with open_shop(home) as shop:
        for customer in wanted.customers:
            if not shop.store.persons.known(customer):
                raise UnknownCustomerError(customer)
        ids = wanted.customers or shop.store.customers.sample(wanted.sample, wanted.seed)
        customers = {each: _customer(shop.store, shop.bundle.items, each) for each in ids}
        if not wanted.customers:
            customers[NOBODY] = Customer(NOBODY_KNOWN, NOTHING_SHOWN)
        now = int(time.time() * 1000)
        table = ItemTable.of(shop.store.catalog.changes(UNREAD), shop.bundle.items)
        trial = Trial(shop.bundle, shop.catalog, table, customers, wanted.limit, now)
        yield TryingShop(shop.store, trial, BundleRepository(home.models).bundle_ids(), now)


def _customer(store: Store, items: Vocabulary, customer_id: str) -> Customer:
    past = History.from_stored(store.histories.get(customer_id, HISTORY_LIMIT), items)
    asker = AskerFacts(past, attributes_of(store, customer_id))
    return Customer(asker, Shown.of(store.histories.shown(customer_id, MOST_IMPRESSIONS)[1], items))
