"""What one answer explores: which slots, with what, how probable that was, and what it is expected to cost."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import ceil
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.errors import InputError
from recsys.recommend.exploration.beliefs import Beliefs
from recsys.recommend.exploration.drawing import picked, weighed
from recsys.recommend.exploration.suited import Suited
from recsys.recommend.placement import Exploration

Floats = npt.NDArray[np.float64]
Items = npt.NDArray[np.int32]


class Explored(NamedTuple):
    """A list with what it explores.

    Attributes
    ----------
    item : int32, shape (k,); the list, positions as in `Beliefs`.
    slots : int64, shape (e,); the slots that hold an explored item, from 0, ascending.
    propensity : float64, shape (k,); the probability, before the seed was known, that each slot would hold the item
        that it holds.
    loss : purchases that this list was expected to lose, over all seeds.
    means : float64, shape (k,); the purchases that each slot was expected to bring without exploration.
    """

    item: Items
    slots: npt.NDArray[np.int64]
    propensity: Floats
    loss: float
    means: Floats

    @property
    def value(self) -> float:
        """Purchases that the list was expected to bring without exploration."""
        return float(self.means.sum())


class Chances(NamedTuple):
    """What chance decides of one list: everything about its explored slots but the draw.

    Attributes
    ----------
    listed : int32, shape (k,); what would be shown, slot by slot, positions as in `Beliefs`.
    candidates : int32, shape (c,); positions.
    means : float64, shape (k,); of what is listed.
    stretch, share : int64 and float64, shape (k,); the stretch that a slot is in, and the probability that it is the
        one of its stretch that is picked; 0 for fixed slots.
    worth : float64, shape (c,); the means of the candidates, times their fit where that is below 1.
    order, value : int32 and float32, shape (ranks, scenarios); the candidates of the largest draws in each scenario,
        largest first, and their draws, times their fit where that is below 1.
    won, stay : float64, shape (c, k) and (k,); the probability that a candidate gets a slot, and that none does.
    throttle : the probability that what may lose is let in.
    loss : purchases that the list is expected to lose, over all seeds.
    """

    listed: Items
    candidates: Items
    means: Floats
    stretch: npt.NDArray[np.int64]
    share: Floats
    worth: Floats
    order: Items
    value: npt.NDArray[np.float32]
    won: Floats
    stay: Floats
    throttle: float
    loss: float

    def picked(self, seed: str) -> tuple[npt.NDArray[np.int64], Items]:
        """The slots that an answer with this seed gives away, from 0, ascending, and to which of the candidates. The
        seed is any text; the same one picks the same."""
        number = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "little")
        return picked(
            np.uint64(number), self.means, self.stretch, self.share, self.worth, self.order, self.value, self.throttle
        )

    def drawn(self, seed: str) -> Explored:
        """The list of an answer with this seed."""
        slots, given = self.picked(seed)
        item, propensity = self.listed, self.stay
        if len(slots):
            item, propensity = item.copy(), propensity.copy()
            item[slots], propensity[slots] = self.candidates[given], self.won[given, slots]
        return Explored(item, slots, propensity, self.loss, self.means)


def most_slots(size: int, exploration: Exploration) -> int:
    """How many slots of a list of so many are explored, at most."""
    return ceil(exploration.share * size - 1e-9)


def choose(
    seed: str,
    listed: Items,
    candidates: Suited,
    beliefs: Beliefs,
    exploration: Exploration,
    fixed: Sequence[int] = (),
) -> Explored:
    """The list with some slots given to candidates: what `weigh` says of it, drawn with this seed. Raises InputError as
    that."""
    return weigh(listed, candidates, beliefs, exploration, fixed).drawn(seed)


def weigh(
    listed: Items,
    candidates: Suited,
    beliefs: Beliefs,
    exploration: Exploration,
    fixed: Sequence[int] = (),
) -> Chances:
    """What chance decides of a list of which some slots are given to candidates.

    One of the `SCENARIOS` is picked for the whole list: this is Thompson sampling (Thompson: On the likelihood that one
    unknown probability exceeds another, 1933) with a finite number of draws. The slots that are not fixed are cut into
    as few stretches as `share` asks for, and in each one slot is picked, so that a slot is picked with a probability of
    at most `share`. The first stretch's slot goes to the candidate of the largest draw times fit, the second's to the
    next one, if its draw is above the mean of the item that stands there. Where a candidate suits less than the list
    does, its draw and its mean count in proportion; where it suits more it goes before others, but is not taken to sell
    better than to those who were shown it so far.

    **What it may cost.** Let V be the sum of the means of the listed items, and d(j, k) the mean of the item at slot k
    less the candidate j's, that one times its fit where it suits less. Where d > 0 the candidate gets the slot only
    with probability q = min(1, cost·V / L), where L = Σ P(j would get slot k)·max(0, d(j, k)) over all slots and
    candidates. Scenario, slots and this last chance are drawn independently of each other, so the expected loss of the
    list over all seeds, gains not set against it, is q·L ≤ cost·V. This holds for each list by itself; expectations add
    up, so over any number of lists, of any customers, on any number of workers and with beliefs that change in between,
    the expected loss is at most `cost` of the purchases that are expected without exploration. Losses of single lists
    differ from it by chance, by no more than what the explored slots held, so the excess of many grows with the square
    root of their number only. Both sides are expectations under the beliefs: they are true as far as the prior is.

    Parameters
    ----------
    listed : int32, shape (k,); what would be shown, slot by slot, no item twice.
    candidates : as `suited` gives them, none of them an item that is listed.
    fixed : slots, from 0, that are not explored, such as those of pins.

    Raises InputError for a share or cost that is out of range.
    """
    if not (0.0 < exploration.share <= 0.5 and 0.0 < exploration.cost <= 1.0):
        raise InputError(
            f"exploration of share {exploration.share} at cost {exploration.cost}",
            expected="a share above 0 and at most 0.5, and a cost above 0 and at most 1",
        )
    free = np.ones(len(listed), dtype=np.bool_)
    for slot in fixed:
        if 0 <= slot < len(listed):
            free[slot] = False
    weights = weighed(
        beliefs.mean, beliefs.explored, beliefs.draws, listed, free, *candidates, exploration.share, exploration.cost
    )
    return Chances(listed, beliefs.explored[candidates.place], *weights)
