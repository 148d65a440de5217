"""Who is in which category, and who came after the models."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA, Catalog, CatalogChanges
from recsys.data.catalog_index import CatalogIndex
from recsys.data.vocabulary import Vocabulary
from recsys.errors import InputError

ITEMS = Vocabulary.from_ids(["b", "d", "f"])


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    """A catalogue."""
    return pl.DataFrame(list(rows), schema=ITEM_SCHEMA)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "item_id": st.sampled_from("abcdefg"),
            "category": st.sampled_from([None, "x", "y", "X"]),
            "available": st.sampled_from([None, True, False]),
            "published": st.sampled_from([None, 5, 15]),
        }
    ),
    unique_by=lambda row: row["item_id"],
)


@given(rows=ROWS)
def test_positions_names_and_what_may_be_shown_agree_with_the_rows(rows: list[dict[str, Any]]) -> None:
    """For every item and newcomer, whatever the order of the rows."""
    index = CatalogIndex.from_items(frame(*rows), ITEMS, 3)
    by_id = {row["item_id"]: row for row in rows}
    ids = [index.id_of(place) for place in range(len(index.code))]
    assert ids == ["b", "d", "f", *sorted(set(by_id) - {"b", "d", "f"})]
    for category in ("x", "y", "X"):
        expected = [by_id.get(each, {}).get("category") == category for each in ids]
        if any(expected):
            assert index.members(category).tolist() == expected
        else:
            with pytest.raises(InputError, match="category"):
                index.members(category)
    shown = index.showable(Catalog.from_items(frame(*rows), ITEMS, 3), 10)
    assert shown.tolist() == [
        by_id.get(each, {}).get("available") is not False and (by_id.get(each, {}).get("published") or 0) <= 10
        for each in ids
    ]


@given(steps=st.lists(st.tuples(ROWS, st.sets(st.sampled_from("abcdefg"))), max_size=4))
def test_changes_one_after_the_other_are_the_whole(steps: list[tuple[list[dict[str, Any]], set[str]]]) -> None:
    """After any rows and removals the index answers as one that was built from what is left."""
    index, left = CatalogIndex.from_items(frame(), ITEMS), dict[str, dict[str, Any]]()
    for version, (rows, removed) in enumerate(steps, start=1):
        off = sorted(removed - {row["item_id"] for row in rows})
        index = index.with_changes(CatalogChanges(frame(*rows), off, version))
        left |= {row["item_id"]: row for row in rows}
        left = {item: row for item, row in left.items() if item not in off}
    whole = CatalogIndex.from_items(frame(*left.values()), ITEMS, len(steps))
    assert (list(index.newcomers), index.version) == (list(whole.newcomers), whole.version)
    assert index.shelf.showable(10).tolist() == whole.shelf.showable(10).tolist()
    for category in ("x", "y", "X"):
        if any(row["category"] == category for row in left.values()):
            assert index.members(category).tolist() == whole.members(category).tolist()
        else:
            with pytest.raises(InputError) as failure:
                index.members(category)
            assert all(repr(row["category"]) in str(failure.value) for row in left.values() if row["category"])


def test_a_category_that_is_not_there_is_told_what_there_is() -> None:
    """None, all of a few, or the closest of many."""
    with pytest.raises(InputError, match="no item of the catalogue has a category"):
        CatalogIndex.nothing(ITEMS).members("Crime")
    few = CatalogIndex.from_items(frame({"item_id": "b", "category": "Crime"}), ITEMS)
    with pytest.raises(InputError, match=r"'crime'\. Expected: one of 'Crime'"):
        few.members("crime")
    names = [*(f"Gardening {number}" for number in range(900)), "Crime & Thrillers", "Cookery"]
    many = CatalogIndex.from_items(
        frame(*({"item_id": f"n{number}", "category": name} for number, name in enumerate(names))), ITEMS
    )
    with pytest.raises(InputError, match=r"902 categories, such as 'Crime & Thrillers'"):
        many.members("Crime and Thrillers")
    with pytest.raises(InputError, match=r"902 categories\."):
        many.members("\x00" * 300)
