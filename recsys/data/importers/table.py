"""A file's rows as they stand there: not yet mapped, not yet checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import polars as pl


class Cause(StrEnum):
    """Why a row is bad. The codes are stable: reports and quarantine files hold them."""

    RAGGED_ROW = "ragged_row"
    BAD_QUOTES = "bad_quotes"
    NUL_BYTE = "nul_byte"
    BAD_JSON = "bad_json"
    MISSING_ID = "missing_id"
    LONG_ID = "long_id"
    CONTROL_CHARACTER = "control_character"
    UNKNOWN_KIND = "unknown_kind"
    MISSING_ITEM = "missing_item"
    BAD_NUMBER = "bad_number"
    INFINITE_NUMBER = "infinite_number"
    BAD_QUANTITY = "bad_quantity"
    BAD_PRICE = "bad_price"
    BAD_RATING = "bad_rating"
    BAD_POSITION = "bad_position"
    BAD_TIME = "bad_time"
    TIME_BEFORE_1970 = "time_before_1970"
    TIME_IN_FUTURE = "time_in_future"
    NONEXISTENT_TIME = "nonexistent_time"
    BAD_CONTEXT = "bad_context"
    UNDO_WITHOUT_EVENT = "undo_without_event"
    BAD_FLAG = "bad_flag"
    BAD_ATTRIBUTES = "bad_attributes"


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that could not be split into fields."""

    line: int
    cause: Cause
    found: str
    expected: str
    original: str


@dataclass(frozen=True, slots=True)
class RawTable:
    """The rows of one file.

    Attributes
    ----------
    frame : the file's columns under the file's names; all text for text files, typed for Parquet.
    lines : the line on which each row begins, counted from 1; the row's number for Parquet.
    originals : given row numbers, counted from 0, the rows' own text (JSON for Parquet).
    broken : rows that are not in the frame.
    notes : what the reader of a report should know.
    """

    frame: pl.DataFrame
    lines: pl.Series
    originals: Callable[[pl.Series], pl.Series]
    broken: tuple[BrokenRow, ...] = ()
    notes: tuple[str, ...] = ()
