"""What a filter refuses, what it is given, and what is kept of it."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.bounded import Bounded
from recsys.data.catalog import ITEM_SCHEMA, CatalogChanges
from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.item_table import ItemTable
from recsys.data.packed import HistoryRow
from recsys.data.vocabulary import Vocabulary
from recsys.recommend.filters import AskerFacts, FilterError, ParameterError, ParameterValue, parse

NOW = 1_700_000_000_000
DAY = 86_400_000
IDS = [f"b{n}" for n in range(6)]
ITEMS = Vocabulary.from_ids(IDS)


def rows(**changed: object) -> pl.DataFrame:
    """Six books; `b0=…` replaces the attributes of one."""
    entries = [
        {
            "item_id": item_id,
            "author": ["Austen", "Eliot"][n % 2],
            "category": ["Crime", "Novel", "Poetry"][n % 3],
            "price": float(n),
            "published": NOW + (n - 3) * DAY,
            "attributes": json.dumps(changed.get(item_id, {"stock": n, "tags": ["x"] * (n % 2), "mixed": n or "0"})),
        }
        for n, item_id in enumerate(IDS)
    ]
    schema = {name: ITEM_SCHEMA[name] for name in entries[0]}
    missing = [pl.lit(None, kind).alias(name) for name, kind in ITEM_SCHEMA.items() if name not in schema]
    return pl.DataFrame(entries, schema=schema).with_columns(missing).select(*ITEM_SCHEMA)


TABLE = ItemTable.from_items(rows(), ITEMS)


def shown(text: str, asker: AskerFacts | None = None, now: int = NOW, **parameters: ParameterValue) -> list[str]:
    """The ids that a filter lets through."""
    facts = asker or AskerFacts(History.empty())
    mask = parse(text, TABLE.kinds).mask(TABLE, facts, now, parameters)
    return [item_id for item_id, through in zip(IDS, mask.tolist(), strict=True) if through]


def history(*events: tuple[str, EventKind, int | None, float | None]) -> History:
    """Item, kind, days ago and rating, the oldest first."""
    stored = [
        HistoryRow(item_id, kind.code, None if days is None else NOW - days * DAY, None, 1.0, rating)
        for item_id, kind, days, rating in events
    ]
    return History.from_stored(StoredHistory.of(1, stored), ITEMS)


@pytest.mark.parametrize(
    ("text", "position", "column", "said"),
    [
        ("price < 3 AND prise > 1", 15, "prise", "did you mean price"),
        ("Category = 'Crime'", 1, "Category", "did you mean category"),
        ("category = 3", 1, "category", "'category', a text, beside 3, a number"),
        ("price + 1 = 'x'", 1, None, "a calculation, a number, beside 'x', a text"),
        ("stock > 0 AND mixed = 1", 15, "mixed", "a number in 5 and a text in 1 of 6 items"),
        ("tags = 'x'", 1, "tags", "as in 'x' IN tags"),
        ("'x' IN category", 8, "category", "a list of texts"),
        ("author IN tags", 1, "author", "a text or a parameter"),
        ("price", 1, "price", "a number, by itself"),
        ("available < TRUE", 1, "available", "yes is no more than no"),
        ("price = NULL", 9, "NULL", "IS NULL"),
        ("published < 'yesterday'", 13, None, "ISO 8601"),
        ("published + 1 > 2", 1, "published", "ago"),
        ("price IN (stock)", 11, "stock", "join conditions by OR"),
        ("price IN ()", 1, None, "between the parentheses"),
        ("price <", 8, None, "nothing after '<'"),
        ("price < 3 4", 11, None, "does not fit here"),
        ("(price < 3", 1, None, "not closed"),
        ("author = 'x", 10, None, "quote"),
        ("price < 3 -- all", 11, None, "a comment"),
        ("price < 3 /* all */", 11, None, "a comment"),
        ("price IN (SELECT 1)", 11, "SELECT", "docs/filters.md"),
        ("price < 3; DROP TABLE items", 10, ";", "docs/filters.md"),
        ("CASE WHEN TRUE THEN TRUE END", 1, "CASE", "docs/filters.md"),
        ("lower(author) = 'x'", 1, "LOWER", "one of ago"),
        ("bougth()", 1, "bougth", "did you mean bought"),
        ("bought_within(30)", 15, None, "a text such as '30d'"),
        ("bought_within('30w')", 15, None, "a text such as '30d'"),
        ("bought('30d')", 1, "bought", "bought()"),
        ("did('impression')", 5, None, "one of 'view'"),
        ("bought_same('price')", 13, "price", "a text"),
        ("ago('3d')", 1, None, "as in published"),
        ("bought() = 1", 1, None, "a condition where a value is needed"),
        ("1 < price < 3", 1, None, "1 < a AND a < 3"),
        ("shop.price < 3", 1, "shop", "customer.price"),
        ("price = ?", 9, "?", "docs/filters.md"),
        ("price = :x AND author = :x", 25, "x", "here a text and before a number"),
        ("author LIKE category", 13, "category", "a text"),
        ("author LIKE 'x' ESCAPE 'ab'", 24, None, "one character"),
        ("price = 1e999", 9, None, "64 bits"),
        ("NOT " * 31 + "available", 121, None, "at most 30 deep"),
        (" OR ".join(["price = 1"] * 101), 1301, None, "at most 200"),
        ("x" * 2001, None, None, "at most 2000"),
        ("", None, None, "price < 10"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_where_it_stands(
    text: str, position: int | None, column: str | None, said: str
) -> None:
    """The error has the character, the name it is about, and what to write instead."""
    with pytest.raises(FilterError) as caught:
        parse(text, TABLE.kinds)
    assert (caught.value.position, caught.value.column) == (position, column)
    assert said in str(caught.value)
    assert position is None or f"at character {position}" in str(caught.value)


PIECES = [
    "price", "author", "customer", ".", ",", "(", ")", "'", '"', "=", "<", ">", "AND", "OR", "NOT", "IN", "LIKE", "IS",
    "BETWEEN", "NULL", ":", ":p", "1", "-", "+", "*", "/", "'x'", "bought", "has", "now", "SELECT", "CASE", "[", "{",
    "::", "->", "?", "--", "\\", "é", "interval", "array<", "ESCAPE", "TRUE", "`", "$$", "@", "%", ";", "|", "{{", "}}",
    "{#", "]", "}", "x'", "b'", "any", "\0", "\n",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join))
def test_whatever_is_typed_is_a_filter_or_a_filter_error(text: str) -> None:
    """No text makes anything else of the parser, however odd."""
    found = None
    try:
        parse(text, TABLE.kinds)
    except FilterError as error:
        found = error.position
    assert found is None or 1 <= found <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "parameters", "said"),
    [
        ("price < :max", {}, "the parameter :max without a value"),
        ("price < :max", {"max": "3"}, ":max is '3'"),
        ("price < :max", {"max": [3]}, ":max is a list"),
        ("price < :max", {"max": float("inf")}, ":max is inf"),
        ("price < :max", {"max": True}, ":max is True"),
        ("price < :max", {"max": 3, "mix": 4}, "did you mean :max"),
        ("author IN :some", {"some": "Austen"}, "Expected: a list"),
        ("author IN :some", {"some": ["x"] * 1001}, "1001 values"),
        ("author = :one", {"one": "x" * 1001}, "1001 characters"),
        ("published < :when", {"when": "soon"}, "ISO 8601"),
        ("published < :when", {"when": 3}, "ISO 8601"),
        ("available = :flag", {"flag": "yes"}, ":flag is 'yes'"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(text: str, parameters: dict[str, ParameterValue], said: str) -> None:
    """Missing ones, unused ones and those of another kind."""
    with pytest.raises(ParameterError) as caught:
        parse(text, TABLE.kinds).mask(TABLE, AskerFacts(History.empty()), NOW, parameters)
    assert said in str(caught.value)


def test_parameters_of_a_query_are_read_as_what_they_have_to_be() -> None:
    """There all is text: numbers, truths, times and lists are known by what they are compared with."""
    made = parse("price < :max AND author IN :by AND available = :there AND published > :since", TABLE.kinds)
    texts = {"max": ["3.5"], "by": ["Austen", "Eliot"], "there": ["true"], "since": ["2020-01-01"]}
    assert made.read(TABLE.kinds, texts) == {
        "max": 3.5, "by": ["Austen", "Eliot"], "there": True, "since": "2020-01-01",
    }  # fmt: skip
    for wrong in ({"max": ["x"]}, {"max": ["1", "2"]}, {"there": ["1"]}, {"other": ["1"]}):
        with pytest.raises(ParameterError):
            made.read(TABLE.kinds, {**texts, **wrong})


def test_text_in_a_parameter_is_never_read_as_a_part_of_the_filter() -> None:
    """What comes from outside is a value, whatever it looks like."""
    assert shown("author = :who", who="Austen' OR '1' = '1") == []
    assert shown("author LIKE :who", who="%") == IDS


def test_a_customer_of_whom_something_is_not_known_passes_no_condition_on_it() -> None:
    """An attribute that is missing, or of another kind, compares in no way; nor does its opposite."""
    asker = AskerFacts(History.empty(), {"budget": 3, "tier": "gold", "likes": ["Crime", 7]})
    assert shown("price < customer.budget", asker) == ["b0", "b1", "b2"]
    assert shown("category IN customer.likes", asker) == ["b0", "b3"]
    assert shown("NOT price < customer.tier", asker) == []
    assert shown("customer.tier = 'gold' AND price > 4", asker) == ["b5"]
    assert shown("customer.missing IS NULL AND price > 4", asker) == ["b5"]


def test_ratings_count_as_they_were_last_given() -> None:
    """Not the best of several."""
    rate = EventKind.RATE
    asker = AskerFacts(history(("b1", rate, 9, 5.0), ("b2", rate, 8, 4.0), ("b1", rate, 7, 2.0)))
    assert shown("rated_at_least(4)", asker) == ["b2"]
    assert shown("rated()", asker) == ["b1", "b2"]
    assert shown("NOT rated_at_least(4)", asker) == ["b0", "b1", "b3", "b4", "b5"]


def test_a_window_ends_when_its_last_event_leaves_it() -> None:
    """What is kept of a filter knows until when it holds, to the millisecond."""
    asker = AskerFacts(history(("b1", EventKind.PURCHASE, 3, None), ("b2", EventKind.PURCHASE, 1, None)))
    made = parse("NOT bought_within('5d')", TABLE.kinds)
    first = made.where(TABLE, asker, NOW)
    assert first.until == NOW + 2 * DAY + 1
    assert not made.mask(TABLE, asker, first.until - 1)[1]
    later = made.where(TABLE, asker, first.until)
    assert later.mask[1]
    assert later.since == first.until
    assert not later.missed_nothing(first.version, NOW)
    # What was made before the clock was set back is of a time in which other items went through.
    assert not first.missed_nothing(later.version, later.since)


@pytest.mark.parametrize("text", ["published > now", "published <= now", "published < ago('12h')", "expires IS NULL"])
def test_a_kept_mask_is_the_one_that_would_be_made(text: str) -> None:
    """Over days, hour by hour: what is kept with the table, and one made anew."""
    kept = parse(text, TABLE.kinds)
    for hour in range(-5, 150, 5):
        now = NOW - 3 * DAY + hour * DAY // 24
        anew = ItemTable.from_items(rows(), ITEMS)
        assert kept.mask(TABLE, now=now).tolist() == parse(text, anew.kinds).mask(anew, now=now).tolist()


def test_a_mask_is_made_once_and_again_when_its_column_changes() -> None:
    """A change of another attribute leaves it as it is."""
    table = ItemTable.from_items(rows(), ITEMS, version=1)
    made = parse("price < 3", table.kinds)
    first = made.where(table)
    assert made.where(table) is first
    other = table.with_changes(CatalogChanges(rows(b0={"stock": 9, "mixed": "0"}).head(1), (), 2), ITEMS)
    assert made.where(other).items is first.items
    assert made.where(other).missed_nothing(1, NOW)
    cheaper = other.with_changes(CatalogChanges(rows().slice(5, 1).with_columns(price=1.0), (), 3), ITEMS)
    gained = made.where(cheaper)
    assert gained.mask[5]
    assert not gained.missed_nothing(2, NOW)
    dearer = cheaper.with_changes(CatalogChanges(rows().slice(5, 1), (), 4), ITEMS)
    lost = made.where(dearer)
    assert not lost.mask[5]
    assert lost.missed_nothing(3, NOW)
    assert not lost.missed_nothing(2, NOW)


def test_a_filter_follows_a_column_that_changes_its_kind() -> None:
    """It is checked against the table that it is asked about."""
    table = ItemTable.from_items(rows(), ITEMS, version=1)
    made = parse("stock > 0", table.kinds)
    worse = table.with_changes(CatalogChanges(rows(b0={"stock": "many"}).head(1), (), 2), ITEMS)
    with pytest.raises(FilterError, match="a number in 5 and a text in 1"):
        made.mask(worse)
    assert made.mask(table).tolist() == [False, True, True, True, True, True]


def test_what_is_kept_is_bounded() -> None:
    """However many filters, parameters and customers there are."""
    table = ItemTable.from_items(rows(), ITEMS)
    table.kept._most_bytes = 10_000
    made = parse("price < :max", table.kinds)
    for number in range(50):
        made.mask(table, parameters={"max": number})
    assert table.kept.bytes_used <= 10_000
    assert len(table.kept) < 6
    asker = AskerFacts(history(("b1", EventKind.PURCHASE, 3, None)))
    for number in range(50):
        parse(f"bought() OR price < {number}", table.kinds).mask(table, asker)
    owned: dict[str, object] = asker.history.kept(table.kept, dict)
    assert len(owned) <= 16


def test_a_memory_drops_what_was_used_longest_ago() -> None:
    """And what is larger than all of it at once."""
    memory = Bounded(10)
    memory.put("a", 1, 4)
    memory.put("b", 2, 4)
    memory.get("a")
    memory.put("c", 3, 4)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (1, None, 3)
    memory.put("d", 4, 11)
    assert (len(memory), memory.bytes_used) == (0, 0)


def test_equal_parameters_of_other_kinds_are_not_taken_for_one_another() -> None:
    """1 and TRUE are equal in Python, and no customer's tier is both."""
    asker = AskerFacts(History.empty(), {"tier": True})
    made = parse("customer.tier = :tier", TABLE.kinds)
    assert made.mask(TABLE, asker, NOW, {"tier": True}).all()
    assert not made.mask(TABLE, asker, NOW, {"tier": 1}).any()


def test_positions_are_let_through_as_the_mask_says() -> None:
    """Also where a history has its word."""
    asker = AskerFacts(history(("b1", EventKind.PURCHASE, 3, None), ("b4", EventKind.PURCHASE, 3, None)))
    where = parse("NOT bought_same('category') AND price > 0", TABLE.kinds).where(TABLE, asker, NOW)
    positions = np.array([4, 2, 5, 0, 1], dtype=np.int32)
    assert where.lets(positions).tolist() == where.mask[positions].tolist() == [False, True, True, False, False]
