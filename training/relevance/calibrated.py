"""What training found of relevance: the curves and how well they are calibrated, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from recsys.models.relevance import Relevance


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Relevance and what the manifest says of it.

    Attributes
    ----------
    relevance : None where the data cannot tell.
    report : its `kinds` and `days`, what it was learned from and how well it is calibrated; or `cause` alone.
    """

    relevance: Relevance | None
    report: Mapping[str, Any]

    @classmethod
    def unknown(cls, cause: str) -> Self:
        """No relevance, and why."""
        return cls(None, {"cause": cause})

    def to_json(self) -> dict[str, Any]:
        """As a record holds it; numbers come back as they were."""
        arrays = {} if self.relevance is None else self.relevance.arrays()
        return {"report": dict(self.report), "arrays": {name: array.tolist() for name, array in arrays.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave; AttributeError, LookupError, TypeError, ValueError or OverflowError for what is not."""
        report = dict(data["report"])
        if "cause" in report:
            return cls(None, report)
        whole = ("relevance.lengths", "relevance.start")
        arrays = {
            name: np.array(values, dtype=np.int64 if name in whole else np.float64)
            for name, values in data["arrays"].items()
        }
        return cls(Relevance.from_arrays(arrays, report), report)
