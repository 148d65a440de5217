"""`python -m recsys.models.warm_up`: pays ahead for what fitting costs only the first time on a machine.

Compiles the kernels and loads the libraries by fitting every model on a shop of two customers. Nothing depends on it:
without it, the first training takes some seconds longer.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.data.events import EventKind
from recsys.data.interactions import EventTable, Interactions, Tastes
from recsys.data.signals import EventWeights
from recsys.models.als import ALSConfig, fit_als
from recsys.models.item_item import ItemItemConfig, fit_item_item
from recsys.models.related import RelatedConfig, fit_related
from recsys.models.similarity import SimilarityConfig
from recsys.models.spectral import SpectralConfig, fit_spectral


def warm_up() -> None:
    """Fits every model once."""
    tastes = Tastes(
        indptr=np.array([0, 2, 4], dtype=np.int64),
        item=np.array([0, 1, 0, 1], dtype=np.int32),
        strength=np.ones(4, dtype=np.float32),
        clock=np.array([0, 1, 0, 1], dtype=np.int32),
        items=2,
    )
    fit_item_item(tastes, tastes.strength, ItemItemConfig(), threads=1)
    fit_spectral(tastes.matrix(), SpectralConfig(), seed=0)
    fit_als(tastes.matrix(), ALSConfig(factors=1, iterations=1), seed=0, threads=1)
    fit_related(_purchases(), tastes, EventWeights(), RelatedConfig(similar=SimilarityConfig()), threads=1)


def _purchases() -> Interactions:
    """Two customers buy one item, then another."""
    events = pl.DataFrame(
        {"customer": [0, 0, 1, 1], "item": [0, 1, 0, 1], "timestamp": [0, 1, 0, 1], "position": [None] * 4},
        schema={"customer": pl.Int32, "item": pl.Int32, "timestamp": pl.Int64, "position": pl.Int64},
    ).with_columns(
        kind=pl.lit(EventKind.PURCHASE.code, pl.Int8),
        quantity=pl.lit(1.0, pl.Float32),
        rating=pl.lit(None, pl.Float32),
    )
    ids = pl.Series(["a", "b"])
    return Interactions.from_events(EventTable(events, ids, ids))


if __name__ == "__main__":
    warm_up()
