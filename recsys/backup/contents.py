"""What a backup is: a folder, or the same as one tar file, with a list of its files and their hashes."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from secrets import token_hex

import orjson

from recsys.durable import file_sha256
from recsys.errors import InputError
from recsys.processes import runs

FORMAT = 1
"""Raised when a backup of one version cannot be restored by an older one."""

MANIFEST = "backup.json"
STORE = "store.db"
ARCHIVE = "store.db-archive"
PLACEMENTS = "placements"
EMAIL = "email"
MODELS = "models"
TAR = ".tar"

_AT_ONCE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class File:
    """One file of a backup."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What `backup.json` says.

    Attributes
    ----------
    format : what `FORMAT` was.
    software : the project's version that wrote it.
    at : when the copy began, milliseconds UTC; everything that was acknowledged before is in it.
    store_version : of the store in it.
    rows : of each table of the store.
    files : every other file, by its path in the backup.
    """

    format: int
    software: str
    at: int
    store_version: int
    rows: Mapping[str, int]
    files: Mapping[str, File]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files.values())

    def to_json(self) -> bytes:
        """As the file holds it."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)

    @classmethod
    def read(cls, folder: Path) -> Backup:
        """What the folder says; InputError when it is no backup, or one of a newer release."""
        path = folder / MANIFEST
        try:
            told = orjson.loads(path.read_bytes())
            if told["format"] == FORMAT:
                files = {name: File(**each) for name, each in told.pop("files").items()}
                return cls(**told, files=files)
            found = told["format"]
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{folder} is no backup: {path.name} cannot be read ({error!r})",
                expected="a folder or a tar file that `bookmatch backup` wrote to its end",
            ) from error
        raise InputError(
            f"the backup {folder} is of format {found}",
            expected=f"format {FORMAT}",
            remedy="restore it with the release that wrote it, or a newer one",
        )

    def check(self, folder: Path) -> None:
        """Reads every file again; InputError when one is missing, not in the list, or not as it was written."""
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
        odd = sorted(there ^ self.files.keys())
        if odd:
            state = "is missing" if odd[0] in self.files else "is not in its list"
            raise _damaged(folder, f"{odd[0]} {state}" + (f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""))
        for name, file in self.files.items():
            path = folder / name
            if path.stat().st_size != file.bytes or file_sha256(path) != file.sha256:
                raise _damaged(folder, f"{name} is not as it was written")


def copied(source: Path, target: Path) -> File:
    """Copies a file into a new one, flushed to the disk, and returns what was written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reading, target.open("xb") as writing:
        while piece := reading.read(_AT_ONCE):
            digest.update(piece)
            size += len(piece)
            writing.write(piece)
        writing.flush()
        os.fsync(writing.fileno())
    return File(size, digest.hexdigest())


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, for this user alone, that is gone when the block ends; so are those that processes
    left which were killed."""
    mark = f".{target.name}.unfinished-"
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in target.parent.glob(f"{mark}*"):
        pid = path.name.removeprefix(mark).partition("-")[0]
        if pid.isdigit() and not runs(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
    folder = target.parent / f"{mark}{os.getpid()}-{token_hex(4)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pack(folder: Path, target: Path) -> None:
    """Writes the folder's files into a tar file, flushed to the disk; the list of them first."""
    names = [MANIFEST, *sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())]
    with target.open("xb") as file:
        os.chmod(target, 0o600)  # noqa: PTH101 - as the folder
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name in dict.fromkeys(names):
                tar.add(folder / name, name)
        file.flush()
        os.fsync(file.fileno())


def unpack(source: Path, folder: Path) -> None:
    """Copies what is in a backup, a folder or a tar file, into an empty folder. Raises InputError."""
    try:
        if source.is_dir():
            for path in source.rglob("*"):
                if path.is_file():
                    copied(path, folder / path.relative_to(source))
            return
        with tarfile.open(source, "r") as tar:
            for member in tar:
                # Nothing but plain files below the folder: a backup holds nothing else.
                if not member.isfile() or ".." in PurePosixPath(member.name).parts:
                    raise InputError(f"{source} holds {member.name!r}, which is no plain file", expected="a backup")
                tar.extract(member, folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"the backup {source} cannot be read: {error}") from error


def _damaged(folder: Path, what: str) -> InputError:
    return InputError(f"the backup {folder} is damaged: {what}", remedy="use another backup")
