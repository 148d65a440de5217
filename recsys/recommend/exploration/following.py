"""Beliefs that go along with the store: what became of shown items is read from where the last reading ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.catalog_index import CatalogIndex
from recsys.data.signals import MS_PER_DAY
from recsys.data.vocabulary import UNKNOWN
from recsys.recommend.exploration.beliefs import Beliefs
from recsys.recommend.exploration.counts import ItemCounts
from recsys.recommend.exploration.groups import ItemGroups
from recsys.stores.protocols import RESPONSE_SCHEMA, Store

COUNTED_DAYS = 90
"""What was shown longer ago is not counted: other customers, another season."""

FOLLOWS_DAYS = 7
"""What is clicked or bought so long after it was shown still counts as following from it."""

WHOLE_EVERY_DAYS = 1
"""After so long everything is read anew: counts grow old, and what was counted is taken back."""

_ROWS = {name: ITEM_SCHEMA[name] for name in ("item_id", "category", "author", "published")}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Followed:
    """What was read of a store, and what is believed after it.

    Attributes
    ----------
    beliefs : in the positions of `index`.
    index : the bundle's items, and the newcomers that the catalogue has.
    rows : `item_id`, `category`, `author` and `published` of the catalogue's items.
    responses : in `RESPONSE_SCHEMA`.
    last : what the next reading of responses goes on from.
    whole_at : when everything was read, milliseconds UTC.
    """

    beliefs: Beliefs
    index: CatalogIndex
    rows: pl.DataFrame
    responses: pl.DataFrame
    last: int
    whole_at: int


def follow(store: Store, bundle: ModelBundle, known: Followed | None, now: int) -> Followed:
    """What is believed now; `known` is what this returned before, of the same store, for this bundle or another.

    Reads what changed in the catalogue and what became of shown items since then, and everything where nothing is known
    or a day has passed. Raises StoreError.

    Parameters
    ----------
    now : milliseconds UTC.
    """
    day = int(MS_PER_DAY)
    if known is not None and now - known.whole_at >= WHOLE_EVERY_DAYS * day:
        known = None
    index = CatalogIndex.nothing(bundle.items)
    rows = pl.DataFrame(schema=_ROWS)
    if known is not None and known.index.items is bundle.items:
        index, rows = known.index, known.rows
    changes = store.catalog.changes(index.version)
    if changes.version != index.version:
        index = index.with_changes(changes)
        gone = pl.concat([changes.items["item_id"], pl.Series("item_id", changes.removed, dtype=pl.String)])
        rows = pl.concat([rows.filter(~pl.col("item_id").is_in(gone.implode())), changes.items.select(*_ROWS)])
    whole_at, after = (now, 0) if known is None else (known.whole_at, known.last)
    read = store.events.responses(after, whole_at - COUNTED_DAYS * day, FOLLOWS_DAYS * day)
    responses = read.items if known is None else _added(known.responses, read.items)
    beliefs = Beliefs.of(
        ItemCounts.placed(responses, index),
        ItemGroups.of(rows, index),
        np.asarray(bundle.popularity.count),
        # Any number that is the same for the same readings.
        seed=read.last,
        since=_since(bundle, index, rows, whole_at),
    )
    return Followed(beliefs, index, rows, responses, read.last, whole_at)


def _since(bundle: ModelBundle, index: CatalogIndex, rows: pl.DataFrame, now: int) -> npt.NDArray[np.int64]:
    """When each item and newcomer came: the catalogue's date, else that of the first event; newcomers came just now.
    What has neither date nor event counts as the oldest."""
    since = np.concatenate([bundle.interest.first, np.full(len(index.newcomers), now)])
    dated = rows.filter(pl.col("published").is_not_null())
    position = index.positions(dated["item_id"])
    since[position[position != UNKNOWN]] = dated["published"].to_numpy()[position != UNKNOWN]
    return since


def _added(before: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """The counts of both."""
    if more.is_empty():
        return before
    names = list(RESPONSE_SCHEMA)[1:]
    return pl.concat([before, more]).group_by("item_id").agg(pl.col(names).sum()).sort("item_id")
