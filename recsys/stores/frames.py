"""A frame of events as a store would hand it out, without a store: for evaluation on files."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from recsys.data.events import EVENT_SCHEMA, EXPOSURE_KINDS, KIND_CODES, EventKind
from recsys.data.interactions import EventTable
from recsys.stores.undo import Undo, undo_target, undone

_CODES = {str(kind): code for kind, code in KIND_CODES.items()}
_LEFT_OUT = [str(kind) for kind in (*EXPOSURE_KINDS, EventKind.UNDO)]


def behaviour(events: pl.DataFrame) -> pl.DataFrame:
    """The rows of a frame in `EVENT_SCHEMA` that are behaviour on items, by the rules of `EventStore.read`: exposures,
    undone events, undos and events without an item are left out. Rows keep their order, which is that of arrival."""
    undos = events.filter(pl.col("kind") == str(EventKind.UNDO))
    kept = events.filter(pl.col("item_id").is_not_null() & ~pl.col("kind").is_in(_LEFT_OUT))
    if undos.is_empty():
        return kept
    gone = []
    for (customer,), own in undos.group_by("customer_id"):
        pairs = [
            Undo(event_id, target)
            for event_id, context in own.select("event_id", "context").iter_rows()
            if (target := undo_target(context))
        ]
        gone += [(str(customer), target) for target in undone(pairs)]
    taken_back = pl.DataFrame(gone, schema={"customer_id": pl.String, "event_id": pl.String}, orient="row")
    return kept.join(taken_back, on=["customer_id", "event_id"], how="anti", maintain_order="left")


def event_table(events: pl.DataFrame, further_items: Sequence[str] | pl.Series = ()) -> EventTable:
    """The table of rows that `behaviour` returned; `further_items` are known without having events."""
    customers = events["customer_id"].unique().sort()
    items = pl.concat([events["item_id"], pl.Series("item_id", further_items, dtype=pl.String)]).unique().sort()

    def row_of(name: str, ids: pl.Series) -> pl.Expr:
        return pl.col(name).cast(pl.Enum(ids)).to_physical().cast(pl.Int32)

    return EventTable(
        events=events.select(
            row_of("customer_id", customers).alias("customer"),
            row_of("item_id", items).alias("item"),
            pl.col("kind").replace_strict(_CODES, return_dtype=pl.Int8),
            "timestamp",
            "position",
            pl.col("quantity").cast(pl.Float32),
            pl.col("rating").cast(pl.Float32),
        ),
        customer_ids=customers,
        item_ids=items,
    )


def event_rows(table: EventTable) -> pl.DataFrame:
    """A store's table as rows in `EVENT_SCHEMA`, numbered instead of named; what a table does not hold is null."""
    events, kinds = table.events, {code: kind for kind, code in _CODES.items()}
    known = {
        "customer_id": table.customer_ids.gather(events["customer"]),
        "item_id": table.item_ids.gather(events["item"]),
        "kind": events["kind"].replace_strict(kinds, return_dtype=pl.String),
        "timestamp": events["timestamp"],
        "position": events["position"],
        "quantity": events["quantity"],
        "rating": events["rating"],
    }
    frame = pl.DataFrame(known).with_row_index("event_id")
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in EVENT_SCHEMA.items()
    )
