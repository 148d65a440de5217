"""Items and customers: our columns, attributes from the rest, and what is bad."""

from __future__ import annotations

from pathlib import Path

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.errors import InputError
from tests.data.importers.importing_files import MAY, causes, present, read


def test_items_of_our_own_schema(tmp_path: Path) -> None:
    """All columns by their own names, each with its type; numbers of days and words of truth are understood."""
    text = (
        "item_id,title,author,category,price,currency,available,published,expires,attributes\n"
        '007,"Shoes, red",Ann,shoes,9.50,EUR,no,2024-05-01T12:00:00Z,1714564800000,"{""size"": 4}"\n'
        "8,,,,,,,,,\n"
    )
    result = read(tmp_path, text, subject="items")
    assert result.items.schema == pl.Schema(ITEM_SCHEMA)
    assert present(result.items) == [
        {
            "item_id": "007", "title": "Shoes, red", "author": "Ann", "category": "shoes", "price": 9.5,
            "currency": "EUR", "available": False, "published": MAY, "expires": MAY, "attributes": '{"size":4}',
        },
        {"item_id": "8"},
    ]  # fmt: skip
    assert result.events.height == result.customers.height == 0


def test_further_columns_become_attributes(tmp_path: Path) -> None:
    """Strings stay strings, numbers and lists of Parquet keep their types, nothing leaves no member."""
    text = 'item_id,colour,"say ""what"""\n1,red,\n2,,"a""b"\n3,,\n'
    items = read(tmp_path, text, subject="items").items
    assert [each and orjson.loads(each) for each in items["attributes"]] == [
        {"colour": "red"},
        {'say "what"': 'a"b'},
        None,
    ]
    pl.DataFrame({"item": [1, 2], "tags": [[1, 2], None], "year": [1984.0, None], "ok": [True, None]}).write_parquet(
        tmp_path / "made.parquet"
    )
    made = (tmp_path / "made.parquet").read_bytes()
    result = read(tmp_path, made, "items.parquet", subject="items", columns="item_id=item")
    assert [each and orjson.loads(each) for each in result.items["attributes"]] == [
        {"tags": [1, 2], "year": 1984.0, "ok": True},
        None,
    ]
    assert result.report.notes == ("kept as attributes: tags, year, ok",)


def test_json_lines_keep_the_types_of_their_members(tmp_path: Path) -> None:
    """A list stays a list and a text that looks like one stays text."""
    text = (
        b'{"item_id":"1","tags":["a"],"n":1,"deep":{"x":null},"text":"[1]","none":null,"empty":""}\n{"item_id":"2"}\n'
    )
    items = read(tmp_path, text, "items.jsonl", subject="items").items
    assert [each and orjson.loads(each) for each in items["attributes"]] == [
        {"tags": ["a"], "n": 1, "deep": {"x": None}, "text": "[1]"},
        None,
    ]


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["colour", "größe", 'q"', "a,b"]),
            st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1, max_size=5),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_attributes_of_json_lines_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    """Any text in any further column is in the attributes, as it was."""
    text = b"\n".join(orjson.dumps({"item_id": str(number), **row}) for number, row in enumerate(rows))
    items = read(tmp_path_factory.mktemp("items"), text, "items.jsonl", subject="items").items
    assert [orjson.loads(each or "{}") for each in items["attributes"]] == rows


def test_given_attributes_win_over_further_columns(tmp_path: Path) -> None:
    """The file's own JSON and its further columns are one object."""
    text = 'item_id,attributes,size\n1,"{""size"": 4, ""x"": 1}",9\n2,,9\n3,"{""x"": 1}",\n'
    items = read(tmp_path, text, subject="items").items
    assert items["attributes"].to_list() == ['{"size":4,"x":1}', '{"size":"9"}', '{"x":1}']


@pytest.mark.parametrize(
    ("field", "value", "cause"),
    [
        ("item_id", "", "missing_id"), ("item_id", " ", "missing_id"), ("item_id", "x" * 257, "long_id"),
        ("item_id", "a\tb", "control_character"), ("price", "cheap", "bad_number"), ("price", "inf", "infinite_number"),
        ("price", "-1", "bad_price"), ("available", "maybe", "bad_flag"), ("published", "soon", "bad_time"),
        ("attributes", "red", "bad_attributes"),
    ],
)  # fmt: skip
def test_bad_items_are_told_and_the_others_kept(tmp_path: Path, field: str, value: str, cause: str) -> None:
    """Each cause with its line and field."""
    names = ["item_id", "price", "available", "published", "attributes"]
    good = {"item_id": "1", "published": "2024-05-01T12:00:00Z"}
    rows = (good, good | {"item_id": "2"} | {field: value}, good | {"item_id": "3"})
    lines = [",".join(row.get(name, "") for name in names) for row in rows]
    result = read(tmp_path, "\n".join([",".join(names), *lines]), subject="items")
    assert causes(result) == [(3, cause, field, value or "nothing")]
    assert result.items["item_id"].to_list() == ["1", "3"]


def test_the_last_of_equal_ids_counts(tmp_path: Path) -> None:
    """A catalogue that names an item twice means the later row, and the report says so."""
    result = read(tmp_path, "item_id,title\n1,old\n2,b\n1,new\n", subject="items")
    assert {row["item_id"]: row["title"] for row in present(result.items)} == {"1": "new", "2": "b"}
    assert result.report.notes == ("1 rows repeat an earlier row's item_id; the last one counts",)


def test_ignored_items_are_no_items(tmp_path: Path) -> None:
    """`--ignore-items` keeps postage out of the catalogue too; a file without further columns is fine."""
    result = read(tmp_path, "item_id\nPOST\n1\n", subject="items", ignore_items="POST")
    assert result.items["item_id"].to_list() == ["1"]
    assert result.report.aside == {"ignored_item": 1}


def test_customers_may_share_an_account(tmp_path: Path) -> None:
    """Our columns, and everything else as attributes; a customer without an id is bad here."""
    result = read(tmp_path, "customer_id,account_id,city\nc1,h1,Bonn\n,h1,Bonn\nc2,,\n", subject="customers")
    assert result.customers.schema == pl.Schema(CUSTOMER_SCHEMA)
    assert present(result.customers) == [
        {"customer_id": "c1", "account_id": "h1", "attributes": '{"city":"Bonn"}'},
        {"customer_id": "c2"},
    ]
    assert causes(result) == [(3, "missing_id", "customer_id", "nothing")]


def test_a_file_of_another_subject_is_told(tmp_path: Path) -> None:
    """Items without an item column are refused with the option that helps."""
    with pytest.raises(InputError, match=r"no column item_id; its columns are sku, title.*--map item_id=sku"):
        read(tmp_path, "sku,title\n1,x\n", subject="items")
    with pytest.raises(InputError, match="--map has 'kind=x'"):
        read(tmp_path, "item_id,x\n1,x\n", subject="items", columns="kind=x")
