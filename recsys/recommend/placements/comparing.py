"""What differs between two files of placements, rule by rule."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.recommend.placements.reading import PlacementsFile
from recsys.recommend.placements.spelling import experiment_rules, spelled, text_of


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that one file says and the other does not, or says otherwise.

    Attributes
    ----------
    where : the table, such as `placements.home`.
    rule : the key; None for the table itself, where only one of the files has it.
    before, after : what each says, as TOML; None where it says nothing.
    """

    where: str
    rule: str | None
    before: str | None
    after: str | None


def changes(before: PlacementsFile, after: PlacementsFile) -> list[Change]:
    """All differences, by table; none between files whose lists and experiments are the same. Filters are compared as
    expressions, whether they are saved or not, and dates as moments."""
    old, new = _tables(before), _tables(after)
    found = []
    for where in sorted({*old, *new}):
        if where not in old or where not in new:
            found.append(Change(where, None, None if where not in old else "", None if where not in new else ""))
        was, is_now = old.get(where, {}), new.get(where, {})
        found += [
            Change(where, rule, was.get(rule), is_now.get(rule))
            for rule in dict.fromkeys((*was, *is_now))
            if was.get(rule) != is_now.get(rule)
        ]
    return found


def changed_placements(before: PlacementsFile, after: PlacementsFile) -> list[str]:
    """The names of the placements that are new, or whose rules are others; those that are gone are not among them."""
    return [
        name
        for name, placement in after.placements.items()
        if name not in before.placements or before.placements[name].version != placement.version
    ]


def _tables(file: PlacementsFile) -> dict[str, dict[str, str]]:
    saved = {name: text_of(expression) for name, expression in file.filters.items()}
    return (
        ({"filters": saved} if saved else {})
        | {f"placements.{name}": spelled(placement) for name, placement in file.placements.items()}
        | {f"experiments.{each.name}": experiment_rules(each) for each in file.experiments}
    )
