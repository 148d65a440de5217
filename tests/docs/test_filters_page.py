"""docs/filters.md: every example is a filter, and lets through what the page says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import orjson
import polars as pl
import pytest

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.item_table import ItemTable
from recsys.data.packed import HistoryRow
from recsys.data.vocabulary import Vocabulary
from recsys.recommend.filters import AskerFacts, FilterError, parse
from recsys.recommend.filters.functions import FUNCTIONS
from recsys.recommend.filters.tokens import MOST_CHARACTERS, MOST_DEPTH, MOST_TERMS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "filters.md").read_text()
DAY = 86_400_000


def section(title: str) -> str:
    """The part of the page below a heading."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def cells(text: str, columns: int) -> list[list[str]]:
    """The rows of all tables with so many columns, without their heads."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    rows = [[re.sub(r"^\||\|$", "", cell).strip() for cell in row] for row in rows]
    return [row for row in rows if len(row) == columns and "---" not in row[0]]


def time_of(text: str) -> int:
    """Milliseconds UTC of a date."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = time_of("2026-07-01")


def books() -> pl.DataFrame:
    """The page's table."""
    lines = [line for line in section("Examples").splitlines() if line.startswith("|")][2:7]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return pl.DataFrame(
        [
            {
                "item_id": name,
                "author": author,
                "category": category,
                "price": float(price) if price else None,
                "published": time_of(published) if published else None,
                "attributes": attributes,
            }
            for name, author, category, price, published, attributes in rows
        ],
        schema=ITEM_SCHEMA,
    ).sort("item_id")


BOOKS = books()
ITEMS = Vocabulary.from_ids(BOOKS["item_id"])
TABLE = ItemTable.from_items(BOOKS, ITEMS)
EVENTS = [
    HistoryRow("gaudy-night", EventKind.PURCHASE.code, NOW - 10 * DAY, None, 1.0, None),
    HistoryRow("persuasion", EventKind.VIEW.code, NOW - DAY, None, 1.0, None),
]
EXAMPLES = [row for row in cells(section("Examples"), 2) if row[0] != "filter"]
ERRORS = [row for row in cells(section("Errors"), 2) if row[0] != "filter"]


def test_the_table_of_books_is_read() -> None:
    """Five books, and an example at least for each way to ask."""
    assert len(BOOKS) == 5
    assert len(EXAMPLES) > 12


@pytest.mark.parametrize(("text", "through"), EXAMPLES, ids=[text for text, _ in EXAMPLES])
def test_an_example_lets_through_what_the_page_says(text: str, through: str) -> None:
    """Over the books of the page."""
    row = re.search(r"row says `(\{.*?\})`", section("Examples"))
    assert row is not None
    asker = AskerFacts(History.from_stored(StoredHistory.of(1, EVENTS), ITEMS), orjson.loads(row[1]))
    mask = parse(text.strip("`"), TABLE.kinds).mask(TABLE, asker, NOW)
    assert {ITEMS[n] for n in range(len(ITEMS)) if mask[n]} == set(through.split(", "))


WRITTEN = [row[1] for row in cells(section("Grammar"), 2)] + [row[0] for row in cells(section("History"), 2)]
GRAMMAR = sorted({text for cell in WRITTEN for text in re.findall(r"`([^`]+)`", cell)})


@pytest.mark.parametrize("text", GRAMMAR)
def test_every_line_of_the_grammar_is_a_filter(text: str) -> None:
    """As it stands, over the books of the page."""
    parse(text, TABLE.kinds)


@pytest.mark.parametrize(("text", "said"), ERRORS, ids=[text for text, _ in ERRORS])
def test_an_error_is_as_the_page_says(text: str, said: str) -> None:
    """Its first sentence, to the letter."""
    with pytest.raises(FilterError) as caught:
        parse(text.strip("`"), TABLE.kinds)
    assert caught.value.found == said


def test_every_function_and_every_bound_is_on_the_page() -> None:
    """The small set that there is."""
    verbs = {name.removesuffix("_within").removesuffix("_same") for name in FUNCTIONS}
    assert [name for name in verbs if f"{name}(" not in PAGE] == []
    words = " ".join(PAGE.split())
    for bound in (f"{MOST_CHARACTERS:,} characters", f"{MOST_TERMS} names", f"{MOST_DEPTH} deep"):
        assert bound in words
