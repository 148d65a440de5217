"""RetailRocket as published (events.csv, item_properties_part*.csv) and renamed to user, item, behavior."""

from __future__ import annotations

import polars as pl

from recsys.data.events import EventKind
from recsys.data.importers.findings import ROW
from recsys.data.importers.layouts import Format, Layout
from recsys.data.importers.options import Subject

_NAMED = ("categoryid", "available")


def _json(column: str) -> pl.Expr:
    """Each text as JSON text, in quotes."""
    return pl.struct(column).struct.json_encode().str.head(-1).str.slice(len(f'{{"{column}":'))


def _latest_properties(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per item from one row per weekly snapshot of a property: the newest value of each.

    The hashed properties become one JSON object, property → value. The row number is that of the item's first row.
    """
    newest = (
        rows.with_columns(pl.col("timestamp").cast(pl.Int64, strict=False), pl.col("itemid").fill_null(""))
        .sort("timestamp", nulls_last=False, maintain_order=True)
        .group_by("itemid", "property", maintain_order=True)
        .agg(pl.col("value").last())
    )
    hashed = pl.col("property").is_in(_NAMED).not_() & pl.col("value").is_not_null()
    member = pl.concat_str(_json("property"), pl.lit(":"), _json("value")).filter(hashed)
    items = newest.group_by("itemid", maintain_order=True).agg(
        *(pl.col("value").filter(pl.col("property") == name).last().alias(name) for name in _NAMED),
        properties=pl.concat_str(pl.lit("{"), member.str.join(","), pl.lit("}")),
    )
    first = rows.group_by(pl.col("itemid").fill_null("")).agg(pl.col(ROW).min())
    return items.join(first, on="itemid", maintain_order="left")


RETAILROCKET = Format(
    name="retailrocket",
    layouts=(
        Layout(
            name="events.csv",
            subject=Subject.INTERACTIONS,
            columns={
                "customer_id": ("visitorid",),
                "item_id": ("itemid",),
                "kind": ("event",),
                "timestamp": ("timestamp",),
                "session_id": ("transactionid",),
            },
            needs=("customer_id", "item_id", "kind", "timestamp"),
            kinds={
                "view": EventKind.VIEW,
                "addtocart": EventKind.ADD_TO_CART,
                "transaction": EventKind.PURCHASE,
            },
        ),
        Layout(
            name="item_properties",
            subject=Subject.ITEMS,
            columns={
                "item_id": ("itemid",),
                "category": ("categoryid",),
                "available": ("available",),
                "attributes": ("properties",),
            },
            needs=("item_id",),
            marks=("timestamp", "property", "value"),
            prepare=_latest_properties,
        ),
        Layout(
            name="events renamed",
            subject=Subject.INTERACTIONS,
            columns={
                "customer_id": ("user",),
                "item_id": ("item",),
                "kind": ("behavior",),
                "timestamp": ("timestamp",),
            },
            needs=("customer_id", "item_id", "kind"),
            kinds={"cart": EventKind.ADD_TO_CART, "buy": EventKind.PURCHASE},
        ),
        Layout(
            name="held-out purchases renamed",
            subject=Subject.INTERACTIONS,
            columns={"customer_id": ("user",), "item_id": ("item",)},
            needs=("customer_id", "item_id"),
            kind=EventKind.PURCHASE,
        ),
    ),
)
