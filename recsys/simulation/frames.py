"""The simulated arrays as frames in the project's schemas, and as frames of the ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.data.events import EVENT_SCHEMA, KIND_BY_CODE, EventKind
from recsys.simulation.blocks import Block
from recsys.simulation.books import FORMATS, Books
from recsys.simulation.spec import MS_PER_DAY, ShopSpec
from recsys.simulation.words import GENRES, json_text, person_names, series_names, titles

_NAMES_STREAM, _CUSTOMER_NAMES_STREAM, _CONTACTS_STREAM, _CONSENTS_STREAM = 3, 4, 5, 6
_COUNTRIES = ("DE", "FR", "NL", "AT", "IT", "ES", "PL", "BE")
_COUNTRY_SHARES = (0.34, 0.18, 0.12, 0.09, 0.09, 0.08, 0.06, 0.04)
_LANGUAGES = ("de", "fr", "nl", "de", "it", "es", "pl", "nl")
_ZONES = (
    "Europe/Berlin", "Europe/Paris", "Europe/Amsterdam", "Europe/Vienna", "Europe/Rome", "Europe/Madrid",
    "Europe/Warsaw", "Europe/Brussels",
)  # fmt: skip
"""By country."""
_NO_ADDRESS, _NO_LANGUAGE, _SAID_YES, _SAID_NO, _TOOK_BACK = 0.06, 0.1, 0.72, 0.1, 0.08
PURPOSE = "newsletter"
"""What customers were asked about mails for."""
CONSENT_SCHEMA: dict[str, pl.DataType] = {
    "customer_id": pl.String(),
    "purpose": pl.String(),
    "granted": pl.Boolean(),
    "source": pl.String(),
    "stated": pl.Int64(),
}
"""A frame of what customers said; `stated` is milliseconds UTC."""
_BEFORE_DAYS = 2_000
_PRICED = (EventKind.ADD_TO_CART, EventKind.PURCHASE, EventKind.RETURN)
_SUB_GENRE_NAMES = [name for names in GENRES.values() for name in names]

Ints = npt.NDArray[np.int64]


def numbered(prefix: str, first: int, count: int, digits: int) -> pl.Series:
    """`count` ids: the prefix and consecutive numbers from `first` on, padded with zeros."""
    number = pl.int_range(first, first + count).cast(pl.String).str.zfill(digits)
    return pl.select(id=pl.lit(prefix) + number).to_series()


@dataclass(frozen=True, slots=True)
class BookFrames:
    """What the shop says of its books and what is true of them.

    Attributes
    ----------
    items : in `ITEM_SCHEMA`, one row per book, in the order of the arrays.
    truth : one row per book: its groups, series, quality and appeal.
    stock_outs : one row per period out of stock: `item_id`, `out_from`, `out_until` (milliseconds UTC).
    queries : what is typed to find each book; JSON objects as text.
    """

    items: pl.DataFrame
    truth: pl.DataFrame
    stock_outs: pl.DataFrame
    queries: pl.Series

    @classmethod
    def of(cls, spec: ShopSpec, books: Books) -> Self:
        """The frames of a catalogue."""
        rng = spec.random(_NAMES_STREAM)
        author = person_names(rng, books.authors).gather(books.author)
        title = titles(rng, len(books))
        of_series = series_names(rng, len(books.series_first))
        ids, series_at = books.ids, pl.Series(np.where(books.series < 0, 0, books.series))
        sub_genre = pl.Series(_SUB_GENRE_NAMES).gather(books.sub_genre)
        genre = pl.Series(list(GENRES)).gather(books.genre)
        in_series = pl.Series(books.series >= 0)
        attributes = pl.DataFrame({"genre": genre, "sub_genre": sub_genre}).with_columns(
            series=pl.when(in_series).then(of_series.gather(series_at) if len(of_series) else pl.lit(None, pl.String)),
            volume=pl.when(in_series).then(pl.Series(books.volume)),
            format=pl.Series(FORMATS).gather(books.format),
            year=pl.from_epoch(pl.Series(books.published), "ms").dt.year(),
        )
        items = pl.DataFrame({"item_id": ids, "title": title, "author": author, "category": sub_genre}).with_columns(
            price=pl.Series(books.price),
            currency=pl.lit(spec.currency),
            available=pl.Series(books.in_stock(np.arange(len(books)), np.full(len(books), spec.end_ms))),
            published=pl.Series(books.published),
            expires=pl.lit(None, pl.Int64),
            attributes=json_text(attributes),
        )
        query = pl.Series(
            np.where(np.arange(len(books)) % 3 == 0, author, sub_genre.str.to_lowercase()), dtype=pl.String
        )
        truth = cls._truth(books, ids, attributes.select("genre", "sub_genre"))
        queries = json_text(pl.DataFrame({"query": query}))
        return cls(items.select(*ITEM_SCHEMA), truth, cls._stock_outs(books, ids), queries)

    @staticmethod
    def _truth(books: Books, ids: pl.Series, names: pl.DataFrame) -> pl.DataFrame:
        columns = {"author": books.author, "strand": books.strand, "sub_genre": books.sub_genre, "genre": books.genre}
        return pl.DataFrame({"item_id": ids}).with_columns(
            *(pl.Series(name, values.astype(np.int32)) for name, values in columns.items()),
            names["genre"].alias("genre_name"),
            names["sub_genre"].alias("sub_genre_name"),
            pl.Series("series", books.series.astype(np.int32)),
            pl.Series("volume", books.volume.astype(np.int32)),
            pl.Series("published", books.published),
            pl.Series("quality", books.quality),
            pl.Series("appeal", books.appeal),
        )

    @staticmethod
    def _stock_outs(books: Books, ids: pl.Series) -> pl.DataFrame:
        book, place = np.nonzero(books.out_until > books.out_from)
        return pl.DataFrame(
            {
                "item_id": ids.gather(book),
                "out_from": books.out_from[book, place],
                "out_until": books.out_until[book, place],
            }
        )


def customer_frames(spec: ShopSpec, block: Block) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A block's customers in `CUSTOMER_SCHEMA`, and what is true of them."""
    rng = spec.random(_CUSTOMER_NAMES_STREAM, block.number)
    n = block.customers
    ids = numbered("C", block.first_customer + 1, n, 8)
    presence = block.presence
    # Who was there from the first day on registered some time before.
    earlier = np.where(presence.first_day == 0, rng.integers(_BEFORE_DAYS, size=n), 0)
    since = spec.start_ms + (presence.first_day - earlier) * MS_PER_DAY
    names, country = person_names(rng, n), rng.choice(len(_COUNTRIES), size=n, p=_COUNTRY_SHARES)
    attributes = pl.DataFrame(
        {
            "name": names,
            "country": pl.Series(_COUNTRIES).gather(country),
            "since": pl.from_epoch(pl.Series(since), "ms").dt.strftime("%Y-%m-%d"),
            **_contacts(spec, block, ids, names, country),
        }
    )
    pair = np.arange(n) // 2
    shared = (rng.random(pair[-1] + 1) < spec.household_share)[pair] & (pair * 2 + 1 < n)
    account = numbered("A", block.first_customer + 1, n, 8).gather(pair * 2)
    customers = pl.DataFrame({"customer_id": ids}).with_columns(
        account_id=pl.when(pl.Series(shared)).then(account), attributes=json_text(attributes)
    )
    tastes = block.tastes
    truth = pl.DataFrame(
        {
            "customer_id": ids,
            "activity": presence.activity,
            "present_from": spec.start_ms + presence.first_day * MS_PER_DAY,
            "present_until": spec.start_ms + presence.last_day * MS_PER_DAY,
            "drift_from": tastes.drift_from,
            "drift_until": tastes.drift_until,
            "strands": tastes.strand.astype(np.int32),
            "authors": tastes.author.astype(np.int32),
            "early_weights": tastes.early.astype(np.float32),
            "late_weights": tastes.late.astype(np.float32),
        }
    )
    return customers.select(*CUSTOMER_SCHEMA), truth


def _contacts(
    spec: ShopSpec, block: Block, ids: pl.Series, names: pl.Series, country: Ints
) -> dict[str, pl.Series | pl.Expr]:
    """How customers are written to, where the shop knows it. Nobody ever gets mail at these addresses: the domain is
    one that is kept free for examples."""
    rng = spec.random(_CONTACTS_STREAM, block.number)
    has_address = pl.Series(rng.random(len(ids)) >= _NO_ADDRESS)
    has_language = pl.Series(rng.random(len(ids)) >= _NO_LANGUAGE)
    local = names.str.to_lowercase().str.replace_all("[^a-z]+", ".") + "." + ids.str.to_lowercase()
    frame = pl.DataFrame(
        {
            "email": local + "@mail.example",
            "language": pl.Series(_LANGUAGES).gather(country),
            "time_zone": pl.Series(_ZONES).gather(country),
        }
    ).with_columns(
        pl.when(has_address).then(pl.col("email")), pl.when(has_language).then(pl.col("language", "time_zone"))
    )
    return {column.name: column for column in frame}


def consent_frame(spec: ShopSpec, block: Block) -> pl.DataFrame:
    """What a block's customers said about newsletters, in `CONSENT_SCHEMA`: most said yes when they registered, some
    took it back later, many were never asked."""
    n = block.customers
    rng = spec.random(_CONSENTS_STREAM, block.number)
    said = rng.random(n)
    yes, no = said < _SAID_YES, (said >= _SAID_YES) & (said < _SAID_YES + _SAID_NO)
    first = spec.start_ms + block.presence.first_day * MS_PER_DAY
    took_back = np.flatnonzero(yes & (rng.random(n) < _TOOK_BACK))
    later = first + ((spec.end_ms - 1 - first) * rng.random(n)).astype(np.int64)
    answered = np.flatnonzero(yes | no)
    who = np.concatenate([answered, took_back])
    return pl.DataFrame(
        {
            "customer_id": numbered("C", block.first_customer + 1, n, 8).gather(who),
            "purpose": pl.Series([PURPOSE]).new_from_index(0, len(who)),
            "granted": np.concatenate([yes[answered], np.zeros(len(took_back), dtype=np.bool_)]),
            "source": pl.Series(["registration", "link in a mail"]).gather(np.arange(len(who)) >= len(answered)),
            "stated": np.concatenate([first[answered], later[took_back]]),
        },
        schema=CONSENT_SCHEMA,
    ).sort("customer_id", "stated")


def event_frame(block: Block, books: Books, frames: BookFrames, customer_ids: pl.Series, currency: str) -> pl.DataFrame:
    """A block's events in `EVENT_SCHEMA`, in order of time."""
    rows, looks = block.rows, block.looks
    n = len(rows.kind)
    book = looks.book[rows.look]
    ids = numbered(f"E{block.number:05d}-", 0, n, 7)
    visits = int(looks.visit[-1]) + 1 if len(looks.visit) else 0
    sessions = numbered(f"S{block.number:05d}-", 0, visits, 7)
    names = pl.Series([str(KIND_BY_CODE[code]) if code else "" for code in range(len(KIND_BY_CODE) + 1)])
    priced = np.isin(rows.kind, [kind.code for kind in _PRICED])
    has_item = ~np.isin(rows.kind, [EventKind.SEARCH.code, EventKind.UNDO.code])

    def where(mask: npt.NDArray[np.bool_], values: pl.Series, at: Ints) -> pl.Series:
        """`values[at]` where the mask holds, null elsewhere."""
        return values.gather(pl.Series(at).set(~pl.Series(mask), None))

    search = where(rows.kind == EventKind.SEARCH.code, frames.queries, book)
    undone = '{"undoes":"' + where(rows.undoes >= 0, ids, rows.undoes) + '"}'
    return pl.DataFrame(
        {
            "event_id": ids,
            "customer_id": customer_ids.gather(looks.customer[rows.look]),
            "item_id": where(has_item, frames.items["item_id"], book),
            "kind": names.gather(rows.kind.astype(np.int64)),
            "timestamp": rows.when,
            "position": pl.Series([None], dtype=pl.Int64).new_from_index(0, n),
            "quantity": rows.quantity,
            "price": where(priced, pl.Series(books.price), book),
            "currency": where(priced, pl.Series([currency]), np.zeros(n, dtype=np.int64)),
            "rating": pl.Series(rows.rating).fill_nan(None),
            "session_id": where(rows.in_visit, sessions, looks.visit[rows.look]),
            "recommendation_id": pl.Series([None], dtype=pl.String).new_from_index(0, n),
            "context": search.zip_with(search.is_not_null(), undone),
        },
        schema=EVENT_SCHEMA,
    )


def gift_frame(block: Block, event_ids: pl.Series) -> pl.DataFrame:
    """The ids of the purchases that are presents: `event_id`."""
    return pl.DataFrame({"event_id": event_ids.filter(pl.Series(block.gifts))})
