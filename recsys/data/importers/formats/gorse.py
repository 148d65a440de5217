"""Gorse's feedback, items and users: exported as CSV, or the objects of its HTTP interface as JSON lines."""

from __future__ import annotations

import orjson
import polars as pl

from recsys.data.events import EventKind
from recsys.data.importers.layouts import Format, Layout, loose
from recsys.data.importers.options import Subject
from recsys.data.importers.values import to_flag

_NO_TIME = r"^0001-01-01[ T]00:00:00"


def _no_zero_times(rows: pl.DataFrame) -> pl.DataFrame:
    """The time that Go writes for none (year 1) is no time."""
    names = [name for name in rows.columns if loose(name) == "timestamp" and rows.schema[name] == pl.String]
    return rows.with_columns(pl.when(~pl.col(name).str.contains(_NO_TIME)).then(name).alias(name) for name in names)


def _joined(categories: str) -> str | None:
    """`["a", "b"]` as `a|b`; anything else as it is."""
    try:
        listed = orjson.loads(categories)
    except orjson.JSONDecodeError:
        return categories
    return "|".join(str(each) for each in listed) or None if isinstance(listed, list) else categories


def _items(rows: pl.DataFrame) -> pl.DataFrame:
    """`IsHidden` turned into `available`, a JSON list of categories into `a|b`."""
    rows = _no_zero_times(rows)
    by_name = {loose(name): name for name in rows.columns}
    if "ishidden" in by_name:
        hidden = rows[by_name["ishidden"]]
        rows = rows.drop(hidden.name)
        flag = to_flag(hidden)
        # What is no flag stays as it is, so that it is found and told.
        text = (~flag).cast(pl.String).fill_null(hidden.cast(pl.String))
        rows = rows.with_columns(text.alias("available"))
    if "categories" in by_name and rows.schema[by_name["categories"]] == pl.String:
        name = by_name["categories"]
        texts = rows[name].drop_nulls().unique().to_list()
        rows = rows.with_columns(pl.col(name).replace(texts, [_joined(text) for text in texts]))
    return rows


GORSE = Format(
    name="gorse",
    layouts=(
        Layout(
            name="feedback",
            subject=Subject.INTERACTIONS,
            columns={
                "customer_id": ("UserId",),
                "item_id": ("ItemId",),
                "kind": ("FeedbackType",),
                "timestamp": ("Timestamp",),
            },
            needs=("customer_id", "item_id", "kind"),
            kinds={
                "read": EventKind.VIEW,
                "view": EventKind.VIEW,
                "watch": EventKind.VIEW,
                "click": EventKind.CLICK,
                "like": EventKind.LIKE,
                "star": EventKind.LIKE,
                "favorite": EventKind.LIKE,
                "cart": EventKind.ADD_TO_CART,
                "add_to_cart": EventKind.ADD_TO_CART,
                "buy": EventKind.PURCHASE,
                "purchase": EventKind.PURCHASE,
                "share": EventKind.SHARE,
                "rating": EventKind.RATE,
            },
            prepare=_no_zero_times,
        ),
        Layout(
            name="items",
            subject=Subject.ITEMS,
            columns={
                "item_id": ("ItemId",),
                "title": ("Comment", "Description"),
                "category": ("Categories",),
                "published": ("Timestamp",),
                "available": ("available",),
            },
            needs=("item_id",),
            marks=("IsHidden",),
            json_extras=("labels",),
            prepare=_items,
        ),
        Layout(
            name="users",
            subject=Subject.CUSTOMERS,
            columns={"customer_id": ("UserId",)},
            needs=("customer_id",),
            json_extras=("labels",),
        ),
    ),
)
