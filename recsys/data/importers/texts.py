"""Columns of any type as text, and as values that can be written as JSON."""

from __future__ import annotations

import polars as pl

from recsys.errors import InputError

_JSON_LEAVES = (
    pl.String, pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64,
    pl.Float32, pl.Float64, pl.Null,
)  # fmt: skip


def _writes_as_json(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.List | pl.Array):
        return _writes_as_json(dtype.inner)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return all(_writes_as_json(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]
    return dtype in _JSON_LEAVES


def json_ready(series: pl.Series) -> pl.Series:
    """The column as it is when polars can write it as JSON, its text otherwise."""
    return series if _writes_as_json(series.dtype) else shown(series)


def shown(series: pl.Series) -> pl.Series:
    """Any column as text for a person to read: bytes in hexadecimal, lists and the like as Python writes them."""
    dtype = series.dtype
    if dtype == pl.Binary:
        return series.bin.encode("hex")
    if dtype == pl.Duration:
        return series.dt.to_string("iso")
    if dtype.is_nested() or dtype == pl.Object:
        return pl.Series(series.name, [None if value is None else str(value) for value in series], dtype=pl.String)
    return series.cast(pl.String)


def to_text(series: pl.Series) -> pl.Series:
    """Any column as text, byte for byte where it is text; "" and NaN become null, whole floats lose their `.0`.

    Lists and the like become JSON. Raises InputError for bytes that are no UTF-8.
    """
    dtype = series.dtype
    if dtype == pl.String:
        text = series
    elif dtype.is_float():
        text = _digits(series)
    elif dtype.is_nested():
        encoded = json_ready(series).rename("v").to_frame().select(pl.struct("v").struct.json_encode()).to_series()
        text = encoded.str.slice(len('{"v":')).str.head(-1)
        text = text.set(series.is_null(), None)
    elif dtype == pl.Binary:
        try:
            text = series.cast(pl.String)
        except pl.exceptions.ComputeError:
            raise InputError(
                f"column {series.name!r} holds bytes that are no UTF-8 text", expected="text or numbers"
            ) from None
    else:
        text = shown(series)
    return text.replace("", None) if (text == "").any() else text


def _digits(series: pl.Series) -> pl.Series:
    exact = series.cast(pl.Float64)
    whole = exact.is_finite() & (exact == exact.round()) & (exact.abs() < 2**63)
    number = pl.DataFrame({"whole": whole, "value": exact, "text": series.cast(pl.String)})
    return number.select(
        pl.when("whole")
        .then(pl.when("whole").then("value").cast(pl.Int64, strict=False).cast(pl.String))
        .when(pl.col("value").is_not_nan())
        .then("text")
    ).to_series()
