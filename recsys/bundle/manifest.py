"""What a bundle says about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recsys.data.signals import EventWeights
from recsys.durable import file_blake3, file_sha256
from recsys.models.blend import BlendWeights

FORMAT_VERSION = 5
"""Raised when a bundle written by one version cannot be read by an older one."""

READABLE = (4, FORMAT_VERSION)
"""The formats that this version reads: 4 is the same but for SHA-256 in place of BLAKE3."""

HASHES: Mapping[str, Callable[[Path], str]] = {"blake3": file_blake3, "sha256": file_sha256}
"""What an array's file is verified by, by the name that its hash has in the manifest; the first is written."""


@dataclass(frozen=True, slots=True)
class ArrayEntry:
    """One array file of a bundle: type and shape as NumPy writes them, and the file's hash, one of `HASHES`."""

    dtype: str
    shape: tuple[int, ...]
    algorithm: str
    hash: str

    @classmethod
    def of(cls, array: npt.NDArray[np.generic], path: Path) -> Self:
        """That of an array that was written to a file."""
        algorithm, hashed = next(iter(HASHES.items()))
        return cls(array.dtype.str, array.shape, algorithm, hashed(path))

    def fits(self, path: Path) -> bool:
        """Whether the file is what was written. Raises OSError."""
        return HASHES[self.algorithm](path) == self.hash


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
                name: {"dtype": entry.dtype, "shape": list(entry.shape), entry.algorithm: entry.hash}
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
                name: ArrayEntry(entry["dtype"], tuple(entry["shape"]), *_hash_in(entry))
                for name, entry in data["arrays"].items()
            },
        )


def _hash_in(entry: Mapping[str, Any]) -> tuple[str, str]:
    """By what, and what. Raises KeyError where there is none."""
    for algorithm in HASHES:
        if algorithm in entry:
            return algorithm, entry[algorithm]
    raise KeyError(" or ".join(HASHES))
