"""Everything that is wrong with a file of placements, told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from recsys.errors import InputError
from recsys.recommend.placements.lines import KeyPath, Lines


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not fit.

    Attributes
    ----------
    line : of the file, from 1.
    field : where in the file, such as `placements.home.pins[0].slot`.
    found, expected : as of an error.
    """

    line: int
    field: str
    found: str
    expected: str


MOST_TOLD = 100
"""So many faults are in the message, the first ones."""


class PlacementsFileError(InputError):
    """A file of placements has faults; nothing of it is taken.

    Attributes
    ----------
    source : the file's name.
    faults : all of them, in the order of the lines.
    """

    REMEDY = "correct the file; what was in force before stays"

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.source = source
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line, fault.field)))
        told = [f"{source}, line {fault.line}: {_told(fault)}" for fault in self.faults]
        if len(told) > MOST_TOLD:
            told[MOST_TOLD:] = [f"and {len(told) - MOST_TOLD:,} more"]
        super().__init__("\n".join(told), remedy=self.REMEDY)


class EmptyListsError(PlacementsFileError):
    """A file of placements has no fault but that it would empty lists."""


def _told(fault: Fault) -> str:
    where = f"{fault.field}: " if fault.field else ""
    return f"{where}{fault.found}{f'; expected {fault.expected}' if fault.expected else ''}"


class Faults:
    """The faults found so far."""

    def __init__(self) -> None:
        self.found: list[tuple[KeyPath, str, str]] = []

    def add(self, path: KeyPath, found: str, expected: str = "") -> None:
        """One more, at a value of the file."""
        self.found.append((path, found, expected))

    def raise_any(self, source: str, text: str, error: type[PlacementsFileError] = PlacementsFileError) -> None:
        """Raises the error, with all of them, where there is a fault."""
        if self.found:
            lines = Lines(text)
            raise error(source, [Fault(lines.of(path), spelled_path(path), *rest) for path, *rest in self.found])


def spelled_path(path: KeyPath) -> str:
    """The path as people write it: `placements.home.pins[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def one_of(names: Iterable[str], found: str = "") -> str:
    """What there is, that which looks most like what was found first."""
    ordered = sorted(names)
    near = get_close_matches(found[:80], ordered, n=1)
    return f"one of {', '.join([*near, *(name for name in ordered if name not in near)])}" if ordered else "none"


class Section:
    """A table of the file. Every method that does not find what it expects notes a fault and returns None.

    Attributes
    ----------
    values : what the table says.
    path : where it stands.
    faults : where faults are noted.
    """

    def __init__(self, values: Mapping[str, object], path: KeyPath, faults: Faults) -> None:
        self.values = values
        self.path = path
        self.faults = faults

    def fault(self, key: str | None, found: str, expected: str = "") -> None:
        """Notes a fault of one value, or of the table."""
        self.faults.add(self.path if key is None else (*self.path, key), found, expected)

    def has_only(self, keys: Iterable[str], required: Iterable[str] = ()) -> None:
        """Refuses keys that mean nothing, and misses those that are needed."""
        known = list(keys)
        for key in self.values:
            if key not in known:
                self.fault(key, f"there is no {key!r} here", one_of(known, key))
        for key in required:
            if key not in self.values:
                self.fault(None, f"`{key}` is missing")

    def number(self, key: str, expected: str, *, least: float, most: float, above: bool = False) -> float | None:
        """A number from `least` (not itself, where `above`) to `most`."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._unfit(key, value, expected)
            return None
        if not least <= value <= most or (above and value == least):  # Not a number is in no range.
            self._unfit(key, value, expected)
            return None
        return float(value)

    def whole(self, key: str, *, least: int, most: int) -> int | None:
        """A whole number from `least` to `most`."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._unfit(key, value, f"a whole number from {least} to {most:,}")
            return None
        return value

    def text(self, key: str, most: int) -> str | None:
        """A text of 1 to `most` characters."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not 1 <= len(value) <= most:
            self._unfit(key, value, f"a text of 1 to {most} characters")
            return None
        return value

    def choice(self, key: str, names: Iterable[str]) -> str | None:
        """One of these names."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or value not in names:
            self._unfit(key, value, one_of(names, value if isinstance(value, str) else ""))
            return None
        return value

    def choices(self, key: str, names: Iterable[str]) -> tuple[str, ...] | None:
        """A list of these names, none twice."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            self._unfit(key, value, f"a list, each {one_of(names)}")
            return None
        fit = True
        for number, name in enumerate(value):
            if not isinstance(name, str) or name not in names:
                expected = one_of(names, name if isinstance(name, str) else "")
                self.faults.add((*self.path, key, number), shown(name), expected)
                fit = False
            elif name in value[:number]:
                self.faults.add((*self.path, key, number), f"{name} stands there twice", "each name once")
                fit = False
        return tuple(value) if fit else None

    def section(self, key: str) -> Section | None:
        """A table in this one."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self._unfit(key, value, "a table")
            return None
        return Section(value, (*self.path, key), self.faults)

    def sections(self, key: str, most: int) -> list[Section]:
        """A list of at most so many tables."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or len(value) > most:
            found = f"{len(value):,} tables" if isinstance(value, list) else value
            self._unfit(key, found, f"a list of at most {most} tables, such as [{{ … }}, {{ … }}]")
            return []
        sections = []
        for number, element in enumerate(value):
            path = (*self.path, key, number)
            if isinstance(element, dict):
                sections.append(Section(element, path, self.faults))
            else:
                self.faults.add(path, shown(element), "a table: { … }")
        return sections

    def _unfit(self, key: str, value: object, expected: str) -> None:
        self.fault(key, shown(value), expected)


def shown(value: object) -> str:
    """A value in a message: short, whatever the file holds."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**18:
        return "a very large number"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"found {text if len(text) <= 80 else text[:77] + '…'}"
