"""Filters against SQLite: the same expression over a table of the same rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.item_table import ItemTable
from recsys.data.packed import HistoryRow
from recsys.data.vocabulary import Vocabulary
from recsys.recommend.filters import AskerFacts, parse

NOW = 1_700_000_000_000
DAY = 86_400_000
TEXTS = ["", "a", "A", "ab", "b%", "b_c", "é", "x'y", "ab\nc"]
NUMBERS = [-2.0, 0.0, 0.5, 1.0, 3.0]
TIMES = [NOW - 3 * DAY, NOW - DAY, NOW, NOW + DAY]
TAGS = ["x", "y", "z"]

Expression = tuple[str, str]
"""As the filter says it, and as SQLite does."""


def maybe(values: Sequence[object]) -> st.SearchStrategy[object]:
    return st.one_of(st.none(), st.sampled_from(values))


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": maybe(NUMBERS), "b": maybe(NUMBERS), "s": maybe(TEXTS), "t": maybe(TEXTS), "f": maybe([True, False]),
            "published": maybe(TIMES), "tags": st.one_of(st.none(), st.lists(st.sampled_from(TAGS), max_size=2)),
            "category": maybe(["x", "y"]),
        }
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from([EventKind.PURCHASE, EventKind.VIEW]),
        st.one_of(st.none(), st.integers(0, 4).map(lambda days: NOW - days * DAY)),
    ),
    max_size=4,
)
EARLIER = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([EventKind.PURCHASE, EventKind.VIEW])), max_size=2)


def quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def alike(text: str) -> Expression:
    return text, text


def iso(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).isoformat()


def numbers(depth: int) -> st.SearchStrategy[Expression]:
    leaf = st.one_of(
        st.sampled_from(["a", "b"]).map(alike),
        st.sampled_from(NUMBERS).map(lambda number: alike(f"{number:.1f}" if number >= 0 else f"({number:.1f})")),
        st.just((":p", "2.0")),
        st.just(("customer.age", "3.0")),
        st.just(("customer.missing", "CAST(NULL AS REAL)")),
    )
    if not depth:
        return leaf
    deeper = numbers(depth - 1)
    calculated = st.builds(
        lambda one, sign, two: (f"{one[0]} {sign} {two[0]}", f"{one[1]} {sign} {two[1]}"),
        deeper, st.sampled_from("+-*/"), deeper,
    )  # fmt: skip
    inside = deeper.map(lambda one: (f"({one[0]})", f"({one[1]})"))
    return st.one_of(leaf, calculated, inside, leaf.map(lambda one: (f"- {one[0]}", f"- {one[1]}")))


TEXT = st.one_of(
    st.sampled_from(["s", "t"]).map(alike), st.sampled_from(TEXTS).map(lambda text: alike(quoted(text))),
    st.just((":q", quoted("ab"))), st.just(("customer.tier", quoted("a"))),
)  # fmt: skip
TIME = st.one_of(
    st.just(alike("published")),
    st.sampled_from(TIMES).map(lambda time: (quoted(iso(time)), str(time))),
    st.just(("now", str(NOW))),
    st.sampled_from([("ago('1d')", str(NOW - DAY)), ("ahead('24h')", str(NOW + DAY))]),
)
SIGN = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])


def compared(value: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.builds(lambda a, sign, b: (f"{a[0]} {sign} {b[0]}", f"{a[1]} {sign} {b[1]}"), value, SIGN, value)


def between(value: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.builds(
        lambda a, no, b, c: tuple(f"{a[i]} {no}BETWEEN {b[i]} AND {c[i]}" for i in (0, 1)),
        value, st.sampled_from(["", "NOT "]), value, value,
    )  # fmt: skip


def one_of(value: st.SearchStrategy[Expression], among: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.builds(
        lambda a, no, some: tuple(f"{a[i]} {no}IN ({', '.join(each[i] for each in some)})" for i in (0, 1)),
        value, st.sampled_from(["", "NOT "]), st.lists(among, min_size=1, max_size=3),
    )  # fmt: skip


def leaves() -> st.SearchStrategy[Expression]:
    number = numbers(2)
    literal = st.one_of(st.sampled_from(["0.5", "1.0", "-2.0"]).map(alike), st.just((":p", "2.0")))
    word = st.sampled_from(TEXTS).map(lambda text: alike(quoted(text)))
    is_null = st.builds(
        lambda a, no: tuple(f"{a[i]} IS {no}NULL" for i in (0, 1)),
        st.one_of(number.map(lambda one: (f"({one[0]})", f"({one[1]})")), st.sampled_from(["s", "f"]).map(alike)),
        st.sampled_from(["", "NOT "]),
    )  # fmt: skip
    like = st.builds(
        lambda a, no, pattern, escape: alike(f"{a} {no}LIKE {quoted(pattern)}{escape}"),
        st.sampled_from(["s", "t"]), st.sampled_from(["", "NOT "]),
        st.sampled_from(["a%", "%b%", "_", "b!%", "b!_c", "%", "", "[a]", "a.", "é_"]),
        st.sampled_from(["", " ESCAPE '!'"]),
    ).filter(lambda one: True)  # fmt: skip
    tag = "CASE WHEN tags IS NULL THEN NULL ELSE EXISTS (SELECT 1 FROM json_each(tags) WHERE value = '{}') END"
    has = st.builds(
        lambda text, shape: (shape.format(quoted(text)), tag.format(text)),
        st.sampled_from(TAGS), st.sampled_from(["{} IN tags", "has(tags, {})"]),
    )  # fmt: skip
    history = st.sampled_from(
        [("bought()", "h1"), ("bought_within('2d')", "h2"), ("did('view', '24h')", "h3"),
         ("bought_same('category')", "h4"), ("viewed_same('category', '2d')", "h5")]
    )  # fmt: skip
    several = st.sampled_from([("a IN :many", "a IN (1.0, 3.0)"), ("a NOT IN :many", "a NOT IN (1.0, 3.0)"),
                               ("b IN :none", "b IN ()"), ("b NOT IN :none", "b NOT IN ()"),
                               ("s IN customer.likes", "s IN ('a', 'ab')")])  # fmt: skip
    flags = st.sampled_from(["f", "f = TRUE", "FALSE <> f", "TRUE"]).map(alike)
    return st.one_of(
        compared(number), compared(TEXT), compared(TIME), between(number), between(TIME), one_of(number, literal),
        one_of(st.sampled_from(["s", "t"]).map(alike), word), is_null, like, has, history, several, flags,
    )  # fmt: skip


def joined(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(
            lambda a, word, b: (f"{a[0]} {word} {b[0]}", f"{a[1]} {word} {b[1]}"),
            inner, st.sampled_from(["AND", "OR"]), inner,
        ),
        inner.map(lambda one: (f"({one[0]})", f"({one[1]})")),
        inner.map(lambda one: (f"NOT {one[0]}", f"NOT {one[1]}")),
        st.builds(
            lambda one, what: (f"({one[0]}) IS {what}", f"({one[1]}) IS {what}"),
            inner, st.sampled_from(["TRUE", "NOT TRUE", "FALSE", "NOT FALSE"]),
        ),
    )  # fmt: skip


EXPRESSIONS = st.recursive(leaves(), joined, max_leaves=6)


def history_says(
    item: int, kind: EventKind, within: int | None, events: Sequence[tuple[int, EventKind, int | None]],
    earlier: Sequence[tuple[int, EventKind]],
) -> bool | None:  # fmt: skip
    """The plain rule for one item: yes, no, or not known."""
    known = [time for at, did, time in events if at == item and did == kind]
    before = (item, kind) in earlier
    if within is None:
        return bool(known) or before
    if any(time is not None and time >= NOW - within for time in known):
        return True
    oldest = events[0][2] if events else None
    unsure = before and not (oldest is not None and oldest < NOW - within)
    return None if unsure or None in known else False


def same_says(items: Sequence[Mapping[str, object]], item: int, said: Sequence[bool | None]) -> bool | None:
    own = items[item]["category"]
    answers = [said[at] for at, row in enumerate(items) if own is not None and row["category"] == own]
    return True if True in answers else None if None in answers else False


def by_sqlite(text: str, rows: Sequence[Mapping[str, object]], columns: Sequence[Sequence[bool | None]]) -> list[bool]:
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA case_sensitive_like = ON")
        database.execute(
            "CREATE TABLE items (n, a REAL, b REAL, s TEXT, t TEXT, f INTEGER, published INTEGER, tags TEXT, "
            "category TEXT, h1, h2, h3, h4, h5)"
        )
        for n, row in enumerate(rows):
            tags = None if row["tags"] is None else json.dumps(row["tags"])
            values = [row[name] for name in ("a", "b", "s", "t", "f", "published")]
            own = [column[n] for column in columns]
            database.execute(
                f"INSERT INTO items VALUES ({', '.join('?' * 14)})", [n, *values, tags, row["category"], *own]
            )
        found = {n for (n,) in database.execute(f"SELECT n FROM items WHERE {text}")}
    return [n in found for n in range(len(rows))]


def table_of(rows: Sequence[Mapping[str, object]], ids: Sequence[str]) -> ItemTable:
    """The rows, after one that has every attribute, so that each has its kind."""
    full = {"a": 1.0, "b": 1.0, "s": "s", "t": "t", "f": True, "tags": ["x"], "published": NOW, "category": "x"}
    frame = pl.DataFrame(
        [
            {
                "item_id": item_id,
                "published": row["published"],
                "category": row["category"],
                "attributes": json.dumps({name: row[name] for name in ("a", "b", "s", "t", "f", "tags")}),
            }
            for item_id, row in zip(ids, [*rows, full], strict=True)
        ],
        schema={name: ITEM_SCHEMA[name] for name in ("item_id", "published", "category", "attributes")},
    )
    frame = frame.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in ITEM_SCHEMA.items() if name not in frame.columns
    ).select(*ITEM_SCHEMA)
    return ItemTable.from_items(frame, Vocabulary.from_ids(ids))


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, ROWS, EVENTS, EARLIER)
def test_a_filter_selects_what_sqlite_selects(
    expression: Expression,
    rows: list[dict[str, object]],
    events: list[tuple[int, EventKind, int | None]],
    earlier: list[tuple[int, EventKind]],
) -> None:
    """Every expression lets through exactly the rows that SQLite's WHERE does, whatever is not known."""
    ids = [f"i{n}" for n in range(len(rows))] + ["z"]
    events = sorted(((n % len(rows), kind, time) for n, kind, time in events), key=lambda event: event[2] or 0)
    earlier = [(n % len(rows), kind) for n, kind in earlier]
    table = table_of(rows, ids)
    stored = StoredHistory.of(
        1,
        [HistoryRow(ids[n], kind.code, time, None, 1.0, None) for n, kind, time in events],
        {(ids[n], kind.code) for n, kind in earlier},
    )
    asker = AskerFacts(
        History.from_stored(stored, Vocabulary.from_ids(ids)), {"age": 3, "tier": "a", "likes": ["a", "ab"]}
    )
    ask = [(EventKind.PURCHASE, None), (EventKind.PURCHASE, 2 * DAY), (EventKind.VIEW, DAY), (EventKind.VIEW, 2 * DAY)]
    said = [[history_says(n, kind, time, events, earlier) for n in range(len(rows))] for kind, time in ask]
    columns = [*said[:3], *([same_says(rows, n, each) for n in range(len(rows))] for each in (said[0], said[3]))]
    wanted = by_sqlite(expression[1], rows, columns)

    made = parse(expression[0], table.kinds)
    given_parameters = {"p": 2.0, "q": "ab", "many": [1.0, 3.0], "none": []}
    parameters = {name: given_parameters[name] for name in made.parameters(table.kinds)}
    found = made.where(table, asker, NOW, parameters)

    assert found.mask[:-1].tolist() == wanted, (expression, rows, events, earlier)
    assert found.lets(np.arange(len(ids), dtype=np.int32)).tolist() == found.mask.tolist()
    again = made.where(table, asker, NOW, parameters)
    assert again.mask.tolist() == found.mask.tolist()


def every_pair(one: str, other: str, values: Sequence[object]) -> list[dict[str, object]]:
    """A row for each two of these values, and none."""
    nothing = dict.fromkeys(["a", "b", "s", "t", "f", "published", "tags", "category"])
    return [{**nothing, one: first, other: second} for first in (None, *values) for second in (None, *values)]


@pytest.mark.parametrize(("one", "other", "values"), [("a", "b", NUMBERS), ("s", "t", TEXTS)])
@pytest.mark.parametrize("shape", ["{} {} {}", "NOT {} {} {}", "({} {} {}) IS NOT FALSE", "NOT ({} {} {}) IS TRUE"])
@pytest.mark.parametrize("sign", ["=", "<>", "<", "<=", ">", ">="])
def test_every_comparison_of_every_pair(one: str, other: str, values: list[object], shape: str, sign: str) -> None:
    """Two columns, and a column with a value on either side, and what is not known of either."""
    rows = every_pair(one, other, values)
    ids = [f"i{n:03}" for n in range(len(rows))] + ["z"]
    table = table_of(rows, ids)
    value = "0.5" if one == "a" else "'b_c'"
    for left, right in ((one, other), (one, value), (value, other)):
        text = shape.format(left, sign, right)
        wanted = by_sqlite(text, rows, [[None] * len(rows)] * 5)
        assert parse(text, table.kinds).mask(table)[:-1].tolist() == wanted, text
