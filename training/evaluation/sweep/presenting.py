"""A sweep as Markdown, and as the files of a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

TABLED: Final = ("recall", "ndcg", "hard_to_find_recall", "revenue", "coverage")
"""The metrics of the table; `metrics.json` has all."""


MARKS: Final = "▲: clearly better than the first, ▼: clearly worse, by all differences of the sweep together (Holm)."


def tabled(found: Mapping[str, Any], ks: Sequence[int]) -> list[str]:
    """The metrics of the table that there are, at the largest k."""
    wanted = [f"{name}@{max(ks)}" for name in TABLED]
    first = next(iter(found["models"].values()))
    return [name for name in wanted if first is not None and name in first]


def rows_of(found: Mapping[str, Any], ks: Sequence[int], *, intervals: bool = True) -> list[list[str]]:
    """One row per configuration: its name, each metric with what the first's difference from it says, and its cost."""
    rows = []
    for name, metrics in found["models"].items():
        told = found["differences"].get(name, {})
        cells = [f"{metrics[each]:.4f}{_said(told.get(each), intervals=intervals)}" for each in tabled(found, ks)]
        cost = found["cost"][name]
        rows.append([name, *cells, f"{cost['fit_seconds']:.1f} s", f"{cost['list_microseconds']:,.0f} µs"])
    return rows


def head_of(found: Mapping[str, Any], ks: Sequence[int]) -> list[str]:
    """The heading of `rows_of`."""
    return ["configuration", *tabled(found, ks), "fit", "a list"]


def as_markdown(found: Mapping[str, Any], ks: Sequence[int]) -> str:
    """The page of a sweep."""
    head = head_of(found, ks)
    lines = [f"# {len(found['models'])} configurations", ""]
    lines += [f"{found['customers']:,} customers" + "".join(f"; {each}" for each in found["windows"]) + ".", ""]
    lines += [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows_of(found, ks)]
    return "\n".join([*lines, "", legend(found), ""])


def legend(found: Mapping[str, Any]) -> str:
    """How to read what stands beside a number."""
    return f"In brackets: {next(iter(found['models']))} less this configuration, and its 95 % interval. {MARKS}"


def _said(told: Mapping[str, Any] | None, *, intervals: bool) -> str:
    if told is None:
        return ""
    # The difference is the first's less this one's: where the first is better, this one is worse.
    mark = {"better": " ▼", "worse": " ▲"}.get(told["verdict"], "")
    if not intervals:
        return mark
    return f"{mark} ({told['mean']:+.4f} [{told['low']:+.4f}, {told['high']:+.4f}])"
