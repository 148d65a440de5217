"""Delimited text (CSV, TSV and relatives) to a `RawTable`: every field as text, every row with its line."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.importers.row_scan import RowScan, scan_rows
from recsys.data.importers.table import BrokenRow, Cause, RawTable
from recsys.errors import InputError

SEPARATORS = (",", "\t", ";", "|", "::")
_UNIT = b"\x1f"  # stands in for a separator of two characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How the text is laid out.

    Attributes
    ----------
    separator : one ASCII character, or `::`; None means recognised from the first line.
    quoted : whether fields may stand in double quotes.
    header : the columns' names when the file has no line for them.
    """

    separator: str | None = None
    quoted: bool = True
    header: tuple[str, ...] | None = None


def first_line(data: bytes) -> str:
    """The first line that is not blank."""
    start = len(data) - len(data.lstrip(b"\r\n"))
    end = data.find(b"\n", start)
    return data[start : len(data) if end < 0 else end].decode().rstrip("\r")


def recognise_separator(line: str) -> str:
    """The separator that splits a line into the most fields; a comma when none occurs."""
    unquoted = "".join(line.split('"')[::2])
    counts = {each: unquoted.count(each) for each in SEPARATORS}
    return max(SEPARATORS, key=lambda each: counts[each])


def check_separator(separator: str) -> str:
    """The separator, `\\t` meaning a tab; InputError when it is neither `::` nor one ASCII character."""
    separator = {"\\t": "\t", "tab": "\t"}.get(separator, separator)
    if separator != "::" and (len(separator) != 1 or not separator.isascii() or separator in '"\r\n\x00'):
        raise InputError(f"--separator is {separator!r}", expected="one ASCII character such as ; or \\t, or ::")
    return separator


def read_delimited(path: Path, data: bytes, dialect: Dialect) -> RawTable:
    """The rows of UTF-8 text. A row with too many or too few fields is broken; blank lines are no rows.

    Raises InputError for text without a usable header or without rows, and for a quote that is never closed.
    """
    separator = dialect.separator or recognise_separator(first_line(data))
    shown = data
    if len(separator) > 1:
        if _UNIT in data:
            raise InputError(f"{path} holds the control character 0x1f", expected=f"fields separated by {separator}")
        data, separator = data.replace(separator.encode(), _UNIT), _UNIT.decode()
    scan = scan_rows(data, ord(separator), quoted=dialect.quoted)
    if not scan.well_quoted:
        return _read_slowly(path, data, separator, dialect.header)
    rows = np.flatnonzero(scan.fields > 0)
    header = dialect.header
    if header is None:
        head, rows = int(rows[0]), rows[1:]
        if scan.nul[head]:
            raise InputError(f"{path}, line {scan.line[head]}: a NUL byte in the header", expected="a text file")
        text = data[scan.start[head] : scan.end[head]].decode().rstrip("\r")
        header = _header(path, text, separator, quoted=dialect.quoted)
    if not len(rows):
        raise InputError(f"{path} holds a header and no rows", expected="at least one row")
    good = rows[(scan.fields[rows] == len(header)) & ~scan.nul[rows]]
    frame = _parse(_body(data, scan, good), separator, header, quoted=dialect.quoted)
    if frame.height != len(good):
        return _read_slowly(path, data, separator, dialect.header)
    shown_separator = (separator, "::") if shown is not data else ("", "")

    def originals(indices: pl.Series) -> pl.Series:
        picked = good[indices.to_numpy()].tolist()
        return pl.Series([_row_text(data, scan, row, shown_separator) for row in picked], dtype=pl.String)

    broken = [
        _broken(scan, int(row), len(header), _row_text(data, scan, int(row), shown_separator))
        for row in np.setdiff1d(rows, good, assume_unique=True)
    ]
    return RawTable(frame, pl.Series(scan.line[good]), originals, tuple(broken))


def _row_text(data: bytes, scan: RowScan, row: int, shown: tuple[str, str]) -> str:
    text = data[scan.start[row] : scan.end[row]].decode().rstrip("\r")
    return text.replace(*shown) if shown[0] else text


def _broken(scan: RowScan, row: int, wanted: int, text: str) -> BrokenRow:
    line = int(scan.line[row])
    if scan.nul[row]:
        return BrokenRow(line, Cause.NUL_BYTE, "a NUL byte", "text", text)
    return BrokenRow(line, Cause.RAGGED_ROW, f"{scan.fields[row]} fields", f"{wanted} fields, as the header has", text)


def _header(path: Path, line: str, separator: str, *, quoted: bool) -> tuple[str, ...]:
    return check_header(path, header_names(line, separator, quoted=quoted))


def header_names(line: str, separator: str, *, quoted: bool) -> list[str]:
    """The names in a header line, without the white space around them; none for a line without any."""
    fields = (
        next(csv.reader([line], delimiter=separator), []) if quoted and separator != "::" else line.split(separator)
    )
    return [name.strip() for name in fields]


def check_header(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The names; InputError when one comes twice. Unnamed columns get the name `column_N`."""
    named = tuple(name or f"column_{number}" for number, name in enumerate(names, start=1))
    repeated = [name for name, count in Counter(named).items() if count > 1]
    if repeated:
        raise InputError(
            f"{path}: the header names {', '.join(map(repr, repeated))} more than once",
            expected="each column once",
            remedy="rename or remove the repeated columns",
        )
    return named


def _body(data: bytes, scan: RowScan, rows: npt.NDArray[np.int64]) -> bytes:
    """The text of these rows alone, end to end."""
    if not len(rows):
        return b""
    gaps = np.flatnonzero(np.diff(rows) > 1)
    firsts, lasts = rows[np.append(0, gaps + 1)], rows[np.append(gaps, len(rows) - 1)]
    parts = [data[scan.start[a] : scan.end[b]] for a, b in zip(firsts, lasts, strict=True)]
    return parts[0] if len(parts) == 1 else b"\n".join(parts)


def _parse(body: bytes, separator: str, header: tuple[str, ...], *, quoted: bool) -> pl.DataFrame:
    schema = dict.fromkeys(header, pl.String())
    if not body:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(
        body, has_header=False, separator=separator, quote_char='"' if quoted else None, schema=schema, glob=False
    )


def _read_slowly(path: Path, data: bytes, separator: str, header: tuple[str, ...] | None) -> RawTable:
    """Row by row with Python's parser, which can tell which rows misplaced quotes break."""
    reader = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator, strict=True)
    physical = data.decode().split("\n")
    columns: list[list[str | None]] = []
    lines: list[int] = []
    texts: list[str] = []
    broken: list[BrokenRow] = []
    while True:
        begin = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            if reader.line_num > begin:
                raise InputError(
                    f"{path}, line {begin}: a quote opens that is closed nowhere or wrongly ({error})",
                    expected='quotes around whole fields, and "" for a quote within',
                    remedy="correct that line, or export the file again",
                ) from error
            text = physical[begin - 1].rstrip("\r")
            broken.append(BrokenRow(begin, Cause.BAD_QUOTES, str(error), 'quotes around whole fields, "" within', text))
            continue
        if not fields:
            continue
        if header is None:
            header = check_header(path, [name.strip() for name in fields])
            continue
        text = "\n".join(physical[begin - 1 : reader.line_num]).rstrip("\r")
        if "\x00" in text:
            broken.append(BrokenRow(begin, Cause.NUL_BYTE, "a NUL byte", "text", text))
        elif len(fields) != len(header):
            expected = f"{len(header)} fields, as the header has"
            broken.append(BrokenRow(begin, Cause.RAGGED_ROW, f"{len(fields)} fields", expected, text))
        else:
            columns.append([field or None for field in fields])
            lines.append(begin)
            texts.append(text)
    if header is None or not (lines or broken):
        raise InputError(f"{path} holds a header and no rows", expected="at least one row")
    frame = pl.DataFrame(columns, schema=dict.fromkeys(header, pl.String()), orient="row")
    original = pl.Series(texts, dtype=pl.String)
    return RawTable(frame, pl.Series(lines, dtype=pl.Int64), original.gather, tuple(broken))
