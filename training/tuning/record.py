"""What studies found, in a shop's folder: so that an interrupted one goes on, and the next one starts from the last.

tuning/last.json             the last finished study
tuning/trials-<key>.jsonl    the trials of a study under way, one line each
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from recsys.durable import replace_file
from recsys.errors import InputError
from training.tuning.findings import Findings
from training.tuning.space import VERSION
from training.tuning.trials import Trial

_LAST = "last.json"


class Record(Protocol):
    """Where studies are kept."""

    def last(self) -> tuple[str, Findings] | None:
        """The key of the last finished study of this version of the space, and what it found."""
        ...

    def trials(self, key: str) -> list[Trial]:
        """The trials of an interrupted study, in order."""
        ...

    def add(self, key: str, trial: Trial) -> None:
        """One more trial; it survives a power cut."""
        ...

    def finish(self, key: str, found: Findings) -> None:
        """A study is over; what it found replaces the last one."""
        ...


class Unrecorded:
    """For evaluations: nothing is kept, every study starts from the shipped settings."""

    def last(self) -> tuple[str, Findings] | None:
        """See `Record`."""
        return None

    def trials(self, key: str) -> list[Trial]:  # noqa: ARG002 - the protocol's
        """See `Record`."""
        return []

    def add(self, key: str, trial: Trial) -> None:
        """See `Record`."""

    def finish(self, key: str, found: Findings) -> None:
        """See `Record`."""


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """A record in a folder, made when first written to."""

    folder: Path

    def last(self) -> tuple[str, Findings] | None:
        """See `Record`. What is damaged is as none: tuning then starts anew."""
        content = _read(self.folder / _LAST)
        try:
            stored = _unsealed(content)
            if stored["space"] != VERSION:
                return None
            return str(stored["key"]), Findings.from_json(stored["found"])
        except (orjson.JSONDecodeError, AttributeError, LookupError, TypeError, ValueError, OverflowError, InputError):
            return None

    def trials(self, key: str) -> list[Trial]:
        """See `Record`. A line that a stopped process left unfinished is dropped, and what follows it; so is one that
        is damaged or out of its place."""
        found: list[Trial] = []
        for line in _read(self._running(key)).splitlines():
            try:
                stored = _unsealed(line)
                if stored["number"] != len(found):
                    break
                found.append(Trial.from_json(stored["trial"]))
            except (orjson.JSONDecodeError, AttributeError, LookupError, TypeError, ValueError):
                break
        return found

    def add(self, key: str, trial: Trial) -> None:
        """See `Record`."""
        trials = (*self.trials(key), trial)
        lines = [_sealed({"number": number, "trial": each.to_json()}) for number, each in enumerate(trials)]
        _replace(self._running(key), b"\n".join(lines) + b"\n")

    def finish(self, key: str, found: Findings) -> None:
        """See `Record`."""
        content = {"key": key, "space": VERSION, "found": found.to_json()}
        _replace(self.folder / _LAST, _sealed(content, orjson.OPT_INDENT_2))
        with _told(self.folder):
            for path in self.folder.glob("*trials-*"):
                path.unlink()

    def _running(self, key: str) -> Path:
        return self.folder / f"trials-{key}.jsonl"


def key_of(content: Mapping[str, Any]) -> str:
    """A name for a study: the same for the same content, which holds only what JSON holds."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _sealed(content: Mapping[str, Any], option: int = 0) -> bytes:
    """The content as JSON with its SHA-256, so that what somebody or something changed is not believed."""
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return orjson.dumps({"sha256": digest, "content": content}, option=orjson.OPT_SORT_KEYS | option)


def _unsealed(line: bytes) -> dict[str, Any]:
    """What `_sealed` was given; ValueError, KeyError or TypeError for anything else."""
    stored = orjson.loads(line)
    content: dict[str, Any] = stored["content"]
    if hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest() != stored["sha256"]:
        raise ValueError("changed since it was written")
    return content


def _read(path: Path) -> bytes:
    """The content of a file, nothing where there is none."""
    with _told(path):
        return path.read_bytes() if path.exists() else b""


def _replace(path: Path, content: bytes) -> None:
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"what tuning found cannot be kept in {path}: {error}",
            expected="a folder with room that this user may read and write",
            remedy="free space on that disk or give that right, then train again: tuning goes on where it was",
        ) from error
