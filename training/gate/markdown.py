"""What the gate found, as a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any


def as_markdown(report: Mapping[str, Any], paragraph: str) -> str:
    """The page of a report in the form of `training.retraining_report.as_json`, which `paragraph` sums up."""
    moment = datetime.fromtimestamp(report["at"] / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [f"# Bundle {report['bundle']}: {report['outcome']}", "", moment, "", paragraph, ""]
    if report["refused"]:
        lines += ["What the gate refused:", "", *(f"- {each}" for each in report["refused"]), ""]
    if report["forced"]:
        lines += [f"Forced by {report['forced']['by']}: {report['forced']['why']}", ""]
    lines += _figures(report["judged"] or {})
    lines.append(f"Fitting took {report['fit_seconds']:.1f} s, the gate {report['gate_seconds']:.1f} s.")
    return "\n".join(lines) + "\n"


def _figures(judged: Mapping[str, Any]) -> list[str]:
    rows = list(_rows(judged))
    if not rows:
        return []
    head = ["| | candidate | in force | difference, or ratio |", "|---|---:|---:|---|"]
    asked = f"{judged['customers']:,} customers were asked for lists."
    share = judged.get("quality", {}).get("learned_from", 1.0)
    thinned = f" The candidate was stood in for by a fit on {share:.0%} of the customers." if share < 1 else ""
    return [*head, *(f"| {' | '.join(row)} |" for row in rows), "", asked + thinned, ""]


def _rows(judged: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, each in judged.get("quality", {}).get("metrics", {}).items():
        between = f"{each['difference']:+.4f} [{each['low']:+.4f}, {each['high']:+.4f}], {each['verdict']}"
        yield name, f"{each['candidate']:.4f}", f"{each['in_force']:.4f}", between
    for name in judged:
        if name.startswith("coverage@"):
            yield name, f"{judged[name]['candidate']:.1%}", f"{judged[name]['in_force']:.1%}", ""
    if "filled" in judged:
        yield "places filled", f"{judged['filled']['candidate']:.1%}", f"{judged['filled']['in_force']:.1%}", ""
    if "latency" in judged:
        found = judged["latency"]
        between = f"× {found['ratio']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
        yield "a list takes", f"{found['candidate'] * 1e6:,.0f} µs", f"{found['in_force'] * 1e6:,.0f} µs", between
