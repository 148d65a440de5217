"""The one file in which a shop says what its lists show."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, tzinfo
from pathlib import Path

from recsys.errors import InputError
from recsys.experiments import Experiment, experiments_from
from recsys.recommend.filters import Filter
from recsys.recommend.placement import DEFAULT_PLACEMENT, Placement
from recsys.recommend.placements.dates import in_zone, zone_of
from recsys.recommend.placements.faults import Fault, Faults, PlacementsFileError, Section, one_of, shown
from recsys.recommend.placements.rules import Check, SavedFilter, Surroundings, checked, placement_of
from recsys.recommend.placements.words import A_NAME, MOST_CHARACTERS_OF_A_FILTER, NAME, SECTIONS

MOST_CHARACTERS = 200_000
"""Of a file. Reading all that are allowed takes about a second."""

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class PlacementsFile:
    """What a file says.

    Attributes
    ----------
    placements : by name; `default` is always there.
    filters : the expressions that are saved, by name.
    experiments : in the order of the file.
    source, text : the file's name and content.
    """

    placements: Mapping[str, Placement]
    filters: Mapping[str, str]
    experiments: tuple[Experiment, ...]
    source: str = ""
    text: str = ""

    @property
    def bundles(self) -> frozenset[str]:
        """The ids of the bundles that arms of experiments answer from."""
        arms = (arm for experiment in self.experiments for arm in experiment.arms)
        return frozenset(arm.bundle for arm in arms if arm.bundle is not None)

    def placement(self, name: str) -> Placement:
        """The placement with this name; InputError where there is none."""
        if name not in self.placements:
            raise InputError(f"there is no placement {name!r}", expected=one_of(self.placements, name))
        return self.placements[name]


BUILT_IN = PlacementsFile({DEFAULT_PLACEMENT.name: DEFAULT_PLACEMENT}, {}, (), "built-in")
"""What is in force where nothing was published."""


def read_placements(
    text: str,
    source: str,
    *,
    check: Check = Filter,
    bundles: Collection[str] | None = None,
    now: int | None = None,
) -> PlacementsFile:
    """What a file of placements says.

    Parameters
    ----------
    text : its content, TOML.
    source : its name, for messages.
    check : called with every filter; raises InputError for one that does not fit. By itself a filter is only parsed.
    bundles : the ids that arms of experiments may name; None does not check them.
    now : milliseconds UTC; pins and boosts that are over by then are faults. None lets them pass, for a file that was
        published when they were not.

    Raises PlacementsFileError with all faults of the file and their lines.
    """
    faults = Faults()
    file = Section(parsed_toml(text, source), (), faults)
    file.has_only(SECTIONS)
    filters = _filters(file, check)
    around = Surroundings(filters, check, zone_of(file), now)
    placements = {DEFAULT_PLACEMENT.name: DEFAULT_PLACEMENT}
    for name, section in _named(file, "placements").items():
        placements[name] = placement_of(name, section, around)
    experiments = _experiments(file, placements, bundles, around.zone)
    faults.raise_any(source, text)
    expressions = {name: saved.text for name, saved in filters.items()}
    return PlacementsFile(placements, expressions, experiments, source, text)


def placements_text(path: Path) -> str:
    """The content of a file of placements; InputError where it cannot be read."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", expected="a TOML file in UTF-8") from error


def parsed_toml(
    text: str, source: str, error: type[PlacementsFileError] = PlacementsFileError, page: str = "docs/placements.md"
) -> Mapping[str, object]:
    """What a TOML text says; raises `error`, with the line, for one that is none. `page` tells what belongs in it."""
    if len(text) > MOST_CHARACTERS:
        whole = f"the file has {len(text):,} characters"
        raise error(source, [Fault(1, "", whole, f"at most {MOST_CHARACTERS:,}")])
    try:
        return tomllib.loads(text)
    except RecursionError as problem:
        raise error(source, [Fault(1, "", "tables or lists in too many others", "TOML")]) from problem
    except ValueError as problem:  # Of TOML, and of numbers with thousands of digits.
        at = _AT.search(str(problem))
        line = int(at[1]) if at and at[1] else text.count("\n") + 1 if at else 1
        found = f"{_AT.sub('', str(problem))}{f' in column {at[2]}' if at and at[2] else ''}"
        raise error(source, [Fault(line, "", found, f"TOML, see {page}")]) from problem


def _named(file: Section, key: str) -> dict[str, Section]:
    """The tables in a table, by name."""
    outer = file.section(key)
    found: dict[str, Section] = {}
    if outer is None:
        return found
    for name in outer.values:
        if not NAME.fullmatch(name):
            outer.fault(name, shown(name), A_NAME)
        section = outer.section(name)
        if section is not None:
            found[name] = section
    return found


def _filters(file: Section, check: Check) -> dict[str, SavedFilter]:
    """The saved expressions."""
    section = file.section("filters")
    found: dict[str, SavedFilter] = {}
    if section is None:
        return found
    for name in section.values:
        if not NAME.fullmatch(name):
            section.fault(name, shown(name), A_NAME)
        text = section.text(name, MOST_CHARACTERS_OF_A_FILTER)
        saved = None if text is None else checked(section, name, text, check)
        # One that does not fit is there all the same: whoever uses it is not told that it is missing.
        found[name] = saved or SavedFilter("")
    return found


def _experiments(
    file: Section, placements: Collection[str], bundles: Collection[str] | None, zone: tzinfo
) -> tuple[Experiment, ...]:
    """The experiments, each alone first: then every one of them can say what is wrong with it."""
    tables = {
        name: {key: in_zone(value, zone) if isinstance(value, date) else value for key, value in section.values.items()}
        for name, section in _named(file, "experiments").items()
        if NAME.fullmatch(name)
    }
    before = len(file.faults.found)
    for said in ({name: table} for name, table in tables.items()):
        _experiments_from(file, said, placements, bundles)
    return _experiments_from(file, tables, placements, bundles) if len(file.faults.found) == before else ()


def _experiments_from(
    file: Section, tables: Mapping[str, object], placements: Collection[str], bundles: Collection[str] | None
) -> tuple[Experiment, ...]:
    try:
        return experiments_from(tables, placements, bundles)
    except InputError as error:
        # It begins with the key, as `experiments.winter.arms`.
        key, _, found = error.found.partition(": ")
        file.faults.add(tuple(key.split(".")), found, error.expected)
        return ()
