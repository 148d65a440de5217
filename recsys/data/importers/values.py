"""Values of a file's columns to values of ours: ids, numbers, yes and no, JSON objects. All vectorised.

Each function returns values with null where there is nothing or where the file's value does not fit; the caller tells
the two apart by comparing with the file's own column.
"""

from __future__ import annotations

import orjson
import polars as pl

from recsys.data.events import MAX_AMOUNT, MAX_ID_LENGTH
from recsys.data.importers.findings import Findings
from recsys.data.importers.table import Cause
from recsys.data.importers.texts import to_text

_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")


def is_whole_float(series: pl.Series) -> bool:
    """Whether `to_text` changes the look of this column's numbers."""
    return bool(series.dtype.is_float()) and bool(series.is_not_nan().any())


def to_number(series: pl.Series) -> pl.Series:
    """Any column as Float64. A Float32 is read by its shortest decimal text, so that 0.1 is 0.1 in every file type."""
    if series.dtype == pl.String:
        return series.str.strip_chars().cast(pl.Float64, strict=False)
    if series.dtype == pl.Float32:
        return series.cast(pl.String).cast(pl.Float64, strict=False)
    if series.dtype.is_numeric() or series.dtype == pl.Boolean or series.dtype.is_decimal():
        return series.cast(pl.Float64)
    return pl.Series(series.name, [None] * len(series), dtype=pl.Float64)


def to_whole(series: pl.Series) -> pl.Series:
    """Any column as Int64; a number with a fraction does not fit, `3.0` does."""
    if series.dtype.is_integer():
        return series.cast(pl.Int64, strict=False)
    number = to_number(series)
    exact = (
        series.str.strip_chars().cast(pl.Int64, strict=False)
        if series.dtype == pl.String
        else pl.Series([None] * len(series), dtype=pl.Int64)
    )
    whole = number.is_finite() & (number == number.round()) & (number.abs() < 2**53)
    return exact.zip_with(exact.is_not_null(), number.set(~whole.fill_null(False), None).cast(pl.Int64, strict=False))


def to_flag(series: pl.Series) -> pl.Series:
    """Any column as Boolean: true, t, yes, y, 1 and their opposites, in any case."""
    if series.dtype == pl.Boolean:
        return series
    word = to_text(series).str.strip_chars().str.to_lowercase()
    yes, no = word.is_in(_TRUE), word.is_in(_FALSE)
    return yes.set(~(yes | no).fill_null(False), None)


def is_missing(series: pl.Series) -> pl.Series:
    """Where the file holds nothing: null, "", NaN in a column of floats."""
    missing = series.is_null()
    if series.dtype == pl.String:
        return missing | (series == "").fill_null(False)
    if series.dtype.is_float():
        return missing | series.is_nan().fill_null(False)
    return missing


def check_id(findings: Findings, field: str, value: pl.Series, longest: int = MAX_ID_LENGTH) -> None:
    """Finds ids that are blank, too long or hold control characters; null passes."""
    if value.null_count() == len(value):
        return
    longest_bytes = value.str.len_bytes().max()
    if isinstance(longest_bytes, int) and longest_bytes > longest:
        too_long = value.str.len_chars() > longest
        findings.add(too_long, Cause.LONG_ID, field, value, f"at most {longest} characters")
    findings.add(value.str.contains(_CONTROL), Cause.CONTROL_CHARACTER, field, value, "no control characters")
    findings.add(value.str.contains(r"^\s+$"), Cause.MISSING_ID, field, value, "more than white space")


def check_number(findings: Findings, field: str, raw: pl.Series, cause: Cause = Cause.BAD_NUMBER) -> pl.Series:
    """The column as Float64; finds what is no number, what is infinite or NaN, and what is too large."""
    value = to_number(raw)
    findings.add(value.is_null() & ~is_missing(raw), cause, field, raw, "a number such as 12.50")
    findings.add(~value.is_finite(), Cause.INFINITE_NUMBER, field, raw, "a finite number")
    findings.add(value.abs() > MAX_AMOUNT, cause, field, raw, f"a number of at most {MAX_AMOUNT:g} in size")
    return value.set(value.is_nan().fill_null(False), None)


def canonical_objects(texts: pl.Series) -> dict[str, str | None]:
    """Each distinct text to its JSON object in one form (sorted keys, no spaces), or to None if it is no object."""
    forms: dict[str, str | None] = {}
    for text in texts.drop_nulls().unique():
        try:
            value = orjson.loads(text)
            valid = isinstance(value, dict)
        except orjson.JSONDecodeError:
            valid = False
        forms[text] = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() if valid else None
    return forms


def check_objects(findings: Findings, field: str, raw: pl.Series, cause: Cause) -> pl.Series:
    """A column of JSON objects in one form each; finds what is none."""
    text = to_text(raw)
    if text.null_count() == len(text):
        return text
    forms = canonical_objects(text)
    value = text.replace_strict(list(forms), list(forms.values()), default=None, return_dtype=pl.String)
    findings.add(value.is_null() & text.is_not_null(), cause, field, raw, "a JSON object")
    return value
