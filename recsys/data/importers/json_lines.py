"""JSON lines to a `RawTable`: strings as they are, numbers as their text, objects and lists as JSON text."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from recsys.data.importers.table import BrokenRow, Cause, RawTable
from recsys.errors import InputError


def read_json_lines(path: Path, data: bytes) -> RawTable:
    """The rows of UTF-8 text with one JSON object per line. A line that is none is broken; blank lines are no rows.

    Raises InputError when no line holds an object.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.append(np.flatnonzero(text == ord("\n")), len(text))
    starts = np.concatenate(([0], ends[:-1] + 1))
    carriage = (ends > starts) & (text[np.maximum(ends - 1, 0)] == ord("\r"))
    lines = np.flatnonzero(ends - carriage > starts)

    spans = np.stack((starts, ends), axis=1)
    frame = _parse(data)
    if frame is not None and frame.height == len(lines):
        return RawTable(frame, pl.Series(lines + 1), lambda indices: _originals(data, spans[lines], indices))
    return _read_slowly(path, data, spans, lines)


_NAMES: dict[type, str] = {list: "a list", str: "a text", bool: "true or false alone", type(None): "null"}
"""What a line may hold that is no object."""


def _originals(data: bytes, spans: npt.NDArray[np.int64], indices: pl.Series) -> pl.Series:
    picked = spans[indices.to_numpy()].tolist()
    return pl.Series([data[start:end].decode().rstrip("\r") for start, end in picked], dtype=pl.String)


def _read_slowly(path: Path, data: bytes, spans: npt.NDArray[np.int64], lines: npt.NDArray[np.int64]) -> RawTable:
    """Line by line, for files with a line that the fast parser refuses: tells which."""
    objects: list[dict[str, str | None]] = []
    good: list[int] = []
    broken: list[BrokenRow] = []
    for line in lines.tolist():
        raw = data[spans[line, 0] : spans[line, 1]]
        if not raw.strip():
            continue
        try:
            value = orjson.loads(raw)
            found = "" if isinstance(value, dict) else _NAMES.get(type(value), "a number")
        except orjson.JSONDecodeError as error:
            found = str(error)
        if found:
            broken.append(BrokenRow(line + 1, Cause.BAD_JSON, found, "one JSON object", raw.decode().rstrip("\r")))
            continue
        objects.append({key: _text(each) for key, each in _exact(raw, value).items()})
        good.append(line)
    if not objects:
        first = broken[0]
        raise InputError(
            f"{path}, line {first.line}: {first.found}, and no line holds a JSON object", expected="JSON lines"
        )
    rows = np.array(good, dtype=np.int64)
    schema = dict.fromkeys((key for each in objects for key in each), pl.String())
    frame = pl.DataFrame(objects, schema=schema, orient="row")
    return RawTable(frame, pl.Series(rows + 1), lambda indices: _originals(data, spans[rows], indices), tuple(broken))


def _exact(raw: bytes, value: dict[str, object]) -> dict[str, object]:
    """The object, parsed anew where a number may have lost digits: orjson reads a whole number beyond 64 bits as a
    float, and two long ids would become one."""
    if any(isinstance(each, float) and abs(each) >= 2**63 for each in value.values()):
        exact: dict[str, object] = json.loads(raw)
        return exact
    return value


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        # As the fast parser writes it: the shortest digits, without an exponent.
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return orjson.dumps(value).decode()


def _parse(data: bytes) -> pl.DataFrame | None:
    """The rows by the fast parser, or None when it refuses one.

    It reads half of a surrogate pair as a NUL character, so text that holds any escaped surrogate is not given to it.
    """
    if b"\\ud" in data or b"\\uD" in data:
        return None
    try:
        names = pl.scan_ndjson(io.BytesIO(data), infer_schema_length=None).collect_schema().names()
        return pl.read_ndjson(io.BytesIO(data), schema=dict.fromkeys(names, pl.String()))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
