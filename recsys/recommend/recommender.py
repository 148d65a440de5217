"""The one place that decides what to recommend: for the storefront, for e-mails and for the evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.history import History
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import UnknownItemError
from recsys.models.top_k import best
from recsys.recommend.explain import explained, popular_items
from recsys.recommend.masks import allowed_items
from recsys.recommend.placement import DEFAULT_PLACEMENT, Placement
from recsys.recommend.sources import ALSOpinion, Blend, ItemItemOpinion, Opinion
from recsys.recommend.types import Answer, Recommendation, Request

POPULAR = "popular"
ITEM_ITEM = "item_item"
ALS_SOURCE = "als"

UNKNOWN_CUSTOMER = "unknown_customer"
NO_USABLE_HISTORY = "no_usable_history"


class Recommender:
    """Mask → retrieve → rank → explain, over one bundle. Immutable; may be used from several threads.

    Parameters
    ----------
    bundle : the models.
    placement : the policy of the spot that asks.
    """

    def __init__(self, bundle: ModelBundle, placement: Placement = DEFAULT_PLACEMENT) -> None:
        self.bundle = bundle
        self.placement = placement
        self._popularity = bundle.popularity.score.astype(np.float64)

    def recommend(self, history: History, catalog: Catalog, request: Request) -> Answer:
        """The items this customer is most likely to want, best first.

        Personal as far as the history goes; then filled up with what is popular, each such item saying so. Items that
        nobody ever touched are never used as filling. A list shorter than `request.limit` says why.
        """
        allowed, masked = allowed_items(self.bundle.items, catalog, history, self.placement, request)
        personal, sources = self._personal(history, allowed, request.limit)
        filling = self._popular(allowed, personal, request.limit - len(personal))
        fallback = None
        if not personal:
            fallback = NO_USABLE_HISTORY if history.version else UNKNOWN_CUSTOMER
        return Answer(
            items=personal + filling,
            sources=(*sources, POPULAR) if filling else sources,
            fallback=fallback,
            masked=masked,
            short=_why_short(len(personal) + len(filling), request.limit, masked),
        )

    def related(self, item_id: str, catalog: Catalog, request: Request) -> Answer:
        """What goes with an item, best first. Nothing weak is filled in: a shorter list says why.

        Raises UnknownItemError for an item that the bundle does not know.
        """
        item = self.bundle.items.position(item_id)
        if item == UNKNOWN:
            raise UnknownItemError(item_id)
        nobody = History.empty()
        allowed, masked = allowed_items(self.bundle.items, catalog, nobody, self.placement, request)
        allowed[item] = False
        one = np.array([item], dtype=np.int32)
        opinions = self._opinions(one, np.ones(1, dtype=np.float32))
        # Without a neighbour there is no evidence that anything goes with the item; factors alone would guess.
        near = opinions[ITEM_ITEM].scores() > 0
        blend, scores = Blend.over(opinions, self.bundle.manifest.blend, near)
        ranked = best(np.where(allowed & near & (scores > 0), scores, -np.inf), request.limit, self._popularity)
        listed = explained(self.bundle.items, "related", ranked, scores[ranked], blend.shares(ranked, 1), one, ["item"])
        short = None
        if len(listed) < request.limit:
            short = f"{len(listed)} items that may be shown are known to go with this one"
        return Answer(listed, tuple(blend.factors) if listed else (), None, masked, short)

    def _personal(
        self, history: History, allowed: npt.NDArray[np.bool_], limit: int
    ) -> tuple[tuple[Recommendation, ...], tuple[str, ...]]:
        """The items that the history speaks for, and the sources that said so."""
        weights = self.bundle.manifest.event_weights
        items, strengths = history.strengths(weights)
        if not len(items):
            return (), ()
        blend, scores = Blend.over(self._opinions(items, strengths), self.bundle.manifest.blend)
        ranked = best(np.where(allowed & (scores > 0), scores, -np.inf), limit, self._popularity)
        kinds = history.strongest_kinds(items, weights)
        shares = blend.shares(ranked, len(items))
        listed = explained(self.bundle.items, "history", ranked, scores[ranked], shares, items, kinds)
        return listed, tuple(blend.factors) if listed else ()

    def _popular(
        self, allowed: npt.NDArray[np.bool_], above: Sequence[Recommendation], count: int
    ) -> tuple[Recommendation, ...]:
        """The `count` most popular items that may be shown and are not in the list above; scores go on below its."""
        if count <= 0:
            return ()
        free = allowed & (self._popularity > 0)
        free[self.bundle.items.positions(item.item_id for item in above)] = False
        ranked = best(np.where(free, self._popularity, -np.inf), count, self._popularity)
        if not len(ranked):
            return ()
        ceiling = above[-1].score if above else 1.0
        return popular_items(
            self.bundle.items, ranked, self._popularity[ranked] / self._popularity[ranked[0]] * ceiling
        )

    def _opinions(self, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32]) -> dict[str, Opinion]:
        opinions: dict[str, Opinion] = {ITEM_ITEM: ItemItemOpinion.of(self.bundle.item_item, items, strengths)}
        if self.bundle.als is not None and self.bundle.manifest.blend.get(ALS_SOURCE, 0.0) > 0:
            opinions[ALS_SOURCE] = ALSOpinion.of(self.bundle.als, items, strengths)
        return opinions


def _why_short(found: int, wanted: int, masked: Mapping[str, int]) -> str | None:
    if found >= wanted:
        return None
    removed = ", ".join(f"{count} {name}" for name, count in masked.items() if count)
    return f"only {found} items may be shown that anybody has shown interest in" + (
        f" (left out: {removed})" if removed else ""
    )
