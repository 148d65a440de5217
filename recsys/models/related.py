"""The lists that an item's page shows: what is like it, what is bought with it, what people go on to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions, Tastes
from recsys.data.signals import EventWeights
from recsys.models.after import AfterConfig, fit_after
from recsys.models.item_item import ItemItem
from recsys.models.similarity import SimilarityConfig, fit_similarity
from recsys.models.similarity_together import TogetherConfig, fit_together

_SIMILAR, _TOGETHER, _AFTER = "similar", "together", "after"


class Relation(StrEnum):
    """How a listed item relates to the one asked about."""

    SIMILAR = "similar"
    """Wanted by the same customers."""
    BOUGHT_TOGETHER = "bought_together"
    """Bought with it at one time, more than by chance."""
    AFTER = "after"
    """Bought later than it, more than earlier and more than by chance."""


@dataclass(frozen=True, slots=True)
class RelatedConfig:
    """How the lists are made.

    Attributes
    ----------
    similar : by which score items are alike; None: by what the blend says for a history of this one item.
    together, after : of the two other lists.
    """

    similar: SimilarityConfig | None = None
    together: TogetherConfig = field(default_factory=TogetherConfig)
    after: AfterConfig = field(default_factory=AfterConfig)


@dataclass(frozen=True, slots=True)
class Related:
    """One row per item and relation, the best first; weights are above 0 and compare only within a row.

    Attributes
    ----------
    similar : None where the blend says what is alike.
    together, after : see `recsys.models.similarity_together` and `recsys.models.after`.
    """

    similar: ItemItem | None
    together: ItemItem
    after: ItemItem

    def of(self, relation: Relation) -> ItemItem | None:
        """The lists of a relation; None for `similar` where the blend says it."""
        return {
            Relation.SIMILAR: self.similar,
            Relation.BOUGHT_TOGETHER: self.together,
            Relation.AFTER: self.after,
        }[relation]

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a bundle stores."""
        arrays = self.together.arrays(_TOGETHER) | self.after.arrays(_AFTER)
        return arrays if self.similar is None else arrays | self.similar.arrays(_SIMILAR)

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> Self:
        """What `arrays` gave."""
        similar = ItemItem.from_arrays(arrays, _SIMILAR) if f"{_SIMILAR}.indptr" in arrays else None
        return cls(similar, ItemItem.from_arrays(arrays, _TOGETHER), ItemItem.from_arrays(arrays, _AFTER))


def fit_related(
    interactions: Interactions, tastes: Tastes, weights: EventWeights, config: RelatedConfig | None, threads: int
) -> tuple[Related, dict[str, dict[str, Any]]]:
    """The lists of all items, and per list its settings and what fitting it found.

    Parameters
    ----------
    tastes : of the interactions, before fading.
    weights : which kinds carry taste.
    config : None for empty lists.
    threads : 1 or more; does not change the result.
    """
    if config is None:
        nothing = ItemItem.nothing(len(interactions.items))
        return Related(None, nothing, nothing), {}
    together = fit_together(interactions, weights, config.together, threads)
    after = fit_after(interactions, weights, config.after, threads)
    found = {
        _TOGETHER: asdict(config.together)
        | {"pairs": len(together.neighbours.neighbour), "over": "baskets" if together.baskets else "histories"},
        _AFTER: asdict(config.after) | {"pairs": len(after.neighbour)},
    }
    if config.similar is None:
        return Related(None, together.neighbours, after), found
    similar = fit_similarity(tastes, config.similar, threads)
    found[_SIMILAR] = asdict(config.similar) | {"pairs": len(similar.neighbour)}
    return Related(similar, together.neighbours, after), found
