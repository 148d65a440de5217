"""What the rules of a placement come to at one moment, before anything is ranked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.data.catalog import Catalog
from recsys.models.kernels import Floats
from recsys.recommend.filling import Filling, filling_of
from recsys.recommend.models import BundleModels
from recsys.recommend.placement import Fallback, Placement


class Rules(NamedTuple):
    """What a list is made by.

    Attributes
    ----------
    passing : bool, shape (items,); what passes the placement's filter; None where it has none.
    boost : float64, shape (items,), above 0; what scores are multiplied by; None where they count as they are.
    fillings : what fills the list up, in this order; None where popular items do, as they are.
    state : lists of one placement that were made by rules of equal states were made by the same rules.
    """

    passing: npt.NDArray[np.bool_] | None = None
    boost: Floats | None = None
    fillings: tuple[Filling, ...] | None = None
    state: str = ""


class PlacementRules:
    """The rules of one placement over one bundle; what they come to is kept as long as nothing changes."""

    def __init__(self, placement: Placement, models: BundleModels) -> None:
        self._placement = placement
        self._models = models
        self._fillings: tuple[tuple[object, object], tuple[Filling, ...]] | None = None

    def now(self, catalog: Catalog) -> Rules:
        """What they come to."""
        return Rules(fillings=self._filling(catalog, None))

    def _filling(self, catalog: Catalog, boost: Floats | None) -> tuple[Filling, ...] | None:
        fallback = self._placement.fallback
        if fallback == (Fallback.POPULAR,) and boost is None and not self._placement.minimum_relevance:
            return None
        # New items are put in order by their dates; a catalogue that changes otherwise shares them with this one.
        known, depends = self._fillings, (catalog.published if Fallback.NEW in fallback else None, boost)
        if known is None or known[0][0] is not depends[0] or known[0][1] is not depends[1]:
            models = self._models
            made = tuple(filling_of(each, models.bundle, models.sources, catalog, boost) for each in fallback)
            known = self._fillings = (depends, made)
        return known[1]
