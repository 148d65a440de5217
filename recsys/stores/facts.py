"""What the store keeps of facts that follow from what customers did: a protocol, as in `recsys.stores.protocols`."""

from __future__ import annotations

from typing import Protocol

import polars as pl

PEOPLE_SCHEMA: dict[str, pl.DataType] = {
    "customer_id": pl.String(),
    "account_id": pl.String(),
    "has_row": pl.Boolean(),
}
"""Everybody an id is known of; `has_row` says whether the shop told more than the id."""

LAST_SCHEMA: dict[str, pl.DataType] = {"customer_id": pl.String(), "kind": pl.String(), "last": pl.Int64()}
"""A time in milliseconds UTC by customer and kind of event."""

KEPT_SCHEMA: dict[str, pl.DataType] = {"customer_id": pl.String(), "facts": pl.String()}
"""What is kept of each customer: a JSON object as text."""


class FactStore(Protocol):
    """Facts about customers, computed from time to time, and what computing them needs.

    A visitor who turned out to be a customer is that customer.
    """

    def people(self) -> pl.DataFrame:
        """Everybody who is not a visitor of somebody else, in `PEOPLE_SCHEMA`, ascending by id."""
        ...

    def last(self, until: int) -> pl.DataFrame:
        """When each customer's last event of each kind before `until` (milliseconds UTC) happened, in `LAST_SCHEMA`, in
        no order; exposures too. What was taken back does not count."""
        ...

    def keep(self, facts: pl.DataFrame, about: str) -> int:
        """Keeps these facts in `KEPT_SCHEMA` in place of all that was kept, and what they are about; how many. Those of
        ids that are not known, as of somebody forgotten meanwhile, are left out.

        Done in several transactions, unless it is called in one: other writes get their turn, and readers may find new
        facts of one customer beside old ones of another.
        """
        ...

    def get(self, customer_id: str) -> str | None:
        """The facts that are kept of a customer; None where there are none."""
        ...

    def read(self) -> pl.DataFrame:
        """All that is kept, in `KEPT_SCHEMA`, ascending by id."""
        ...

    def about(self) -> str | None:
        """What was said with the last facts that were kept; None where none ever were."""
        ...
