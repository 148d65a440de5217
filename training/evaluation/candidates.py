"""Which items competed when lists were asked for: those that were there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import InputError
from training.evaluation.protocols import moment

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Offer:
    """What is known of items at one time, or whenever.

    Attributes
    ----------
    catalogue : in `ITEM_SCHEMA`, each item once; what is said of all items, now.
    named : String; candidates that the user names, which may have no events.
    cut : milliseconds UTC; None where customers have their own cuts.
    """

    catalogue: pl.DataFrame
    named: pl.Series
    cut: int | None = None

    @property
    def further(self) -> pl.Series:
        """The candidates beside those with events: String, each once. At a cut what was published by then, and what the
        user names unless it was published later; without one what the user names."""
        if self.cut is None:
            return self.named.unique().sort()
        there = self.catalogue.filter(pl.col("published") <= self.cut)["item_id"]
        return pl.concat([self._of_named(later=False), there]).unique().sort()

    def _of_named(self, *, later: bool) -> pl.Series:
        after = self.catalogue.filter(pl.col("published") > self.cut)["item_id"]
        return self.named.filter(self.named.is_in(after.implode()) == later)

    def of(self, training: Interactions) -> pl.DataFrame:
        """The rows of the candidates alone: what came later takes part in nothing."""
        return self.catalogue.join(_ids(training), on="item_id", how="semi", maintain_order="left")

    def showable(self, training: Interactions) -> npt.NDArray[np.bool_] | None:
        """Which candidates the service would show at the cut by their dates: bool, shape (items,); None when that is
        all. InputError when it is none."""
        if self.cut is None:
            return None
        away = (pl.col("published") > self.cut) | (pl.col("expires") <= self.cut)
        shown = np.ones(len(training.items), dtype=np.bool_)
        position = training.items.positions(self.catalogue.filter(away)["item_id"])
        shown[position[position != UNKNOWN]] = False
        if not shown.any():
            raise InputError(
                f"at {moment(self.cut)} no item could be shown: all were published later or had expired",
                expected="publication and expiry dates as the shop had them",
                remedy="correct `published` and `expires` in the catalogue, or leave them away",
            )
        return None if shown.all() else shown

    def notes(self, training: Interactions) -> tuple[str, ...]:
        """What a reader should know of the candidates."""
        if self.cut is None:
            return ()
        found = []
        later = len(self._of_named(later=True))
        if later:
            found.append(f"{later:,} of the items that --items names were published after {moment(self.cut)}: left out")
        absent = self.catalogue.join(_ids(training), on="item_id", how="anti")
        undated = absent["published"].null_count()
        if undated:
            found.append(
                f"{undated:,} items of the catalogue had no event before {moment(self.cut)} and have no publication "
                "date: they do not compete, as nobody can tell whether they were there; --items names those that were"
            )
        shown = self.showable(training)
        if shown is not None:
            found.append(
                f"{np.count_nonzero(~shown):,} items with earlier events were not yet published, or had expired, at "
                f"{moment(self.cut)}: they are in no list, as in the service"
            )
        return tuple(found)


def check_named(named: pl.Series, twice: pl.Series, known: Collection[str] | None) -> None:
    """InputError when the list of candidates names an item twice, or one that nobody knows; `known` is None where there
    is nothing that they should be known to."""
    if len(twice):
        raise InputError(
            f"the list of candidates names {len(twice):,} items more than once: {_some(twice)}",
            expected="each item once",
            remedy="remove the further rows from the file of --items",
        )
    if known is None:
        return
    strange = named.filter(~named.is_in(pl.Series(list(known), dtype=pl.String).implode()))
    if len(strange):
        raise InputError(
            f"{len(strange):,} items of the list of candidates are unknown: {_some(strange)}",
            expected="ids of items that the store has a row or an event of",
            remedy="check the ids in the file of --items, or import the items first",
        )


def _ids(training: Interactions) -> pl.DataFrame:
    return pl.Series("item_id", list(training.items), dtype=pl.String).to_frame()


def _some(ids: pl.Series) -> str:
    return ", ".join(map(repr, ids.head(_EXAMPLES))) + (", …" if len(ids) > _EXAMPLES else "")
