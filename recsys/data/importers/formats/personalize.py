"""Amazon Personalize's datasets: item interactions, items, users."""

from __future__ import annotations

import polars as pl

from recsys.data.events import EventKind
from recsys.data.importers.attributes import in_braces, member
from recsys.data.importers.layouts import Format, Layout
from recsys.data.importers.options import Subject
from recsys.data.importers.values import to_number

_RATED = (str(EventKind.RATE), str(EventKind.REVIEW))


def _value_and_impression(rows: pl.DataFrame) -> pl.DataFrame:
    """EVENT_VALUE is the rating of a rating and context otherwise; IMPRESSION (`a|b|c`) is what was shown, context."""
    shown = {name: name in rows.columns for name in ("_value", "_impression")}
    if not any(shown.values()):
        return rows
    rated = rows["kind"].is_in(_RATED)
    value = (
        to_number(rows["_value"])
        if shown["_value"]
        else pl.Series([None], dtype=pl.Float64()).new_from_index(0, len(rated))
    )
    value = value.set(~value.is_finite().fill_null(False), None)
    members = []
    if shown["_value"]:
        other = value.set(rated.fill_null(False), None)
        members.append(member(other, "event_value"))
    if shown["_impression"]:
        members.append(member(rows["_impression"].str.split("|"), "impression"))
    joined = pl.select(pl.concat_str(members, separator=",", ignore_nulls=True)).to_series()
    context = in_braces(joined)
    return rows.with_columns(
        rating=rows["rating"].zip_with(rows["rating"].is_not_null(), value.set(~rated.fill_null(False), None)),
        context=rows["context"].zip_with(rows["context"].is_not_null(), context),
    )


PERSONALIZE = Format(
    name="personalize",
    layouts=(
        Layout(
            name="item interactions",
            subject=Subject.INTERACTIONS,
            columns={
                "customer_id": ("USER_ID",),
                "item_id": ("ITEM_ID",),
                "kind": ("EVENT_TYPE",),
                "timestamp": ("TIMESTAMP",),
                "event_id": ("EVENT_ID",),
                "session_id": ("SESSION_ID",),
                "recommendation_id": ("RECOMMENDATION_ID",),
                "_value": ("EVENT_VALUE",),
                "_impression": ("IMPRESSION",),
            },
            needs=("customer_id", "item_id", "timestamp"),
            kinds={
                "view": EventKind.VIEW,
                "watch": EventKind.VIEW,
                "stream": EventKind.VIEW,
                "listen": EventKind.VIEW,
                "read": EventKind.VIEW,
                "click": EventKind.CLICK,
                "purchase": EventKind.PURCHASE,
                "buy": EventKind.PURCHASE,
                "order": EventKind.PURCHASE,
                "add_to_cart": EventKind.ADD_TO_CART,
                "cart": EventKind.ADD_TO_CART,
                "remove_from_cart": EventKind.REMOVE_FROM_CART,
                "add_to_list": EventKind.ADD_TO_LIST,
                "add_to_wishlist": EventKind.ADD_TO_LIST,
                "favorite": EventKind.LIKE,
                "like": EventKind.LIKE,
                "share": EventKind.SHARE,
                "rating": EventKind.RATE,
                "rate": EventKind.RATE,
                "review": EventKind.REVIEW,
                "return": EventKind.RETURN,
                "search": EventKind.SEARCH,
                "impression": EventKind.IMPRESSION,
            },
            finish=_value_and_impression,
        ),
        Layout(
            name="items",
            subject=Subject.ITEMS,
            columns={
                "item_id": ("ITEM_ID",),
                "title": ("TITLE", "NAME", "PRODUCT_NAME", "ITEM_NAME"),
                "author": ("AUTHOR", "AUTHORS"),
                "category": ("CATEGORY_L1", "CATEGORY", "GENRES", "GENRE", "GENRE_L1"),
                "price": ("PRICE",),
                "currency": ("CURRENCY",),
                "published": ("CREATION_TIMESTAMP",),
            },
            needs=("item_id",),
        ),
        Layout(name="users", subject=Subject.CUSTOMERS, columns={"customer_id": ("USER_ID",)}, needs=("customer_id",)),
    ),
)
