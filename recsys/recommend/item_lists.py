"""What goes with one item: lists made in training, or by the sources of personal lists where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import UnknownItemError
from recsys.models.blend import BlendWeights
from recsys.models.item_item import ItemItem
from recsys.models.related import Relation
from recsys.recommend.candidates import allowed, left_out, masked
from recsys.recommend.explain import counted, explained
from recsys.recommend.kernel import UNITS, Asked, Listed, Workspace, flattened, list_items
from recsys.recommend.relevance import relevance_of
from recsys.recommend.sources import CONTENT, ITEM_ITEM, REPEAT, sources_of, weights_by_class
from recsys.recommend.types import Answer, Evidence, Reason, Recommendation, Request

_KNOWN_TO = {
    Relation.SIMILAR: "go with this one",
    Relation.BOUGHT_TOGETHER: "be bought with this one",
    Relation.AFTER: "be bought after this one",
}

_NO_ITEMS = np.zeros(0, dtype=np.int32)
_NO_PROBABILITY = np.zeros(0)
_NOT_GIVEN = np.zeros(0, dtype=np.float32)
_Flat = tuple[tuple[Any, ...], npt.NDArray[np.float64]]
"""Sources as `list_items` takes them, and their weights."""


class ItemLists:
    """The lists of one bundle's items. Immutable; may be used from several threads.

    Parameters
    ----------
    workspace : the calling thread's own.
    """

    def __init__(self, bundle: ModelBundle, workspace: Callable[[], Workspace]) -> None:
        self._bundle = bundle
        self._workspace = workspace

    def related(self, item_id: str, catalog: Catalog, request: Request, relation: Relation) -> Answer:
        """See `Recommender.related`."""
        item = self._bundle.items.position(item_id)
        if item == UNKNOWN:
            raise UnknownItemError(item_id)
        one = np.array([item], dtype=np.int32)
        lists = self._bundle.related.of(relation)
        if lists is not None and (relation is not Relation.SIMILAR or len(lists.row(item)[0])):
            shown, removed = self._shown(lists, one, catalog, request)
            return Answer(shown, (str(relation),) if shown else (), None, removed, _why_few(shown, request, relation))
        # Where nobody bought it with anything yet, what the catalogue says of it is all there is.
        has_neighbours = len(self._bundle.item_item.row(item)[0]) > 0
        found, removed = self._goes_with(one, self._near if has_neighbours else self._alike, catalog, request)
        # What goes with an item is not asked of a customer.
        shown = explained(
            self._bundle.items, "related", found, relevance_of(None, found, _NO_PROBABILITY, 1), one, ["item"]
        )
        return Answer(shown, counted(found), None, removed, _why_few(shown, request, relation))

    @cached_property
    def _near(self) -> _Flat:
        """What speaks of an item that has neighbours: without one there is no evidence that anything goes with the
        item, and factors alone would guess."""
        return self._of_one({ITEM_ITEM: 1.0} | self._bundle.manifest.blend.of(1) | {REPEAT: 0.0})

    @cached_property
    def _alike(self) -> _Flat:
        """What speaks of an item without neighbours."""
        return self._of_one({CONTENT: 1.0})

    def _of_one(self, weights: Mapping[str, float]) -> _Flat:
        """Sources and weights for a history of one item, where popular items are no candidates."""
        blend = BlendWeights.constant(weights)
        return flattened(sources_of(self._bundle, blend)._replace(order=_NO_ITEMS)), weights_by_class(blend)[0]

    def _goes_with(
        self, one: npt.NDArray[np.int32], by: _Flat, catalog: Catalog, request: Request
    ) -> tuple[Listed, dict[str, int]]:
        """What the sources say of one item, among what its neighbours name."""
        flat, weights = by
        strength = np.ones(1, dtype=np.float32)
        passing = None if request.where is None else request.where.mask
        candidates = allowed(self._bundle.items, catalog, request, passing)
        asked = Asked(
            weights, one, strength, _NO_ITEMS, _NO_PROBABILITY, _NOT_GIVEN, candidates.showable, one,
            left_out(self._bundle.items, request), request.limit, filled=False, explained=True,
        )  # fmt: skip
        found = list_items(flat, self._workspace(), asked)
        return found, masked(self._bundle.items, request, candidates, one, 0, found.excluded)

    def _shown(
        self, lists: ItemItem, one: npt.NDArray[np.int32], catalog: Catalog, request: Request
    ) -> tuple[tuple[Recommendation, ...], dict[str, int]]:
        """What may be shown of the list of one item, in its order."""
        neighbour, weight = lists.row(int(one[0]))
        passing = None if request.where is None else request.where.mask
        candidates = allowed(self._bundle.items, catalog, request, passing)
        may_be = candidates.showable.copy()
        may_be[one] = False
        unwanted = left_out(self._bundle.items, request)
        removed = masked(self._bundle.items, request, candidates, one, 0, int(np.count_nonzero(may_be[unwanted])))
        may_be[unwanted] = False
        places = np.flatnonzero(may_be[neighbour])[: request.limit]
        ids, item_id = self._bundle.items, self._bundle.items[int(one[0])]
        scores = np.rint(weight[places] * UNITS) / UNITS
        shown = tuple(
            Recommendation(
                ids[int(neighbour[place])],
                float(score),
                None,
                Reason("related", (Evidence(item_id, "item", float(score)),)),
            )
            for place, score in zip(places, scores, strict=True)
        )
        return shown, removed


def _why_few(listed: Sequence[Recommendation], request: Request, relation: Relation) -> str | None:
    if len(listed) >= request.limit:
        return None
    return f"items that may be shown and are known to {_KNOWN_TO[relation]}: {len(listed)}"
