"""What the commands on placements are tried with: the shop and some of its customers."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

from recsys.bundle import BundleRepository
from recsys.cli.answering import open_shop
from recsys.data.history import HISTORY_LIMIT, History
from recsys.errors import InputError, UnknownCustomerError
from recsys.recommend.placements import PlacementsFile, read_placements
from recsys.recommend.placements.faults import one_of
from recsys.recommend.placements.trial import NOBODY, Trial
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
    attributes: frozenset[str]
    bundles: Sequence[str]
    now: int

    def read(self, text: str, source: str) -> PlacementsFile:
        """What a file says that is to be published; every fault of it that the shop can tell is raised."""
        return read_placements(text, source, bundles=self.bundles, now=self.now)

    def check(self, file: PlacementsFile) -> None:
        """Raises PlacementsFileError for what does not fit the shop's items, and for lists with nothing on them."""
        self.trial.check(file, self._known)

    def titles(self, item_ids: Sequence[str]) -> Mapping[str, str]:
        """The titles of those of these items that have one."""
        rows = self.store.catalog.get(item_ids).select("item_id", "title").drop_nulls()
        return dict(rows.iter_rows())

    def _known(self, attribute: str) -> None:
        if attribute not in self.attributes:
            raise InputError(f"no item has an attribute {attribute!r}", expected=one_of(self.attributes, attribute))


@contextmanager
def open_trial(home: ShopFolder, wanted: Wanted) -> Iterator[TryingShop]:
    """Opens a shop and draws the customers. UnknownCustomerError for one who was named and is not known."""
    with open_shop(home) as shop:
        for customer in wanted.customers:
            if not shop.store.persons.known(customer):
                raise UnknownCustomerError(customer)
        ids = wanted.customers or shop.store.customers.sample(wanted.sample, wanted.seed)
        histories = {
            each: History.from_stored(shop.store.histories.get(each, HISTORY_LIMIT), shop.bundle.items) for each in ids
        }
        if not wanted.customers:
            histories[NOBODY] = History.empty()
        now = int(time.time() * 1000)
        trial = Trial(shop.bundle, shop.catalog, histories, wanted.limit, now)
        yield TryingShop(shop.store, trial, _attributes(shop.store), BundleRepository(home.models).bundle_ids(), now)


def whoever_runs_this() -> str:
    """The name of the system's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container's user may have none.
        return f"user {os.getuid()}"


def _attributes(store: Store) -> frozenset[str]:
    rows = store.catalog.read()
    own = (orjson.loads(text) for text in rows["attributes"].drop_nulls().to_list())
    return frozenset({"author", "category"}).union(*own)
