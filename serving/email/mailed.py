"""What customers were mailed before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import orjson
import polars as pl

from recsys.data.signals import MS_PER_DAY

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
        for item in items_in(content)
    ]
    schema = {"customer_id": pl.String, "item_id": pl.String}
    return pl.DataFrame(found, schema=schema, orient="row").unique(maintain_order=True)


def contents_of_last_mails(mailed: pl.DataFrame, mails: int, now: int) -> Mapping[str, Sequence[str]]:
    """What was in each customer's last so many mails of the last `MAILED_DAYS` before `now` (milliseconds UTC), by
    customer; `items_in` reads it. `mailed` is as in `items_of_last_mails`."""
    lately = mailed.filter(pl.col("at") >= now - int(MAILED_DAYS * MS_PER_DAY)) if mails else mailed.clear()
    return dict(lately.group_by("customer_id", maintain_order=True).agg(pl.col("content").tail(mails)).iter_rows())


def items_in(content: str) -> Iterator[str]:
    """The items in a mail, whose `content` the ledger has."""
    return (item for block in orjson.loads(content) for item in block["items"])
