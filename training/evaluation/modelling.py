"""The seam between the evaluation and what it evaluates: fitting on a part, and the service's lists for many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.bundle.bundle import ModelBundle, assembled
from recsys.data.catalog import Catalog
from recsys.data.history import History
from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.metrics.ranking import NOTHING, Ranked
from recsys.models.blend import BlendWeights
from recsys.recommend.placement import Placement
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Request
from training.evaluation.held_out import HeldOut
from training.pipeline import TrainingConfig, fit, require_enough, with_rating_scale
from training.stages import StageLog

NOW = 0
"""Nothing is unpublished or expired in an evaluation, whatever the time."""


def tune(validation: HeldOut | None, config: TrainingConfig, stages: StageLog) -> TrainingConfig:  # noqa: ARG001
    """The settings for this data: the shipped ones. They are the same for every validation window."""
    return config


def fit_models(training: Interactions, config: TrainingConfig, stages: StageLog) -> ModelBundle:
    """The bundle that `bookmatch train` would publish for this history, in memory; stages `compile` and those of `fit`.

    Raises NotEnoughDataError when there is too little to learn from.
    """
    with stages.stage("compile"):
        config = replace(config, event_weights=with_rating_scale(config.event_weights, training))
        require_enough(training)
    return assembled("evaluation", *fit(training, config, stages))


def alone(bundle: ModelBundle, source: str) -> ModelBundle:
    """The same models, where only one source speaks."""
    return replace(bundle, manifest=replace(bundle.manifest, blend=BlendWeights.constant({source: 1.0})))


def rank_all(
    bundle: ModelBundle,
    placement: Placement,
    histories: Interactions,
    row: npt.NDArray[np.int32],
    limit: int,
    hidden: sparse.csr_matrix | None = None,
    progress: Callable[[int], None] | None = None,
) -> Ranked:
    """The lists of the service's `Recommender` for many customers: int32, shape (n, limit), `NOTHING` where short.

    Parameters
    ----------
    histories : whose items are the bundle's.
    row : shape (n,); positions of customers in `histories`, `UNKNOWN` for somebody without a history.
    hidden : bool, shape (n, items); further items that must not be listed.
    progress : called now and then with the number of customers done.
    """
    recommender = Recommender(bundle, placement)
    catalog = _everything(len(bundle.items))
    ranked = np.full((len(row), limit), NOTHING, dtype=np.int32)
    # One list is too small for several threads of BLAS: handing it round costs more than it saves.
    with threadpool_limits(1, "blas"):
        for place, customer in enumerate(row):
            history = History.empty() if customer == UNKNOWN else histories.history(int(customer))
            exclude: frozenset[str] = frozenset()
            if hidden is not None:
                own = hidden.indices[hidden.indptr[place] : hidden.indptr[place + 1]]
                exclude = frozenset(bundle.items[int(item)] for item in own)
            listed = recommender.rank(history, catalog, Request(limit=limit, now=NOW, exclude=exclude))
            ranked[place, : len(listed)] = listed
            if progress and place % 256 == 0:
                progress(place)
    return ranked


def _everything(items: int) -> Catalog:
    """A catalogue in which everything may be shown: an evaluation does not know what was sold out when."""
    bounds = np.iinfo(np.int64)
    return Catalog(
        available=np.ones(items, dtype=np.bool_),
        published=np.full(items, bounds.min, dtype=np.int64),
        expires=np.full(items, bounds.max, dtype=np.int64),
    )
