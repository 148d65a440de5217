"""Which arm a customer is in: a hash decides, so that nothing is stored and every worker says the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from recsys.experiments.definition import HOLDOUT, Arm, Experiment

_SPAN = 2.0**64


def experiment_on(experiments: Iterable[Experiment], placement: str, now: int) -> Experiment | None:
    """The experiment that runs at a placement at this moment (milliseconds UTC); there is never more than one."""
    return next((each for each in experiments if each.placement == placement and each.runs(now)), None)


def assign(experiment: Experiment, customer_id: str, now: int) -> Arm | None:
    """The arm of a customer, or the holdout's; None when the experiment does not run at `now` (milliseconds UTC).

    Always the same for the same customer, salt, holdout and weights. Keyed BLAKE2b (RFC 7693) of the id gives two
    numbers: the first decides about the holdout, the second about the arm. So a larger holdout takes customers out of
    arms and moves none between them.

    Ask with the id of the person, that is of the customer that a visitor turned out to be: then everything that one
    person is served, under whichever id, is of one arm from the moment the two are known to be one.
    """
    if not experiment.runs(now):
        return None
    return drawn(experiment, customer_id)


def drawn(experiment: Experiment, customer_id: str) -> Arm:
    """The same, whether or not the experiment runs."""
    raw = customer_id.encode(errors="surrogatepass")
    digest = hashlib.blake2b(raw, key=_key(experiment.salt), digest_size=16).digest()
    if experiment.holdout and int.from_bytes(digest[:8], "big") / _SPAN < experiment.holdout:
        return Arm(name=HOLDOUT, weight=experiment.holdout)
    total = sum([arm.weight for arm in experiment.arms])
    place, end = int.from_bytes(digest[8:], "big") / _SPAN * total, 0.0
    for arm in experiment.arms:
        end += arm.weight
        if place < end:
            return arm
    # Sums of weights are rounded: the last arm takes what the rounding leaves over.
    return experiment.arms[-1]


@lru_cache(maxsize=1_024)
def _key(salt: str) -> bytes:
    return hashlib.blake2b(salt.encode(), digest_size=32, person=b"bookmatch.arms").digest()
