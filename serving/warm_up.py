"""`python -m serving.warm_up`: pays ahead for what answering costs only the first time on a machine.

Compiles the kernels of answers on a shop of two items. Nothing depends on it: without it, the first start of a service
takes some seconds longer.
"""

from __future__ import annotations

import numpy as np

from recsys.data.events import KIND_CODES, EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.packed import HistoryRow
from recsys.data.signals import EventWeights
from recsys.data.vocabulary import Vocabulary
from recsys.models.als import ALS
from recsys.models.item_item import ItemItem
from recsys.models.relevance import Relevance
from recsys.models.spectral import Spectral
from recsys.recommend.arrangement import Layout, arrange
from recsys.recommend.exploration import Beliefs, ItemCounts, ItemGroups, Offer, choose, suited
from recsys.recommend.kernel import Asked, Lists, Sources, Workspace, flattened, list_items
from recsys.recommend.placement import Exploration
from recsys.recommend.relevance import relevance_of
from serving.http.wire import HISTORY, Texts, written


def warm_up() -> None:
    """Makes one list and writes it."""
    ids = Vocabulary.from_ids(["a", "b"])
    nothing = ItemItem.nothing(2)
    lists = Lists(nothing.indptr, nothing.neighbour, nothing.weight)
    als = ALS(np.ones((2, 1), dtype=np.float32), np.ones(1), 1.0)
    order = np.arange(2, dtype=np.int32)
    sources = Sources(
        lists, lists, lists, als.factors(), Spectral.nothing(2).factors(), np.ones(2), np.ones(2, dtype=np.int64), order
    )
    curve = (np.zeros(1), np.zeros(1))
    relevance = Relevance.of_curves((EventKind.PURCHASE,), 1, (), (curve, curve, curve))
    somebody = StoredHistory.of(1, [HistoryRow("a", EventKind.VIEW.code, None, None, 1.0, None)])
    speakers, strengths, kinds = History.from_stored(somebody, ids).speakers(EventWeights())
    nobody = order[:0]
    asked = Asked(
        np.ones(7), speakers, strengths, nobody, np.zeros(0), strengths[:0], np.ones(2, dtype=np.bool_), nobody, nobody,
        1, filled=True, explained=True,
    )  # fmt: skip
    found = list_items(flattened(sources), Workspace.of(2), asked)
    written(
        found,
        relevance_of(relevance, found, np.ones(2), 1),
        HISTORY,
        Texts.of_ids(ids),
        speakers,
        kinds.astype(np.int32),
        Texts.of([""] * len(KIND_CODES)),
    )
    beliefs = Beliefs.of(ItemCounts.nothing(2), ItemGroups.nothing(2), np.zeros(0, dtype=np.int64), 0)
    offer = Offer(np.ones(2, dtype=np.bool_), np.zeros(0, dtype=np.bool_))
    new = suited(beliefs, nobody, strengths[:0], speakers, offer)
    choose("", speakers, new, beliefs, Exploration(share=0.5, cost=1.0))
    arrange(order, False, 2, Layout())


if __name__ == "__main__":
    warm_up()
