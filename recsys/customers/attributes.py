"""What the shop knows of a customer, as filters ask for it."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from recsys.customers.kept import kept_of
from recsys.stores.protocols import Store


def attributes_of(store: Store, customer_id: str) -> Mapping[str, object]:
    """The attributes in a customer's row, and those that follow from what they did; none where nothing is known.

    What the shop says itself counts before what was computed: a filter means what it meant before anything was.
    """
    known = dict(kept_of(store, customer_id))
    rows = store.customers.get([customer_id])
    if not len(rows):
        return known
    _, account_id, attributes = rows.row(0)
    if account_id is not None:
        known["account_id"] = account_id
    return known if attributes is None else known | orjson.loads(attributes)
