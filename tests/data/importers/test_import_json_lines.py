"""JSON lines: the fast parser and the slow one read the same, and bad lines are told."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.importers.json_lines import read_json_lines
from recsys.data.importers.table import Cause
from recsys.errors import InputError

PATH = Path("events.jsonl")
VALUE = st.one_of(
    st.none(),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=8),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), VALUE, min_size=1), min_size=1, max_size=10))
def test_fast_and_slow_parsers_agree(objects: list[dict[str, object]]) -> None:
    """A broken line at the end sends the file to the slow parser, which reads the other lines the same."""
    text = b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in objects)
    fast = read_json_lines(PATH, text)
    slow = read_json_lines(PATH, text + b"{")
    assert [row.line for row in slow.broken] == [len(objects) + 1]
    assert fast.frame.select(sorted(fast.frame.columns)).equals(slow.frame.select(sorted(slow.frame.columns)))
    assert fast.lines.to_list() == slow.lines.to_list() == list(range(1, len(objects) + 1))


def test_ids_of_more_than_64_bits_stay_apart() -> None:
    """A broken line elsewhere in the file does not make one customer of two whose ids differ in the last digit."""
    ids = ["123456789012345678901", "123456789012345678902"]
    table = read_json_lines(PATH, "".join(f'{{"id":{each}}}\n' for each in ids).encode() + b"{")
    assert table.frame["id"].to_list() == ids


def test_objects_become_json_text_and_numbers_their_text() -> None:
    """A nested context stays JSON; a number is what its text says; a missing key is nothing."""
    table = read_json_lines(PATH, b'{"id":7,"context":{"q":"red shoes","n":[1]}}\n\n{"id":"007"}\n')
    assert table.frame["id"].to_list() == ["7", "007"]
    assert table.frame["context"].to_list()[1] is None
    assert orjson.loads(table.frame["context"][0]) == {"q": "red shoes", "n": [1]}
    assert table.lines.to_list() == [1, 3]
    assert table.originals(pl.Series([1])).to_list() == ['{"id":"007"}']


@pytest.mark.parametrize("line", ['{"id":', "[1]", "5", '{"id":"\\ud800"}', '{"id":NaN}', "null"])
def test_a_line_that_is_no_object_is_broken_alone(line: str) -> None:
    """Cut-off text, arrays, numbers, half a surrogate pair and NaN break their own line."""
    table = read_json_lines(PATH, f'{{"id":"a"}}\r\n{line}\r\n  \n{{"id":"b"}}'.encode())
    assert table.frame["id"].to_list() == ["a", "b"]
    assert table.lines.to_list() == [1, 4]
    assert [(row.line, row.cause, row.original) for row in table.broken] == [(2, Cause.BAD_JSON, line)]


def test_a_whole_surrogate_pair_is_a_character() -> None:
    """Escaped characters beyond the basic plane are read, not refused."""
    assert read_json_lines(PATH, b'{"id":"\\ud83d\\ude00"}\n').frame["id"].to_list() == ["😀"]


def test_half_a_pair_alone_is_broken_and_never_another_character() -> None:
    """The fast parser would read it as a NUL; nothing else in this file sends it to the slow one."""
    table = read_json_lines(PATH, b'{"id":"a"}\n{"id":"\\uD800"}\n')
    assert table.frame["id"].to_list() == ["a"]
    assert [row.line for row in table.broken] == [2]


def test_a_file_without_objects_is_refused() -> None:
    """Lines that are all broken are another kind of file."""
    with pytest.raises(InputError, match="line 1: a list"):
        read_json_lines(PATH, b"[1]\n[2]\n")
    with pytest.raises(InputError, match="line 1: null"):
        read_json_lines(PATH, b"null\n7\n")
