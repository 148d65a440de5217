"""What is believed of every item: how often it would be bought where it is shown, and how far that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from recsys.recommend.exploration.counts import Counts, ItemCounts
from recsys.recommend.exploration.groups import NO_GROUP, ItemGroups
from recsys.recommend.exploration.prior import Prior, fit_prior

SCENARIOS = 256
"""So many draws are made of each explored item's value. An answer picks one of them, so a propensity is a whole number
of these parts: exact, and no smaller than one of them."""

MOST_EXPLORED = 2_048
"""So many items are explored at a time, at most: bounds memory and what an answer costs."""

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Items = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Beliefs:
    """The posterior after some counts. Immutable; made anew when the counts were read again.

    The value of an item is θ·φ purchases per impression: θ the probability that who is shown it turns to it, φ that who
    turned to it buys. Both are Beta distributed and independent of each other. Clicks are many and say much about θ
    early; the few purchases say what they are worth.

    Attributes
    ----------
    mean : float64, shape (n,); E[θ]·E[φ] of the bundle's items and the newcomers behind them.
    explored : int32, shape (m,); positions of the items that are not established (see `of`), the newest first. At most
        `MOST_EXPLORED`.
    place : int32, shape (n,); where each position stands in `explored`, -1 for the others.
    draws : float32, shape (m, SCENARIOS); independent draws of the value of each explored item.
    reach : float32, shape (m,); what the value of each explored item reaches in one of twenty draws.
    groups : of all n items.
    narrowed : the same as far as explored items are in the group, numbered from 0 without gaps.
    own : that of the explored items, in their order.
    """

    mean: Floats
    explored: Items
    place: Items
    draws: Singles
    reach: Singles
    groups: ItemGroups
    narrowed: ItemGroups
    own: ItemGroups

    @classmethod
    def of(
        cls,
        counts: ItemCounts,
        groups: ItemGroups,
        events: Counts,
        seed: int,
        since: npt.NDArray[np.int64] | None = None,
        priors: tuple[Prior, Prior] | None = None,
    ) -> Self:
        """What follows from counts.

        Models list what has many events, and hardly what has few, however good it is. So an item is established when it
        has as many as the items have that half of all impressions are of, and newcomers never are.

        Parameters
        ----------
        events : int64, shape (items,); how many events the bundle knows of each of its items. Positions behind these
            are newcomers'.
        seed : of the draws: the same counts and seed give the same beliefs.
        since : int64, shape (n,); when each item came, any unit, larger is newer. None: behind is newer.
        priors : of θ and φ; None reads them from the counts.
        """
        engaged, bought = counts.engaged, counts.bought
        turned, paid = priors or (fit_prior(engaged, counts.impressions, groups), fit_prior(bought, engaged, groups))
        theta = _posterior(turned, engaged, counts.impressions)
        phi = _posterior(paid, bought, engaged)
        mean = theta[0] / (theta[0] + theta[1]) * (phi[0] / (phi[0] + phi[1]))
        size = len(counts)
        order = np.flatnonzero(~_established(counts.impressions, events))
        age = -(order if since is None else since[order]).astype(np.float64)
        explored = order[np.lexsort((order, age))][:MOST_EXPLORED].astype(np.int32)
        place = np.full(size, -1, dtype=np.int32)
        place[explored] = np.arange(len(explored), dtype=np.int32)
        rng = np.random.default_rng(seed)
        drawn = np.ones((len(explored), SCENARIOS), dtype=np.float32)
        for a, b in (theta, phi):
            drawn *= rng.beta(a[explored, None], b[explored, None], size=drawn.shape).astype(np.float32)
        twentieth = SCENARIOS - SCENARIOS // 20 - 1
        reach = np.partition(drawn, twentieth, axis=1)[:, twentieth].copy()
        narrowed = ItemGroups(*(_among(code, explored) for code in (groups.category, groups.author)))
        return cls(mean, explored, place, drawn, reach, groups, narrowed, narrowed.at(explored))


def _posterior(prior: Prior, successes: npt.NDArray[np.int64], trials: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """α and β of each item."""
    mean = np.clip(prior.mean, 1e-9, 1.0 - 1e-9)
    return mean * prior.strength + successes, (1.0 - mean) * prior.strength + (trials - successes)


def _established(impressions: Counts, events: Counts) -> npt.NDArray[np.bool_]:
    """Which items need no exploring: bool, shape (n,)."""
    shown, found = impressions[: len(events)], np.zeros(len(impressions), dtype=np.bool_)
    if not shown.any():
        # Nothing was ever shown: lists are taken to show items as often as customers turn to them.
        shown = events
    order = np.argsort(events, kind="stable")
    running = np.cumsum(shown[order])
    if len(running) and running[-1]:
        found[: len(events)] = events >= events[order[np.searchsorted(running, running[-1] / 2)]]
    return found


def _among(code: Items, explored: Items) -> Items:
    """The groups of all items, numbered anew, with those alone that explored items are in."""
    found = np.unique(code[explored])
    found = found[found != NO_GROUP]
    number = np.full(int(code.max(initial=NO_GROUP)) + 2, NO_GROUP, dtype=np.int32)
    number[found] = np.arange(len(found), dtype=np.int32)
    # The last entry is nobody's: `NO_GROUP` counts from the end.
    return number[code]
