"""RecBole's atomic files: tab-separated text whose header says `name:type`."""

from __future__ import annotations

import polars as pl

from recsys.data.events import EventKind
from recsys.data.importers.findings import ROW
from recsys.data.importers.layouts import Format, Layout
from recsys.data.importers.options import Subject

_TITLES = ("title", "movie_title", "name", "item_name", "artist_name", "book_title")
_CATEGORIES = ("class", "genre", "genres", "category", "categories", "cate")


def _typed_fields(rows: pl.DataFrame) -> pl.DataFrame:
    """Columns under their bare names; `float` as numbers, `token_seq` and `float_seq` split at spaces into lists.

    A title or a category is one text, whatever its type says. What is no number stays text, and so does its column.
    """
    columns = [rows[ROW]]
    for name in rows.columns:
        if name == ROW:
            continue
        bare, _, kind = name.partition(":")
        column = rows[name].alias(bare)
        if kind == "float":
            number = column.cast(pl.Float64, strict=False)
            column = number if number.null_count() == column.null_count() else column
        elif kind == "token_seq" and bare not in _TITLES + _CATEGORIES:
            column = column.str.split(" ")
        elif kind == "float_seq":
            column = column.str.split(" ").cast(pl.List(pl.Float64), strict=False)
        columns.append(column)
    return pl.DataFrame(columns)


_INTERACTION = {
    "customer_id": ("user_id", "user"),
    "item_id": ("item_id", "item"),
    "timestamp": ("timestamp", "time"),
    "session_id": ("session_id",),
}

RECBOLE = Format(
    name="recbole",
    layouts=(
        Layout(
            name=".inter with ratings",
            files=("*.inter",),
            subject=Subject.INTERACTIONS,
            separator="\t",
            quoted=False,
            columns={**_INTERACTION, "rating": ("rating",)},
            needs=("customer_id", "item_id", "rating"),
            kind=EventKind.RATE,
        ),
        Layout(
            name=".inter with kinds",
            files=("*.inter",),
            subject=Subject.INTERACTIONS,
            separator="\t",
            quoted=False,
            columns={**_INTERACTION, "kind": ("behavior", "behavior_type", "event", "event_type", "type")},
            needs=("customer_id", "item_id", "kind"),
            kinds={
                "pv": EventKind.VIEW,
                "click": EventKind.CLICK,
                "cart": EventKind.ADD_TO_CART,
                "add_to_cart": EventKind.ADD_TO_CART,
                "fav": EventKind.LIKE,
                "buy": EventKind.PURCHASE,
                "transaction": EventKind.PURCHASE,
            },
        ),
        Layout(
            name=".inter",
            files=("*.inter",),
            subject=Subject.INTERACTIONS,
            separator="\t",
            quoted=False,
            columns=_INTERACTION,
            needs=("customer_id", "item_id"),
        ),
        Layout(
            name=".item",
            files=("*.item",),
            subject=Subject.ITEMS,
            separator="\t",
            quoted=False,
            columns={
                "item_id": ("item_id", "item"),
                "title": _TITLES,
                "author": ("author", "authors", "book_author"),
                "category": _CATEGORIES,
                "price": ("price",),
            },
            needs=("item_id",),
            prepare=_typed_fields,
        ),
        Layout(
            name=".user",
            files=("*.user",),
            subject=Subject.CUSTOMERS,
            separator="\t",
            quoted=False,
            columns={"customer_id": ("user_id", "user")},
            needs=("customer_id",),
            prepare=_typed_fields,
        ),
    ),
)
