"""Amazon Reviews 2023 (McAuley Lab): reviews and item metadata as JSON lines, ratings alone as CSV."""

from __future__ import annotations

import polars as pl

from recsys.data.events import EventKind
from recsys.data.importers.attributes import in_braces, member
from recsys.data.importers.layouts import Format, Layout
from recsys.data.importers.options import Subject
from recsys.data.importers.texts import to_text
from recsys.data.importers.values import to_flag

_REVIEW = {
    "customer_id": ("user_id",),
    "item_id": ("parent_asin",),
    "rating": ("rating",),
    "timestamp": ("timestamp",),
}


def _which_variant(rows: pl.DataFrame) -> pl.DataFrame:
    """The variant that was reviewed and whether it was bought there, as context; the text of the review is not kept."""
    members = []
    if "_asin" in rows.columns:
        members.append(member(to_text(rows["_asin"]), "asin"))
    if "_verified_purchase" in rows.columns:
        members.append(member(to_flag(rows["_verified_purchase"]), "verified_purchase"))
    if not members:
        return rows
    joined = pl.select(pl.concat_str(members, separator=",", ignore_nulls=True)).to_series()
    return rows.with_columns(in_braces(joined).alias("context"))


def _prices_and_authors(rows: pl.DataFrame) -> pl.DataFrame:
    """A price that is no number (`None`, `—`, `from 9.99`) is none; the author is the author's name, or the store's."""
    changes = []
    if "price" in rows.columns:
        price = to_text(rows["price"])
        changes.append(price.set(price.cast(pl.Float64, strict=False).is_null(), None).alias("price"))
    if "author" in rows.columns:
        author = to_text(rows["author"])
        named = author.str.json_path_match("$.name")
        plain = author.set(author.str.starts_with("{").fill_null(False), None)
        author = named.fill_null(plain)
        changes.append(
            (author.fill_null(to_text(rows["store"])) if "store" in rows.columns else author).alias("author")
        )
    elif "store" in rows.columns:
        changes.append(to_text(rows["store"]).alias("author"))
    return rows.with_columns(changes)


AMAZON_REVIEWS_2023 = Format(
    name="amazon-reviews-2023",
    layouts=(
        Layout(
            name="reviews",
            subject=Subject.INTERACTIONS,
            columns={
                **_REVIEW,
                "_asin": ("asin",),
                "_verified_purchase": ("verified_purchase",),
            },
            needs=("customer_id", "item_id", "rating", "timestamp"),
            marks=("text",),
            kind=EventKind.REVIEW,
            finish=_which_variant,
        ),
        Layout(
            name="ratings (0core and 5core)",
            subject=Subject.INTERACTIONS,
            columns=_REVIEW,
            needs=("customer_id", "item_id", "rating", "timestamp"),
            kind=EventKind.RATE,
        ),
        Layout(
            name="item metadata",
            subject=Subject.ITEMS,
            columns={
                "item_id": ("parent_asin",),
                "title": ("title",),
                "author": ("author",),
                "category": ("main_category",),
                "price": ("price",),
            },
            needs=("item_id", "title"),
            currency="USD",
            extras=("subtitle", "store", "categories", "average_rating", "rating_number"),
            prepare=_prices_and_authors,
        ),
    ),
)
