"""How much each source's word counts, by the length of the history it speaks about."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recsys.errors import InputError

LENGTHS = (4, 8, 16)
"""Histories of fewer items than the first, fewer than the second … have weights of their own."""


@dataclass(frozen=True, slots=True)
class BlendWeights:
    """The weight of each source per class of history length. Stands in every bundle's manifest.

    Attributes
    ----------
    lengths : ascending; a history of n items is in class `bisect_right(lengths, n)`.
    weights : per source one weight of 0 or more per class, so one more than `lengths`; 0 costs nothing when answering.
    """

    lengths: Sequence[int]
    weights: Mapping[str, Sequence[float]]

    def __post_init__(self) -> None:
        for source, values in self.weights.items():
            if len(values) != len(self.lengths) + 1 or not all(np.isfinite(v) and v >= 0 for v in values):
                raise InputError(
                    f"the weights of {source} are {list(values)}",
                    expected=f"{len(self.lengths) + 1} numbers of 0 or more, one per class of history length",
                )
        for place in range(len(self.lengths) + 1):
            if not any(values[place] > 0 for values in self.weights.values()):
                raise InputError(
                    f"no source has a weight above 0 in class {place} of history length",
                    expected="at least one source that counts",
                )

    @classmethod
    def constant(cls, weights: Mapping[str, float]) -> Self:
        """The same weights whatever the length of the history."""
        return cls((), {source: (weight,) for source, weight in weights.items()})

    def counts(self, source: str) -> bool:
        """Whether a source has a weight above 0 for any history."""
        return any(weight > 0 for weight in self.weights.get(source, ()))

    def only(self, sources: Collection[str]) -> Self:
        """These sources alone, with their weights; where none of them has one, each counts 1."""
        own = {name: weights for name, weights in self.weights.items() if name in sources}
        rows = [{name: weights[place] for name, weights in own.items()} for place in range(len(self.lengths) + 1)]
        heard = [row if any(row.values()) else dict.fromkeys(sources, 1.0) for row in rows]
        return replace(self, weights={name: tuple(row.get(name, 0.0) for row in heard) for name in sorted(sources)})

    def of(self, items: int) -> dict[str, float]:
        """The sources that count for a history of so many items, with their weights, all above 0."""
        return {source: weight for source, weight in self.at(items).items() if weight > 0}

    def at(self, items: int) -> dict[str, float]:
        """As `of`, with the sources that do not count, at 0."""
        place = bisect_right(self.lengths, items)
        return {source: values[place] for source, values in self.weights.items()}

    def weight(self, source: str, items: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """The weight of a source for histories of so many items each: shape as `items`; 0 for an empty one."""
        own = np.array(self.weights.get(source, [0.0] * (len(self.lengths) + 1)), dtype=np.float64)
        return np.where(items > 0, own[np.searchsorted(self.lengths, items, side="right")], 0.0)

    def to_json(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {"lengths": list(self.lengths), "weights": {name: list(each) for name, each in self.weights.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(tuple(data["lengths"]), {name: tuple(each) for name, each in data["weights"].items()})
