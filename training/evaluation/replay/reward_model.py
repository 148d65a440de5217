"""What is to be expected of an item in a slot: the model of the doubly robust estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

FOLDS: Final = 5
"""Customers are cut into so many parts: what is said of one part was learned from the others, or the model would know
what it is to foresee."""


@dataclass(frozen=True, slots=True)
class RewardModel:
    """q(item, slot) = slot rate × item factor: the examination hypothesis (Richardson, Dominowska and Ragno 2007).

    Attributes
    ----------
    slot : float64, shape (slots,); the mean reward of each slot.
    item : float64, shape (items,); by how much each item's rewards differ from those of its slots, drawn to 1 the more
        the less was seen of it.
    """

    slot: Floats
    item: Floats

    @classmethod
    def fitted(cls, slot: Codes, item: Codes, reward: Floats, slots: int, items: int) -> Self:
        """From what was seen: codes from 0 of slot and item, shape (n,).

        With e_i the reward that the slots of item i let expect and r_i what followed, the factor is (r_i + m) /
        (e_i + m): a gamma prior of mean 1, whose variance 1/m is by the method of moments what is left of that of
        r_i / e_i when that of counting is taken away.
        """
        seen = np.bincount(slot, minlength=slots)
        rate = np.bincount(slot, weights=reward, minlength=slots) / np.maximum(seen, 1)
        overall = float(reward.mean()) if len(reward) else 0.0
        rate = np.where(seen > 0, rate, overall)
        expected = np.bincount(item, weights=rate[slot], minlength=items).astype(np.float64)
        followed = np.bincount(item, weights=reward, minlength=items).astype(np.float64)
        m = _strength(followed, expected)
        return cls(rate, (followed + m) / (expected + m))

    def of(self, slot: Codes, item: Codes) -> Floats:
        """What it expects; 0 for an item below 0, which stands for an empty slot."""
        return np.where(item >= 0, self.slot[slot] * self.item[np.maximum(item, 0)], 0.0)


def _strength(followed: Floats, expected: Floats) -> float:
    """m: how much reward has to be expected of an item before it counts as much as the prior."""
    there = expected > 0
    total = float(expected[there].sum())
    if total <= 0:
        return 1.0
    between = float(((followed[there] - expected[there]) ** 2 - expected[there]).sum())
    variance = between / float((expected[there] ** 2).sum())
    return 1.0 / variance if variance > 1e-6 else total


def cross_fitted(
    slot: Codes, shown: Codes, wanted: Codes, reward: Floats, customer: Codes, sizes: Sequence[int], seed: int
) -> tuple[Floats, Floats]:
    """What models that have not seen the customer expect of what was shown and of what the target policy shows.

    Parameters
    ----------
    shown, wanted : codes of items; `wanted` is below 0 where the target policy shows nothing.
    sizes : how many slots and how many items there are.
    """
    fold = np.random.default_rng(seed).permutation(int(customer.max(initial=0)) + 1)[customer] % FOLDS
    of_shown, of_wanted = np.zeros(len(reward)), np.zeros(len(reward))
    for own in range(FOLDS):
        inside, rest = fold == own, fold != own
        model = RewardModel.fitted(slot[rest], shown[rest], reward[rest], *sizes)
        of_shown[inside] = model.of(slot[inside], shown[inside])
        of_wanted[inside] = model.of(slot[inside], wanted[inside])
    return of_shown, of_wanted
