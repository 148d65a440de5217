"""The seam between the evaluation and what it evaluates: fitting on a part, and the service's lists for many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from recsys.bundle.bundle import ModelBundle, assembled
from recsys.data.interactions import Interactions
from recsys.metrics.ranking import Ranked
from recsys.recommend.batch import Histories, rank_many
from recsys.recommend.placement import Placement
from training.fitting import fit, with_rating_scale
from training.stages import StageLog
from training.tuning import Tuned


def fit_models(training: Interactions, catalogue: pl.DataFrame, tuned: Tuned, stages: StageLog) -> ModelBundle:
    """The bundle that `bookmatch train` would publish for this history, in memory; stages `compile` and those of `fit`.

    Raises NotEnoughDataError when there is too little to learn from.
    """
    with stages.stage("compile"):
        # The lists of items' pages are no part of what is evaluated, nor of what fitting it costs.
        weights = with_rating_scale(tuned.config.event_weights, training)
        config = replace(tuned.config, event_weights=weights, related=None)
    return assembled("evaluation", *fit(training, catalogue, config, stages, tuned.report, tuned.relevance))


def rank_all(
    bundle: ModelBundle,
    placement: Placement,
    histories: Interactions,
    row: npt.NDArray[np.int32],
    limit: int,
    threads: int,
    now: int,
    hidden: sparse.csr_matrix | None = None,
    progress: Callable[[int], None] | None = None,
    showable: npt.NDArray[np.bool_] | None = None,
) -> Ranked:
    """The lists of the service's `Recommender` for many customers: int32, shape (n, limit), `NOTHING` where short.

    Nothing is sold out in an evaluation: what was when is not known.

    Parameters
    ----------
    histories : whose items are the bundle's.
    row : shape (n,); positions of customers in `histories`, `UNKNOWN` for somebody without a history.
    threads : 1 or more; does not change the result.
    now : milliseconds UTC, when the lists are asked for; decides what is due to be bought again.
    hidden : bool, shape (n, items); further items that must not be listed.
    progress : called now and then with the number of customers done.
    showable : bool, shape (items,); None is everything.
    """
    own = Histories.of(bundle, placement, histories, row, now)
    if hidden is not None:
        own = own._replace(masked=sparse.csr_matrix(own.masked + hidden))
    if showable is None:
        showable = np.ones(len(bundle.items), dtype=np.bool_)
    blend = placement.blend(bundle.manifest.blend)
    return rank_many(bundle, own, showable, limit, threads, progress, blend).item
