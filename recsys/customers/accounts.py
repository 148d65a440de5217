"""Households and companies: several customers who share an account, taken as one."""

from __future__ import annotations

import polars as pl

_ACCOUNT, _ALONE = "a", "c"
"""What the id of one who shares an account begins with, and of one who does not: an account may be called as somebody
else is."""


def shared(people: pl.DataFrame) -> pl.DataFrame:
    """Whose `unit` each `customer_id` is: that of the account, or their own."""
    return people.select(
        "customer_id",
        "account_id",
        pl.coalesce(_ACCOUNT + pl.col("account_id"), _ALONE + pl.col("customer_id")).alias("unit"),
    )


def of_units(rows: pl.DataFrame, units: pl.DataFrame) -> pl.DataFrame:
    """Rows with the unit in place of the customer."""
    known = units.select("customer_id", "unit")
    return (
        rows.join(known, on="customer_id", how="left", maintain_order="left")
        .with_columns(pl.col("unit").alias("customer_id"))
        .drop("unit")
    )


def members(units: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """One row per unit: `customer_id` is the unit, `contact` who to address, `account_id` and how many `members`.

    Whoever bought last is addressed; of several who bought on the same day whoever bought more often, and then the
    first by id. `days` are the purchase days of customers.
    """
    bought = days.group_by("customer_id").agg(last=pl.col("day").max(), often=pl.len())
    return (
        units.join(bought, on="customer_id", how="left")
        .sort(["last", "often", "customer_id"], descending=[True, True, False], nulls_last=True)
        .group_by("unit", maintain_order=True)
        .agg(contact=pl.col("customer_id").first(), account_id=pl.col("account_id").first(), members=pl.len())
        .rename({"unit": "customer_id"})
    )


def with_members(mailed: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Mails, each once for everybody who shares an account with the customer who got it; ascending by `at`.

    `mailed` has `customer_id` and `at`, `people` has `customer_id` and `account_id`.
    """
    sharing = people.select("customer_id", "account_id").drop_nulls()
    alone = mailed.join(sharing, on="customer_id", how="anti")
    theirs = mailed.join(sharing, on="customer_id").drop("customer_id").join(sharing, on="account_id")
    return pl.concat([alone, theirs.select(mailed.columns)]).sort("at", "customer_id")
