"""Everybody a campaign could write to: one row each, with what the shop knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import polars as pl

from recsys.data.item_column import ItemColumn, Kind
from recsys.data.item_table import MOST_ATTRIBUTES, ItemTable

WRITTEN_TO = ("email", "name", "language", "time_zone")
"""The attributes of customers that mails are written by: the address, the name, the language and the time zone."""

_OWN = ("customer_id", "account_id", "attributes")


def people_of(customers: pl.DataFrame, known: pl.Series, facts: pl.DataFrame | None) -> pl.DataFrame:
    """One row per customer, ascending by id: `account_id`, `attributes`, and the columns of `facts`.

    Parameters
    ----------
    customers : in `CUSTOMER_SCHEMA`.
    known : ids of customers, some of whom have no row.
    facts : what follows from what customers did, by `customer_id`; None where nobody made them.
    """
    rows = customers.select(_OWN)
    everybody = pl.concat([rows["customer_id"], known]).unique().sort()
    people = pl.DataFrame({"customer_id": everybody}).join(rows, on="customer_id", how="left", maintain_order="left")
    if facts is None:
        return people
    columns = [name for name in facts.columns if name != "account_id"]
    return people.join(facts.select(columns), on="customer_id", how="left", maintain_order="left")


def with_contacts(people: pl.DataFrame) -> pl.DataFrame:
    """With columns for `WRITTEN_TO`, as text; null where the attributes do not say it."""
    return people.with_columns(
        pl.col("attributes").str.json_path_match(f"$.{name}").str.strip_chars().replace("", None).alias(name)
        for name in WRITTEN_TO
    )


def customer_table(people: pl.DataFrame) -> ItemTable:
    """The rows as a filter asks for them: every attribute, and every further column, which counts where both say the
    same name. Attributes beyond `MOST_ATTRIBUTES` are left out."""
    said: dict[str, tuple[list[int], list[Any]]] = {}
    for place, text in enumerate(people["attributes"].to_list()):
        for name, value in _object(text).items():
            if value is not None:
                places, values = said.setdefault(name, ([], []))
                places.append(place)
                values.append(value)
    left_out = frozenset(list(said)[MOST_ATTRIBUTES:])
    everybody = np.arange(len(people), dtype=np.int32)
    columns = {
        name: ItemColumn(len(people)).with_values(everybody, *found)
        for name, found in said.items()
        if name not in left_out
    }
    for name in people.columns:
        if name in ("customer_id", "attributes"):
            continue
        places = people[name].is_not_null().arg_true().to_list()
        column = ItemColumn(len(people), declared=_kind(people.schema[name]))
        columns[name] = column.with_values(everybody, places, people[name].drop_nulls().to_list())
    return ItemTable(len(people), MappingProxyType(columns), left_out)


def _object(text: str | None) -> Mapping[str, Any]:
    found = {} if text is None else orjson.loads(text)
    return found if isinstance(found, dict) else {}


def _kind(dtype: pl.DataType) -> Kind:
    if dtype == pl.Boolean:
        return Kind.FLAG
    return Kind.NUMBER if dtype.is_numeric() else Kind.TEXT
