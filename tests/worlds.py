"""Small shops whose right answers are known by construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from recsys.bundle import BundleRepository, ModelBundle
from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import EVENT_SCHEMA, EventKind
from recsys.data.interactions import EventTable
from training.fitting import TrainingConfig, compile_interactions, fit
from training.pipeline import Run
from training.stages import StageLog

DAY = 86_400_000
START = 1_700_000_000_000
"""2023-11-14 22:13:20 UTC, in milliseconds."""


def event_frame(rows: Sequence[tuple[str, str, EventKind, int | None]]) -> pl.DataFrame:
    """A frame in `EVENT_SCHEMA` of (customer, item, kind, day after START or None)."""
    return pl.DataFrame(
        {
            "event_id": [f"e{number}" for number in range(len(rows))],
            "customer_id": [row[0] for row in rows],
            "item_id": [row[1] for row in rows],
            "kind": [str(row[2]) for row in rows],
            "timestamp": [None if row[3] is None else START + row[3] * DAY for row in rows],
        },
        schema_overrides={"timestamp": pl.Int64()},
    ).select(
        pl.col(name).cast(dtype)
        if name in ("event_id", "customer_id", "item_id", "kind", "timestamp")
        else pl.lit(1.0 if name == "quantity" else None, dtype).alias(name)
        for name, dtype in EVENT_SCHEMA.items()
    )


def event_table(frame: pl.DataFrame) -> EventTable:
    """The table a store would hand out for a frame in `EVENT_SCHEMA`."""
    customers = frame["customer_id"].unique(maintain_order=True)
    items = frame["item_id"].unique(maintain_order=True)

    def rows_of(name: str, ids: pl.Series) -> pl.Expr:
        return pl.col(name).replace_strict(ids, pl.int_range(len(ids), eager=True), return_dtype=pl.Int32)

    events = frame.select(
        rows_of("customer_id", customers).alias("customer"),
        rows_of("item_id", items).alias("item"),
        pl.col("kind").replace_strict({str(kind): kind.code for kind in EventKind}, return_dtype=pl.Int8).alias("kind"),
        "timestamp",
        "position",
        pl.col("quantity").cast(pl.Float32),
        pl.col("rating").cast(pl.Float32),
    )
    return EventTable(events, customers, items)


def two_tastes(customers: int = 12) -> pl.DataFrame:
    """Half of the customers buy crime (c0 … c5), the other half gardening (g0 … g5); each leaves one of theirs out.

    Everybody bought the bestseller first. The one thing missing is what a good engine proposes first.
    """
    rows = []
    for number in range(customers):
        shelf = "c" if number % 2 == 0 else "g"
        missing = (number // 2) % 6
        rows += [
            (f"u{number}", f"{shelf}{book}", EventKind.PURCHASE, number + book) for book in range(6) if book != missing
        ]
        rows.append((f"u{number}", "bestseller", EventKind.PURCHASE, number - 1))
    return event_frame(rows)


def no_catalogue() -> pl.DataFrame:
    """What a shop says of its items that says nothing."""
    return pl.DataFrame(schema=ITEM_SCHEMA)


def titled(titles: Mapping[str, str]) -> pl.DataFrame:
    """A catalogue of item ids and titles."""
    rows = [{"item_id": item, "title": title} for item, title in titles.items()]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def run_of(home: Path, now: int = START, host: str = "", budget: float = 0.0) -> Run:
    """A training run for a shop's folder."""
    return Run(None, budget, home / "training", home / "tuning", now, host)


def published(
    folder: Path, frame: pl.DataFrame, config: TrainingConfig | None = None, catalogue: pl.DataFrame | None = None
) -> ModelBundle:
    """A bundle trained on a frame of events and put in force in `folder`."""
    catalogue = no_catalogue() if catalogue is None else catalogue
    table = event_table(frame)
    items = pl.concat([table.item_ids, catalogue["item_id"]]).unique(maintain_order=True)
    interactions = compile_interactions(replace(table, item_ids=items))
    manifest, arrays = fit(interactions, catalogue, config or TrainingConfig(), StageLog())
    repository = BundleRepository(folder)
    return repository.load(repository.publish(manifest, arrays, {"at": START}, START))
