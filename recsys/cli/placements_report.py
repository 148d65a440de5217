"""How `bookmatch placements` shows what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import orjson
from rich.console import Console
from rich.table import Table

from recsys.cli.text import utc, verbatim
from recsys.recommend.arrangement import PINNED
from recsys.recommend.placed import Placed
from recsys.recommend.placements import Fault, PlacementVersion
from recsys.recommend.placements.comparing import Change
from recsys.recommend.placements.trial import Compared


def _json(document: object) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def checked_json(file: str, customers: int, faults: Sequence[Fault]) -> str:
    """Whether a file fits, and all that does not."""
    return _json({"file": file, "ok": not faults, "customers": customers, "faults": [asdict(each) for each in faults]})


def changes_json(changes: Sequence[Change]) -> str:
    """Every difference."""
    return _json([asdict(change) for change in changes])


def print_changes(console: Console, changes: Sequence[Change], title: str) -> None:
    """Rule by rule."""
    if not changes:
        console.print(verbatim(f"nothing differs {title}"))
        return
    table = Table("", "where", "rule", "before", "after", title=title, title_justify="left")
    for change in changes:
        sign = "+" if change.before is None else "−" if change.after is None else "~"
        rule = change.rule or ("(new)" if change.before is None else "(gone)")
        table.add_row(*map(verbatim, [sign, change.where, rule, change.before or "–", change.after or "–"]))
    console.print(table)


def preview_json(pairs: Sequence[Compared], titles: Mapping[str, str]) -> str:
    """Both lists of each customer, as answers."""
    lists = [
        {
            "placement": pair.placement,
            "customer_id": pair.customer_id,
            "before": _list_json(pair.before),
            "after": _list_json(pair.after),
        }
        for pair in pairs
    ]
    return _json({"lists": lists, "titles": titles})


def _list_json(found: Placed | None) -> dict[str, object] | None:
    return None if found is None else asdict(found.answer) | {"moved": dict(found.moved)}


def print_preview(console: Console, pairs: Sequence[Compared], titles: Mapping[str, str]) -> None:
    """Both lists of each customer side by side, and what the rules removed."""
    if not pairs:
        console.print("no placement's rules change")
    for pair in pairs:
        who = f"customer {pair.customer_id}" if pair.customer_id else "somebody of whom nothing is known"
        table = Table("", "before", "after", "", title=f"{pair.placement}, {who}", title_justify="left")
        before, after = _ids(pair.before), _ids(pair.after)
        for place in range(max(len(before), len(after))):
            cells = [titles.get(each[place], each[place]) if place < len(each) else "" for each in (before, after)]
            moved = _moved(before, after[place], place) if place < len(after) and pair.before is not None else ""
            table.add_row(*map(verbatim, [str(place + 1), *cells, moved]))
        console.print(table)
        for name, found in (("before", pair.before), ("after", pair.after)):
            if found is not None:
                console.print(verbatim(f"{name}: {_did(found)}"))


def _ids(found: Placed | None) -> list[str]:
    return [] if found is None else [item.item_id for item in found.answer.items]


def _moved(before: Sequence[str], item_id: str, place: int) -> str:
    """Where an item was."""
    if item_id not in before:
        return "new"
    was = before.index(item_id)
    return "" if was == place else f"was {was + 1}"


def _did(found: Placed) -> str:
    """What the rules did."""
    answer = found.answer
    removed = ", ".join(f"{rule} {count:,}" for rule, count in answer.masked.items() if count)
    parts = [f"left out: {removed or 'nothing'}", *(f"{rule}: {count}" for rule, count in found.moved.items())]
    reasons = [item.reason.code for item in answer.items if item.reason.code not in ("history", PINNED)]
    parts += [f"{code.replace('_', ' ')}: {reasons.count(code)}" for code in dict.fromkeys(reasons)]
    return "; ".join([*parts, *([answer.short] if answer.short else [])])


def versions_json(versions: Sequence[PlacementVersion]) -> str:
    """Every record, and which version is in force."""
    last = versions[-1].number if versions else None
    return _json([asdict(version) | {"in_force": version.number == last} for version in versions])


def print_versions(console: Console, versions: Sequence[PlacementVersion]) -> None:
    """For people."""
    table = Table("", "version", "when (UTC)", "by", "why", "")
    for version in versions:
        mark = "▶" if version is versions[-1] else ""
        notes = [f"version {version.rolled_back_to} again"] if version.rolled_back_to else []
        notes += ["although the check refused it"] if version.forced else []
        cells = [mark, str(version.number), utc(version.at), version.by, version.why, ", ".join(notes)]
        table.add_row(*map(verbatim, cells))
    console.print(table)


def version_json(version: PlacementVersion, text: str) -> str:
    """A version's record and file."""
    return _json(asdict(version) | {"text": text})
