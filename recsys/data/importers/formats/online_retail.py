"""UCI Online Retail I and II: one row per invoice line of a gift shop, as CSV and renamed."""

from __future__ import annotations

import polars as pl

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.data.events import EventKind
from recsys.data.importers.layouts import Described, Format, Layout
from recsys.data.importers.options import Subject
from recsys.data.importers.values import to_number

ADJUSTMENT = "adjustment"


def _plain_customers(rows: pl.DataFrame) -> pl.DataFrame:
    """Customers as `13085`: CSV exports of the workbook write them as `13085.0`."""
    names = [name for name in rows.columns if name.lower().replace(" ", "").replace("_", "") == "customerid"]
    texts = [name for name in names if rows.schema[name] == pl.String]
    return rows.with_columns(pl.col(name).str.replace(r"^(\d+)\.0$", "$1") for name in texts)


def _returns_and_adjustments(rows: pl.DataFrame) -> pl.DataFrame:
    """A negative quantity, and any quantity on a cancelled invoice (`C…`), is a return of so many pieces.

    A negative price is bookkeeping (bad debt), no purchase: set aside. A price of 0 is a gift from the shop and stays.
    """
    quantity = pl.col("quantity")
    returned = (quantity < 0) | pl.col("session_id").str.starts_with("C").fill_null(False)
    aside = pl.when(pl.col("price") < 0).then(pl.lit(ADJUSTMENT)) if rows["price"].count() else pl.lit(None, pl.String)
    return rows.with_columns(
        kind=pl.when(returned).then(pl.lit(str(EventKind.RETURN))).otherwise("kind"),
        quantity=quantity.abs(),
        aside=aside,
    )


def _titles_and_countries(rows: pl.DataFrame) -> Described:
    """Each item sold under the description most of its sales carry, ties by text; each customer's latest country.

    Lines without a price or with a negative quantity hold remarks such as `damaged` in place of the description, so
    only sales name an item; what was never sold is no item.
    """
    sold = (to_number(rows["quantity"]) > 0) & (to_number(rows["price"]) > 0) & rows["item_id"].is_not_null()
    sales = rows.filter(sold).select("item_id", title=pl.col("_description").str.strip_chars().replace("", None))
    counted = sales.group_by("item_id", "title").len()
    best = counted.sort("item_id", pl.col("title").is_null(), -pl.col("len").cast(pl.Int64), "title")
    titles = best.unique("item_id", keep="first", maintain_order=True)
    countries = (
        rows.select("customer_id", country="_country")
        .filter(pl.col("customer_id").is_not_null())
        .unique("customer_id", keep="last", maintain_order=True)
        .sort("customer_id")
    )
    return Described(
        _in(titles, ITEM_SCHEMA),
        _in(
            countries.select(
                "customer_id",
                attributes=pl.when(pl.col("country").is_not_null()).then(pl.struct("country").struct.json_encode()),
            ),
            CUSTOMER_SCHEMA,
        ),
    )


def _in(rows: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    return rows.select(
        pl.col(name).cast(dtype) if name in rows.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in schema.items()
    )


ONLINE_RETAIL = Format(
    name="online-retail",
    fallback_encoding="cp1252",
    layouts=(
        Layout(
            name="invoice lines",
            subject=Subject.INTERACTIONS,
            columns={
                "session_id": ("InvoiceNo", "Invoice"),
                "item_id": ("StockCode",),
                "_description": ("Description",),
                "quantity": ("Quantity",),
                "timestamp": ("InvoiceDate", "timestamp"),
                "price": ("UnitPrice", "Price"),
                "customer_id": ("CustomerID",),
                "_country": ("Country",),
            },
            needs=(
                "session_id", "item_id", "_description", "quantity", "timestamp", "price", "customer_id", "_country",
            ),
            kind=EventKind.PURCHASE,
            currency="GBP",
            timezone="Europe/London",
            time_formats=(
                "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%y %H:%M", "%d/%m/%y %H:%M",
                "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d.%m.%Y %H:%M",
            ),
            prepare=_plain_customers,
            finish=_returns_and_adjustments,
            describe=_titles_and_countries,
        ),
    ),
)  # fmt: skip
