"""What a bundle says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from recsys.data.signals import EventWeights
from recsys.models.blend import BlendWeights

FORMAT_VERSION = 4
"""Raised when a bundle written by one version cannot be read by an older one."""


@dataclass(frozen=True, slots=True)
class ArrayEntry:
    """One array file of a bundle: type and shape as NumPy writes them, and the file's SHA-256."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The first file of a bundle. The same data, configuration and seed give the same manifest, byte for byte.

    Attributes
    ----------
    format_version : what `FORMAT_VERSION` was.
    software : the project's version that wrote it.
    data : what was learned from: `fingerprint` (SHA-256 over the interactions), `customers`, `items`, `events`,
        `newest` (milliseconds UTC of the newest event, or None).
    event_weights : read by training and serving alike.
    blend : the weight of each named source in the blended score, by the length of the history.
    models : per source its settings and what fitting it found; a source that could not be fitted says why.
    tuning : how the settings were found: on what, with how many trials, what they bring; or that they are the shipped
        ones, and why.
    relevance : what relevance is the probability of (`kinds`, `days`), what it was learned from and how well it is
        calibrated; or why there is none (`cause`).
    seed : of everything random in training.
    arrays : per array name, what it is.
    """

    format_version: int
    software: str
    data: Mapping[str, Any]
    event_weights: EventWeights
    blend: BlendWeights
    models: Mapping[str, Mapping[str, Any]]
    tuning: Mapping[str, Any]
    relevance: Mapping[str, Any]
    seed: int
    arrays: Mapping[str, ArrayEntry]

    def to_json(self) -> dict[str, Any]:
        """As `manifest.json` holds it."""
        return {
            "format_version": self.format_version,
            "software": self.software,
            "data": dict(self.data),
            "event_weights": self.event_weights.to_json(),
            "blend": self.blend.to_json(),
            "models": {name: dict(entry) for name, entry in self.models.items()},
            "tuning": dict(self.tuning),
            "relevance": dict(self.relevance),
            "seed": self.seed,
            "arrays": {
                name: {"dtype": entry.dtype, "shape": list(entry.shape), "sha256": entry.sha256}
                for name, entry in sorted(self.arrays.items())
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(
            format_version=data["format_version"],
            software=data["software"],
            data=data["data"],
            event_weights=EventWeights.from_json(data["event_weights"]),
            blend=BlendWeights.from_json(data["blend"]),
            models=data["models"],
            tuning=data["tuning"],
            relevance=data["relevance"],
            seed=data["seed"],
            arrays={
                name: ArrayEntry(entry["dtype"], tuple(entry["shape"]), entry["sha256"])
                for name, entry in data["arrays"].items()
            },
        )
