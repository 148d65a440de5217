"""Parquet to a `RawTable`: typed columns, rows counted from 1."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from recsys.data.importers.table import RawTable
from recsys.data.importers.texts import json_ready
from recsys.errors import InputError


def read_parquet(path: Path, data: bytes) -> RawTable:
    """The rows of a Parquet file; InputError when it is damaged or has none."""
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InputError(
            f"{path} is a damaged Parquet file ({str(error).splitlines()[0]})",
            expected="a whole file",
            remedy="copy or export it again",
        ) from error
    if not frame.height:
        raise InputError(f"{path} holds columns and no rows", expected="at least one row")

    def originals(indices: pl.Series) -> pl.Series:
        picked = frame[indices]
        ready = pl.DataFrame([json_ready(column) for column in picked])
        return ready.select(pl.struct(pl.all()).struct.json_encode()).to_series()

    return RawTable(frame, pl.int_range(1, frame.height + 1, eager=True), originals)
