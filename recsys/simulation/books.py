"""The books: who wrote them, where they stand, when they came out, and how much they appeal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.simulation.spec import MS_PER_DAY, ShopSpec
from recsys.simulation.words import GENRES

BOOKS_PER_STRAND = 40
"""Strands are the finest groups of alike books; there are as many as the catalogue needs to make them this large."""
SUB_GENRES = sum(len(names) for names in GENRES.values())
GENRE_OF_SUB_GENRE = np.repeat(np.arange(len(GENRES)), [len(names) for names in GENRES.values()])
FORMATS = ("paperback", "hardcover", "ebook", "audiobook")
_BACKLIST_DAYS = 7_300
_FORMAT_SHARES = (0.55, 0.2, 0.17, 0.08)
_FORMAT_PRICES = np.array([11.0, 22.0, 8.0, 18.0])
_LEAST_SERIES_BOOKS, _MOST_VOLUMES = 3, 9

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Books:
    """The catalogue as arrays of shape (books,), in order of author and, within one, of publication.

    Attributes
    ----------
    author : int64; positions of authors.
    strand : int64; the finest group of alike books; all books of an author stand in one.
    sub_genre, genre : int64; positions in the lists of names.
    series : int64; the position of the book's series, -1 for none. A series is one author's.
    volume : int64; 1 for the first of a series, 0 for none.
    published : int64; milliseconds UTC.
    quality : float64 in [0, 1]; how good it is to those whose taste it meets.
    appeal : float64, above 0; how much attention it gets among the books of its group.
    format : int64; position in `FORMATS`.
    price : float64.
    out_from, out_until : int64, shape (books, 2); periods out of stock, milliseconds UTC, empty where equal.
    series_first, series_volumes : int64, shape (series,); the book that is volume 1, and how many volumes follow it,
        itself included; volume v is the book at `series_first + v - 1`.
    """

    author: Ints
    strand: Ints
    sub_genre: Ints
    genre: Ints
    series: Ints
    volume: Ints
    published: Ints
    quality: Floats
    appeal: Floats
    format: Ints
    price: Floats
    out_from: Ints
    out_until: Ints
    series_first: Ints
    series_volumes: Ints

    def __len__(self) -> int:
        return len(self.author)

    @property
    def authors(self) -> int:
        """How many authors there are."""
        return int(self.author[-1]) + 1

    @property
    def ids(self) -> pl.Series:
        """The books' ids, in the order of the arrays."""
        return pl.select(id="B" + pl.int_range(1, len(self) + 1).cast(pl.String).str.zfill(7)).to_series()

    def in_stock(self, book: Ints, when: Ints) -> npt.NDArray[np.bool_]:
        """Whether each book could be had at each time (milliseconds UTC): bool, shape (n,)."""
        out = (self.out_from[book] <= when[:, None]) & (when[:, None] < self.out_until[book])
        return np.asarray(~out.any(axis=1))


def make_books(spec: ShopSpec) -> Books:
    """The books of a shop."""
    rng = spec.random(0)
    author = _authors(rng, spec.books)
    strand_of_author, sub_genre_of_strand = _strands(rng, spec.books, int(author[-1]) + 1)
    strand = strand_of_author[author]
    sub_genre = sub_genre_of_strand[strand]
    published = _published(rng, spec, author)
    series, volume, first, volumes = _series(rng, spec.series_share, author)
    quality = rng.beta(4.0, 2.5, size=spec.books)
    # The volumes of a series are equally good, so that which volume comes next changes nobody's liking.
    quality = np.where(series >= 0, quality[first[series]] if len(first) else quality, quality)
    fame = rng.normal(0.0, 0.8, size=int(author[-1]) + 1)[author]
    appeal = np.exp(fame + rng.normal(0.0, 0.7, size=spec.books) + 1.5 * (quality - 0.6))
    # A series is entered at its first volume; the later ones are reached by reading.
    appeal *= np.where(volume > 1, 0.6, 1.0)
    kind = rng.choice(len(FORMATS), size=spec.books, p=_FORMAT_SHARES)
    price = np.floor(_FORMAT_PRICES[kind] * np.exp(rng.normal(0.0, 0.2, size=spec.books))) + 0.99
    out_from, out_until = _stock_outs(rng, spec, published, kind)
    return Books(
        author, strand, sub_genre, GENRE_OF_SUB_GENRE[sub_genre], series, volume, published, quality, appeal, kind,
        price, out_from, out_until, first, volumes,
    )  # fmt: skip


def _authors(rng: np.random.Generator, n_books: int) -> Ints:
    """The author of each book, ascending; most write few books, some many."""
    sizes = np.minimum(rng.zipf(1.8, size=n_books) + rng.integers(0, 4, size=n_books), 40)
    return np.repeat(np.arange(n_books), sizes)[:n_books]


def _strands(rng: np.random.Generator, n_books: int, n_authors: int) -> tuple[Ints, Ints]:
    """The strand of each author and the sub-genre of each strand."""
    n_strands = max(4, n_books // BOOKS_PER_STRAND)
    # Every sub-genre gets one before any gets a second.
    rounds = -(-n_strands // SUB_GENRES)
    sub_genre = np.concatenate([rng.permutation(SUB_GENRES) for _ in range(rounds)])[:n_strands]
    size = np.exp(rng.normal(0.0, 0.4, size=n_strands))
    return rng.choice(n_strands, size=n_authors, p=size / size.sum()), sub_genre


def _published(rng: np.random.Generator, spec: ShopSpec, author: Ints) -> Ints:
    """When each book came out (midnight UTC), ascending within an author."""
    new = rng.random(spec.books) < spec.release_share
    new[0] = False  # the shop never stands empty
    age = np.where(new, rng.integers(0, spec.days, size=spec.books), 0)
    backlist = spec.days + 1 + np.floor(rng.exponential(_BACKLIST_DAYS / 4, size=spec.books))
    age = np.where(new, age, np.minimum(backlist, spec.days + _BACKLIST_DAYS)).astype(np.int64)
    published = np.maximum(spec.end_ms - (age + 1) * MS_PER_DAY, 0)
    return np.asarray(published[np.lexsort((published, author))])


def _series(rng: np.random.Generator, share: float, author: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Series and volume of each book; first book and number of volumes of each series."""
    _, start, size = np.unique(author, return_index=True, return_counts=True)
    chosen = (size >= _LEAST_SERIES_BOOKS) & (rng.random(len(size)) < share)
    wanted = rng.integers(_LEAST_SERIES_BOOKS, _MOST_VOLUMES + 1, size=len(size))
    volumes = np.minimum(wanted, size)[chosen]
    first = start[chosen]
    number = np.repeat(np.arange(len(first)), volumes)
    volume_of = np.arange(len(number)) - np.repeat(np.cumsum(volumes) - volumes, volumes)
    series, volume = np.full(len(author), -1), np.zeros(len(author), dtype=np.int64)
    series[first[number] + volume_of] = number
    volume[first[number] + volume_of] = volume_of + 1
    return series, volume, first, volumes


def _stock_outs(rng: np.random.Generator, spec: ShopSpec, published: Ints, kind: Ints) -> tuple[Ints, Ints]:
    """Up to two periods per printed book in which it cannot be had: begin and end, shape (books, 2)."""
    shape = (spec.books, 2)
    present = rng.random(shape) < np.array([spec.stock_out_share, spec.stock_out_share / 4])
    present &= (kind < FORMATS.index("ebook"))[:, None]
    begin = np.maximum(published, spec.start_ms)[:, None]
    room = spec.end_ms - begin
    first = begin + (rng.random(shape) * room).astype(np.int64) // MS_PER_DAY * MS_PER_DAY
    length = (3 + np.floor(rng.exponential(20.0, size=shape))).astype(np.int64) * MS_PER_DAY
    return np.where(present, first, 0), np.where(present, first + length, 0)
