"""Customers to look at: a few chosen by rule with their lists and reasons, and who and what gains and loses most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from recsys.bundle.bundle import ModelBundle
from recsys.data.events import KIND_BY_CODE
from recsys.data.signals import UNKNOWN_TIME
from recsys.data.vocabulary import UNKNOWN
from recsys.metrics.ranking import NOTHING, Ranked, hits
from recsys.recommend.batch import Histories, rank_many
from recsys.recommend.kernel import ListedRows
from training.evaluation.held_out import HeldOut
from training.evaluation.report.recorded import Example, ItemMover, Mover, Movers, Past, Shown, Wanted
from training.evaluation.report.words import BLEND

SHOWN = 10
"""So many places of a list, events of a history and wanted items."""
MOST = 5
"""So many winners and losers."""
_NAMED = 3

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pair:
    """The blend and the model that it is compared with, on one test.

    Attributes
    ----------
    against : the other model's name.
    lists : of both by name, shape (customers, width).
    metric : the name of what `value` holds, such as `recall@20`; its k is how much of the lists counts.
    value : of both by name, shape (customers,).
    titles : item → title.
    """

    test: HeldOut
    against: str
    lists: Mapping[str, Ranked]
    metric: str
    value: Mapping[str, Floats]
    titles: Mapping[str, str]

    @property
    def gain(self) -> Floats:
        """What the blend has more of the metric, per customer; 0 where either is not defined."""
        return np.nan_to_num(self.value[BLEND] - self.value[self.against])


def titles_of(catalogue: pl.DataFrame) -> dict[str, str]:
    """Item → title, of a frame in `ITEM_SCHEMA`, where there is one."""
    return dict(catalogue.select("item_id", "title").drop_nulls("title").iter_rows())


def movers(pair: Pair) -> Movers:
    """Who and what gains and loses most where the blend takes the other model's place; equal ones by id."""
    gain = pair.gain
    order = np.lexsort((np.arange(len(gain)), -gain))
    items = _item_movers(pair)
    return Movers(
        against=pair.against,
        metric=pair.metric,
        winners=[_mover(pair, row) for row in order[:MOST] if gain[row] > 0],
        losers=[_mover(pair, row) for row in order[::-1][:MOST] if gain[row] < 0],
        item_winners=[each for each in items[:MOST] if each.blend > each.other],
        item_losers=[each for each in items[::-1][:MOST] if each.blend < each.other],
    )


def _mover(pair: Pair, row: int) -> Mover:
    return Mover(
        customer_id=pair.test.customer_ids[int(row)],
        test_items=int(pair.test.relevant.size[row]),
        blend=float(pair.value[BLEND][row]),
        other=float(pair.value[pair.against][row]),
    )


def _item_movers(pair: Pair) -> list[ItemMover]:
    """Every item that somebody wants, the one that the blend brings to most more of them first."""
    items, relevant = pair.test.training.items, pair.test.relevant
    k = int(pair.metric.rpartition("@")[2])
    found = {
        name: np.bincount(pair.lists[name][:, :k][hits(pair.lists[name][:, :k], relevant)], minlength=len(items))
        for name in (BLEND, pair.against)
    }
    wanted = np.bincount(relevant.item, minlength=len(items))
    gain = found[BLEND] - found[pair.against]
    moved = np.flatnonzero(gain)
    order = moved[np.lexsort((moved, -gain[moved]))]
    ends = np.unique(np.concatenate([np.arange(min(MOST, len(order))), np.arange(len(order))[-MOST:]]))
    return [
        ItemMover(
            item_id=items[int(item)],
            title=pair.titles.get(items[int(item)]),
            wanted=int(wanted[item]),
            blend=int(found[BLEND][item]),
            other=int(found[pair.against][item]),
        )
        for item in order[ends]
    ]


def examples(
    pair: Pair,
    bundles: Mapping[str, ModelBundle],
    showable: npt.NDArray[np.bool_] | None = None,
) -> list[Example]:
    """A few customers chosen by rule, with both lists; the same test gives the same ones.

    Parameters
    ----------
    bundles : of those of the two models that are a `Recommender`'s, whose lists are given with its reasons.
    showable : bool, shape (items,); what may be listed; None for everything. As the lists were made.
    """
    rows = chosen(pair)
    places = np.array(list(rows), dtype=np.int64)
    reasons = {
        name: _reasons(pair, bundles[name], pair.lists[name][places], places, showable)
        for name in (BLEND, pair.against)
        if name in bundles
    }
    return [_example(pair, row, why, place, reasons) for place, (row, why) in enumerate(rows.items())]


def chosen(pair: Pair) -> dict[int, str]:
    """Rows of customers → why each: the one in the middle, the largest gain, the largest loss, and a newcomer."""
    own, gain = np.nan_to_num(pair.value[BLEND]), pair.gain
    ids = np.arange(len(own))
    known = np.flatnonzero(pair.test.row != UNKNOWN)
    new = np.flatnonzero(pair.test.row == UNKNOWN)
    found: dict[int, str] = {}
    if len(known):
        middle = known[np.lexsort((known, own[known]))]
        found[int(middle[len(middle) // 2])] = "in the middle of all, by how much the blend finds"
    best, worst = int(np.lexsort((ids, -gain))[0]), int(np.lexsort((ids, gain))[0])
    if gain[best] > 0:
        found.setdefault(best, "gains most with the blend")
    if gain[worst] < 0:
        found.setdefault(worst, "loses most with the blend")
    if len(new):
        found.setdefault(int(new[len(new) // 2]), "a newcomer")
    return found


def _example(pair: Pair, row: int, why: str, place: int, reasons: Mapping[str, list[list[str | None]]]) -> Example:
    test = pair.test
    customer = test.customer_ids[row]
    wanted = test.wanted.filter(pl.col("customer_id") == customer)["item_id"].to_list()
    lists = {}
    for name in (BLEND, pair.against):
        own = pair.lists[name][row, :SHOWN]
        said = reasons[name][place] if name in reasons else [None] * len(own)
        lists[name] = [
            _shown(pair, int(item), wanted, reason) for item, reason in zip(own, said, strict=False) if item != NOTHING
        ]
    found = {each.item_id for shown in lists.values() for each in shown if each.hit}
    wanted.sort(key=lambda item: (item not in found, item))
    return Example(
        customer_id=customer,
        chosen=why,
        history=_history(pair, row),
        wanted=[Wanted(item_id=item, title=pair.titles.get(item)) for item in wanted[:SHOWN]],
        further_wanted=max(0, len(wanted) - SHOWN),
        lists=lists,
    )


def _shown(pair: Pair, item: int, wanted: list[str], reason: str | None) -> Shown:
    item_id = pair.test.training.items[item]
    return Shown(item_id=item_id, title=pair.titles.get(item_id), hit=item_id in wanted, reason=reason)


def _history(pair: Pair, row: int) -> list[Past]:
    """The newest events, the newest first."""
    training, own = pair.test.training, int(pair.test.row[row])
    if own == UNKNOWN:
        return []
    begin, end = int(training.indptr[own]), int(training.indptr[own + 1])
    newest = range(end - 1, max(begin, end - SHOWN) - 1, -1)
    return [
        Past(
            item_id=(item := training.items[int(training.item[event])]),
            title=pair.titles.get(item),
            kind=str(KIND_BY_CODE[int(training.kind[event])]),
            at=None if training.timestamp[event] == UNKNOWN_TIME else str(training.timestamp[event]),
        )
        for event in newest
    ]


def _reasons(
    pair: Pair, bundle: ModelBundle, lists: Ranked, rows: Rows, showable: npt.NDArray[np.bool_] | None
) -> list[list[str | None]]:
    """What the `Recommender` says of each item of these customers' lists.

    ValueError when it makes other lists than those that were scored: its reasons would be of something else.
    """
    test = pair.test
    histories = test.training.over(bundle.items)
    place = test.training.items.positions(bundle.items)
    known = place != UNKNOWN
    own = Histories.of(bundle, test.rules.placement, histories, test.row[rows], test.now)
    if test.hidden is not None and known.all() and len(place) == test.hidden.shape[1]:
        own = own._replace(masked=sparse.csr_matrix(own.masked + test.hidden[rows]))
    allowed = known if showable is None else known & showable[np.maximum(place, 0)]
    blend = test.rules.placement.blend(bundle.manifest.blend)
    made = rank_many(bundle, own, allowed, lists.shape[1], 1, blend=blend, explained=True)
    item = np.append(place, np.int32(NOTHING))[made.item]
    if not np.array_equal(item, lists):
        raise ValueError("the lists that are explained differ from those that were scored")
    return [
        [_reason(pair, bundle, own.strengths, made, row, at) for at in range(min(SHOWN, lists.shape[1]))]
        for row in range(len(rows))
    ]


def _reason(
    pair: Pair, bundle: ModelBundle, strengths: sparse.csr_matrix, made: ListedRows, row: int, at: int
) -> str | None:
    if made.item[row, at] == NOTHING:
        return None
    if at >= made.counts[row, 1]:
        return "popular with everybody"
    history = strengths.indices[strengths.indptr[row] : strengths.indptr[row + 1]]
    # Shares may be below 0, so that others are above the whole: only their order is told.
    parts = zip(made.named[row, at].tolist(), made.share[row, at].tolist(), strict=True)
    named = [bundle.items[int(history[what])] for what, share in parts if what >= 0 and share > 0][:_NAMED]
    if not named:
        return "because of the history as a whole"
    return "because of " + "; ".join(pair.titles.get(item, item) for item in named)
