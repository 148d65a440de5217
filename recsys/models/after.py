"""What people go on to: after an item X those that customers bought later, more than earlier, more than by chance.

A step of a customer leads from an item to one bought later: what was bought at one moment leads nowhere within it. Of
an item bought several times only the first time counts, so that one customer speaks for X → Y or for Y → X, never for
both. The step counts

    w = step_decay^(g − 1) · 2^(−(days from X to Y) / gap_half_life) · 2^(−(days since Y) / half_life),

g the number of the customer's moments from X to Y, and "since" counted to the newest event in the data: closer pairs
weigh more and old ones fade. With F_XY the sum of w over all customers' steps from X to Y, the weight of Y in the row
of X is

    (F_XY − R_XY) / (R_XY + prior)^balance, where above 0,   R_XY = max(F_YX, F_X· F_·Y / F_··).

R is what F has to exceed: the steps in the other direction, so that the memory card comes after the camera and not the
camera after the memory card; and the steps to be expected if it did not matter where one comes from, so that what
everybody buys sooner or later comes after nothing. (Observed minus expected as in Smith and Linden 2017, with the
expectation of a chain of independent steps.)
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.data.interactions import Interactions
from recsys.data.signals import MS_PER_DAY, UNKNOWN_TIME, EventWeights, event_strengths
from recsys.errors import InputError
from recsys.models.blocks import by_blocks
from recsys.models.item_item import MOST_KEPT, ItemItem
from recsys.models.similarity import Floats, Rows, as_rows

_TAKING_BACK = (
    EventKind.RETURN,
    EventKind.REMOVE_FROM_CART,
    EventKind.NOT_INTERESTED,
    EventKind.IGNORE_FOR_RECOMMENDATIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterConfig:
    """How steps are counted.

    Attributes
    ----------
    kept : each item has at most so many followers, those of largest weight; up to 200.
    history_cap : of a longer history only this many items, those bought last, are counted; bounds the number of pairs.
    reach : items more of the customer's moments apart than this make no step.
    step_decay : with every further moment apart a step counts by this factor less.
    gap_half_life_days : a step that took so many days counts half; None: time makes no difference.
    half_life_days : a step that ended so many days before the newest event counts half; None: nothing fades.
    minimum_customers : pairs with steps of fewer customers in this direction do not count.
    prior : so much weight is expected of every pair beside R.
    balance : 0 favours popular pairs, 1 rare ones.
    """

    kept: int = 50
    history_cap: int = 500
    reach: int = 8
    step_decay: float = 0.7
    gap_half_life_days: float | None = 90.0
    half_life_days: float | None = 365.0
    minimum_customers: int = 2
    prior: float = 1.0
    balance: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name.endswith("half_life_days"):
                continue
            least = 1 if field.type == "int" else 0
            if not (np.isfinite(value) and value >= least) or (field.name.endswith("half_life_days") and value == 0):
                raise InputError(
                    f"{field.name} of the lists of what comes after is {value}",
                    expected="more than 0" if field.name.endswith("half_life_days") else f"{least} or more",
                )
        if self.kept > MOST_KEPT:
            raise InputError(f"kept of the lists of what comes after is {self.kept}", expected=f"at most {MOST_KEPT}")
        if self.step_decay > 1:
            raise InputError(f"step_decay is {self.step_decay}", expected="0 to 1")


@dataclass(frozen=True, slots=True)
class FirstTimes:
    """When each customer first bought each item: those of customer `u` are the places `start[u]:start[u + 1]`, the
    earliest first, at one moment the smaller item first.

    Attributes
    ----------
    start : int64, shape (customers + 1,).
    item : int32, shape (places,).
    clock : int32, shape (places,); goes on by one whenever the time or position differs.
    day : float64, shape (places,); days since 1970; NaN where times are unknown.
    """

    start: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    clock: npt.NDArray[np.int32]
    day: Floats


def target_kinds(interactions: Interactions, weights: EventWeights) -> tuple[EventKind, ...]:
    """What counts as buying: purchases where the shop has any, else every kind of event that carries taste."""
    there = {KIND_BY_CODE[int(code)] for code in np.unique(interactions.kind)}
    tasteful = {kind for kind in there if kind in weights.kinds and weights.kinds[kind].weight > 0}
    return (EventKind.PURCHASE,) if EventKind.PURCHASE in tasteful else tuple(sorted(tasteful))


def first_times(interactions: Interactions, weights: EventWeights) -> FirstTimes:
    """The first purchase of every customer and item that carries taste: not of what went back, was refused or a gift.

    Where at least half of the purchases have a time, those without are left out; else positions give the order, and
    purchases without one are left out.
    """
    bought, timed = _first_events(interactions, weights)
    row, item = interactions.row[bought], interactions.item[bought]
    time, position = interactions.timestamp[bought], interactions.position[bought]
    later = position[1:] != position[:-1]
    if timed:
        later |= time[1:] != time[:-1]
    new_row = np.append(len(row) > 0, row[1:] != row[:-1])
    ticks = np.cumsum(np.append(False, later) & ~new_row)
    clock = ticks - np.maximum.accumulate(np.where(new_row, ticks, 0))
    start = np.zeros(len(interactions.customers) + 1, dtype=np.int64)
    np.cumsum(np.bincount(row, minlength=len(interactions.customers)), out=start[1:])
    day = time / MS_PER_DAY if timed else np.full(len(time), np.nan)
    return FirstTimes(start, item, clock.astype(np.int32), day)


def _first_events(interactions: Interactions, weights: EventWeights) -> tuple[npt.NDArray[np.int64], bool]:
    """The places of the events that `first_times` is about, in each customer's order, and whether that is of times."""
    kinds = target_kinds(interactions, weights)
    only = replace(weights.unfading(), kinds={kind: weights.unfading().kinds[kind] for kind in kinds})
    told = np.flatnonzero(np.isin(interactions.kind, [kind.code for kind in (*kinds, *_TAKING_BACK)]))
    row, columns = interactions.row[told], (interactions.quantity[told], interactions.rating[told])
    group = row * len(interactions.items) + interactions.item[told]
    each = event_strengths(group, interactions.kind[told], np.full(len(told), np.nan), *columns, only)
    buys = np.flatnonzero(each.strength > 0)
    known = interactions.timestamp[told[buys]] != UNKNOWN_TIME
    timed = 2 * int(known.sum()) >= len(buys)
    if not timed:
        position = interactions.position[told[buys]]
        known = position != UNKNOWN_TIME
        in_order = np.lexsort((each.index[buys], position, row[buys]))
        buys, known = buys[in_order], known[in_order]
    buys = buys[known]
    # Of several places written for one group the last stays, which is the first in the customer's order.
    group_of, place = each.index[buys], np.arange(len(buys))
    first = np.empty(len(each.groups), dtype=np.int64)
    first[group_of[::-1]] = place[::-1]
    return told[buys[first[group_of] == place]], timed


def fit_after(interactions: Interactions, weights: EventWeights, config: AfterConfig, threads: int) -> ItemItem:
    """What comes after each item: row X speaks about what people went on to, largest weight first.

    Weights are above 0; an item may have none, and where no order is known none has any. Ties go to the smaller
    position.

    Parameters
    ----------
    weights : which kinds carry taste.
    threads : 1 or more; does not change the result.
    """
    known = interactions.timestamp[interactions.timestamp != UNKNOWN_TIME]
    newest = float(known.max()) / MS_PER_DAY if len(known) else np.nan
    return after_lists(first_times(interactions, weights), newest, len(interactions.items), config, threads)


def after_lists(times: FirstTimes, newest: float, items: int, config: AfterConfig, threads: int) -> ItemItem:
    """The lists of `fit_after`; `newest` is the day that fading is counted back from."""
    from recsys.models.after_kernels import after_rows, step_totals

    times = _capped(times, config.history_cap)
    timed = bool(np.all(np.isfinite(times.day)))
    fade = np.ones(len(times.item))
    if timed and config.half_life_days is not None:
        fade = np.exp2((times.day - newest) / config.half_life_days)
    rate = 1.0 / config.gap_half_life_days if timed and config.gap_half_life_days is not None else 0.0
    by_step = np.concatenate([[0.0], np.power(config.step_decay, np.arange(config.reach, dtype=np.float64))])
    counted = (times.clock, times.day, fade, by_step, rate)
    customers = len(times.start) - 1
    parts = by_blocks(lambda first, last: step_totals(first, last, times.start, *counted), customers, threads)
    leaving, arriving = (
        np.bincount(times.item, weights=np.concatenate([part[side] for part in parts]), minlength=items)
        if parts
        else np.zeros(items)
        for side in (0, 1)
    )
    total = float(leaving.sum())
    if total <= 0:
        return as_rows([], items)
    customer = np.repeat(np.arange(customers, dtype=np.int32), np.diff(times.start))
    place = np.argsort(times.item, kind="stable")
    item_start = np.zeros(items + 1, dtype=np.int64)
    np.cumsum(np.bincount(times.item, minlength=items), out=item_start[1:])
    by_item = (item_start, place.astype(np.int64), customer[place], times.start, times.item)
    sums = (leaving.astype(np.float64), arriving.astype(np.float64), total)
    excess = (float(config.prior), float(config.balance))

    def block(first: int, last: int) -> Rows:
        rows: Rows = after_rows(first, last, *by_item, *counted, *sums, *excess, config.minimum_customers, config.kept)
        return rows

    return as_rows(by_blocks(block, items, threads), items)


def _capped(times: FirstTimes, cap: int) -> FirstTimes:
    """The last `cap` places of each customer."""
    lengths = np.diff(times.start)
    if lengths.max(initial=0) <= cap:
        return times
    from_end = np.repeat(times.start[1:], lengths) - np.arange(len(times.item))
    stay = from_end <= cap
    start = np.concatenate([[0], np.cumsum(np.minimum(lengths, cap))])
    return FirstTimes(start, times.item[stay], times.clock[stay], times.day[stay])
