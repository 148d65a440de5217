"""Finished stages of a training run on disk, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import orjson

from recsys.durable import file_sha256, write_array, write_file
from recsys.errors import InputError

Arrays = dict[str, npt.NDArray[np.generic]]

_RECORD = "stage.json"
_LOCK = ".lock"
_KEY = re.compile("[0-9a-f]{32}")


class TrainingUnderWayError(InputError):
    """Another process trains for the same shop."""


class Keeping(Protocol):
    """What fitting hands its stages to."""

    def stage(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of a stage, computed now or before."""
        ...


class Unkept:
    """Nothing is kept: a run that is stopped starts anew."""

    def stage(self, name: str, compute: Callable[[], Arrays]) -> Arrays:  # noqa: ARG002 - the protocol's
        """See `Keeping`."""
        return compute()


@contextmanager
def training_alone(folder: Path) -> Iterator[None]:
    """Nobody else trains with this folder meanwhile; TrainingUnderWayError when somebody does, InputError
    when it cannot be written."""
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("w")
    with lock:
        with _told(folder):
            _take(lock.fileno(), folder)
        yield


class Checkpoints:
    """The stages of the one run that a folder is for. A run with another key finds nothing of it.

    What decides the result of a stage must be in the key: data, configuration, seed, software. What is read back is
    checked against its hash, and computed again when it is damaged. One process at a time: see `training_alone`.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._own = folder / key

    @classmethod
    def of(cls, folder: Path, described: Mapping[str, object]) -> Self:
        """The checkpoints in `folder` of the run that `described` describes (JSON, with sorted keys, decides).

        Those of other runs are removed: only what was stopped last is gone on with. What else lies there is left alone.
        Raises InputError when the folder cannot be written.
        """
        key = hashlib.sha256(orjson.dumps(described, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
        with _told(folder):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.name != key and _KEY.fullmatch(path.name) and path.is_dir():
                    shutil.rmtree(path)
        return cls(folder, key)

    def stage(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of a finished stage: those on disk when there are any, else computed now and kept.

        Arrays that are read back are mapped into memory and must not be changed.
        """
        there = self._read(name)
        if there is not None:
            return there
        arrays = compute()
        self._write(name, arrays)
        return arrays

    def clear(self) -> None:
        """Removes the run's stages: its result is published and needs them no more."""
        shutil.rmtree(self._own, ignore_errors=True)

    def _read(self, name: str) -> Arrays | None:
        stage = self._own / name
        arrays: Arrays = {}
        try:
            for array_name, told in orjson.loads((stage / _RECORD).read_bytes()).items():
                path = stage / f"{array_name}.npy"
                if file_sha256(path) != told["sha256"]:
                    return None
                # An array without entries cannot be mapped.
                arrays[array_name] = np.load(path, allow_pickle=False, mmap_mode=None if told["empty"] else "r")
        except (OSError, ValueError, KeyError):
            # Not there, cut off or damaged: it is computed again, as it would be without any checkpoint.
            return None
        return arrays

    def _write(self, name: str, arrays: Arrays) -> None:
        unfinished, final = self._own / f".{name}", self._own / name
        record = {}
        with _told(self._folder):
            for path in (unfinished, final):
                shutil.rmtree(path, ignore_errors=True)
            unfinished.mkdir(parents=True)
            for array_name, array in arrays.items():
                path = unfinished / f"{array_name}.npy"
                write_array(path, array)
                record[array_name] = {"sha256": file_sha256(path), "empty": array.size == 0}
            write_file(unfinished / _RECORD, orjson.dumps(record))
            unfinished.rename(final)


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TrainingUnderWayError(
            f"another process is training with {folder}", expected="one at a time", remedy="wait for it to end"
        ) from None


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"what training has finished cannot be kept in {folder}: {error}",
            expected="a folder with room that this user may write",
            remedy="free space on that disk, then train again: it goes on where it was",
        ) from error
