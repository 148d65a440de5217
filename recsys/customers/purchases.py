"""What customers bought, day by day, in the shop's zone and currency, with what they brought back taken off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import polars as pl

from recsys.customers.months import local_day
from recsys.data.events import EventKind

PURCHASE_DAYS_SCHEMA: dict[str, pl.DataType] = {
    "customer_id": pl.String(),
    "day": pl.Date(),
    "amount": pl.Float64(),
}
"""Days on which somebody bought something that they kept: one row each, by customer and day. `amount` is what they paid
for what they kept, null where no price in the shop's currency is known."""

_PURCHASE, _RETURN = str(EventKind.PURCHASE), str(EventKind.RETURN)
_ENOUGH = 1e-9
"""Of a piece: what is left below that is rounding."""


@dataclass(frozen=True, slots=True)
class Purchases:
    """All purchases before a moment.

    Attributes
    ----------
    days : in `PURCHASE_DAYS_SCHEMA`.
    currency : of the amounts; None where no purchase names one.
    uncounted : purchases of which the amount is not known: without a price, or in another currency.
    unmatched : returned pieces of which no earlier purchase is known; they take nothing off.
    """

    days: pl.DataFrame
    currency: str | None
    uncounted: int
    unmatched: float


def purchases_of(events: pl.DataFrame, currency: str | None, time_zone: str) -> Purchases:
    """The purchases in a frame in `OUTCOME_SCHEMA`, whose events all count; other kinds are left out.

    What is returned is taken off the newest earlier purchases of the same item by the same customer, at the price paid.
    A day of which everything was returned is no purchase. `currency` None is the one of most purchases, of several as
    frequent the first in the alphabet.
    """
    bought = events.filter(pl.col("kind") == _PURCHASE)
    returned = events.filter(pl.col("kind") == _RETURN)
    shop_currency = currency or _most_frequent(bought["currency"])
    kept, unmatched = _kept(bought, returned)
    counts = pl.col("price").is_not_null()
    if shop_currency is not None:
        counts &= pl.col("currency").is_null() | (pl.col("currency") == shop_currency)
    known = pl.when(counts).then(pl.col("price") * pl.col("quantity"))
    days = (
        kept.lazy()
        .select(
            "customer_id",
            local_day(pl.col("timestamp"), time_zone).alias("day"),
            known.alias("amount"),
        )
        .group_by("customer_id", "day")
        # A sum over nothing known is not zero.
        .agg(pl.when(pl.col("amount").is_not_null().any()).then(pl.col("amount").sum()).alias("amount"))
        .sort("customer_id", "day")
        .collect()
    )
    return Purchases(days, shop_currency, int(bought.select((~counts).sum()).item() or 0), unmatched)


def _most_frequent(currencies: pl.Series) -> str | None:
    counted = currencies.drop_nulls().value_counts().sort(["count", currencies.name], descending=[True, False])
    return None if counted.is_empty() else str(counted[currencies.name][0])


def _kept(bought: pl.DataFrame, returned: pl.DataFrame) -> tuple[pl.DataFrame, float]:
    """The purchases with the quantities that were kept, those of nothing left out; and how many pieces were returned
    that nobody is known to have bought."""
    if returned.is_empty():
        return bought, 0.0
    pair = ["customer_id", "item_id"]
    numbered = bought.with_row_index("row")
    touched = numbered.join(returned.select(pair).unique(), on=pair, how="semi")
    # Of the same moment the purchase came first.
    moves = pl.concat(
        [
            touched.select(*pair, "timestamp", "quantity", pl.col("row").cast(pl.Int64), pl.lit(0).alias("back")),
            returned.select(*pair, "timestamp", "quantity", pl.lit(-1, pl.Int64).alias("row"), pl.lit(1).alias("back")),
        ]
    ).sort(*pair, "timestamp", "back", maintain_order=True)
    left: dict[int, float] = {}
    unmatched = 0.0
    for _, rows in groupby(moves.select(*pair, "row", "quantity").iter_rows(), key=itemgetter(0, 1)):
        unmatched += _take_back(rows, left)
    changed = pl.DataFrame(
        {"row": list(left), "left": list(left.values())}, schema={"row": pl.UInt32, "left": pl.Float64}
    )
    kept = (
        numbered.join(changed, on="row", how="left", maintain_order="left")
        .with_columns(pl.coalesce("left", "quantity").alias("quantity"))
        .filter(pl.col("quantity") > _ENOUGH)
        .drop("row", "left")
    )
    return kept, unmatched


def _take_back(rows: Iterator[tuple[str, str, int, float]], left: dict[int, float]) -> float:
    """Goes through one customer's purchases and returns of one item, in order of time, and notes in `left` what is left
    of purchases that something was taken off; returns what was returned without a purchase."""
    there: list[tuple[int, float]] = []
    unmatched = 0.0
    for _, _, row, quantity in rows:
        if row >= 0:
            there.append((row, quantity))
            continue
        back = quantity
        while there and back > 0:
            newest, pieces = there.pop()
            if pieces > back:
                left[newest] = pieces - back
                there.append((newest, pieces - back))
                back = 0.0
            else:
                left[newest] = 0.0
                back -= pieces
        unmatched += back
    return unmatched
