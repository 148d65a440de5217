"""A shop for the serving benchmarks: any number of items and customers, histories of 5 to 500 items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measured import run
from benchmarks.served import BOOKMATCH

SHORTEST, LONGEST = 5, 500
ITEMS_PER_CLUSTER = 60
_DAYS = 730
_NOW = 1_760_000_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """How large a shop is."""

    items: int
    customers: int

    @property
    def name(self) -> str:
        """For folders and tables."""
        return f"{self.items}-items"


def prepared(folder: Path, size: Size) -> Path:
    """The home of the shop, imported and trained with default settings; what is there already is kept."""
    home = folder / size.name
    if (home / "trained").exists():
        return home
    home.mkdir(parents=True, exist_ok=True)
    events(size).write_parquet(home / "events.parquet")
    run([BOOKMATCH, "import", str(home / "events.parquet"), "--event", "purchase", "--home", str(home / "shop")])
    run([BOOKMATCH, "train", "--home", str(home / "shop")])
    (home / "trained").touch()
    return home


def home_of(prepared_at: Path) -> Path:
    """The folder that `bookmatch --home` takes."""
    return prepared_at / "shop"


def customer_ids(size: Size) -> list[str]:
    """All customers."""
    return [f"c{number:06}" for number in range(size.customers)]


def events(size: Size) -> pl.DataFrame:
    """Purchases: lengths of histories log-uniform; everybody has a few favourite groups of items and walks in them,
    now and then elsewhere, items within a group by popularity."""
    rng = np.random.default_rng(7)
    lengths = np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST), size.customers)).astype(np.int64)
    customer = np.repeat(np.arange(size.customers), lengths)
    clusters = max(1, size.items // ITEMS_PER_CLUSTER)
    width = 3 + lengths // 15
    pick = rng.integers(0, width[customer])
    favourite = (customer * 7919 + pick * pick * 104_729 + pick) % clusters
    group = np.where(rng.random(len(customer)) < 0.9, favourite, rng.integers(0, clusters, len(customer)))
    within = np.minimum(rng.exponential(ITEMS_PER_CLUSTER / 4, len(customer)).astype(np.int64), ITEMS_PER_CLUSTER - 1)
    item = np.minimum(group * ITEMS_PER_CLUSTER + within, size.items - 1)
    # Every item was bought by somebody: the catalogue is as large as it says.
    item[: size.items] = rng.permutation(size.items)[: len(item)]
    day = rng.integers(0, _DAYS, len(customer))
    return pl.DataFrame(
        {
            "customer_id": pl.Series(customer).cast(pl.String),
            "item_id": pl.Series(item).cast(pl.String),
            "timestamp": _NOW - day * 86_400_000 - rng.integers(0, 86_400_000, len(customer)),
        }
    ).with_columns(
        customer_id="c" + pl.col("customer_id").str.zfill(6),
        item_id="i" + pl.col("item_id").str.zfill(6),
    )
