"""The lists of every model that is compared, for the same customers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from recsys.bundle.bundle import ModelBundle
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import InputError
from recsys.metrics.ranking import NOTHING, Ranked
from recsys.recommend.sources import CONTENT, REPEAT
from training.evaluation import baselines
from training.evaluation.baselines import NotAllowed, Order
from training.evaluation.held_out import HeldOut
from training.evaluation.modelling import rank_all
from training.stages import StageCost, StageLog

BLEND, PRODUCTION = "blend", "production"
MODELS = (BLEND, "item_item", "als", "bm25", "popular", "popular_7d", "personal_top")
"""Every model that is always compared, in the order of the report; the first three are the service's own
`Recommender`. Of a shop's store `production`, the bundle in force, is always among them."""

_FIT_STAGES = {"item_item": "item-item", "als": "als", CONTENT: "content", REPEAT: "repeat"}


@dataclass(frozen=True, slots=True)
class Lists:
    """What every model would have listed.

    Attributes
    ----------
    ranked : per name the lists, None for a model that the data does not allow; why stands in `causes`.
    seconds : per name what making the lists took.
    """

    ranked: Mapping[str, Ranked | None]
    causes: Mapping[str, str]
    seconds: Mapping[str, float]


class Fitted:
    """The models of one training part, ready to be asked under several rules about repeats.

    Parameters
    ----------
    bundle : fitted on `HeldOut.training` of everything that will be asked.
    production : the bundle in force, or why it cannot be compared; None where there is no shop.
    """

    def __init__(self, bundle: ModelBundle, production: ModelBundle | str | None, threads: int) -> None:
        self.bundle, self.production, self.threads = bundle, production, threads
        self.bm25_seconds: float | None = None
        self._warm = False
        self._bm25: tuple[sparse.csr_matrix, sparse.csr_matrix] | None = None

    def names(self, test: HeldOut) -> tuple[str, ...]:
        """The models of the report: those that are always there, and the other sources that can speak here."""
        further = [CONTENT] if len(self.bundle.content.neighbours.neighbour) else []
        kinds = self.bundle.repeat.kinds
        bought = np.isin(test.training.kind, [kind.code for kind in kinds]).any()
        if bought and test.rules.placement.repeats(kinds):
            further.append(REPEAT)
        return (*MODELS, *further, *((PRODUCTION,) if self.production is not None else ()))

    def lists(self, test: HeldOut, limit: int, stages: StageLog) -> Lists:
        """Every model's lists of `limit` items for the customers of a test over the bundle's own training part."""
        ranked: dict[str, Ranked | None] = {}
        causes: dict[str, str] = {}
        seconds: dict[str, float] = {}
        for name in self.names(test):
            with stages.stage(f"list {name}", len(test.row)):
                self._prepare(name, test)
                begun = time.perf_counter()
                try:
                    found = self._lists(name, test, limit, stages.progress.advance)
                    seconds[name] = time.perf_counter() - begun
                    ranked[name] = check_lists(name, found, test)
                except NotAllowed as cause:
                    ranked[name], causes[name] = None, str(cause)
        return Lists(ranked, causes, seconds)

    def fit_seconds(self, costs: list[StageCost]) -> dict[str, float]:
        """What fitting each model took, of those that can be told apart; `costs` are of the bundle's fit."""
        spent = {cost.name: cost.seconds for cost in costs}
        found = {name: spent[stage] for name, stage in _FIT_STAGES.items() if stage in spent}
        found[BLEND] = sum(spent.values())
        return found | ({} if self.bm25_seconds is None else {"bm25": self.bm25_seconds})

    def _prepare(self, name: str, test: HeldOut) -> None:
        """What is done once and is no part of making lists: BM25 is the one baseline that is fitted, and the first list
        of all loads what is compiled."""
        if not self._warm:
            self._warm = True
            rank_all(
                self.bundle, test.rules.placement, test.training, test.row[:1], 1, self.threads, test.now, None, None,
                test.showable,
            )  # fmt: skip
        if name == "bm25" and self._bm25 is None:
            begun = time.perf_counter()
            strengths = test.training.strengths(self.bundle.manifest.event_weights)
            self._bm25 = strengths, baselines.bm25_neighbours(strengths, self.threads)
            self.bm25_seconds = time.perf_counter() - begun

    def _lists(self, name: str, test: HeldOut, limit: int, progress: Callable[[int], None]) -> Ranked:
        """One model's lists; NotAllowed when the data does not allow it."""
        if name == "bm25" and self._bm25 is not None:
            return baselines.bm25(test, *self._bm25, _fallback(test), limit)
        if name == "popular":
            return baselines.first_of_order(baselines.popular_order(test), test.masked, limit)
        if name == "popular_7d":
            return baselines.first_of_order(baselines.recent_order(test), test.masked, limit)
        if name == "personal_top":
            return baselines.personal_top(test, baselines.popular_order(test), limit)
        if name == PRODUCTION:
            return self._production(test, limit, progress)
        placement = test.rules.placement
        if name != BLEND:
            placement = replace(placement, sources=frozenset({name}))
        return rank_all(
            self.bundle, placement, test.training, test.row, limit, self.threads, test.now, test.hidden, progress,
            test.showable,
        )  # fmt: skip

    def _production(self, test: HeldOut, limit: int, progress: Callable[[int], None]) -> Ranked:
        """The lists of the bundle in force, in the positions of the test; of items that compete and that it knows."""
        if not isinstance(self.production, ModelBundle):
            raise NotAllowed(self.production or "there is no bundle in force")
        if test.rules.visible is not None:
            raise NotAllowed("it has learned from all kinds of events, also from those that models may not see here")
        items = self.production.items
        place = test.training.items.positions(items)
        shown = place != UNKNOWN
        if test.showable is not None:
            shown &= test.showable[np.maximum(place, 0)]
        own = rank_all(
            self.production, test.rules.placement, test.training.over(items), test.row, limit, self.threads, test.now,
            None, progress, shown,
        )  # fmt: skip
        return np.append(place, np.int32(NOTHING)).astype(np.int32)[own]


def check_lists(name: str, ranked: Ranked, test: HeldOut) -> Ranked:
    """The lists, if they can be scored; InputError when one names an item twice, one that does not compete, or has a
    gap."""
    listed = ranked != NOTHING
    found = ranked[listed]
    if len(found) and not 0 <= found.min() <= found.max() < len(test.training.items):
        raise _unfit(name, f"{np.count_nonzero((found < 0) | (found >= len(test.training.items))):,} unknown items")
    if (listed[:, 1:] & ~listed[:, :-1]).any():
        raise _unfit(name, "gaps before its last item")
    ordered = np.sort(ranked, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NOTHING)
    if twice.any():
        raise _unfit(name, f"an item twice, for {np.count_nonzero(twice.any(axis=1)):,} customers")
    if test.showable is not None and not test.showable[found].all():
        raise _unfit(name, f"{np.count_nonzero(~test.showable[found]):,} items that could not be shown")
    return ranked


def _unfit(name: str, found: str) -> InputError:
    return InputError(f"a list of {name} has {found}", expected="lists of candidates, each item once")


def _fallback(test: HeldOut) -> Order:
    try:
        return baselines.popular_order(test)
    except NotAllowed:
        return test.training.item[:0]
