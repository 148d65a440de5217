"""Two bundles' lists for the same customers, in the same positions, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.bundle.bundle import ModelBundle
from recsys.metrics.ranking import NOTHING, Ranked
from training.evaluation.comparison import Scored, score
from training.evaluation.held_out import HeldOut
from training.evaluation.modelling import rank_all
from training.tuning.judging import Jury, K


@dataclass(frozen=True, slots=True)
class Lists:
    """One bundle's lists.

    Attributes
    ----------
    ranked : in the positions of what is held out.
    scored : their metrics.
    filled : how many of `K` places they fill on average, 0 to 1.
    """

    ranked: Ranked
    scored: Scored
    filled: float


def ranked_by(bundle: ModelBundle, held_out: HeldOut, rows: npt.NDArray[np.int32], limit: int, threads: int) -> Ranked:
    """A bundle's lists for customers at these rows of the training part, by the service's own `Recommender`: int32,
    shape (rows, limit), in the positions of what is held out."""
    histories = held_out.training.over(bundle.items)
    own = rank_all(bundle, held_out.rules.placement, histories, rows, limit, threads, held_out.now)
    place = np.append(held_out.training.items.positions(bundle.items), np.int32(NOTHING)).astype(np.int32)
    ranked: Ranked = place[own]
    return ranked


def lists_of(bundle: ModelBundle, held_out: HeldOut, jury: Jury, threads: int) -> Lists:
    """A bundle's lists of `K` items for the jury."""
    ranked = ranked_by(bundle, held_out, held_out.row[jury.rows], K, threads)
    scored = score(ranked, jury.relevant, (K,), len(held_out.training.items))
    return Lists(ranked, scored, float((ranked != NOTHING).mean()))
