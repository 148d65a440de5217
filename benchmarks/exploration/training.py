"""The model of one week of the closed loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.exploration.world import Ints, World
from recsys.bundle.bundle import assembled
from recsys.data.catalog import Catalog
from recsys.data.catalog_index import CatalogIndex
from recsys.data.interactions import EventTable, Interactions
from recsys.models.als import ALSConfig
from recsys.models.blend import BlendWeights
from recsys.models.content import ContentConfig
from recsys.recommend.exploration import ItemGroups
from recsys.recommend.recommender import Recommender
from training.fitting import TrainingConfig, fit
from training.stages import StageLog

CONFIG = TrainingConfig(
    related=None,
    blend=BlendWeights.constant({"item_item": 1.0, "popular": 0.1}),
    als=ALSConfig(factors=1, iterations=1),
    content=ContentConfig(neighbours=1),
)
"""Item-item and popularity; what else a bundle holds is made as small as can be, as the loop trains dozens."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a trained model knows, and where the books are in its positions.

    Attributes
    ----------
    book : int64, shape (items + newcomers,); the book at each position.
    position : int64, shape (books,).
    """

    recommender: Recommender
    catalog: Catalog
    index: CatalogIndex
    groups: ItemGroups
    book: Ints
    position: Ints

    @property
    def known(self) -> int:
        """How many items the bundle has."""
        return len(self.index.items)


def trained(world: World, from_lists: Sequence[tuple[int, int, int, int]], now: int) -> Shelf:
    """What training makes of everything up to now (milliseconds UTC): books without an event are newcomers."""
    past = world.events.filter(pl.col("when") < now)
    listed = pl.DataFrame(from_lists, schema=past.schema, orient="row")
    events = pl.concat([past, listed]).sort("when", maintain_order=True)
    ids = world.items["item_id"]
    known = np.unique(events["book"].to_numpy())
    table = EventTable(
        events=events.select(
            pl.col("customer").cast(pl.Int32),
            pl.Series("item", np.searchsorted(known, events["book"].to_numpy()), dtype=pl.Int32),
            pl.col("kind").cast(pl.Int8),
            pl.col("when").alias("timestamp"),
            pl.lit(None, pl.Int64).alias("position"),
            pl.lit(1.0, pl.Float32).alias("quantity"),
            pl.lit(None, pl.Float32).alias("rating"),
        ),
        customer_ids=pl.select(pl.int_range(world.spec.customers).cast(pl.String).str.zfill(8)).to_series(),
        item_ids=ids.gather(known),
    )
    bundle = assembled("exploration", *fit(Interactions.from_events(table), world.items, CONFIG, StageLog()))
    rows = world.items.with_columns(available=pl.lit(value=True))
    index = CatalogIndex.from_items(rows, bundle.items)
    position = index.positions(ids).astype(np.int64)
    book = np.empty(len(position), dtype=np.int64)
    book[position] = np.arange(len(position))
    return Shelf(
        Recommender(bundle), Catalog.from_items(rows, bundle.items), index, ItemGroups.of(rows, index), book, position
    )
