"""From a part of a history to what models are given and what their lists are compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from recsys.data.events import EventKind
from recsys.data.history import HISTORY_LIMIT
from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import InputError
from recsys.metrics.ranking import Relevant
from recsys.recommend.placement import Placement
from recsys.stores.frames import behaviour, event_table
from training.evaluation.protocols import PAIR, Part


class Repeats(StrEnum):
    """What becomes of items that a customer has already."""

    EXCLUDE = "exclude"
    ALLOW = "allow"
    ONLY = "only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is to be foreseen, and what may be listed.

    Attributes
    ----------
    target : the kinds to predict.
    visible : the kinds that models may see; None is all of them.
    repeats : `exclude`: items that the customer has by one of the `mask` kinds leave the candidates and the test.
        `allow`: they stay in both. `only`: the test keeps only items that the customer has by a target kind, the
        candidates stay whole.
    mask : with `exclude` only.
    """

    target: frozenset[EventKind]
    visible: frozenset[EventKind] | None
    repeats: Repeats
    mask: frozenset[EventKind]

    def settled(self, target: frozenset[EventKind], mask: frozenset[EventKind]) -> Rules:
        """With these in place of what was left empty; `mask` beside the target."""
        wanted = self.target or target
        return replace(self, target=wanted, mask=self.mask or (mask | wanted))

    @property
    def placement(self) -> Placement:
        """The policy of the evaluated spot: what the service would mask there."""
        masked = self.mask if self.repeats is Repeats.EXCLUDE else frozenset[EventKind]()
        return Placement(name="evaluation", mask_kinds=masked)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One part, compiled. Customers are those with something to foresee, ascending by id.

    Attributes
    ----------
    training : what models may learn from; its items are the candidates.
    customer_ids : String, length n.
    row : int32, shape (n,); positions in `training.customers`, `UNKNOWN` for those absent from it.
    relevant : what they turned out to want, in positions of `training.items`.
    wanted : the same as `customer_id`, `item_id`; with what has no position, each pair once.
    masked : bool, shape (n, items); what must not be listed.
    hidden : as `masked`, but only what follows from events of kinds that models may not see; None when there are none.
    rules, until : as given; `until` as in `Part`.
    showable : bool, shape (items,); what the shop could show when the lists are asked for. None is everything.
    """

    training: Interactions
    customer_ids: pl.Series
    row: npt.NDArray[np.int32]
    relevant: Relevant
    wanted: pl.DataFrame
    masked: sparse.csr_matrix
    hidden: sparse.csr_matrix | None
    rules: Rules
    until: int | None
    showable: npt.NDArray[np.bool_] | None = None

    @property
    def candidates(self) -> int:
        """How many items compete."""
        return len(self.training.items) if self.showable is None else int(np.count_nonzero(self.showable))

    def seen(self) -> Interactions:
        """The part of the histories that taste is read from when lists are asked for; see `HISTORY_LIMIT`."""
        return self.training.newest(HISTORY_LIMIT)

    @property
    def now(self) -> int:
        """When the lists are asked for: milliseconds UTC, 0 where there are no times."""
        return self.until or 0


def hold_out(part: Part, rules: Rules, further_items: pl.Series) -> HeldOut:
    """Applies the rules to a part; `further_items` are candidates without events.

    Raises InputError when nothing is left to learn from or to foresee.
    """
    return to_foresee(part, rules, to_learn(part, rules, further_items))


def to_learn(part: Part, rules: Rules, further_items: pl.Series) -> Interactions:
    """What models may learn from, whatever becomes of repeats; InputError when that is nothing."""
    events = behaviour(part.rows)
    visible = events if rules.visible is None else _of(events, rules.visible)
    if visible.is_empty():
        raise InputError(
            f"of {part.rows.height:,} rows of training none is behaviour on an item that models may see",
            expected="events of the kinds that --kinds names",
        )
    return Interactions.from_events(event_table(visible, further_items))


def to_foresee(
    part: Part, rules: Rules, training: Interactions, showable: npt.NDArray[np.bool_] | None = None
) -> HeldOut:
    """What is left of a part to foresee; `training` as `to_learn` gave it. InputError when nothing is."""
    events = behaviour(part.rows)
    mask = rules.mask if rules.repeats is Repeats.EXCLUDE else rules.target
    had = _of(events, mask).select(*PAIR, "kind").unique()
    wanted = part.wanted
    if rules.repeats is not Repeats.ALLOW:
        wanted = wanted.join(had, on=list(PAIR), how="anti" if rules.repeats is Repeats.EXCLUDE else "semi")
    if wanted.is_empty():
        raise InputError(
            f"no test item is left: of {part.wanted.height:,} pairs of customer and item "
            + ("all are" if rules.repeats is Repeats.EXCLUDE else "none is")
            + " in the customer's training history",
            expected=f"something to foresee with --repeats {rules.repeats}",
            remedy="use another --repeats, or other --mask kinds",
        )
    customers = wanted["customer_id"].unique().sort()
    masked = had if rules.repeats is Repeats.EXCLUDE else had.clear()
    unseen = masked.clear() if rules.visible is None else masked.filter(~pl.col("kind").is_in(_text(rules.visible)))
    return HeldOut(
        training=training,
        customer_ids=customers,
        row=training.customers.positions(customers),
        relevant=_relevant(wanted, customers, training),
        wanted=wanted,
        masked=_matrix(masked, customers, training),
        hidden=_matrix(unseen, customers, training) if unseen.height else None,
        rules=rules,
        until=part.until,
        showable=showable,
    )


def rows_of(matrix: sparse.csr_matrix, row: npt.NDArray[np.int32]) -> sparse.csr_matrix:
    """These rows of a matrix, empty ones for `UNKNOWN`."""
    chosen = matrix[np.maximum(row, 0)] if matrix.shape[0] else sparse.csr_matrix((len(row), matrix.shape[1]))
    there = sparse.diags_array((row != UNKNOWN).astype(matrix.dtype), dtype=matrix.dtype)
    return sparse.csr_matrix(there @ chosen)


def _text(kinds: frozenset[EventKind]) -> list[str]:
    return sorted(str(kind) for kind in kinds)


def _of(events: pl.DataFrame, kinds: frozenset[EventKind]) -> pl.DataFrame:
    return events.filter(pl.col("kind").is_in(_text(kinds)))


def _matrix(pairs: pl.DataFrame, customers: pl.Series, training: Interactions) -> sparse.csr_matrix:
    """Which pairs of a scored customer and a candidate there are: bool, shape (n, items), columns ascending."""
    own = pairs.join(customers.to_frame(), on="customer_id", how="semi").select(PAIR).unique().sort(PAIR)
    row = customers.search_sorted(own["customer_id"]).to_numpy() if own.height else np.zeros(0, dtype=np.int64)
    item = training.items.positions(own["item_id"])
    known = item != UNKNOWN
    shape = (len(customers), len(training.items))
    matrix = sparse.csr_matrix((np.ones(int(known.sum()), dtype=np.bool_), (row[known], item[known])), shape=shape)
    matrix.sort_indices()
    return matrix


def _relevant(wanted: pl.DataFrame, customers: pl.Series, training: Interactions) -> Relevant:
    matrix = _matrix(wanted, customers, training)
    size = wanted.group_by("customer_id").len().sort("customer_id")["len"].to_numpy().astype(np.int64)
    return Relevant(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), size)
