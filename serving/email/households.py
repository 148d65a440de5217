"""What households and companies did that are addressed as one."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.customers.accounts import with_members
from recsys.data.events import EventKind
from recsys.data.interactions import Interactions


def bought_together(interactions: Interactions, item_ids: pl.Series, people: pl.DataFrame, since: int) -> pl.DataFrame:
    """What anybody who shares an account with a customer, or they themselves, bought since a moment: `customer_id` and
    `item_id`.

    Parameters
    ----------
    item_ids : of the items that `interactions` are over, in their order.
    people : `customer_id` and `account_id`; those without an account are left out.
    since : milliseconds UTC.
    """
    sharing = people.select("customer_id", "account_id").drop_nulls()
    bought = np.flatnonzero((interactions.kind == EventKind.PURCHASE.code) & (interactions.timestamp >= since))
    rows = pl.DataFrame(
        {
            "customer_id": pl.Series(list(interactions.customers), dtype=pl.String).gather(interactions.row[bought]),
            "item_id": item_ids.gather(interactions.item[bought]),
            "at": interactions.timestamp[bought],
        }
    )
    theirs = rows.join(sharing.select("customer_id"), on="customer_id", how="semi")
    return with_members(theirs, sharing).select("customer_id", "item_id")
