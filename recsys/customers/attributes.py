"""What the shop knows of a customer, as filters ask for it."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from recsys.stores.protocols import Store


def attributes_of(store: Store, customer_id: str) -> Mapping[str, object]:
    """The attributes in a customer's row; none where there is no row."""
    rows = store.customers.get([customer_id])
    if not len(rows):
        return {}
    _, account_id, attributes = rows.row(0)
    known: dict[str, object] = {} if account_id is None else {"account_id": account_id}
    return known if attributes is None else known | orjson.loads(attributes)
