"""What our schema has no column for, as one JSON object per item or customer."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson
import polars as pl

from recsys.data.importers.texts import json_ready


def attributes_of_columns(columns: pl.DataFrame, json_text: Collection[str] = ()) -> pl.Series:
    """Column name → value per row as JSON text; null where a row has no value at all.

    Empty values leave no member. Columns named in `json_text` hold JSON: their objects and lists go in as such.
    """
    present = columns.with_columns(
        pl.when(pl.col(name) != "").then(name) for name, dtype in columns.schema.items() if dtype == pl.String
    )
    members = [
        _json_member(present[name]) if name in json_text else _member(present[name]) for name in sorted(present.columns)
    ]
    if not members:
        return pl.Series([None], dtype=pl.String).new_from_index(0, columns.height)
    joined = pl.select(pl.concat_str(members, separator=",", ignore_nulls=True)).to_series()
    return in_braces(joined)


def attributes_of_objects(objects: pl.Series, names: Sequence[str]) -> pl.Series:
    """These members of JSON objects (text), values and all; null where an object has none of them."""

    def picked(text: str) -> str | None:
        value = orjson.loads(text)
        kept = {name: value[name] for name in names if value.get(name) not in (None, "")}
        return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode() if kept else None

    return pl.Series([picked(text) for text in objects], dtype=pl.String)


def merged(given: pl.Series, further: pl.Series) -> pl.Series:
    """Two columns of JSON objects as one; of members with the same name the given one counts."""
    if not given.count() or not further.count():
        return further if further.count() else given

    def both(one: str | None, other: str | None) -> str | None:
        if one is None or other is None:
            return one or other
        return orjson.dumps(orjson.loads(other) | orjson.loads(one), option=orjson.OPT_SORT_KEYS).decode()

    return pl.Series([both(one, other) for one, other in zip(given, further, strict=True)], dtype=pl.String)


def in_braces(members: pl.Series) -> pl.Series:
    """Members of a JSON object as the object; null where there are none."""
    braced = pl.concat_str(pl.lit("{"), members, pl.lit("}"))
    return pl.select(pl.when(members != "").then(braced)).to_series()


def member(values: pl.Series, name: str) -> pl.Series:
    """`"name":value` per row, null where there is no value."""
    return _member(values.alias(name))


def _member(values: pl.Series) -> pl.Series:
    encoded = (
        json_ready(values)
        .to_frame()
        .select(pl.struct(pl.all()).struct.json_encode().str.head(-1).str.slice(1))
        .to_series()
    )
    return encoded.set(values.is_null(), None) if values.null_count() else encoded


def _json_member(values: pl.Series) -> pl.Series:
    key = orjson.dumps(values.name).decode()
    forms: dict[str, str | None] = {}
    for text in values.drop_nulls().unique():
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = text
        forms[text] = None if value is None else f"{key}:{orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()}"
    return values.replace_strict(list(forms), list(forms.values()), default=None, return_dtype=pl.String)
