"""The lists that a policy would have made at the moments of logged answers, from what was known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import Catalog, CatalogChanges
from recsys.data.history import HISTORY_LIMIT, History
from recsys.data.interactions import EventTable, Interactions
from recsys.data.item_table import ItemTable
from recsys.data.shown import MOST_IMPRESSIONS, NOTHING_SHOWN, Shown
from recsys.data.vocabulary import UNKNOWN
from recsys.recommend.filters import AskerFacts
from recsys.recommend.placed import placed
from recsys.recommend.placement import Placement
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Request

Attributes = Callable[[str], Mapping[str, object]]
"""What the shop knows of a customer."""

NO_ITEM = ""
"""Stands in a slot that a list leaves empty; no item's id is empty."""


@dataclass(frozen=True, slots=True)
class Past:
    """What every customer did, and what they were shown.

    Attributes
    ----------
    histories : over the items of the bundle that answers.
    shown : customer → item ids and times (milliseconds UTC) of their impressions, ascending by time.
    """

    histories: Interactions
    shown: Mapping[str, list[tuple[str, int]]]

    @classmethod
    def of(cls, table: EventTable, rows: pl.DataFrame, bundle: ModelBundle) -> Past:
        """Of a store's events, and impressions in `SLOT_SCHEMA`."""
        shown = {
            str(who[0]): list(zip(own["item_id"].to_list(), own["seen"].to_list(), strict=True))
            for who, own in rows.sort("seen").group_by(["customer_id"], maintain_order=True)
        }
        return cls(Interactions.from_events(table).over(bundle.items), shown)

    def before(self, row: int, moment: int) -> History:
        """What a customer's history was at a moment; positions as in `Interactions`, `UNKNOWN` is somebody without."""
        if row == UNKNOWN:
            return History.empty()
        first, last = (int(each) for each in self.histories.indptr[row : row + 2])
        # Ascending by time, those without one first: what happened at the moment itself is not known then.
        end = first + int(np.searchsorted(self.histories.timestamp[first:last], moment))
        begin = max(first, end - HISTORY_LIMIT)
        whole, own, earlier = self.histories, slice(begin, end), slice(first, begin)
        return replace(
            whole.stretch(own),
            earlier_item=whole.item[earlier],
            earlier_kind=whole.kind[earlier],
            version=end - first,
        )

    def lately(self, customer_id: str, bundle: ModelBundle, moment: int) -> Shown:
        """What a customer had been shown by then."""
        seen = [each for each in self.shown.get(customer_id, ()) if each[1] < moment][-MOST_IMPRESSIONS:]
        return Shown.of(seen, bundle.items) if seen else NOTHING_SHOWN


class Policy:
    """One bundle under one placement's rules, asked about moments of the past. Dates of items hold as of the moment;
    what was sold out when is not known, so nothing is.

    Parameters
    ----------
    changes : everything that the store says of items.
    attributes : of customers, for filters that ask about them; as they are now.
    """

    def __init__(
        self, bundle: ModelBundle, placement: Placement, changes: CatalogChanges, past: Past, attributes: Attributes
    ) -> None:
        self.bundle, self.placement = bundle, placement
        self._recommender = Recommender(bundle).at(placement)
        open_ = replace(changes, items=changes.items.with_columns(available=pl.lit(value=True)))
        self._catalog, self._table = Catalog.of(open_, bundle.items), ItemTable.of(open_, bundle.items)
        self._past, self._attributes = past, attributes

    def lists(self, answers: pl.DataFrame, width: int, progress: Callable[[int], None]) -> npt.NDArray[np.object_]:
        """Ids of items, shape (answers, width), `NO_ITEM` where a list is short.

        Parameters
        ----------
        answers : `customer_id` and `answered`, milliseconds UTC.
        progress : called now and then with the number of answers done.
        """
        found = np.full((answers.height, width), NO_ITEM, dtype=object)
        rows = self._past.histories.customers.positions(answers["customer_id"])
        for place, (customer_id, moment) in enumerate(answers.select("customer_id", "answered").iter_rows()):
            asker = AskerFacts(self._past.before(int(rows[place]), moment), self._attributes(customer_id))
            shown = NOTHING_SHOWN
            if self.placement.rotation is not None:
                shown = self._past.lately(customer_id, self.bundle, moment)
            request = Request(limit=width, now=moment)
            answer = placed(self._recommender, asker, self._catalog, self._table, request, shown).answer
            found[place, : len(answer.items)] = [item.item_id for item in answer.items]
            progress(place + 1)
        return found
