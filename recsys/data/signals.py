"""How strongly an event says "this is for me": one rule, read by training and by serving alike; `recsys.data.taste` has
it compiled for one history.

The strength of a customer's taste for an item is

    min(cap, Σ w_kind · scale(rating) · 2^(−age / half_life_kind)) · 2^(−steps / half_life_steps),

the sum over the customer's events on it. The age of an event is counted back from the customer's own newest event, not
from the wall clock: the same history gives the same answer whenever it is asked for, and a customer who comes back
after a year finds their shelf as they left it. The steps of an item are counted back in the order in which the customer
last had to do with each item; what is left below a hundredth says nothing. Where times are unknown nothing fades by
age, where the order is unknown nothing by steps.

A purchase that was returned and an `add_to_cart` that was taken out again carry no taste; other events on the item
still do. An item that was refused (`not_interested`) or bought for somebody else (`ignore_for_recommendations`) carries
none at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recsys.data.events import KIND_CODES, EventKind
from recsys.errors import InputError

UNKNOWN_TIME = np.iinfo(np.int64).min
"""Stands for an unknown timestamp or position in integer arrays."""

MS_PER_DAY = 86_400_000.0

FAINT = 0.01
"""Less than this share of a taste says nothing."""


@dataclass(frozen=True, slots=True)
class KindWeight:
    """What one event of a kind is worth (a fresh purchase is 1) and after how many days it is worth half of that.

    `half_life_days` None means that it never fades.
    """

    weight: float
    half_life_days: float | None


_DEFAULT_KINDS: dict[EventKind, KindWeight] = {
    EventKind.PURCHASE: KindWeight(1.0, 365.0),
    EventKind.RATE: KindWeight(1.0, 730.0),
    EventKind.REVIEW: KindWeight(1.0, 730.0),
    EventKind.OWN: KindWeight(1.0, None),
    EventKind.LIKE: KindWeight(0.9, 365.0),
    EventKind.SHARE: KindWeight(0.8, 365.0),
    EventKind.ADD_TO_LIST: KindWeight(0.8, 365.0),
    EventKind.ADD_TO_CART: KindWeight(0.8, 365.0),
    EventKind.VIEW: KindWeight(0.5, 180.0),
    EventKind.CLICK: KindWeight(0.4, 180.0),
    EventKind.EMAIL_CLICK: KindWeight(0.4, 180.0),
}


@dataclass(frozen=True, slots=True)
class EventWeights:
    """The weights of all kinds; a kind that is not named is worth nothing. Stands in every bundle's manifest.

    Attributes
    ----------
    kinds : weight and half-life per kind.
    half_life_steps : after how many of the customer's own steps an item is worth half; None means that it never fades.
    cap : the most that a customer's events on one item may add up to.
    rating_scale : lowest and highest rating in the shop; a rating counts from 0 (lowest) to 1 (highest), a rating
        event without a value counts half.
    base, rate : float64, by the code of the kind; its weight, and 1 / its half-life (0: it never fades).
    """

    kinds: Mapping[EventKind, KindWeight] = field(default_factory=lambda: dict(_DEFAULT_KINDS))
    half_life_steps: float | None = 10.0
    cap: float = 1.0
    rating_scale: tuple[float, float] = (1.0, 5.0)
    base: npt.NDArray[np.float64] = field(init=False, repr=False, compare=False)
    rate: npt.NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for kind, entry in self.kinds.items():
            if not (np.isfinite(entry.weight) and entry.weight >= 0):
                raise InputError(f"the weight of {kind} is {entry.weight}", expected="a number of 0 or more")
            if entry.half_life_days is not None and not entry.half_life_days > 0:
                raise InputError(f"the half-life of {kind} is {entry.half_life_days} days", expected="more than 0")
        if self.half_life_steps is not None and not self.half_life_steps > 0:
            raise InputError(f"half_life_steps is {self.half_life_steps}", expected="more than 0")
        low, high = self.rating_scale
        if not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise InputError(f"the rating scale is {low} to {high}", expected="two finite numbers, the lowest first")
        if not self.cap > 0:
            raise InputError(f"the cap is {self.cap}", expected="a number above 0")
        base = np.zeros(max(KIND_CODES.values()) + 1)
        rate = np.zeros_like(base)
        for kind, entry in self.kinds.items():
            base[kind.code] = entry.weight
            rate[kind.code] = 0.0 if entry.half_life_days is None else 1.0 / entry.half_life_days
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "rate", rate)

    def unfading(self) -> Self:
        """The same weights where nothing is forgotten: what models are fitted on, who handle order themselves."""
        kinds = {kind: KindWeight(entry.weight, None) for kind, entry in self.kinds.items()}
        return replace(self, kinds=kinds, half_life_steps=None)

    def to_json(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {
            "kinds": {
                str(kind): {"weight": entry.weight, "half_life_days": entry.half_life_days}
                for kind, entry in sorted(self.kinds.items())
            },
            "half_life_steps": self.half_life_steps,
            "cap": self.cap,
            "rating_scale": list(self.rating_scale),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        low, high = data["rating_scale"]
        return cls(
            kinds={EventKind(kind): KindWeight(**entry) for kind, entry in data["kinds"].items()},
            half_life_steps=data["half_life_steps"],
            cap=data["cap"],
            rating_scale=(float(low), float(high)),
        )


def _fading(
    kind: npt.NDArray[np.int8], age_days: npt.NDArray[np.float64], weights: EventWeights
) -> npt.NDArray[np.float64]:
    """w_kind · 2^(−age / half_life_kind) per event; ages are NaN where unknown."""
    halvings = np.nan_to_num(age_days * weights.rate[kind])
    return np.asarray(weights.base[kind] * np.exp2(-halvings), dtype=np.float64)


def _rating_factor(
    kind: npt.NDArray[np.int8], rating: npt.NDArray[np.float32], scale: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """From 0 (the scale's lowest) to 1 (its highest) for events that carry a rating; 1/2 for a `rate` without one."""
    low, high = scale
    span = high - low
    relative = np.clip((rating - low) / span, 0.0, 1.0) if span > 0 else np.ones(len(rating))
    rated = ~np.isnan(rating) & np.isin(kind, [EventKind.RATE.code, EventKind.REVIEW.code])
    unrated = np.where(kind == EventKind.RATE.code, 0.5, 1.0)
    return np.asarray(np.where(rated, relative, unrated), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class EventStrengths:
    """What each event says of its customer's taste for its item.

    Attributes
    ----------
    groups : int64, shape (m,); the distinct groups, ascending.
    index : int64, shape (n,); the place of each event's group.
    strength : float64, shape (n,); 0 for an event that was cancelled or whose item was refused or a gift.
    """

    groups: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    strength: npt.NDArray[np.float64]


def event_strengths(
    group: npt.NDArray[np.int64],
    kind: npt.NDArray[np.int8],
    age_days: npt.NDArray[np.float64],
    quantity: npt.NDArray[np.float32],
    rating: npt.NDArray[np.float32],
    weights: EventWeights,
) -> EventStrengths:
    """The strength of each event, before the cap.

    Parameters
    ----------
    group : shape (n,); the same number for events of the same customer on the same item.
    kind : shape (n,); kind codes.
    age_days : shape (n,); counted back from the customer's newest event; NaN where unknown.
    quantity : shape (n,); pieces.
    rating : shape (n,); NaN where there is none.
    """
    groups, index = np.unique(group, return_inverse=True)
    size = len(groups)
    strength = _fading(kind, age_days, weights) * _rating_factor(kind, rating, weights.rating_scale)

    def cancelled(gained: EventKind, lost: EventKind) -> npt.NDArray[np.bool_]:
        """Groups in which at least as many pieces went back as came."""
        sign = (kind == gained.code).astype(np.float64) - (kind == lost.code)
        has_lost = np.bincount(index, weights=kind == lost.code, minlength=size) > 0
        return np.asarray(has_lost & (np.bincount(index, weights=sign * quantity, minlength=size) <= 0))

    for gained, lost in (
        (EventKind.PURCHASE, EventKind.RETURN),
        (EventKind.ADD_TO_CART, EventKind.REMOVE_FROM_CART),
    ):
        if np.any(kind == lost.code):
            strength[(kind == gained.code) & cancelled(gained, lost)[index]] = 0.0
    silent = np.isin(kind, [EventKind.NOT_INTERESTED.code, EventKind.IGNORE_FOR_RECOMMENDATIONS.code])
    if silent.any():
        strength[np.isin(index, index[silent])] = 0.0
    return EventStrengths(groups, index, strength)


def item_strengths(
    group: npt.NDArray[np.int64],
    kind: npt.NDArray[np.int8],
    age_days: npt.NDArray[np.float64],
    quantity: npt.NDArray[np.float32],
    rating: npt.NDArray[np.float32],
    weights: EventWeights,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The strength of taste per group of events, a group being one customer's events on one item; before
    steps fade it.

    Takes what `event_strengths` takes; the distinct groups in ascending order, shape (m,), and the strength of each in
    [0, cap], shape (m,).
    """
    each = event_strengths(group, kind, age_days, quantity, rating, weights)
    total = np.bincount(each.index, weights=each.strength, minlength=len(each.groups))
    return each.groups, np.minimum(total, weights.cap).astype(np.float32)


def item_clocks(
    group: npt.NDArray[np.int64],
    row: npt.NDArray[np.int64],
    timestamp: npt.NDArray[np.int64],
    position: npt.NDArray[np.int64],
) -> npt.NDArray[np.int32]:
    """When, in the customer's own order, each group was last touched: int32, shape (m,), groups ascending.

    The clock of a customer starts at 0 and goes on by one whenever time or position differ; items last touched together
    (one basket, or order unknown) share a reading. Events must come in ascending time and position within a row.

    Parameters
    ----------
    group : shape (n,); as for `item_strengths`, ascending with `row`.
    row : shape (n,); the customer of each event.
    timestamp, position : shape (n,); `UNKNOWN_TIME` where unknown.
    """
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.append(group[order][1:] != group[order][:-1], len(group) > 0))
    last = order[ends]
    by_time = np.lexsort((last, row[last]))
    event = last[by_time]
    new_row = np.append(len(event) > 0, row[event][1:] != row[event][:-1])
    later = np.append(
        False, (timestamp[event][1:] != timestamp[event][:-1]) | (position[event][1:] != position[event][:-1])
    )
    ticks = np.cumsum(later & ~new_row)
    start = np.maximum.accumulate(np.where(new_row, ticks, 0))
    clock = np.empty(len(event), dtype=np.int32)
    clock[by_time] = ticks - start
    return clock


def fade_by_steps(
    strength: npt.NDArray[np.float32],
    clock: npt.NDArray[np.int32],
    newest: npt.NDArray[np.int32] | np.int32,
    weights: EventWeights,
) -> npt.NDArray[np.float32]:
    """Strengths after fading: · 2^(−(newest − clock) / half_life_steps), `newest` the last reading of the customer.

    What has faded to less than `FAINT` is 0: it would change nothing, and asking it costs as much as the newest item.
    """
    if weights.half_life_steps is None:
        return strength
    left = np.exp2((clock - newest) / weights.half_life_steps)
    return np.asarray(np.where(left < FAINT, 0.0, strength * left), dtype=np.float32)
