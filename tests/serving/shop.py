"""A small shop whose right answers are known: customers keep to one shelf."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from recsys.bundle import BundleRepository
from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.protocols import Store
from tests.worlds import run_of
from training.fitting import TrainingConfig
from training.pipeline import train
from training.stages import StageLog

START = 1_700_000_000_000
DAY = 86_400_000
SHELVES = 4
PER_SHELF = 30
CUSTOMERS = 48


def item(shelf: int, place: int) -> str:
    """The id of a book; customers keep to one shelf, so lists must too."""
    return f"s{shelf}/b{place:02}"


def purchase(customer: str, item_id: str, day: int, number: int = 0) -> Event:
    """One purchase with an id made from what it says."""
    return Event(
        event_id=f"{customer}|{item_id}|{day}|{number}",
        customer_id=customer,
        kind=EventKind.PURCHASE,
        item_id=item_id,
        timestamp=START + day * DAY,
    )


def shop_events() -> list[Event]:
    """Customer `c<n>` buys ten books of shelf `n % SHELVES`, each time another ten."""
    return [
        purchase(f"c{n}", item(n % SHELVES, (n // SHELVES * 3 + step * 2) % PER_SHELF), step)
        for n in range(CUSTOMERS)
        for step in range(10)
    ]


def items_frame(**available: bool) -> pl.DataFrame:
    """A row for each named item, with nothing but its availability."""
    rows = [{"item_id": name, "available": is_available} for name, is_available in available.items()]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def train_shop(home: Path, seed: int = 0) -> str:
    """Trains and publishes; another seed makes another bundle."""
    shop = ShopFolder(home)
    store = open_store(shop.store, create=False)
    try:
        config = TrainingConfig(seed=seed)
        trained = train(store, BundleRepository(shop.models), config, run_of(shop.home, START + seed), StageLog())
    finally:
        store.close()
    return trained.bundle_id


@contextmanager
def store_of(home: Path) -> Iterator[Store]:
    """The shop's store, as another process would open it."""
    store = open_store(ShopFolder(home).store, create=False)
    try:
        yield store
    finally:
        store.close()
