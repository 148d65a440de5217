"""A simulated shop as the tests read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.simulation.folder import write_shop
from recsys.simulation.spec import ShopSpec
from recsys.simulation.truth import GroundTruth


@dataclass(frozen=True)
class Shop:
    """A simulated shop as its files say it, with what is true of it."""

    folder: Path
    spec: ShopSpec
    items: pl.DataFrame
    customers: pl.DataFrame
    events: pl.DataFrame
    truth: GroundTruth

    @classmethod
    def simulated(cls, spec: ShopSpec, folder: Path) -> Shop:
        """Writes the shop and reads it back."""
        write_shop(spec, folder)
        return cls(
            folder,
            spec,
            pl.read_parquet(folder / "items.parquet"),
            pl.read_parquet(folder / "customers.parquet"),
            pl.read_parquet(sorted(folder.glob("events-*.parquet"))),
            GroundTruth.load(folder),
        )

    def of_kind(self, *kinds: str) -> pl.DataFrame:
        """The events of these kinds, with what is true of their books beside, and whether they bought a present."""
        gift = pl.col("event_id").is_in(self.truth.gifts.implode())
        return (
            self.events.filter(pl.col("kind").is_in(kinds))
            .with_columns(gift=gift)
            .join(self.truth.books, on="item_id", how="left", maintain_order="left")
        )
