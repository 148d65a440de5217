"""From listed items and whether they were bought to curves of probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recsys.models.relevance import Curve, Relevance
from training.evaluation.soon import Soon
from training.relevance.listed import Listed

LEAST_BOUGHT = 50
"""A curve rests on so many bought items at least."""

PER_STEP = 10
"""Each step of a curve rests on so many bought items at least: one item alone may make any probability."""

UNKNOWN_CURVE: Curve = (np.zeros(0), np.zeros(0))


def fit_relevance(listed: Listed, lengths: Sequence[int], soon: Soon, least: int = LEAST_BOUGHT) -> Relevance | None:
    """Relevance by isotonic regression; None where less than `least` personal items were bought.

    Neighbouring classes of history length share a curve until `least` items of theirs were bought; popular items have
    their own curves, each known if `least` of them were bought.

    Parameters
    ----------
    lengths : of the blend, which each have weights and therefore scores of their own.
    """
    kind = np.searchsorted(np.asarray(lengths, dtype=np.int64), listed.items, side="right")
    counted = np.bincount(kind[listed.personal & listed.bought], minlength=len(lengths) + 1)
    if counted.sum() < least:
        return None
    firsts = merged(counted, least)
    shared = np.searchsorted(firsts, kind, side="right") - 1
    curves = [_curve(listed.only(listed.personal & (shared == number)), least) for number in range(len(firsts))]
    further = [_curve(listed.only(listed.parts()[name]), least) for name in ("filling", "newcomers")]
    return Relevance.of_curves(
        soon.kinds, soon.days, tuple(lengths[first - 1] for first in firsts[1:]), (*curves, *further)
    )


def merged(counted: npt.NDArray[np.int64], least: int) -> list[int]:
    """The first class of each group of neighbouring classes that have `least` in all, from short histories to long.
    What is left over goes to the last group."""
    firsts, running = [0], 0
    for place, count in enumerate(counted.tolist()):
        if running >= least:
            firsts.append(place)
            running = 0
        running += count
    return firsts[:-1] if running < least and len(firsts) > 1 else firsts


def _curve(listed: Listed, least: int) -> Curve:
    """The isotonic regression of `bought` on the score, on groups of items next to each other.

    Steps and no lines between points: so the probabilities of what was learned from sum to what was bought.
    """
    from sklearn.isotonic import IsotonicRegression

    if np.count_nonzero(listed.bought) < least:
        return UNKNOWN_CURVE
    values, place = np.unique(listed.score, return_inverse=True)
    count = np.bincount(place).astype(np.float64)
    bought = np.bincount(place, weights=listed.bought)
    # From the top, so that where most is bought the curve is finest; equal scores stay together.
    above = np.cumsum(bought[::-1])[::-1] - bought
    group = np.minimum(above // PER_STEP, bought.sum() // PER_STEP - 1)
    group = np.unique(-group, return_inverse=True)[1]
    weight = np.bincount(group, weights=count)
    rate = np.bincount(group, weights=bought) / weight
    begins = values[np.searchsorted(group, np.arange(len(weight)))]
    level = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(begins, rate, sample_weight=weight)
    new = np.append(True, np.diff(level) > 0)
    return begins[new], level[new]
