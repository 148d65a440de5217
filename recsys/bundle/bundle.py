"""A set of fitted models as one value, and how it lies on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import orjson

from recsys.bundle.manifest import READABLE, ArrayEntry, Manifest
from recsys.data.vocabulary import Vocabulary
from recsys.durable import sync, write_array, write_file
from recsys.errors import BundleError
from recsys.models.als import ALS
from recsys.models.content import Content
from recsys.models.interest import Interest
from recsys.models.item_item import ItemItem
from recsys.models.popularity import Popularity
from recsys.models.related import Related
from recsys.models.relevance import Relevance
from recsys.models.repeat import Repeat
from recsys.models.spectral import Spectral

MANIFEST = "manifest.json"
BUILD = "build.json"
ARRAYS = "arrays"
_RP3BETA = "rp3beta"
_REMEDY = "publish again with `bookmatch train`, or go back with `bookmatch models rollback`"

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class ModelBundle:
    """Everything that answering needs, except the customer's history and the catalogue.

    Attributes
    ----------
    bundle_id : the first 16 hexadecimal digits of the SHA-256 of `manifest.json`, which holds the arrays' hashes.
    manifest : what it says about itself.
    items : the ids of the items; position `i` is row `i` of every model.
    popularity, item_item, als, spectral, rp3beta, content, repeat : the sources. Spectral and rp3beta are empty where
        they do not count.
    interest : what customers turned to on which day, for lists over a window.
    related : the lists that items' pages show.
    relevance : from scores to probabilities; None where the shop's data cannot tell, as the manifest says.
    """

    bundle_id: str
    manifest: Manifest
    items: Vocabulary
    popularity: Popularity
    interest: Interest
    item_item: ItemItem
    als: ALS
    spectral: Spectral
    rp3beta: ItemItem
    content: Content
    repeat: Repeat
    related: Related
    relevance: Relevance | None


class Stored(Protocol):
    """A fitted model that a bundle can hold."""

    def arrays(self) -> Arrays:
        """Its arrays by name; names of different models differ."""
        ...


def bundle_arrays(items: Vocabulary, models: Iterable[Stored], rp3beta: ItemItem) -> Arrays:
    """The arrays of a bundle by name, as they are stored."""
    arrays: Arrays = {"items.text": items.text, "items.offsets": items.offsets}
    arrays.update(rp3beta.arrays(_RP3BETA))
    for model in models:
        arrays.update(model.arrays())
    return arrays


def _array_path(folder: Path, name: str) -> Path:
    return folder / ARRAYS / f"{name}.npy"


def write_bundle(folder: Path, manifest: Manifest, arrays: Arrays, build: Mapping[str, object]) -> str:
    """Writes a bundle into a new folder, every file flushed to disk, and returns its id.

    `manifest.arrays` is filled in here. `build` (when, where, how long) stands beside the manifest and is no part of
    the id, so that the same data, configuration and seed give the same id.
    """
    (folder / ARRAYS).mkdir(parents=True)
    entries = {}
    for name, array in sorted(arrays.items()):
        path = _array_path(folder, name)
        write_array(path, array)
        entries[name] = ArrayEntry.of(array, path)
    content = orjson.dumps(
        replace(manifest, arrays=entries).to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    )
    write_file(folder / MANIFEST, content)
    write_file(folder / BUILD, orjson.dumps(build, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
    sync(folder / ARRAYS)
    sync(folder)
    return hashlib.sha256(content).hexdigest()[:16]


def read_manifest(folder: Path) -> tuple[str, Manifest]:
    """The id and manifest of the bundle in a folder; BundleError when it is missing, damaged or too new."""
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
        data = orjson.loads(content)
        found = data["format_version"]
        if found in READABLE:
            return hashlib.sha256(content).hexdigest()[:16], Manifest.from_json(data)
    except FileNotFoundError:
        raise BundleError(f"there is no bundle at {folder}", remedy=_REMEDY) from None
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{path} cannot be read: {error!r}", expected="a bundle's manifest", remedy=_REMEDY
        ) from error
    raise BundleError(
        f"{path} has format version {found}",
        expected=f"format version {' or '.join(map(str, READABLE))}",
        remedy="use the version of Bookmatch that wrote it, or train again with this one",
    )


def _read_array(folder: Path, name: str, entry: ArrayEntry) -> npt.NDArray[np.generic]:
    path = _array_path(folder, name)
    try:
        if not entry.fits(path):
            raise BundleError(f"{path} is damaged: its {entry.algorithm} is not the manifest's", remedy=_REMEDY)
        array = np.load(path, mmap_mode=None if 0 in entry.shape else "c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}", remedy=_REMEDY) from error
    if array.dtype.str != entry.dtype or array.shape != entry.shape:
        raise BundleError(
            f"{path} holds {array.dtype.str} of shape {array.shape}",
            expected=f"{entry.dtype} of shape {entry.shape}, as the manifest says",
            remedy=_REMEDY,
        )
    return np.asarray(array)


def assembled(bundle_id: str, manifest: Manifest, arrays: Arrays) -> ModelBundle:
    """The bundle of these arrays, wherever they lie; BundleError when one is missing."""
    try:
        return ModelBundle(
            bundle_id=bundle_id,
            manifest=manifest,
            items=Vocabulary(arrays["items.text"].view(np.uint8), arrays["items.offsets"].view(np.int64)),
            popularity=Popularity.from_arrays(arrays),
            interest=Interest.from_arrays(arrays),
            item_item=ItemItem.from_arrays(arrays),
            als=ALS.from_arrays(arrays, float(manifest.models["als"]["alpha"])),
            spectral=Spectral.from_arrays(arrays),
            rp3beta=ItemItem.from_arrays(arrays, _RP3BETA),
            content=Content.from_arrays(arrays),
            repeat=Repeat.from_arrays(arrays, manifest.models["repeat"]["kinds"]),
            related=Related.from_arrays(arrays),
            relevance=None if "cause" in manifest.relevance else Relevance.from_arrays(arrays, manifest.relevance),
        )
    except KeyError as error:
        raise BundleError(f"the bundle {bundle_id} has no array {error}", remedy=_REMEDY) from error


def read_bundle(folder: Path, expected_id: str) -> ModelBundle:
    """Verifies every hash and maps the arrays into memory; BundleError when anything does not fit."""
    found_id, manifest = read_manifest(folder)
    if found_id != expected_id:
        raise BundleError(f"the manifest in {folder} has id {found_id}", expected=expected_id, remedy=_REMEDY)
    arrays = {name: _read_array(folder, name, entry) for name, entry in manifest.arrays.items()}
    return assembled(found_id, manifest, arrays)
