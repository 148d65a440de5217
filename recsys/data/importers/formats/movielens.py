"""MovieLens as GroupLens publishes it (100k, 1M, 20M and later) and renamed to user, item, rating."""

from __future__ import annotations

import polars as pl

from recsys.data.events import EventKind
from recsys.data.importers.layouts import Format, Layout
from recsys.data.importers.options import Subject

_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_PEOPLE = ("age", "gender", "occupation", "zip_code")


def _name_genres(rows: pl.DataFrame) -> pl.DataFrame:
    """The 19 columns of 0 and 1 as one text, as the later releases write it: `Animation|Comedy`."""
    flags = [pl.when(pl.col(genre) == "1").then(pl.lit(genre)) for genre in _GENRES]
    named = rows.with_columns(genres=pl.concat_str(flags, separator="|", ignore_nulls=True))
    return named.drop(_GENRES)


def _no_genres_to_nothing(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("genres").replace("(no genres listed)", None))


_RATED = ("customer_id", "item_id", "rating", "timestamp")

MOVIELENS = Format(
    name="movielens",
    fallback_encoding="latin-1",
    layouts=(
        Layout(
            name="u.data of 100k",
            subject=Subject.INTERACTIONS,
            header=("user_id", "item_id", "rating", "timestamp"),
            files=("u.data", "u?.base", "u?.test"),
            separator="\t",
            quoted=False,
            columns={
                "customer_id": ("user_id",),
                "item_id": ("item_id",),
                "rating": ("rating",),
                "timestamp": ("timestamp",),
            },
            needs=_RATED,
            kind=EventKind.RATE,
        ),
        Layout(
            name="u.item of 100k",
            subject=Subject.ITEMS,
            header=("movie_id", "title", "release_date", "video_release_date", "imdb_url", *_GENRES),
            files=("u.item",),
            separator="|",
            quoted=False,
            columns={"item_id": ("movie_id",), "title": ("title",), "category": ("genres",)},
            needs=("item_id", "title"),
            extras=("release_date", "imdb_url"),
            prepare=_name_genres,
        ),
        Layout(
            name="u.user of 100k",
            subject=Subject.CUSTOMERS,
            header=("user_id", *_PEOPLE),
            files=("u.user",),
            separator="|",
            quoted=False,
            columns={"customer_id": ("user_id",)},
            needs=("customer_id",),
        ),
        Layout(
            name="ratings.dat of 1M and 10M",
            subject=Subject.INTERACTIONS,
            header=("user_id", "movie_id", "rating", "timestamp"),
            files=("ratings.dat",),
            separator="::",
            quoted=False,
            columns={
                "customer_id": ("user_id",),
                "item_id": ("movie_id",),
                "rating": ("rating",),
                "timestamp": ("timestamp",),
            },
            needs=_RATED,
            kind=EventKind.RATE,
        ),
        Layout(
            name="movies.dat of 1M and 10M",
            subject=Subject.ITEMS,
            header=("movie_id", "title", "genres"),
            files=("movies.dat",),
            separator="::",
            quoted=False,
            columns={"item_id": ("movie_id",), "title": ("title",), "category": ("genres",)},
            needs=("item_id", "title"),
            prepare=_no_genres_to_nothing,
        ),
        Layout(
            name="users.dat of 1M",
            subject=Subject.CUSTOMERS,
            header=("user_id", "gender", "age", "occupation", "zip_code"),
            files=("users.dat",),
            separator="::",
            quoted=False,
            columns={"customer_id": ("user_id",)},
            needs=("customer_id",),
        ),
        Layout(
            name="ratings.csv of 20M and later, or ratings renamed",
            subject=Subject.INTERACTIONS,
            columns={
                "customer_id": ("userId", "user"),
                "item_id": ("movieId", "item"),
                "rating": ("rating",),
                "timestamp": ("timestamp",),
            },
            needs=_RATED,
            kind=EventKind.RATE,
        ),
        Layout(
            name="movies.csv of 20M and later",
            subject=Subject.ITEMS,
            columns={"item_id": ("movieId",), "title": ("title",), "category": ("genres",)},
            needs=("item_id", "title", "category"),
            prepare=_no_genres_to_nothing,
        ),
        Layout(
            name="items renamed",
            subject=Subject.ITEMS,
            columns={"item_id": ("item",), "title": ("movie_title",), "category": ("class",)},
            needs=("item_id", "title"),
        ),
        Layout(
            name="users renamed",
            subject=Subject.CUSTOMERS,
            columns={"customer_id": ("user",)},
            needs=("customer_id",),
            marks=("occupation",),
        ),
    ),
)
