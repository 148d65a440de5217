"""Delimited text: every field, every line number, against Python's own parser."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recsys.data.importers.delimited import Dialect, check_separator, read_delimited, recognise_separator
from recsys.data.importers.encoding import to_utf8
from recsys.data.importers.table import Cause
from recsys.errors import InputError

PATH = Path("shop.csv")
FIELD = st.text(st.sampled_from('ab"0 é,;\n\r\t|') | st.characters(blacklist_categories=["Cs", "Cc"]), max_size=6)


def _oracle(text: str, separator: str, width: int) -> tuple[list[tuple[int, list[str]]], list[int]]:
    """The good rows with the line each begins on, and the lines of the ragged ones: row by row, with `csv`."""
    good, ragged = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return good[1:] if good else [], ragged
        if row and len(row) == width:
            good.append((line, row))
        elif row:
            ragged.append(line)


@given(
    rows=st.lists(st.lists(FIELD, min_size=1, max_size=4), min_size=1, max_size=12),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    blank_after=st.integers(0, 12),
)
@example(rows=[["1", "x\ny"], ["2", "z"]], separator=",", end="\r\n", blank_after=1)
@example(rows=[['"', '""'], ["a", 'a"b']], separator=",", end="\n", blank_after=0)
def test_rows_and_lines_are_those_of_a_slow_parser(
    rows: list[list[str]], separator: str, end: str, blank_after: int
) -> None:
    """Fields, line numbers (with quoted line breaks and blank lines) and ragged rows agree with Python's csv module."""
    # A carriage return within a field is read by Python's module as the end of a line when it counts lines.
    rows = [[field.replace("\r", "") for field in row] for row in rows]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator, lineterminator=end)
    writer.writerow(["a", "b"])
    for number, row in enumerate(rows):
        # A row of one empty field and a blank line look alike; both are no rows.
        writer.writerow(row)
        if number == blank_after:
            buffer.write(end)
    text = buffer.getvalue()
    good, ragged = _oracle(text, separator, 2)
    if not good and not ragged:
        with pytest.raises(InputError, match="no rows"):
            read_delimited(PATH, text.encode(), Dialect(separator=separator))
        return
    table = read_delimited(PATH, text.encode(), Dialect(separator=separator))
    assert table.lines.to_list() == [line for line, _ in good]
    assert [[field or "" for field in row] for row in table.frame.iter_rows()] == [row for _, row in good]
    assert [broken.line for broken in table.broken] == ragged


@given(rows=st.lists(st.lists(st.text(st.sampled_from('ab"'), max_size=4), min_size=2, max_size=2), max_size=8))
@example(rows=[["a", 'b"c'], ['"a" b', "c"], ["d", "e"]])
def test_misplaced_quotes_break_only_their_own_rows(rows: list[list[str]]) -> None:
    """Unescaped quotes make a row literal or broken, or the whole file refused; no row vanishes."""
    lines = ["a,b", *(",".join(row) for row in rows), "last,row"]
    try:
        table = read_delimited(PATH, "\n".join(lines).encode(), Dialect())
    except InputError as error:
        assert "quote" in error.found  # noqa: PT017 - either outcome is right, a lost row is not
        return
    # A quoted field may hold a line break: then two written lines are one row.
    texts = [*table.originals(pl.int_range(table.frame.height, eager=True)), *(row.original for row in table.broken)]
    assert sum(text.count("\n") + 1 for text in texts) == len(rows) + 1
    assert table.frame.height == len(table.lines)


def test_a_quote_never_closed_is_refused_with_its_line() -> None:
    """The rest of a file is not swallowed into one field."""
    with pytest.raises(InputError, match="line 3: a quote opens"):
        read_delimited(PATH, b'a,b\n1,2\n3,"4\n5,6\n', Dialect())


def test_misplaced_quotes_are_quarantined_with_their_line() -> None:
    """A quote within a bare field is a character; one that ends a field too soon breaks its row."""
    table = read_delimited(PATH, b'a,b\n1,5" disc\n2,"x" y\n3,z\n', Dialect())
    assert table.frame.rows() == [("1", '5" disc'), ("3", "z")]
    assert [(row.line, row.cause, row.original) for row in table.broken] == [(3, Cause.BAD_QUOTES, '2,"x" y')]


def test_ragged_rows_say_how_many_fields_they_have() -> None:
    """Too many and too few fields are both broken, with their own text, and their neighbours are kept."""
    table = read_delimited(PATH, b"a,b\n1,2\n3\n4,5,6\n7,8\n", Dialect())
    assert table.frame.rows() == [("1", "2"), ("7", "8")]
    assert [(row.line, row.cause, row.found, row.original) for row in table.broken] == [
        (3, Cause.RAGGED_ROW, "1 fields", "3"),
        (4, Cause.RAGGED_ROW, "3 fields", "4,5,6"),
    ]


def test_a_nul_byte_breaks_its_row_only() -> None:
    """A NUL byte is found on its line; the rows around it are kept."""
    table = read_delimited(PATH, b"a,b\n1,2\n3,\x004\n5,6\n", Dialect())
    assert table.frame.rows() == [("1", "2"), ("5", "6")]
    assert [(row.line, row.cause) for row in table.broken] == [(3, Cause.NUL_BYTE)]
    with pytest.raises(InputError, match="NUL byte in the header"):
        read_delimited(PATH, b"a,\x00b\n1,2\n", Dialect())


@pytest.mark.parametrize("text", [b"a,b\n", b"a,b", b"a,b\n\n\r\n"])
def test_a_header_alone_is_refused(text: bytes) -> None:
    """A file without rows is more likely a failed export than a shop without customers."""
    with pytest.raises(InputError, match="a header and no rows"):
        read_delimited(PATH, text, Dialect())


def test_a_repeated_column_is_refused() -> None:
    """Which of two columns of one name was meant is not guessed."""
    with pytest.raises(InputError, match="'a' more than once"):
        read_delimited(PATH, b"a,b,a\n1,2,3\n", Dialect())


@pytest.mark.parametrize(
    ("line", "separator"),
    [("a,b,c", ","), ("a;b", ";"), ("a\tb", "\t"), ("a|b|c", "|"), ("a::b::c", "::"), ('"a;x;y",b', ","), ("a", ",")],
)
def test_the_separator_is_recognised_outside_quotes(line: str, separator: str) -> None:
    """The separator with the most occurrences in the header wins; what stands in quotes does not count."""
    assert recognise_separator(line) == separator


def test_double_colons_separate_and_show_in_the_original() -> None:
    """`::` splits fields; quarantined text shows it as written."""
    table = read_delimited(PATH, b"a::b\n1::x: y\n2\n", Dialect())
    assert table.frame.rows() == [("1", "x: y")]
    assert table.originals(pl.Series([0])).to_list() == ["1::x: y"]
    assert table.broken[0].original == "2"


@pytest.mark.parametrize("separator", ["ab", "", '"', "é", "\n"])
def test_a_separator_that_cannot_be_one_is_refused(separator: str) -> None:
    """`--separator` takes one ASCII character, or `::`."""
    with pytest.raises(InputError, match="--separator"):
        check_separator(separator)


def test_a_tab_can_be_written_in_letters() -> None:
    """A shell makes a tab hard to type."""
    assert check_separator("\\t") == check_separator("tab") == "\t"


def test_a_wrong_byte_is_told_with_its_line() -> None:
    """What is not UTF-8 names the byte, the line and the option."""
    data = "id,title\n1,ok\n2,£5\n".encode("latin-1")
    with pytest.raises(InputError, match=r"line 3: byte 0xa3.*--encoding cp1252"):
        to_utf8(PATH, data, None, None)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8"])
def test_other_encodings_are_read_when_named(encoding: str) -> None:
    """`--encoding` gives the same text from any encoding."""
    assert to_utf8(PATH, "id,£\n".encode(encoding), encoding, None)[0] == "id,£\n".encode()


def test_a_publisher_s_encoding_is_tried_and_told() -> None:
    """A format whose files are known to be cp1252 needs no option, and the report says so."""
    data, notes = to_utf8(PATH, b"id,\xa3\n", None, "cp1252")
    assert data == "id,£\n".encode()
    assert notes == ("read as cp1252, since it is not UTF-8",)
    assert to_utf8(PATH, "id,£\n".encode(), None, "cp1252") == ("id,£\n".encode(), ())


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        ("a,b\n".encode("utf-16"), None, "--encoding utf-16"),
        (b"a\n", "klingon", "--encoding is 'klingon'"),
        (b"a\n", "base64", "cannot be read as base64"),
        (b"a\n\xff\n", "ascii", "line 2: byte 0xff"),
    ],
)
def test_encodings_that_do_not_fit_are_told(data: bytes, encoding: str | None, message: str) -> None:
    """UTF-16, an unknown name, a codec that is none of text, and the wrong one each get their own message."""
    with pytest.raises(InputError, match=message):
        to_utf8(PATH, data, encoding, None)


def test_a_byte_order_mark_and_old_line_ends_are_no_content() -> None:
    """The mark does not become part of the first column's name; carriage returns alone end lines too."""
    assert to_utf8(PATH, b"\xef\xbb\xbfa,b\r1,2\r", None, None)[0] == b"a,b\n1,2\n"
