"""A replay in words and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WORDS = {
    "logged": "what was shown",
    "ips": "inverse propensities (IPS)",
    "snips": "self-normalised (SNIPS)",
    "doubly_robust": "doubly robust",
}


def headline(found: Mapping[str, Any]) -> str:
    """The answer in one sentence."""
    policy = found["policy"]
    what = f"the lists of {policy['placement']} with bundle {policy['bundle']}"
    what += f", by {policy['model']} alone" if policy["model"] else ""
    if found["verdict"] is None:
        return f"nothing can be said of {what}: {found['cause']}"
    said = {"better": "are better than", "worse": "are worse than"}.get(found["verdict"], "show no clear difference to")
    lift = found["lift"]
    by = "" if lift is None else f" (lift {lift['value']:+.1%}, between {lift['low']:+.1%} and {lift['high']:+.1%})"
    return f"{what} {said} what was shown at {found['logged']}{by}"


def rows_of(found: Mapping[str, Any]) -> list[list[str]]:
    """One row per estimate: its name, mean and interval, and the difference from what was shown with its interval."""
    rows = []
    for name, each in found["estimates"].items():
        between = found["differences"].get(name)
        cells = [] if between is None else [_number(between["mean"], "+"), _interval(between, "+")]
        rows.append([_WORDS[name], _number(each["mean"]), _interval(each), *(cells or ["", ""])])
    return rows


def small_print(found: Mapping[str, Any]) -> list[str]:
    """What must be known to read the numbers."""
    support = found["support"]
    seen = f"{found['slots']:,} slots of {found['answers']:,} answers to {found['customers']:,} customers"
    same = f"the policy shows the same in {found['matched']:,} slots, worth {found['effective']:,.0f} of its own"
    lines = [
        f"{seen}; chance had a part in {found['chance']:.1%} of them",
        f"{same}; weights above {found['clip']:.1f} were cut: {found['clipped']:.2%}",
        f"the log can tell of {_number(support['mean'])} {_interval(support)} of the policy's places; 1 is all of them",
    ]
    return lines + [f"left out: {cause}: {count:,}" for cause, count in found["left_out"].items()]


def as_markdown(found: Mapping[str, Any]) -> str:
    """The page."""
    head = ["estimate", f"{found['reward']} per slot", "95 % interval", "less what was shown", "95 % interval"]
    lines = ["# A replay", "", headline(found), "", f"| {' | '.join(head)} |", "|---|---:|---|---:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows_of(found)]
    return "\n".join([*lines, "", *(f"- {line}" for line in small_print(found)), ""])


def _number(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.4f}"


def _interval(each: Mapping[str, Any], sign: str = "") -> str:
    return f"[{_number(each['low'], sign)}, {_number(each['high'], sign)}]"
