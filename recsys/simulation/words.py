"""Invented names and titles, put together from word lists: nobody's name and no real book's title on purpose."""

from __future__ import annotations

from math import gcd

import numpy as np
import numpy.typing as npt
import polars as pl

GENRES: dict[str, tuple[str, ...]] = {
    "Fantasy": ("Court Intrigue", "Dragons and Beasts", "Hedge Magic", "Lost Kingdoms", "Portal Tales"),
    "Science Fiction": ("Deep Space", "Machine Minds", "Near Futures", "Colony Worlds", "Time Loops"),
    "Crime": ("Harbour Noir", "Village Mysteries", "Courtroom", "Cold Cases", "Heists"),
    "Romance": ("Seaside Romance", "Second Chances", "Office Romance", "Historical Romance", "Winter Romance"),
    "History": ("Age of Sail", "Old Empires", "Trade and Roads", "Daily Life", "Forgotten Wars"),
    "Children": ("Picture Books", "Animal Tales", "School Stories", "Young Detectives", "Bedtime"),
    "Cooking": ("Bread and Cakes", "One-Pot Meals", "Garden Kitchen", "Grill and Smoke", "Preserves"),
    "Travel": ("Islands", "Railways", "On Foot", "Cities", "Cold Coasts"),
    "Science": ("Night Sky", "Oceans", "Minds and Brains", "Numbers", "Plants and Fungi"),
    "Crafts": ("Knitting", "Woodwork", "Paper and Ink", "Pottery", "Sewing"),
    "Horror": ("Haunted Houses", "Folk Horror", "Sea Terrors", "Quiet Dread", "Creatures"),
    "Literary Fiction": ("Family Sagas", "Small Towns", "Exile", "Coming of Age", "Satire"),
}
"""Genres and their sub-genres."""

Words = list[str]
Positions = npt.NDArray[np.int64]


def _listed(words: str) -> Words:
    """The words of a text, so that long lists stay readable."""
    return words.split()


_ADJECTIVES = _listed("""
Hollow Silent Crooked Amber Winter Salt Broken Gilded Distant Sleeping Copper Bitter Wandering Painted
Forgotten Scarlet Narrow Drowned Patient Borrowed Velvet Restless Ashen Clever Northern Hidden Tender Paper
Quiet Iron Emerald Tangled Faithful Lonely Burning Gentle Wild Frozen Stolen Feathered Golden Sunken Little
Last Second Seventh Blue Violet Thorny Misty
""")
_NOUNS = _listed("""
Lantern Orchard Compass River Clockmaker Garden Ferry Letter Mirror Tide Baker Cartographer Key Bridge Fox
Heron Violin Harbour Winter Kitchen Meadow Thread Lighthouse Map Piano Sparrow Stair Bell Island Road Candle
Weaver Apple Moon Door Station Train Ladder Library Crown Well Window Beekeeper Kite Anchor Forest Pocket
Ribbon Spoon Stone Shore Umbrella Whistle Tower Glove Almanac Bicycle Feather Glass Journey
""")
_PLACES = _listed("""
Vale Ridge Harbour Moor Hollow Reach Fen Gate Wood Bay Crossing Mill Point Hill Quay Marsh Lane Field Cliff
Green Ford Spring Isle Cove Heath Court Market Square Hall Landing
""")
_SERIES_KINDS = _listed("Chronicles Cycle Mysteries Sequence Tales Letters Quartet Notebooks Casebook Saga")
_GIVEN_START = _listed("Al Bre Ca Del El Fen Gar Hal Is Jor Kel Lu Mar Nel Or Pel Quin Ros Sel Tam Ul Ver Wil Yas Zel")
_GIVEN_END = _listed("da rin lo via mir na sa tor win dra len ric ya bet mo")
_FAMILY_START = _listed("""
Ash Bram Cor Dun Ever Fal Grim Hart Ister Jas Kern Lov Mor Nor Oss Pell Quar Rav Stel Thorn Und Vel Wex Yar
Zan Brel Clar Drev Farn Holm
""")
_FAMILY_MIDDLE = _listed("a e i o u an el is or ul")
_FAMILY_END = _listed("""
bury croft dale fen gard holt ker lund mere nock quist rane sen thwaite vik well worth moor stad brin
""")


def distinct(rng: np.random.Generator, n: int, size: int) -> Positions:
    """`n` numbers below `size`, scattered and without repetition while `n` is at most `size`: int64, shape (n,)."""
    stride = int(rng.integers(size // 3, size)) | 1
    while gcd(stride, size) != 1:
        stride += 2
    return np.asarray((int(rng.integers(size)) + np.arange(n, dtype=np.int64) * stride) % size)


def combine(codes: Positions, *lists: Words) -> list[pl.Series]:
    """Each code as one word from every list (mixed-radix digits, the first list is the lowest digit)."""
    columns = []
    for words in lists:
        codes, digit = np.divmod(codes, len(words))
        columns.append(pl.Series(words).gather(digit))
    return columns


def joined(*parts: pl.Series | str) -> pl.Series:
    """The parts of each row written end to end."""
    return pl.select(text=pl.concat_str([pl.lit(part) for part in parts])).to_series()


_GIVEN = [start + end for start in _GIVEN_START for end in _GIVEN_END]
_FAMILY = [start + middle + end for start in _FAMILY_START for middle in _FAMILY_MIDDLE for end in _FAMILY_END]


def person_names(rng: np.random.Generator, n: int) -> pl.Series:
    """`n` invented names; distinct while there are fewer than about two million."""
    given, family = combine(distinct(rng, n, len(_GIVEN) * len(_FAMILY)), _GIVEN, _FAMILY)
    return joined(given, " ", family)


def series_names(rng: np.random.Generator, n: int) -> pl.Series:
    """`n` names of series, as in "The Amber Fen Chronicles"."""
    codes = distinct(rng, n, len(_ADJECTIVES) * len(_PLACES) * len(_SERIES_KINDS))
    adjective, place, kind = combine(codes, _ADJECTIVES, _PLACES, _SERIES_KINDS)
    return joined("The ", adjective, " ", place, " ", kind)


def titles(rng: np.random.Generator, n: int) -> pl.Series:
    """`n` titles of books, as in "The Lantern of Hollow Vale"; distinct while there are at most about 100,000."""
    codes = distinct(rng, n, len(_ADJECTIVES) * len(_PLACES) * len(_NOUNS))
    adjective, place, noun = combine(codes, _ADJECTIVES, _PLACES, _NOUNS)
    other = pl.Series(_NOUNS).gather(rng.integers(len(_NOUNS), size=n))
    patterns = [
        joined("The ", noun, " of ", adjective, " ", place),
        joined("The ", adjective, " ", noun, " at the ", place),
        joined("One ", noun, " for ", adjective, " ", place),
        joined(adjective, " ", noun, ", ", adjective, " ", place),
        joined("The ", noun, " and the ", other, " of ", adjective, " ", place),
    ]
    choice = pl.Series(rng.integers(len(patterns), size=n))
    frame = pl.DataFrame([series.alias(str(number)) for number, series in enumerate(patterns)])
    picked = pl.coalesce([pl.when(choice == number).then(pl.col(str(number))) for number in range(len(patterns))])
    return frame.select(title=picked).to_series()


def json_text(frame: pl.DataFrame) -> pl.Series:
    """Each row as a JSON object with the columns' names as keys; keys without a value are left out.

    Text columns must hold nothing that JSON escapes.
    """
    parts = []
    for name, dtype in frame.schema.items():
        quote = '"' if dtype == pl.String else ""
        parts.append(pl.concat_str(pl.lit(f',"{name}":{quote}'), pl.col(name).cast(pl.String), pl.lit(quote)))
    body = pl.concat_str([part.alias(str(number)) for number, part in enumerate(parts)], ignore_nulls=True)
    return frame.select(text=pl.lit("{") + body.str.slice(1) + "}").to_series()
