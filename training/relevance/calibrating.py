"""Relevance from the validation slice, and how well it is calibrated on customers that it was not learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.bundle.bundle import ModelBundle
from training.evaluation.held_out import HeldOut
from training.evaluation.soon import Soon
from training.relevance.calibrated import Calibrated
from training.relevance.curves import LEAST_BOUGHT, fit_relevance
from training.relevance.listed import Listed, listed_for_customers, listed_for_newcomers
from training.relevance.reliability import quality


def calibrate(bundle: ModelBundle, lists: HeldOut, soon: Soon | str, seed: int, threads: int) -> Calibrated:
    """The relevance of the lists that a bundle makes.

    All customers with a history before the cut count, those who did nothing afterwards as well: without them every
    probability would be too high. So newcomers count only in shops that see those who leave without buying: where fewer
    than `LEAST_BOUGHT` of them bought nothing, nothing is said of lists for newcomers.

    Parameters
    ----------
    bundle : with the chosen blend, fitted on the validation's training part.
    soon : what happened after it, or why nobody can tell.
    """
    if isinstance(soon, str):
        return Calibrated.unknown(soon)
    placement, history = lists.rules.placement, lists.training
    listed = listed_for_customers(bundle, placement, history, lists.now, soon, seed, threads)
    customers, bought = len(np.unique(listed.customer)), listed.bought & listed.personal
    new = soon.newcomers
    idle = len(new) - int(new.is_in(soon.wanted["customer_id"].implode()).sum())
    if idle >= LEAST_BOUGHT:
        listed = listed.and_then(listed_for_newcomers(bundle, placement, history, soon, seed))
    lengths = bundle.manifest.blend.lengths
    relevance = fit_relevance(listed, lengths, soon)
    if relevance is None:
        return Calibrated.unknown(
            f"{np.count_nonzero(bought)} of {np.count_nonzero(listed.personal):,} listed items were bought within "
            f"{soon.days} days: {LEAST_BOUGHT} are needed"
        )
    report = relevance.described() | {
        "customers": customers,
        "newcomers": {"customers": len(new), "who_bought_nothing": idle},
        "lengths": relevance.lengths.tolist(),
        "calibration": _crossed(listed, lengths, soon, seed),
    }
    return Calibrated(relevance, report)


def _crossed(listed: Listed, lengths: Sequence[int], soon: Soon, seed: int) -> dict[str, dict[str, float]]:
    """The quality of what either half of the customers says of the other half."""
    customers, place = np.unique(listed.customer, return_inverse=True)
    half = (np.random.default_rng(seed).permutation(len(customers)) % 2 == 0)[place]
    foreseen = np.full(len(place), np.nan)
    for own in (half, ~half):
        learned = fit_relevance(listed.only(~own), lengths, soon, LEAST_BOUGHT // 2)
        if learned is not None:
            foreseen[own] = listed.only(own).relevance(learned)
    return {name: quality(foreseen[rows], listed.bought[rows]) for name, rows in listed.parts().items()}
