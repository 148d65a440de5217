"""The lists of finished configurations on disk, so that a sweep that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Final

import numpy as np
import orjson

from recsys.durable import file_sha256, write_array, write_file
from recsys.errors import InputError
from recsys.metrics.ranking import Ranked

_LISTS, _RECORD = "lists.npy", "record.json"
_UNFINISHED: Final = ".unfinished-"


@dataclass(frozen=True, slots=True)
class Listed:
    """One configuration's lists in one window.

    Attributes
    ----------
    ranked : int32, shape (customers, width).
    fit_seconds, list_seconds : what fitting took, and making all lists.
    """

    ranked: Ranked
    fit_seconds: float
    list_seconds: float


class KeptLists:
    """A folder with a folder for each finished list. What decides the lists is in their key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def key(described: Mapping[str, object]) -> str:
        """Of what `described` describes (JSON, with sorted keys, decides)."""
        return hashlib.sha256(orjson.dumps(described, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]

    def read(self, key: str) -> Listed | None:
        """What was kept; None where nothing was, or where it is damaged: then it is made again."""
        own = self.folder / key
        try:
            record = orjson.loads((own / _RECORD).read_bytes())
            if file_sha256(own / _LISTS) != record["sha256"]:
                return None
            ranked = np.load(own / _LISTS, allow_pickle=False)
            return Listed(ranked, float(record["fit_seconds"]), float(record["list_seconds"]))
        except (OSError, ValueError, KeyError):
            return None

    def write(self, key: str, listed: Listed, described: Mapping[str, object]) -> None:
        """Keeps lists, whole or not at all; InputError when the folder cannot be written."""
        unfinished, own = self.folder / f"{_UNFINISHED}{token_hex(4)}", self.folder / key
        try:
            unfinished.mkdir(parents=True)
            write_array(unfinished / _LISTS, listed.ranked)
            record = {
                "sha256": file_sha256(unfinished / _LISTS),
                "fit_seconds": listed.fit_seconds,
                "list_seconds": listed.list_seconds,
                "described": dict(described),
            }
            write_file(unfinished / _RECORD, orjson.dumps(record, option=orjson.OPT_INDENT_2))
            shutil.rmtree(own, ignore_errors=True)
            unfinished.rename(own)
        except OSError as error:
            raise InputError(
                f"what the sweep has finished cannot be kept in {self.folder}: {error}",
                expected="a folder with room that this user may write",
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
