"""The one place that decides what to recommend: for the storefront, for e-mails and for the evaluation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.events import KIND_BY_CODE
from recsys.data.history import History
from recsys.models.kernels import Places
from recsys.models.related import Relation
from recsys.recommend import kernel
from recsys.recommend.candidates import allowed, left_out, masked
from recsys.recommend.explain import counted, explained
from recsys.recommend.filling import FILLING, filled
from recsys.recommend.item_lists import ItemLists
from recsys.recommend.kernel import BY_RISING, NO_BOOST, UNITS, Asked, Listed, flattened, list_items, only
from recsys.recommend.layout import PlacementLayout
from recsys.recommend.masks import UNLIKELY
from recsys.recommend.models import BundleModels, Taste
from recsys.recommend.placement import DEFAULT_PLACEMENT, Fallback, Placement
from recsys.recommend.relevance import UNKNOWN_RELEVANCE, relevance_of
from recsys.recommend.rules import NO_RULES, PlacementRules, Rules
from recsys.recommend.sources import (
    BY_PLACE,
    FEW,
    REPEAT,
    given_scores,
    weights_by_class,
)
from recsys.recommend.types import Answer, Request

UNKNOWN_CUSTOMER = "unknown_customer"
NO_USABLE_HISTORY = "no_usable_history"
NOTHING_LEFT = "nothing_left"

_NO_ITEMS = np.zeros(0, dtype=np.int32)
_NO_PROBABILITY = np.zeros(0)
_NOT_GIVEN = np.zeros(0, dtype=np.float32)
_TOLD = {
    frozenset(): "that the history speaks for",
    frozenset({Fallback.POPULAR}): "that anybody has shown interest in",
    frozenset({Fallback.RISING}): "that the history speaks for or whose interest surely grew",
    frozenset({Fallback.NEW}): "that the history speaks for or that appeared",
    frozenset({Fallback.POPULAR, Fallback.RISING}): "that anybody has shown interest in",
    frozenset({Fallback.POPULAR, Fallback.NEW}): "that anybody has shown interest in or that appeared",
    frozenset({Fallback.RISING, Fallback.NEW}): "that the history speaks for, whose interest grew or that appeared",
    frozenset(Fallback): "that anybody has shown interest in or that appeared",
}
"""What all items have in common that a list may hold, by what fills it up."""

_FEW = [BY_PLACE.index(name) for name in FEW]


class Found(NamedTuple):
    """A list before it is put into words.

    Attributes
    ----------
    relevance : int64, shape (k,); as `relevance_of` gives it.
    sources, fallback, masked, short : as in `Answer`.
    """

    taste: Taste
    listed: Listed
    relevance: npt.NDArray[np.int64]
    sources: tuple[str, ...]
    fallback: str | None
    masked: Mapping[str, int]
    short: str | None


class Recommender:
    """Mask → retrieve → rank → explain, over one bundle. Immutable; may be used from several threads.

    Parameters
    ----------
    bundle : the models.
    placement : the policy of the spot that asks.
    models : those of the bundle, where another spot has them already.
    """

    def __init__(
        self, bundle: ModelBundle, placement: Placement = DEFAULT_PLACEMENT, models: BundleModels | None = None
    ) -> None:
        self.bundle = bundle
        self.placement = placement
        self._models = models = models or BundleModels(bundle)
        blend = placement.blend(bundle.manifest.blend)
        self._sources = models.sources.of(blend)
        self._flat = flattened(self._sources)
        self._lengths, self._weights = blend.lengths, weights_by_class(blend)
        self._dense: list[bool] = [not (own[_FEW] > 0).any() for own in self._weights]
        self._repeats = blend.counts(REPEAT) and placement.repeats(bundle.repeat.kinds)
        # It was learned on lists of the default placement; scores of other lists say something else.
        self.relevance = bundle.relevance if placement.lists_as(DEFAULT_PLACEMENT) else None
        self.rules = PlacementRules(placement, models)
        self.layout = PlacementLayout(placement, bundle.items)
        self._item_lists = ItemLists(bundle, models.workspace)

    @property
    def popularity(self) -> npt.NDArray[np.float64]:
        """float64, shape (items,); in units of its spread, as `relevance_of` takes it."""
        return self._sources.popular

    def at(self, placement: Placement) -> Recommender:
        """Another spot over the same models."""
        return Recommender(self.bundle, placement, self._models)

    def recommend(self, history: History, catalog: Catalog, request: Request, rules: Rules | None = None) -> Answer:
        """The items this customer is most likely to want, best first.

        Personal as far as the history goes; then filled up as the placement says, with what is popular unless it says
        otherwise, each such item saying so. Items that nobody ever touched are never used as filling, unless the
        request names them or the placement fills up with what is new. A list shorter than `request.limit` says why.

        `request.among` names the candidates: each is scored as in the list over all items and all are listed as far as
        they may be shown, those for which the history does not speak behind the others, the most popular first.

        `rules` are what the placement's come to now, for those who know already.
        """
        found = self.find(history, catalog, request, rules)
        kinds = [KIND_BY_CODE[code] for code in found.taste.kinds.tolist()]
        items = explained(self.bundle.items, "history", found.listed, found.relevance, found.taste.items, kinds)
        return Answer(items, found.sources, found.fallback, found.masked, found.short)

    def find(self, history: History, catalog: Catalog, request: Request, rules: Rules | None = None) -> Found:
        """As `recommend`, with positions instead of ids."""
        rules = rules or self._rules(catalog, request)
        taste, found, removed = self._listed(history, catalog, request, rules, explained=True)
        found, relevance, unlikely = self._likely(found, taste, catalog, request, rules)
        if self.placement.minimum_relevance:
            removed = removed | {UNLIKELY: unlikely}
        sources = counted(found)
        if found.personal < len(found.item):
            filling = set(found.named[found.personal :, 0].tolist())
            sources = tuple(dict.fromkeys((*sources, *(FILLING[code] for code in FILLING if code in filling))))
        fallback = None if found.personal else _why_not_personal(history, taste)
        return Found(
            taste, found, relevance, sources, fallback, removed, self._why_short(len(found.item), request, removed)
        )

    def weights(self, history: History) -> Mapping[str, float]:
        """How much each source that counts for a history of this length counts, by its name."""
        taste, weights, _ = self._weighed(history)
        if not len(taste.items):
            return {}
        return {name: weight for name, weight in zip(BY_PLACE, weights.tolist(), strict=True) if weight > 0}

    def parts(self, history: History, item: int, now: int) -> dict[str, float]:
        """What each source that counts says of one item for this history, by its name: together the item's score, where
        they are above 0 without `popular`, which speaks for no item by itself. Takes a while: for people.

        Parameters
        ----------
        item : its position in the bundle's vocabulary.
        now : milliseconds UTC.
        """
        taste, weights, _ = self._weighed(history)
        again, probability = self._again(history, taste, weights, now)
        one, everything = np.array([item], dtype=np.int32), np.ones(len(self.bundle.items), dtype=np.bool_)
        said = {}
        for place in np.flatnonzero(weights > 0).tolist() if len(taste.items) else ():
            alone = np.zeros_like(weights)
            alone[place] = weights[place]
            if place == kernel.POPULAR:
                said[BY_PLACE[place]] = float(weights[place] * self._sources.popular[item])
            elif place in (kernel.ALS, kernel.SPECTRAL):
                scores = given_scores((self._sources, alone, taste.items, taste.strengths))
                said[BY_PLACE[place]] = float(scores[item])
            else:
                asked = Asked(
                    alone, taste.items, taste.strengths, again, probability, _NOT_GIVEN, everything, _NO_ITEMS,
                    _NO_ITEMS, 1, filled=False, explained=False, among=one,
                )  # fmt: skip
                found = list_items(self._flat, self._models.workspace(), asked)
                said[BY_PLACE[place]] = float(found.score.sum()) / UNITS
        return said

    def rank(
        self, history: History, catalog: Catalog, request: Request, rules: Rules | None = None
    ) -> npt.NDArray[np.int32]:
        """The positions of the items that `recommend` would list, in its order, without explaining them."""
        rules = rules or self._rules(catalog, request)
        # How likely an item is, and what it fills up for, is read from its reasons.
        explained = rules.fillings is not None
        taste, found, _ = self._listed(history, catalog, request, rules, explained=explained)
        return self._likely(found, taste, catalog, request, rules)[0].item if explained else found.item

    def related(
        self, item_id: str, catalog: Catalog, request: Request, relation: Relation = Relation.SIMILAR
    ) -> Answer:
        """What goes with an item in this way, best first. Nothing weak is filled in: a shorter list says why.

        An item without similar ones by the score that the bundle was trained with gets those of the blend.

        Raises UnknownItemError for an item that the bundle does not know.
        """
        return self._item_lists.related(item_id, catalog, request, relation)

    def _rules(self, catalog: Catalog, request: Request) -> Rules:
        """What the placement's rules come to, and the request's filter."""
        rules = self.rules.now(catalog, request.now)
        return rules if request.where is None else rules.narrowed(request.where)

    def _listed(
        self, history: History, catalog: Catalog, request: Request, rules: Rules, *, explained: bool
    ) -> tuple[Taste, Listed, dict[str, int]]:
        """What the history says, the list, and how many items each mask removed that no mask before it had. Where the
        rules say what fills it up, and no candidates are given, it is not filled up yet.

        The masks, in this order: `unavailable` (not available, not yet published or expired), `filtered` (the filter of
        the placement or of the request keeps it out, where there is one), `seen` (the customer has had, judged or
        refused it), `excluded` (named in the request), `on_page` (elsewhere on the page, where there is one); and, of
        items that the request names, `unknown` (to the models) before all others.
        """
        taste, weights, dense = self._weighed(history)
        items, strengths = taste.items, taste.strengths
        again, probability = self._again(history, taste, weights, request.now)
        within = again if self.placement.only_again else None
        known, barred = None, _NO_ITEMS
        if rules.showable is not None and rules.filtered is not None and request.among is None and within is None:
            known, barred = (rules.showable, rules.filtered), rules.barred
        passing = rules.passing if known is None else None
        unwanted = left_out(self.bundle.items, request)
        candidates = allowed(self.bundle.items, catalog, request, passing, within, known)
        given = _NOT_GIVEN
        if len(items) and candidates.among is None and dense:
            given = given_scores((self._sources, weights, items, strengths))
        asked = Asked(
            weights, items, strengths, again, probability, given, candidates.showable, taste.seen,
            barred if not len(unwanted) else np.concatenate([unwanted, barred]), request.limit,
            filled=request.among is not None or (rules.fillings is None and within is None), explained=explained,
            among=candidates.among, boost=NO_BOOST if rules.boost is None else rules.boost,
        )  # fmt: skip
        found = list_items(self._flat, self._models.workspace(), asked)
        seen, hidden, removed = found.seen, taste.seen, found.excluded
        if len(barred):
            # What does not pass counts as filtered, also where it was seen or is not wanted.
            place = np.minimum(np.searchsorted(hidden, barred), max(len(hidden) - 1, 0))
            both = int(np.count_nonzero(hidden[place] == barred)) if len(hidden) else 0
            seen, removed = seen - both, removed - (len(barred) - both)
            hidden = np.concatenate([hidden, barred]) if request.on_page else hidden
        return taste, found, masked(self.bundle.items, request, candidates, hidden, seen, removed)

    def _likely(
        self, found: Listed, taste: Taste, catalog: Catalog, request: Request, rules: Rules
    ) -> tuple[Listed, Places, int]:
        """The list without what is not relevant enough, filled up with what is; the relevance of its items; and how
        many were left out of it."""
        least, weak = self.placement.minimum_relevance, _NO_ITEMS
        if not least and (rules.fillings is None or len(found.item) >= request.limit):
            return found, self._relevance(found, taste, rules), 0
        if least:
            kept = self._relevance(found, taste, rules) >= least * UNITS
            weak, found = found.item[~kept], only(found, kept)
        if rules.fillings is not None and request.among is None and not self.placement.only_again:
            # What somebody is known not to want does not come back because others do.
            hidden = np.concatenate([taste.seen, left_out(self.bundle.items, request), rules.barred, weak])
            found = filled(found, request.limit, rules.fillings, rules.listable(catalog, request.now), hidden)
        relevance = self._relevance(found, taste, rules)
        if least and not (kept := relevance >= least * UNITS).all():
            return only(found, kept), relevance[kept], len(weak) + int(np.count_nonzero(~kept))
        return found, relevance, len(weak)

    def _relevance(self, found: Listed, taste: Taste, rules: Rules) -> Places:
        """As `relevance_of`: a boost makes nothing more relevant, and of what rises or is new nothing is known."""
        if rules.boost is not None and self.relevance is not None:
            found = found._replace(score=np.rint(found.score / rules.boost[found.item]).astype(np.int64))
        relevance = relevance_of(self.relevance, found, self._sources.popular, len(taste.items))
        if rules.fillings and self.relevance is not None and found.personal < len(found.item):
            relevance = np.where(found.named[:, 0] <= BY_RISING, UNKNOWN_RELEVANCE, relevance)
        return relevance

    def _weighed(self, history: History) -> tuple[Taste, npt.NDArray[np.float64], bool]:
        """What a history says, the weights of the sources for one of its length: shape (7,); and whether no source that
        names few items has one."""
        taste = self.taste(history)
        own = bisect_right(self._lengths, len(taste.items))
        return taste, self._weights[own], self._dense[own]

    def _again(
        self, history: History, taste: Taste, weights: npt.NDArray[np.float64], now: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """What may be bought again, where that counts or nothing else is listed, and how likely."""
        wanted = self.placement.only_again or (self._repeats and weights[kernel.REPEAT] > 0)
        if not (wanted and len(taste.items)):
            return _NO_ITEMS, _NO_PROBABILITY
        repeat = self.bundle.repeat
        bought = repeat.bought(history, now)
        kept = np.isin(bought.item, taste.items)  # What was bought and carries no taste does not come back.
        return bought.item[kept], repeat.score(bought, repeat.window)[kept]

    def hidden(self, history: History, request: Request, rules: Rules = NO_RULES) -> npt.NDArray[np.int32]:
        """Where the items are that are not shown to somebody with this history, or that the request does not want,
        and what its own filter keeps out of `rules.showable`: int32, in any order."""
        seen, unwanted = self._models.seen(history, self.placement.mask_kinds), left_out(self.bundle.items, request)
        if not (len(unwanted) or len(rules.barred)):
            return seen
        return np.concatenate([seen, unwanted, rules.barred])

    def taste(self, history: History) -> Taste:
        """What a history says, made once."""
        return self._models.taste(history, self.placement.mask_kinds)

    def _why_short(self, found: int, request: Request, masked: Mapping[str, int]) -> str | None:
        if found >= request.limit:
            return None
        removed = ", ".join(f"{count} {name}" for name, count in masked.items() if count)
        what = "items that may be shown and " + _TOLD[frozenset(self.placement.fallback)]
        if self.placement.only_again:
            what = "items that may be shown and are bought again"
        if request.among is not None:
            what = f"of the {len(request.among)} given items, the models know and may show"
        return f"{what}: {found}" + (f" (left out: {removed})" if removed else "")


def _why_not_personal(history: History, taste: Taste) -> str:
    """Why nothing on the list is there for the customer's own history."""
    if not history.version:
        return UNKNOWN_CUSTOMER
    return NOTHING_LEFT if len(taste.items) else NO_USABLE_HISTORY
