"""What customers were mailed before."""

from __future__ import annotations

import orjson
import polars as pl

MAILED_DAYS = 90
"""So far back mails are looked at for what stood in the last ones."""


def items_of_last_mails(mailed: pl.DataFrame, mails: int) -> pl.DataFrame:
    """The items of each customer's last so many mails: `customer_id` and `item_id`, each pair once.

    Parameters
    ----------
    mailed : `customer_id`, `at` and `content`, a JSON list of {"block": …, "items": [id, …]}, the oldest first.
    """
    last = mailed.group_by("customer_id", maintain_order=True).tail(mails) if mails else mailed.clear()
    found = [
        (customer, item)
        for customer, content in last.select("customer_id", "content").iter_rows()
        for block in orjson.loads(content)
        for item in block["items"]
    ]
    schema = {"customer_id": pl.String, "item_id": pl.String}
    return pl.DataFrame(found, schema=schema, orient="row").unique(maintain_order=True)
