"""`report.md`: the answer and its tables as Markdown for a pull request, a few dozen lines."""

from __future__ import annotations

import re
from collections.abc import Mapping

from training.evaluation.report import tables, words
from training.evaluation.report.answer import Answer, answers
from training.evaluation.report.recorded import Recorded, Track
from training.evaluation.report.tables import Table

_MOST_GROUPS = 20


def render(metrics: Mapping[str, object]) -> str:
    """The text of this content of `metrics.json`."""
    recorded = Recorded.of(metrics)
    parts = ["# Evaluation", _about(recorded)]
    for answer in answers(recorded):
        parts += _track(recorded, recorded.all_tracks()[answer.track], answer)
    parts += _checks(recorded)
    command = recorded.reproduce.get("command")
    if command:
        parts += ["## Again", _block(str(command))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(recorded: Recorded) -> str:
    known = [f"{recorded.customers:,} customers", f"{recorded.items:,} items"]
    known += [f"{words.moment(each.cut)} to {words.moment(each.until)}" for each in recorded.windows]
    if recorded.seed is not None:
        known.append(f"seed {recorded.seed}")
    return "; ".join(known) + "."


def _track(recorded: Recorded, track: Track, answer: Answer) -> list[str]:
    said = [answer.detail, answer.beside, answer.whom, answer.stability]
    parts = [f"## {answer.title}", f"**{escaped(answer.headline)}**", escaped(" ".join(each for each in said if each))]
    groups = tables.groups_table(track, answer)
    first = (tables.main_table(track, answer), tables.window_table(recorded, answer))
    parts += [_table(table) for table in first if table is not None]
    if groups is not None:
        parts.append(_table(groups, _MOST_GROUPS))
        if len(groups.rows) > _MOST_GROUPS:
            parts.append(f"{len(groups.rows) - _MOST_GROUPS} more groups stand in report.html.")
    return parts


def _table(table: Table, most: int | None = None) -> str:
    lines = [
        "| " + " | ".join(map(escaped, table.head)) + " |",
        "|" + "|".join("---:" if numeric else "---" for numeric in table.numbers) + "|",
    ]
    # What is a number is ours, brackets and all.
    lines += [
        "| " + " | ".join(cell.text if cell.is_number else escaped(cell.text) for cell in row) + " |"
        for row in table.rows[:most]
    ]
    return "\n".join(lines)


def _checks(recorded: Recorded) -> list[str]:
    lines = [
        f"- {'passed' if each.passed else '**failed**'}: {escaped(each.name)}"
        + (f" – {escaped(each.detail)}" if each.detail else "")
        for each in recorded.checks.leaks
    ]
    lines += [
        f"- warning: {escaped(each.name)}, {each.count:,}" + (f" – {escaped(each.detail)}" if each.detail else "")
        for each in recorded.checks.data
        if each.count
    ]
    lines += [f"- note: {escaped(each)}" for each in recorded.notes]
    return ["## Checks", "\n".join(lines)] if lines else []


def escaped(text: str) -> str:
    """Text in which nothing is markup, HTML, a link or a mention, on one line and within one cell of a table."""
    line = " ".join(words.printable(text, 1000).split())
    line = re.sub(r"([\\`*_\[#|~$])", r"\\\1", line)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An invisible joiner behind it: whoever is called so in a shop's data is not called to the pull request.
    line = re.sub(r"(?<![A-Za-z0-9])@", "@\u2060", line)
    return line.replace("://", ":\u2060//").replace("www.", "www\u2060.")


def _block(text: str) -> str:
    longest = max((len(each) for each in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"
