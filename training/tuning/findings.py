"""What a study found: settings, fading, popularity, the blend, and how to put them into a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from recsys.models.blend import BlendWeights
from recsys.models.popularity import PopularityConfig
from training.fitting import TrainingConfig
from training.relevance.calibrated import Calibrated
from training.tuning.space import Fading, Parameter, applied, faded, fading_from_json


@dataclass(frozen=True, slots=True)
class Findings:
    """All that tuning decides.

    Attributes
    ----------
    settings : by parameter of `space.parameters`; those that are missing stay as shipped.
    fading : as `space.fadings` has it; None as shipped.
    popularity_days : the half-life of popularity.
    blend : the weights of all sources.
    report : how it was found, as the manifest says it.
    relevance : of the lists that these settings make.
    """

    settings: Mapping[str, float]
    fading: Fading | None
    popularity_days: float
    blend: BlendWeights
    report: Mapping[str, Any]
    relevance: Calibrated

    def config(self, shipped: TrainingConfig, varied: tuple[Parameter, ...]) -> TrainingConfig:
        """The shipped configuration with what was found."""
        config = configured(shipped, varied, self.settings, self.fading)
        return replace(config, popularity=PopularityConfig(self.popularity_days), blend=self.blend)

    def to_json(self) -> dict[str, Any]:
        """As a record holds it."""
        return {
            "settings": dict(self.settings),
            "fading": None if self.fading is None else list(self.fading),
            "popularity_days": self.popularity_days,
            "blend": self.blend.to_json(),
            "report": dict(self.report),
            "relevance": self.relevance.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave; AttributeError, LookupError, TypeError, ValueError, OverflowError or InputError for
        anything else."""
        fading = data["fading"]
        return cls(
            {str(name): float(value) for name, value in data["settings"].items()},
            None if fading is None else fading_from_json(fading),
            float(data["popularity_days"]),
            BlendWeights.from_json(data["blend"]),
            dict(data["report"]),
            Calibrated.from_json(data["relevance"]),
        )


def configured(
    shipped: TrainingConfig, varied: tuple[Parameter, ...], settings: Mapping[str, float], fading: Fading | None
) -> TrainingConfig:
    """The shipped configuration with these settings and this fading."""
    config = applied(shipped, varied, settings)
    return config if fading is None else replace(config, event_weights=faded(config.event_weights, *fading))
