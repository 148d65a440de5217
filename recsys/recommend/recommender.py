"""The one place that decides what to recommend: for the storefront, for e-mails and for the evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.history import History
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import UnknownItemError
from recsys.models.item_item import ItemItem
from recsys.models.related import Relation
from recsys.models.top_k import best
from recsys.recommend.explain import explained, popular_items
from recsys.recommend.masks import allowed_items
from recsys.recommend.placement import DEFAULT_PLACEMENT, Placement
from recsys.recommend.sources import (
    ALS_SOURCE,
    CONTENT,
    ITEM_ITEM,
    POPULAR,
    REPEAT,
    RP3BETA,
    SCORE_DIGITS,
    SPECTRAL,
    Blend,
    ItemItemOpinion,
    LowRankOpinion,
    Opinion,
    RepeatOpinion,
    in_units_of_spread,
)
from recsys.recommend.types import Answer, Recommendation, Request

UNKNOWN_CUSTOMER = "unknown_customer"
NO_USABLE_HISTORY = "no_usable_history"
NOTHING_LEFT = "nothing_left"

_KNOWN_TO = {
    Relation.SIMILAR: "go with this one",
    Relation.BOUGHT_TOGETHER: "be bought with this one",
    Relation.AFTER: "be bought after this one",
}


@dataclass(frozen=True, slots=True)
class _Ranked:
    """What a history speaks for: its items that speak, the blend of what they say (None when there are none), and the
    chosen items with their scores, best first."""

    speakers: npt.NDArray[np.int32]
    blend: Blend | None
    chosen: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]


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
        self._blend = placement.blend(bundle.manifest.blend)
        self._common = in_units_of_spread(bundle.popularity.score)

    def recommend(self, history: History, catalog: Catalog, request: Request) -> Answer:
        """The items this customer is most likely to want, best first.

        Personal as far as the history goes; then filled up with what is popular, each such item saying so. Items that
        nobody ever touched are never used as filling. A list shorter than `request.limit` says why.
        """
        allowed, masked = allowed_items(self.bundle.items, catalog, history, self.placement, request)
        ranked = self._ranked(history, allowed, request)
        personal, sources = self._explained(history, ranked)
        filling, scores = self._filling(allowed, ranked.chosen, request.limit)
        ceiling = personal[-1].score if personal else 1.0
        fallback = None
        if not personal:
            fallback = _why_not_personal(history, ranked)
        return Answer(
            items=personal + popular_items(self.bundle.items, filling, scores * ceiling),
            sources=tuple(dict.fromkeys((*sources, POPULAR))) if len(filling) else sources,
            fallback=fallback,
            masked=masked,
            short=_why_short(len(personal) + len(filling), request.limit, masked),
        )

    def rank(self, history: History, catalog: Catalog, request: Request) -> npt.NDArray[np.int64]:
        """The positions of the items that `recommend` would list, in its order, without explaining them."""
        allowed, _ = allowed_items(self.bundle.items, catalog, history, self.placement, request)
        chosen = self._ranked(history, allowed, request).chosen
        return np.concatenate([chosen, self._filling(allowed, chosen, request.limit)[0]])

    def related(
        self, item_id: str, catalog: Catalog, request: Request, relation: Relation = Relation.SIMILAR
    ) -> Answer:
        """What goes with an item in this way, best first. Nothing weak is filled in: a shorter list says why.

        An item without similar ones by the score that the bundle was trained with gets those of the blend.

        Raises UnknownItemError for an item that the bundle does not know.
        """
        item = self.bundle.items.position(item_id)
        if item == UNKNOWN:
            raise UnknownItemError(item_id)
        nobody = History.empty()
        allowed, masked = allowed_items(self.bundle.items, catalog, nobody, self.placement, request)
        allowed[item] = False
        one = np.array([item], dtype=np.int32)
        lists = self.bundle.related.of(relation)
        if lists is not None and (relation is not Relation.SIMILAR or len(lists.row(item)[0])):
            listed = self._listed(lists, one, allowed, request.limit)
            return Answer(listed, (str(relation),) if listed else (), None, masked, _why_few(listed, request, relation))
        weights = self.bundle.manifest.blend.of(1)
        opinions = self._opinions(one, np.ones(1, dtype=np.float32), {ITEM_ITEM, CONTENT, *weights} - {REPEAT})
        # Without a neighbour there is no evidence that anything goes with the item; factors alone would guess.
        near = opinions[ITEM_ITEM].scores() > 0
        if not near.any():
            # Nobody bought it with anything yet: what the catalogue says of it is all there is.
            near, weights = opinions[CONTENT].scores() > 0, {CONTENT: 1.0}
        blend, scores = Blend.over(opinions, weights, self._common, near)
        ranked = best(
            np.where(allowed & near & (scores > 0), scores, -np.inf), request.limit, self.bundle.popularity.count
        )
        shares, common = blend.shares(ranked, 1), blend.common[ranked]
        listed = explained(self.bundle.items, "related", ranked, scores[ranked], shares, common, one, ["item"])
        return Answer(listed, blend.sources if listed else (), None, masked, _why_few(listed, request, relation))

    def _listed(
        self, lists: ItemItem, one: npt.NDArray[np.int32], allowed: npt.NDArray[np.bool_], limit: int
    ) -> tuple[Recommendation, ...]:
        """What may be shown of the list of one item, in its order."""
        neighbour, weight = lists.row(int(one[0]))
        shown = np.flatnonzero(allowed[neighbour])[:limit]
        scores = weight[shown].astype(np.float64).round(SCORE_DIGITS)
        chosen, nothing = neighbour[shown].astype(np.int64), np.zeros(len(shown))
        return explained(self.bundle.items, "related", chosen, scores, scores[None, :], nothing, one, ["item"])

    def _ranked(self, history: History, allowed: npt.NDArray[np.bool_], request: Request) -> _Ranked:
        """The items that the history speaks for, best first."""
        items, strengths = history.strengths(self.bundle.manifest.event_weights)
        if not len(items):
            return _Ranked(items, None, np.zeros(0, dtype=np.int64), np.zeros(0))
        weights = self._blend.of(len(items))
        opinions = self._opinions(items, strengths, weights)
        if REPEAT in weights and self.placement.repeats(self.bundle.repeat.kinds):
            repeat = self.bundle.repeat
            bought = repeat.bought(history, request.now)
            probability = repeat.score(bought, repeat.window)
            opinions[REPEAT] = RepeatOpinion.of(items, bought.item, probability, len(self.bundle.items))
        blend, scores = Blend.over(opinions, weights, self._common)
        chosen = best(np.where(allowed & (scores > 0), scores, -np.inf), request.limit, self.bundle.popularity.count)
        return _Ranked(items, blend, chosen, scores[chosen])

    def _explained(self, history: History, ranked: _Ranked) -> tuple[tuple[Recommendation, ...], tuple[str, ...]]:
        """The ranked items with their reasons, and the sources that spoke."""
        if ranked.blend is None or not len(ranked.chosen):
            return (), ()
        kinds = history.strongest_kinds(ranked.speakers, self.bundle.manifest.event_weights)
        shares = ranked.blend.shares(ranked.chosen, len(ranked.speakers))
        common = ranked.blend.common[ranked.chosen]
        listed = explained(
            self.bundle.items, "history", ranked.chosen, ranked.scores, shares, common, ranked.speakers, kinds
        )
        return listed, ranked.blend.sources

    def _filling(
        self, allowed: npt.NDArray[np.bool_], above: npt.NDArray[np.int64], limit: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The most popular items that may be shown and fill the list up to `limit`, and their scores, the first 1."""
        if len(above) >= limit:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        free = allowed & (self._popularity > 0)
        free[above] = False
        chosen = best(np.where(free, self._popularity, -np.inf), limit - len(above), self.bundle.popularity.count)
        return chosen, self._popularity[chosen] / self._popularity[chosen[:1]]

    def _opinions(
        self, items: npt.NDArray[np.int32], strengths: npt.NDArray[np.float32], sources: Collection[str]
    ) -> dict[str, Opinion]:
        """What these sources say about a history; the others are not asked."""
        opinions: dict[str, Opinion] = {}
        lists = {
            ITEM_ITEM: self.bundle.item_item,
            RP3BETA: self.bundle.rp3beta,
            CONTENT: self.bundle.content.neighbours,
        }
        for name, near in lists.items():
            if name in sources:
                opinions[name] = ItemItemOpinion.of(near, items, strengths)
        for name, model in ((ALS_SOURCE, self.bundle.als), (SPECTRAL, self.bundle.spectral)):
            if name in sources:
                opinions[name] = LowRankOpinion.of(model, items, strengths)
        return opinions


def _why_not_personal(history: History, ranked: _Ranked) -> str:
    """Why nothing on the list is there for the customer's own history."""
    if not history.version:
        return UNKNOWN_CUSTOMER
    return NO_USABLE_HISTORY if ranked.blend is None else NOTHING_LEFT


def _why_few(listed: Sequence[Recommendation], request: Request, relation: Relation) -> str | None:
    if len(listed) >= request.limit:
        return None
    return f"items that may be shown and are known to {_KNOWN_TO[relation]}: {len(listed)}"


def _why_short(found: int, wanted: int, masked: Mapping[str, int]) -> str | None:
    if found >= wanted:
        return None
    removed = ", ".join(f"{count} {name}" for name, count in masked.items() if count)
    return f"items that may be shown and that anybody has shown interest in: {found}" + (
        f" (left out: {removed})" if removed else ""
    )
