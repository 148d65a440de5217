"""Facts that are kept in the store: attributes of customers, for filters, campaigns and whoever asks about one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson
import polars as pl

from recsys.customers.fact_table import CustomerFacts, Unit, customer_facts
from recsys.customers.rules import CustomerRules
from recsys.stores.protocols import Store

AS_OF: Final = "facts_as_of"
"""The attribute that says as of when the others hold, ISO 8601 in UTC."""

_ROUNDED: Final = {
    "monetary": 2,
    "order_value": 2,
    "alive": 4,
    "expected_purchases": 4,
    "lifetime_value": 2,
}
_OF_ACCOUNT: Final = ("segment", "tier", "monetary", "lifetime_value", "members")
_PLAIN: Final = (
    "segment",
    "tier",
    "recency_days",
    "first_days",
    "frequency",
    "monetary",
    "order_value",
    "r",
    "f",
    "m",
    "alive",
    "expected_purchases",
    "lifetime_value",
    "advocate",
    "unserved_days",
)
KEPT_NAMES: Final = (*_PLAIN, *(f"account_{name}" for name in _OF_ACCOUNT), AS_OF)
"""What filters call them, after `customer.`"""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did.

    Attributes
    ----------
    facts : of customers.
    kept : of how many customers.
    shadowed : how many customers have an attribute of the shop's own of the same name, which counts instead; by name,
        those without any left out.
    """

    facts: CustomerFacts
    kept: int
    shadowed: Mapping[str, int]


def refresh(store: Store, as_of: int, rules: CustomerRules) -> Refreshed:
    """Computes the facts of all customers as of a moment (milliseconds UTC) and keeps them in place of those before."""
    facts = customer_facts(store, as_of, rules)
    accounts = None
    if facts.table["account_id"].null_count() < len(facts.table):
        accounts = customer_facts(store, as_of, rules, Unit.ACCOUNT).table
    frame = _as_kept(facts, accounts)
    kept = store.facts.keep(frame, orjson.dumps({"as_of": as_of, "currency": facts.purchases.currency}).decode())
    return Refreshed(facts, kept, _shadowed(store))


def kept_of(store: Store, customer_id: str) -> Mapping[str, object]:
    """What is kept of a customer, by the names of `KEPT_NAMES`; what is not known is left out. Empty where nothing is
    kept."""
    found = store.facts.get(customer_id)
    if found is None:
        return {}
    return {name: value for name, value in orjson.loads(found).items() if value is not None}


def refreshed_as_of(store: Store) -> int | None:
    """As of when the kept facts hold, milliseconds UTC; None where none are kept."""
    about = store.facts.about()
    return None if about is None else int(orjson.loads(about)["as_of"])


def with_accounts(customers: pl.DataFrame, accounts: pl.DataFrame) -> pl.DataFrame:
    """The facts of customers, beside each what follows from all who share the account: columns such as
    `account_segment`. Both are as of `customer_facts`."""
    shared = accounts.drop_nulls("account_id").select(
        "account_id", *(pl.col(name).alias(f"account_{name}") for name in _OF_ACCOUNT)
    )
    return customers.join(shared, on="account_id", how="left", maintain_order="left")


def _as_kept(facts: CustomerFacts, accounts: pl.DataFrame | None) -> pl.DataFrame:
    table = facts.table if accounts is None else with_accounts(facts.table, accounts)
    there = [name for name in KEPT_NAMES if name in table.columns]
    rounded = table.with_columns(
        pl.col(name).round(_ROUNDED[plain]) for name in there if (plain := name.removeprefix("account_")) in _ROUNDED
    )
    moment = datetime.fromtimestamp(facts.as_of / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return rounded.select(
        "customer_id", pl.struct(*there, pl.lit(moment).alias(AS_OF)).struct.json_encode().alias("facts")
    )


def _shadowed(store: Store) -> Mapping[str, int]:
    attributes = store.customers.read()["attributes"].drop_nulls()
    found = {name: _having(attributes, name) for name in KEPT_NAMES}
    return {name: count for name, count in found.items() if count}


def _having(attributes: pl.Series, name: str) -> int:
    # Looking for the text is quick; only what has it is parsed.
    likely: Sequence[str] = attributes.filter(attributes.str.contains(f'"{name}"', literal=True)).to_list()
    return sum(name in orjson.loads(each) for each in likely)
