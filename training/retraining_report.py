"""What a retraining found: for programs, and in one paragraph for people."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from recsys.durable import replace_file
from training.gate.markdown import as_markdown
from training.outcome import Forced, Outcome, Retrained

MOST_REPORTS: Final = 500
"""Reports that are kept, two files each; the oldest go first."""


def as_json(done: Retrained, now: int, forced: Forced | None) -> dict[str, Any]:
    """Everything that is known of a retraining."""
    trained, verdict = done.trained, done.verdict
    return {
        "outcome": done.outcome,
        "reason": done.reason,
        "at": now,
        "bundle": trained.bundle_id if trained else None,
        "before": done.before,
        "newer_events": done.newer_events,
        "age_ms": done.age,
        "refused": list(verdict.refused) if verdict else [],
        "judged": dict(verdict.judged) if verdict else None,
        "forced": asdict(forced) if forced else None,
        "removed": list(done.removed),
        "data": dict(trained.data) if trained else None,
        "tuning": dict(trained.tuning) if trained else None,
        "relevance": dict(trained.relevance) if trained else None,
        "stages": [asdict(cost) for cost in trained.costs] if trained else [],
        "fit_seconds": round(trained.fit_seconds, 2) if trained else 0.0,
        "gate_seconds": round(done.gate_seconds, 2),
        "gate_stages": [asdict(cost) for cost in done.gate],
        "seconds": round(sum(cost.seconds for cost in trained.costs) + done.gate_seconds, 2) if trained else 0.0,
    }


def paragraph(report: dict[str, Any]) -> str:
    """The same for people, in one paragraph."""
    if report["outcome"] == Outcome.NOTHING_NEW:
        return f"Nothing was published: {report['reason']}. Bundle {report['before']} stays in force."
    data, quality = report["data"], (report["judged"] or {}).get("quality", {})
    learned = f"{data['events']:,} events of {data['customers']:,} customers on {data['items']:,} items"
    parts = [f"Trained because {report['reason']}.", f"Learned from {learned} in {report['seconds']:,.0f} s."]
    if "metrics" in quality:
        told = (
            f"{name} is {each['candidate']:.4f} and was {each['in_force']:.4f}"
            for name, each in quality["metrics"].items()
        )
        parts.append(f"On the newest events, which the bundle in force has not seen, {', '.join(told)}.")
    elif "cause" in quality:
        parts.append(f"Quality was not compared: {quality['cause']}.")
    elif report["judged"] and "cause" in report["judged"]:
        parts.append(f"Nothing was compared: {report['judged']['cause']}.")
    if report["refused"]:
        parts.append(f"The gate refused it: {'; '.join(report['refused'])}.")
    if report["outcome"] == Outcome.REFUSED:
        promote = f"`bookmatch models promote {report['bundle']}` would change that"
        parts.append(f"Bundle {report['before']} stays in force; {promote}.")
    else:
        who = report["forced"]
        parts.append(
            f"Bundle {report['bundle']} is in force" + (f", as {who['by']} wants: {who['why']}." if who else ".")
        )
    return " ".join(parts)


def kept_report(done: Retrained, now: int, forced: Forced | None) -> tuple[bytes, bytes]:
    """What lies beside the bundle: for programs as JSON, and as Markdown with the same paragraph and the figures."""
    report = as_json(done, now, forced)
    return orjson.dumps(report, option=orjson.OPT_INDENT_2), as_markdown(report, paragraph(report)).encode()


def write(folder: Path, report: dict[str, Any]) -> Path:
    """Writes both beside the bundles, and returns the path of the one for programs."""
    folder.mkdir(parents=True, exist_ok=True)
    moment = datetime.fromtimestamp(report["at"] / 1000, UTC).strftime("%Y%m%dT%H%M%S%fZ")
    path = folder / f"{moment}-{report['outcome']}.json"
    replace_file(path, orjson.dumps(report, option=orjson.OPT_INDENT_2))
    replace_file(path.with_suffix(".txt"), f"{paragraph(report)}\n".encode())
    for old in sorted(folder.glob("*.json"))[:-MOST_REPORTS]:
        old.unlink(missing_ok=True)
        old.with_suffix(".txt").unlink(missing_ok=True)
    return path
