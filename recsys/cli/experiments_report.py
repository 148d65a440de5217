"""How experiments read on a terminal, and as JSON for programs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta

import orjson
from rich.console import Console
from rich.table import Table

from recsys.cli.text import utc, verbatim
from recsys.errors import InputError
from recsys.experiments import Experiment
from recsys.experiments.report import CLICK_THROUGH, Compared, Report, verdict
from recsys.outcomes.exposure import DAY_MS
from recsys.outcomes.guardrails import NAMES
from recsys.outcomes.lift import Lift
from recsys.outcomes.metric import Metric
from recsys.stores.protocols import Store

_SHARES = frozenset({str(Metric.BUYERS), str(Metric.REPEAT), CLICK_THROUGH})


def moment(as_of: str | None) -> int:
    """Milliseconds UTC of what `--as-of` says; InputError for what is no time."""
    if as_of is None:
        return int(time.time() * 1000)
    try:
        if len(as_of) == len("2026-12-24"):
            end = datetime.combine(date.fromisoformat(as_of) + timedelta(days=1), datetime.min.time(), UTC)
            return int(end.timestamp() * 1000) - 1
        when = datetime.fromisoformat(as_of)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"--as-of {as_of!a} is no time", expected="a day such as 2026-12-24 or a time such as 2026-12-24T08:00:00Z"
        ) from error
    return int((when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp() * 1000)


def state_of(experiment: Experiment, now: int) -> str:
    """Whether it runs."""
    if experiment.runs(now):
        return "running"
    return "over" if experiment.ends is not None and experiment.ends <= now else "not yet"


def listed(experiments: Sequence[Experiment], store: Store, now: int) -> list[dict[str, object]]:
    """One row for each experiment of the placements in force, and for each that something was recorded of."""
    rows: list[dict[str, object]] = [
        {
            "experiment": each.name,
            "state": state_of(each, now),
            "placement": each.placement,
            "arms": {name: round(share, 4) for name, share in each.shares.items()},
            "starts": each.starts,
            "ends": each.ends,
            "primary": str(each.primary),
            "customers": _customers(store, each.name, now),
        }
        for each in experiments
    ]
    named = {each.name for each in experiments}
    gone = [name for name in store.exposures.experiments() if name not in named]
    return rows + [
        {"experiment": name, "state": "taken out", "customers": _customers(store, name, now)} for name in gone
    ]


def listed_table(rows: Sequence[dict[str, object]]) -> Table:
    """The same for people."""
    table = Table("experiment", "state", "placement", "arms", "from (UTC)", "to (UTC)", "customers")
    for row in rows:
        arms = row.get("arms")
        shares = ", ".join(f"{name} {share:.0%}" for name, share in arms.items()) if isinstance(arms, dict) else "–"
        table.add_row(
            str(row["experiment"]),
            str(row["state"]),
            str(row.get("placement", "–")),
            shares,
            utc(row.get("starts")),
            utc(row.get("ends")),
            f"{row['customers']:,}",
        )
    return table


def report_json(report: Report) -> str:
    """Everything that the report has, as JSON."""
    experiment = report.experiment
    body = {
        "experiment": experiment.name,
        "placement": experiment.placement,
        "control": experiment.control,
        "as_of": report.as_of,
        "state": state_of(experiment, report.as_of),
        "primary": str(experiment.primary),
        "smallest_lift": experiment.smallest_lift,
        "window_days": experiment.window_days,
        "arms": [asdict(arm) for arm in report.arms],
        "split": {"p": report.split.p_value, "off": report.split.is_off},
        "metrics": [
            {
                "metric": each.metric,
                "arm": each.arm_name,
                "primary": each.is_primary,
                "control_mean": each.control.value,
                "arm_mean": each.arm.value,
                "control_customers": each.control.customers,
                "arm_customers": each.arm.customers,
                "lift": _lift(each.lift),
                "verdict": verdict(each, experiment.smallest_lift) if each.is_primary else None,
            }
            for each in report.compared
        ],
        "guardrails": [
            {
                "guardrail": rail.name,
                "arm": arm,
                "control_value": rail.control,
                "arm_value": rail.arm,
                "lift": _lift(rail.lift),
                "worse": rail.is_worse,
            }
            for arm, rail in report.guardrails
        ],
        "crossed": report.crossed,
        "currency": report.currency,
        "observed_90_days": report.observed_90_days,
        "warnings": list(report.warnings),
    }
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()


def print_report(console: Console, report: Report) -> None:
    """The same for people: the verdict first, then what it comes from."""
    experiment = report.experiment
    state = state_of(experiment, report.as_of)
    console.print(
        verbatim(f"{experiment.name} at the placement {experiment.placement}, {state}, as of {utc(report.as_of)} UTC")
    )
    for each in report.compared:
        if each.is_primary:
            said = verdict(each, experiment.smallest_lift)
            console.print(verbatim(f"{each.arm_name}: {each.metric} {said}, against {experiment.control}"))
    for warning in report.warnings:
        console.print(verbatim(f"warning: {warning}"))
    console.print(_arms(report), _metrics(report), _rails(report))
    console.print(
        verbatim(
            f"What customers do counts from their first exposure on, for {experiment.window_days} days. Only the "
            f"primary metric (*) has a verdict. {report.observed_90_days:,} customers were observed for 90 days. "
            "Intervals hold at all looks together: look as often as you like."
        )
    )


def _arms(report: Report) -> Table:
    total = sum(arm.customers for arm in report.arms)
    table = Table("arm", "planned", "customers", "share", "exposures")
    for arm in report.arms:
        share = f"{arm.customers / total:.1%}" if total else "–"
        table.add_row(arm.name, f"{arm.share:.1%}", f"{arm.customers:,}", share, f"{arm.exposures:,}")
    return table


def _metrics(report: Report) -> Table:
    table = Table("metric", "arm", report.experiment.control, "arm's", "lift", "between", "customers")
    for each in report.compared:
        name = f"{each.metric} *" if each.is_primary else each.metric
        unit = f" {report.currency}" if each.metric in (Metric.REVENUE, Metric.VALUE_90) and report.currency else ""
        table.add_row(
            name,
            each.arm_name,
            _value(each, each.control.value) + unit,
            _value(each, each.arm.value) + unit,
            *_lift_cells(each.lift),
            f"{each.control.customers + each.arm.customers:,}",
        )
    return table


def _rails(report: Report) -> Table:
    table = Table("guardrail", "arm", report.experiment.control, "arm's", "more", "between", "")
    for arm, rail in report.guardrails:
        values = (f"{rail.control:.4f}", f"{rail.arm:.4f}")
        table.add_row(NAMES[rail.name], arm, *values, *_lift_cells(rail.lift), "worse" if rail.is_worse else "")
    return table


def _value(each: Compared, value: float) -> str:
    return f"{value:.2%}" if each.metric in _SHARES else f"{value:.4f}"


def _lift_cells(lift: Lift | None) -> tuple[str, str]:
    if lift is None:
        return "–", "too little data"
    return f"{lift.value:+.1%}", f"{lift.low:+.1%} and {min(lift.high, 99.99):+.1%}"


def _lift(lift: Lift | None) -> dict[str, float] | None:
    return None if lift is None else {"value": lift.value, "low": lift.low, "high": lift.high}


def _customers(store: Store, experiment: str, now: int) -> int:
    return int(store.exposures.served(experiment, now + DAY_MS)["customer_id"].n_unique())
