"""All published files of placements of a shop, which of them is in force, and the way back."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from recsys.durable import locked, replace_file, sync, write_file
from recsys.errors import InputError, PlacementsError
from recsys.recommend.placements.reading import BUILT_IN, PlacementsFile, read_placements

CURRENT = "current"
TEXT = "placements.toml"
RECORD = "record.json"
_UNFINISHED = ".unfinished-"
_MOST_OF_BY, _MOST_OF_WHY = 256, 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementVersion:
    """One published version of the file of placements, and who published it. Never changed.

    Attributes
    ----------
    number : from 1; numbers only grow.
    at : when, milliseconds UTC.
    by, why : who, and for what.
    sha256 : of the file's content, in hexadecimal.
    rolled_back_to : the earlier version whose content this is, or None.
    forced : whether it was published although the check refused it.
    """

    number: int
    at: int
    by: str
    why: str
    sha256: str
    rolled_back_to: int | None = None
    forced: bool = False


class PlacementRepository:
    """A folder with a folder for each version. `current` is one small file with the number of the version in force that
    is replaced as a whole: readers see the old state or the new one, and a crash leaves either."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def current_id(self) -> int | None:
        """The number of the version in force, None when nothing was published. Cheap: one small file is read."""
        path = self.folder / CURRENT
        try:
            return int(path.read_bytes())
        except FileNotFoundError:
            if (self.folder / "2").exists():
                raise self._lost("it is missing") from None
            return None
        except (OSError, ValueError) as error:
            raise self._lost(str(error)) from error

    def current(self) -> PlacementsFile:
        """What is in force: the built-in placements when nothing was published. Errors as of `read`."""
        number = self.current_id()
        return BUILT_IN if number is None else self.read(number)

    def versions(self) -> list[PlacementVersion]:
        """All that were ever in force, oldest first; the last one is. PlacementsError where a record is damaged."""
        return [self.version(number) for number in range(1, (self.current_id() or 0) + 1)]

    def version(self, number: int) -> PlacementVersion:
        """The record of one version; PlacementsError for one that is unknown or damaged."""
        path = self._known(number) / RECORD
        try:
            record = PlacementVersion(**orjson.loads(path.read_bytes()))
        except (OSError, orjson.JSONDecodeError, TypeError) as error:
            raise PlacementsError(f"{path} cannot be read: {error}", remedy=_ANOTHER) from error
        if record.number != number:
            raise PlacementsError(f"{path} is of version {record.number}", remedy=_ANOTHER)
        return record

    def text(self, number: int) -> str:
        """The file of one version as it was given; PlacementsError for one that is unknown or damaged."""
        path = self._known(number) / TEXT
        try:
            content = path.read_bytes()
            text = content.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise PlacementsError(f"{path} cannot be read: {error}", remedy=_ANOTHER) from error
        if hashlib.sha256(content).hexdigest() != self.version(number).sha256:
            raise PlacementsError(f"{path} is not what was published: its SHA-256 differs", remedy=_ANOTHER)
        return text

    def read(self, number: int) -> PlacementsFile:
        """What one version says; its pins and boosts may be over by now. PlacementsError for one that is unknown or
        damaged, PlacementsFileError for one that this software cannot read."""
        return read_placements(self.text(number), str(self.folder / str(number) / TEXT))

    def at(self, number: int) -> PlacementsFile:
        """The same; 0 is the built-in placements, which were in force before version 1."""
        return BUILT_IN if number == 0 else self.read(number)

    def publish(self, text: str, *, by: str, why: str, now: int, forced: bool = False) -> PlacementVersion:
        """Puts a file in force as a new version and returns its record; `now` in milliseconds UTC.

        Raises PlacementsFileError for a file with faults and InputError where `by` or `why` says nothing; what was in
        force stays then.
        """
        read_placements(text, "the file to publish", now=now)
        with self._locked():
            return self._put_in_force(text, by, why, now, None, forced)

    def roll_back(
        self, to: int | None = None, *, by: str, why: str, now: int, forced: bool = False
    ) -> PlacementVersion:
        """Puts the content of an earlier version in force again, as a new version, and returns its record.

        None is what was in force before; again, one further back. PlacementsError where there is nothing further back,
        or the version is unknown or damaged.
        """
        with self._locked():
            number = self.before() if to is None else to
            text = self.text(number)
            self.read(number)
            origin = self.version(number).rolled_back_to or number
            return self._put_in_force(text, by, why, now, origin, forced)

    def before(self) -> int:
        """The version to go back to: versions rolled back from are out of the way. PlacementsError without one."""
        stack: list[int] = []
        for version in self.versions():
            if version.rolled_back_to is None:
                stack.append(version.number)
            elif version.rolled_back_to in stack:
                del stack[stack.index(version.rolled_back_to) + 1 :]
            else:
                stack.append(version.rolled_back_to)
        if len(stack) < 2:
            raise PlacementsError(
                "there are no earlier placements to go back to",
                remedy="see `bookmatch placements list` for what there is",
            )
        return stack[-2]

    def _put_in_force(
        self, text: str, by: str, why: str, now: int, rolled_back_to: int | None, forced: bool
    ) -> PlacementVersion:
        content = text.encode()
        record = PlacementVersion(
            number=(self.current_id() or 0) + 1,
            at=now,
            by=_said(by, "who publishes it", _MOST_OF_BY),
            why=_said(why, "why it is published", _MOST_OF_WHY),
            sha256=hashlib.sha256(content).hexdigest(),
            rolled_back_to=rolled_back_to,
            forced=forced,
        )
        final = self.folder / str(record.number)
        # What a killed process left behind was never in force.
        for leftover in (*self.folder.glob(f"{_UNFINISHED}*"), *([final] if final.exists() else [])):
            shutil.rmtree(leftover)
        unfinished = self.folder / f"{_UNFINISHED}{secrets.token_hex(4)}"
        unfinished.mkdir()
        write_file(unfinished / TEXT, content)
        write_file(unfinished / RECORD, orjson.dumps(asdict(record), option=orjson.OPT_INDENT_2))
        sync(unfinished)
        unfinished.rename(final)
        sync(self.folder)
        replace_file(self.folder / CURRENT, f"{record.number}\n".encode())
        return record

    def _known(self, number: int) -> Path:
        current = self.current_id() or 0
        if not 1 <= number <= current:
            raise PlacementsError(
                f"there is no version {number} of the placements in {self.folder}",
                expected=f"1 to {current}" if current else "none was published yet",
                remedy="see `bookmatch placements list`",
            )
        return self.folder / str(number)

    def _lost(self, why: str) -> PlacementsError:
        return PlacementsError(
            f"{self.folder / CURRENT} cannot be read: {why}",
            expected="the number of the version in force",
            remedy=f"write it there: the names of the folders in {self.folder} are the numbers",
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One publisher at a time, over all processes of the machine; PlacementsError for what the disk refuses."""
        try:
            with locked(self.folder):
                yield
        except OSError as error:
            raise PlacementsError(
                f"placements cannot be written to {self.folder}: {error}",
                remedy="see that there is room and that the folder may be written; what was in force stays",
            ) from error


_ANOTHER = "put another version in force with `bookmatch placements roll-back N` or `publish`"


def _said(text: str, what: str, most: int) -> str:
    said = text.strip()
    if not 1 <= len(said) <= most:
        raise InputError(f"{len(said):,} characters that say {what}", expected=f"1 to {most:,}")
    try:
        said.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"what says {what} is no Unicode text") from error
    return said
