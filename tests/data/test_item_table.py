"""The columns of items follow the catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA, CatalogChanges
from recsys.data.item_column import Kind
from recsys.data.item_table import MOST_ATTRIBUTES, ItemTable
from recsys.data.vocabulary import Vocabulary
from recsys.errors import InputError

IDS = ["a", "b", "c", "d"]
ITEMS = Vocabulary.from_ids(IDS)
VALUE = st.one_of(
    st.none(), st.booleans(), st.sampled_from([1, 2.5, -3]), st.sampled_from(["x", "y", ""]),
    st.lists(st.sampled_from(["x", "y"]), max_size=2), st.just({"deep": 1}), st.just([1, 2]),
)  # fmt: skip
ROW = st.fixed_dictionaries(
    {
        "author": st.sampled_from([None, "Austen", "Eliot"]),
        "price": st.sampled_from([None, 0.0, 9.5]),
        "available": st.sampled_from([None, True, False]),
        "published": st.sampled_from([None, 0, 1_700_000_000_000]),
        "attributes": st.dictionaries(st.sampled_from(["stock", "tags", "price"]), VALUE, max_size=3),
    }
)
STEP = st.tuples(
    st.dictionaries(st.sampled_from([*IDS, "unknown"]), ROW, max_size=3),
    st.lists(st.sampled_from([*IDS, "unknown"]), max_size=2),
)


def frame(rows: Mapping[str, Mapping[str, object]]) -> pl.DataFrame:
    """Rows in `ITEM_SCHEMA`, by id."""
    entries = [
        {"item_id": item_id, **row, "attributes": json.dumps(row["attributes"]) if row.get("attributes") else None}
        for item_id, row in sorted(rows.items())
    ]
    return pl.DataFrame(entries, schema=ITEM_SCHEMA)


def table_of(*attributes: Mapping[str, object]) -> ItemTable:
    """A table of so many items with these attributes."""
    rows = {item_id: {"attributes": each} for item_id, each in zip(IDS, attributes, strict=False)}
    return ItemTable.from_items(frame(rows), ITEMS)


def said(table: ItemTable) -> dict[str, object]:
    """All that a table says, in plain values."""
    found: dict[str, object] = {}
    for name, column in table.columns.items():
        texts, lists = column.texts.to_list(), column.lists.to_list()
        found[name] = (
            column.kind,
            [None if number != number else number for number in column.numbers.tolist()],
            column.flags.tolist(),
            [texts[code] if code >= 0 else None for code in column.text_codes.tolist()],
            [lists[code] if code >= 0 else None for code in column.list_codes.tolist()],
        )
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=5), st.sets(st.sampled_from([*IDS, "unknown", "z"])))
def test_changes_lead_to_what_the_whole_says(
    steps: list[tuple[dict[str, dict[str, object]], list[str]]], others: set[str]
) -> None:
    """However rows came, changed and went, the table is that of a catalogue that was always as it is now; also after a
    move to another vocabulary."""
    table, rows, removed = ItemTable.unread(len(ITEMS)), dict[str, Mapping[str, object]](), set[str]()
    for version, (put, taken_off) in enumerate(steps):
        gone = [item_id for item_id in taken_off if item_id not in put]
        table = table.with_changes(CatalogChanges(frame(put), sorted(set(gone)), version), ITEMS)
        rows = {item_id: row for item_id, row in (rows | put).items() if item_id not in gone}
        removed = (removed | set(gone)) - set(put)
    whole = ItemTable.of(CatalogChanges(frame(rows), sorted(removed), 9), ITEMS)
    assert said(table) == said(whole)
    later = Vocabulary.from_ids(others)
    moved, new = table.moved(ITEMS.positions(later)), others - set(IDS)
    of_new = {item_id: row for item_id, row in rows.items() if item_id in new}
    after = moved.with_changes(CatalogChanges(frame(of_new), sorted(removed & new), 9), later)
    assert said(after) == said(ItemTable.of(CatalogChanges(frame(rows), sorted(removed), 9), later))


def test_texts_that_no_item_has_any_more_go_with_a_move() -> None:
    """A service takes the table over from bundle to bundle: what was said once must not stay for good."""
    table = table_of(*({"stamp": "old", "tags": ["old"]} for _ in IDS))
    where = np.arange(len(IDS), dtype=np.int32)[::-1].copy()
    for turn in range(50):
        row = {"attributes": {"stamp": f"at {turn}", "tags": [f"at {turn}", "x"]}}
        changed = {"b": row} if turn % 2 else {"b": row, "c": row}
        table = table.with_changes(CatalogChanges(frame(changed), (), turn), ITEMS)
        # There and back: the same items.
        before, table = said(table), table.moved(where).moved(where)
        assert said(table) == before
        columns = table.columns["stamp"], table.columns["tags"]
        assert max(len(columns[0].texts), len(columns[1].lists)) <= 2 * 3


def test_a_column_that_stays_the_same_is_shared() -> None:
    """A change of one attribute leaves the columns of the others as they are."""
    table = table_of({"stock": 1, "series": "x"}, {"stock": 2, "series": "y"})
    changed = table.with_changes(
        CatalogChanges(frame({"a": {"attributes": {"stock": 5, "series": "x"}}}), (), 1), ITEMS
    )
    assert changed.columns["series"] is table.columns["series"]
    assert changed.columns["stock"].numbers.tolist()[:2] == [5.0, 2.0]
    assert table.columns["stock"].numbers.tolist()[:2] == [1.0, 2.0]


def test_items_without_a_row_are_available_and_removed_ones_are_not() -> None:
    """As the catalogue has it."""
    table = ItemTable.of(CatalogChanges(frame({"a": {"available": False}}), ["b"], 1), ITEMS)
    assert table.columns["available"].flags.tolist() == [0, 0, 1, 1]


def test_values_of_several_kinds_have_no_kind() -> None:
    """The column says what it holds, and items cannot agree in it."""
    table = table_of({"pages": 12}, {"pages": "12"})
    assert table.kinds["pages"] == (None, "a number in 1 and a text in 1 of 4 items")
    with pytest.raises(InputError, match=r"pages: an attribute that is a number in 1 and a text in 1"):
        table.codes("pages")


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1, 2.5], Kind.NUMBER), (["x"], Kind.TEXT), ([True], Kind.FLAG), ([["x"], []], Kind.TEXTS)],
)
def test_the_kind_is_that_of_the_values(values: list[object], kind: Kind) -> None:
    """Numbers, texts, yes or no, and lists of texts."""
    assert table_of(*({"it": value} for value in values)).kinds["it"].kind is kind


def test_equal_values_have_equal_codes() -> None:
    """Texts, numbers and truths; −1 where there is none."""
    table = table_of({"it": "x", "n": 2, "f": True}, {"it": "y", "n": 1}, {"it": "x", "n": 2, "f": True}, {})
    for name in ("it", "n"):
        codes = table.codes(name)
        assert codes.dtype == np.int32
        assert codes[0] == codes[2] != codes[1]
        assert codes[3] == -1
    assert table.codes("f").tolist() == [1, -1, 1, -1]


def test_an_unknown_attribute_is_an_error_with_a_hint() -> None:
    """Also one that differs in its capitals alone."""
    with pytest.raises(InputError, match="did you mean author"):
        table_of({}).codes("Autor")


def test_attributes_beyond_the_most_are_left_out_and_said() -> None:
    """The memory for one more column is not taken."""
    table = table_of({f"key{n}": n for n in range(MOST_ATTRIBUTES + 1)})
    assert len(table.left_out) == 1
    (name,) = table.left_out
    with pytest.raises(InputError, match=f"one of the {MOST_ATTRIBUTES} attributes that are held"):
        table.column(name)
