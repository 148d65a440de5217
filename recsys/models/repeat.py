"""Who buys the same thing again, and when.

Two questions, as in Bhagat et al. (Buy It Again: Modeling Repeat Purchase Recommendations, KDD 2018): whether a
customer buys an item again at all, and after how long.

*Whether.* After the k-th purchase of item i the next one comes with probability

    p_i(k) = (m_i·s + k − 1) / (s + k − 1).

m_i is the share of the item's customers who bought it a second time (their "repeat customer probability"), drawn to its
category's share and that to the shop's by Beta-Binomial shrinkage. The rest is the posterior mean of a
Beta(m_i·s, (1 − m_i)·s) between customers after k − 1 repeats in a row, as in Fader and Hardie's shifted beta-geometric
(How to Project Customer Retention, 2007): those who came back often come back.

*When.* The interval is log-normal, its mean per item drawn to category and shop; see `recsys.models.intervals`.

For a customer who bought k times, the last time d units ago, the probability of a purchase within the next w units is

    p·(F(d + w) − F(d)) / (1 − p·F(d)),

which rises towards the usual interval and fades after it, as those who have stayed away show that they are not among
those who come back. That recency decides is what Anderson, Kumar, Tomkins and Vassilvitskii found everywhere they
looked (The Dynamics of Repeat Consumption, WWW 2014).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.events import EventKind
from recsys.data.history import History
from recsys.data.interactions import Interactions
from recsys.data.signals import MS_PER_DAY
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import InputError
from recsys.models.intervals import Spells, Tempo, ended_by, fit_tempo, log_interval, shifted_means
from recsys.models.occasions import Clock, Occasions, PurchaseRows, best_clock, occasions_of, purchase_rows
from recsys.models.shrinkage import fit_beta, fit_strength, shrunk

Floats = npt.NDArray[np.float64]
_CLOCKS = tuple(Clock)
_SAMPLE = 1_000_000


@dataclass(frozen=True, slots=True)
class RepeatConfig:
    """How repeats are learned.

    Attributes
    ----------
    kinds : the kinds of events that count as having bought.
    interval_variance : at most how far the items' mean log intervals are taken to lie from their category's, and those
        from the shop's, as a variance; 0 gives all items the shop's. The data alone ask for more: an offer that many
        take twice in one month looks like a short interval, and is none the month after.
    window_days : lists ask whether something is bought again within so many days; on steps, at the next one.
    """

    kinds: tuple[EventKind, ...] = (EventKind.PURCHASE,)
    interval_variance: float = 0.02
    window_days: float = 30.0

    def __post_init__(self) -> None:
        if not self.kinds or EventKind.RETURN in self.kinds:
            raise InputError(
                f"repeats of the kinds {[str(kind) for kind in self.kinds]}",
                expected="at least one kind, and not return, which takes purchases back",
            )
        if not self.interval_variance >= 0:
            raise InputError(f"interval_variance is {self.interval_variance}", expected="0 or more")
        if not self.window_days > 0:
            raise InputError(f"window_days is {self.window_days}", expected="more than 0")


@dataclass(frozen=True, slots=True)
class Bought:
    """What customers have, ready to be scored; arrays of shape (m,).

    Attributes
    ----------
    item : int32; positions.
    elapsed : float64; units of the clock since the last purchase, 0 or more.
    times : int64; k, on how many occasions it was bought.
    rhythm : float64; the mean log of the customer's intervals with the item; NaN where it is unknown.
    """

    item: npt.NDArray[np.int32]
    elapsed: Floats
    times: npt.NDArray[np.int64]
    rhythm: Floats


@dataclass(frozen=True, slots=True)
class Repeat:
    """How likely and when each item is bought again.

    Attributes
    ----------
    clock : what intervals are counted in.
    probability : float32, shape (items,); m_i, the probability that a customer who bought the item once does so again.
    interval : float32, shape (items,); μ_i, the mean of log T after the first purchase, T in units of the clock.
    strength : s, how little a customer's own repeats count against m_i.
    tempo : the shop's distribution of T.
    window : units of the clock; what lists ask `score` for.
    kinds : the kinds of events that count as having bought.
    """

    clock: Clock
    probability: npt.NDArray[np.float32]
    interval: npt.NDArray[np.float32]
    strength: float
    tempo: Tempo
    window: float
    kinds: tuple[EventKind, ...]

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores."""
        tempo = self.tempo
        shop = [_CLOCKS.index(self.clock), self.strength, self.window, tempo.mean, tempo.spread, tempo.inertia]
        return {
            "repeat.probability": self.probability,
            "repeat.interval": self.interval,
            "repeat.shop": np.array(shop, dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]], kinds: Iterable[str]) -> Self:
        """What `arrays` gave; the kinds stand in the manifest."""
        clock, strength, window, *tempo = arrays["repeat.shop"].view(np.float64).tolist()
        return cls(
            _CLOCKS[int(clock)],
            arrays["repeat.probability"].view(np.float32),
            arrays["repeat.interval"].view(np.float32),
            strength,
            Tempo(*tempo),
            window,
            tuple(EventKind(kind) for kind in kinds),
        )

    def comes_back(self, items: npt.NDArray[np.int32], times: npt.NDArray[np.int64]) -> Floats:
        """p_i(k) for these items, each bought so many times: shape (m,)."""
        before = np.maximum(times, 1) - 1.0
        own = self.probability[items].astype(np.float64) * self.strength
        return np.asarray((own + before) / (self.strength + before))

    def score(self, bought: Bought, window: float) -> Floats:
        """The probability that each item is bought again within the next `window` units of the clock: shape (m,).

        `window` is above 0, in days or steps; on the clock `counts` it has no meaning and the score is p_i(k).
        """
        share = self.comes_back(bought.item, bought.times)
        if self.clock is Clock.COUNTS:
            return share
        expected = self.tempo.expected(self.interval[bought.item].astype(np.float64), bought.times, bought.rhythm)
        before, after = ended_by(bought.elapsed, *expected), ended_by(bought.elapsed + window, *expected)
        return np.asarray(share * (after - before) / np.maximum(1.0 - share * before, 1e-12))

    def bought(self, history: History, now: int) -> Bought:
        """The items of a history that were bought and kept, ascending.

        Parameters
        ----------
        now : milliseconds UTC; matters on the clock `days` alone. On steps, time ends with the customer's last.
        """
        rows = PurchaseRows(
            np.zeros(len(history), dtype=np.int64),
            history.item,
            history.kind,
            history.timestamp,
            history.position,
            history.quantity,
        )
        return bought_by(occasions_of(rows, self.clock, self.kinds), self.clock, now)[1]


def bought_by(occasions: Occasions, clock: Clock, now: int) -> tuple[npt.NDArray[np.int64], Bought]:
    """What customers have after these occasions: the customer of each row, shape (m,), and the rows.

    `now` as in `Repeat.bought`.
    """
    spells = spells_of(occasions, clock)
    last = np.flatnonzero(~spells.ended)
    row, when = occasions.row[last], occasions.when[last]
    elapsed = np.maximum(now / MS_PER_DAY - when, 0.0) if clock is Clock.DAYS else spells.seen[last].astype(np.float64)
    return row, Bought(occasions.item[last], elapsed, spells.times[last], spells.rhythm[last])


def category_codes(frame: pl.DataFrame, items: Vocabulary) -> npt.NDArray[np.int64]:
    """The category of every item of a vocabulary as a number from 0: int64, shape (items,); -1 where there is none.

    `frame` is in `ITEM_SCHEMA`.
    """
    codes = np.full(len(items), -1, dtype=np.int64)
    known = frame.filter(pl.col("category").is_not_null())
    position = items.positions(known["item_id"])
    _, code = np.unique(known["category"].to_numpy().astype(str), return_inverse=True)
    codes[position[position != UNKNOWN]] = code[position != UNKNOWN]
    return codes


def fit_repeat(interactions: Interactions, category: npt.NDArray[np.int64], config: RepeatConfig) -> Repeat:
    """Learns from all customers' purchases.

    Parameters
    ----------
    category : int64, shape (items,), as `category_codes` gives it.
    """
    rows = purchase_rows(interactions)
    clock = best_clock(rows, config.kinds)
    occasions = occasions_of(rows, clock, config.kinds)
    size = len(interactions.items)
    spells = spells_of(occasions, clock)
    exposure, interval, tempo = np.ones(len(spells.item)), np.zeros(size), Tempo(0.0, 1.0, 1.0)
    if clock is not Clock.COUNTS:
        spells = spells.chosen(spells.seen > 0)
        tempo = fit_tempo(spells)
        interval = _intervals(spells, category, size, tempo, config.interval_variance)
        exposure = ended_by(spells.seen, *tempo.expected(interval[spells.item], spells.times, spells.rhythm))
    probability = _shares(spells, exposure, category, size)
    strength = _strength(spells, exposure, probability)
    window = config.window_days if clock is Clock.DAYS else 1.0
    return Repeat(
        clock, probability.astype(np.float32), interval.astype(np.float32), strength, tempo, window, config.kinds
    )


def _intervals(spells: Spells, category: npt.NDArray[np.int64], size: int, tempo: Tempo, most_apart: float) -> Floats:
    """μ_i of every item, shape (size,): drawn to its category's, and that to the shop's."""
    parents = int(category.max(initial=-1)) + 1
    of_category = shifted_means(spells, category[spells.item], parents, np.full(parents, tempo.mean), tempo, most_apart)
    # The last entry is for items without a category, whose code is -1.
    start = np.append(of_category, tempo.mean)[category]
    return shifted_means(spells, spells.item, size, start, tempo, most_apart)


def spells_of(occasions: Occasions, clock: Clock) -> Spells:
    """One spell per occasion. Days are seen until the shop's newest purchase, steps until the customer's own last."""
    first = occasions.first_of_pair
    place = np.arange(len(first))
    start = np.maximum.accumulate(np.where(first, place, 0)) if len(first) else place
    ended = np.append(~first[1:], False) if len(first) else np.zeros(0, dtype=np.bool_)
    if clock is Clock.DAYS:
        end = np.full(len(first), occasions.when.max(initial=0))
    else:
        last = np.zeros(int(occasions.row.max(initial=-1)) + 1, dtype=np.int64)
        np.maximum.at(last, occasions.row, occasions.when)
        end = last[occasions.row]
    seen = end - occasions.when
    length = seen.copy()
    follows = np.flatnonzero(ended)
    length[follows] = occasions.when[follows + 1] - occasions.when[follows]
    # Mean of the log intervals between the pair's first occasion and each one.
    total = np.zeros(len(first) + 1)
    total[follows + 1] = log_interval(length[follows])
    total = np.cumsum(total)[:-1]
    times = place - start + 1
    rhythm = np.full(len(first), np.nan)
    rhythm[times > 1] = ((total - total[start])[times > 1]) / (times[times > 1] - 1)
    return Spells(occasions.item.astype(np.int64), times, rhythm, length, seen, ended)


def _shares(spells: Spells, exposure: Floats, category: npt.NDArray[np.int64], size: int) -> Floats:
    """m_i of every item, shape (size,).

    Only the first spell of each customer and item counts, so that trials are different customers. A spell that could be
    seen for h units is F(h) of a trial: a repeat is seen with probability m·F(h).
    """
    first = spells.times == 1
    item = spells.item[first]
    came: Floats = np.bincount(item, weights=spells.ended[first], minlength=size).astype(np.float64)
    tried: Floats = np.maximum(np.bincount(item, weights=exposure[first], minlength=size), came)
    mean, strength = fit_beta(came, tried)
    parent: Floats = np.full(size, mean)
    inside = category >= 0
    if inside.any():
        groups = int(category.max()) + 1
        group_came: Floats = np.bincount(category[inside], weights=came[inside], minlength=groups).astype(np.float64)
        group_tried: Floats = np.bincount(category[inside], weights=tried[inside], minlength=groups).astype(np.float64)
        of_group = shrunk(group_came, group_tried, *fit_beta(group_came, group_tried))
        parent[inside] = of_group[category[inside]]
        strength = fit_strength(came, tried, parent)
    return shrunk(came, tried, parent, strength)


def _strength(spells: Spells, exposure: Floats, probability: Floats) -> float:
    """s by maximum likelihood over the spells after second and later purchases; 1 where there are none."""
    from scipy.optimize import minimize_scalar

    later = np.flatnonzero(spells.times > 1)
    # Evenly spread over the customers; a million say as much as all.
    later = later[:: len(later) // _SAMPLE + 1]
    if not len(later):
        return 1.0
    before, mean = spells.times[later] - 1.0, probability[spells.item[later]]
    ended, seen = spells.ended[later], exposure[later]

    def loss(log_strength: float) -> float:
        strength = np.exp(log_strength)
        share = np.clip((mean * strength + before) / (strength + before), 1e-12, 1 - 1e-12)
        return -float(np.sum(np.where(ended, np.log(share), np.log1p(-share * seen))))

    return float(np.exp(minimize_scalar(loss, bounds=(-5.0, 8.0), method="bounded").x))
