"""Everybody a campaign could write to: one row each, with what the shop knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
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
    """The rows as a filter asks for them: every attribute, and every further column; what the shop says itself of a
    customer counts before what was computed, as in `recsys.customers.attributes`. Attributes beyond `MOST_ATTRIBUTES`
    are left out."""
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
        computed = dict(zip(people[name].is_not_null().arg_true().to_list(), people[name].drop_nulls(), strict=True))
        own = {} if name in left_out else dict(zip(*said.get(name, ([], [])), strict=True))
        column = ItemColumn(len(people), declared=None if own else _kind(people.schema[name]))
        known = computed | own
        columns[name] = column.with_values(everybody, sorted(known), [known[place] for place in sorted(known)])
    return ItemTable(len(people), MappingProxyType(columns), left_out)


class Attributes:
    """What the shop knows of each customer, as filters on items ask for it; called with an id. Empty for somebody who
    is not among the people."""

    def __init__(self, people: pl.DataFrame) -> None:
        self._people = people

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {customer_id: place for place, customer_id in enumerate(self._people["customer_id"].to_list())}

    def __call__(self, customer_id: str) -> Mapping[str, object]:
        place = self._places.get(customer_id)
        if place is None:
            return {}
        row = self._people.row(place, named=True)
        left_out = ("customer_id", "attributes")
        computed = {name: value for name, value in row.items() if value is not None and name not in left_out}
        return {**computed, **_object(row["attributes"])}


def _object(text: str | None) -> Mapping[str, Any]:
    found = {} if text is None else orjson.loads(text)
    return found if isinstance(found, dict) else {}


def _kind(dtype: pl.DataType) -> Kind:
    if dtype == pl.Boolean:
        return Kind.FLAG
    return Kind.NUMBER if dtype.is_numeric() else Kind.TEXT
