"""What `bookmatch customers` prints and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import polars as pl
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from recsys.cli.text import verbatim
from recsys.customers import CustomerFacts, CustomerRules, Segment
from recsys.customers.attention import Care
from recsys.customers.calibration import MOST_REPEATS, Calibration
from recsys.customers.kept import Refreshed
from recsys.customers.value import ValueModel
from recsys.errors import InputError

_LONGEST_ID, _WIDEST = 20, 1_000


def write(table: pl.DataFrame, out: Path | None) -> None:
    """Writes rows to a file, by the end of its name; nothing where that is None. Raises InputError."""
    if out is None:
        return
    if out.suffix not in (".parquet", ".csv"):
        raise InputError(f"--out is {out}", expected="a name that ends with .parquet or .csv")
    try:
        table.write_parquet(out) if out.suffix == ".parquet" else table.write_csv(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}", expected="a file in a folder that is there") from error


def show_segments(facts: CustomerFacts, *, as_json: bool) -> None:
    """How many customers are in each segment and tier, and what they brought."""
    by_segment = _summary(facts.table, "segment", [str(each) for each in Segment])
    tiers = _summary(facts.table.drop_nulls("tier"), "tier", facts.table["tier"].drop_nulls().unique().sort().to_list())
    if as_json:
        _print_json(_about(facts) | {"segments": by_segment.to_dicts(), "tiers": tiers.to_dicts()})
        return
    _heading(facts)
    _print(by_segment)
    if len(tiers):
        _print(tiers)


def _summary(table: pl.DataFrame, column: str, names: list[str]) -> pl.DataFrame:
    found = table.group_by(column).agg(
        customers=pl.len().cast(pl.Int64),
        purchases=pl.col("frequency").sum(),
        monetary=pl.col("monetary").sum(),
        recency_days=pl.col("recency_days").median(),
        expected_purchases=pl.col("expected_purchases").sum(),
        lifetime_value=pl.col("lifetime_value").sum(),
    )
    order = pl.DataFrame({column: names}, schema={column: pl.String})
    return order.join(found, on=column, how="left", maintain_order="left").with_columns(
        pl.col("customers", "purchases").fill_null(0)
    )


def show_one(facts: CustomerFacts, row: Mapping[str, object], *, as_json: bool) -> None:
    """Everything of one customer or account."""
    if as_json:
        _print_json(_about(facts) | {"facts": row})
        return
    _heading(facts)
    table = Table(show_header=False)
    for name, found in row.items():
        table.add_row(name, verbatim(_shown(found)))
    Console().print(table)


def show_value(
    facts: CustomerFacts, rules: CustomerRules, tried: Calibration | None, limit: int, *, as_json: bool
) -> None:
    """The model, the customers who are worth most, and whether what was foreseen came."""
    columns = ["customer_id", "frequency", "recency_days", "monetary", "alive", "expected_purchases", "lifetime_value"]
    dearest = facts.table.drop_nulls("expected_purchases").sort(
        ["lifetime_value", "expected_purchases", "customer_id"], descending=[True, True, False], nulls_last=True
    )
    shown = dearest.select(columns).head(limit)
    sums = facts.table.select(pl.col("expected_purchases", "lifetime_value").sum()).row(0, named=True)
    if as_json:
        told = _about(facts) | {"rules": asdict(rules.value), "model": _model(facts.value), "sums": sums}
        _print_json(told | {"customers": shown.to_dicts()} | ({} if tried is None else {"holdout": _tried(tried)}))
        return
    _heading(facts)
    console = Console()
    for name, parameters in (("BG/NBD (weeks)", facts.value.buying), ("Gamma-Gamma", facts.value.spending)):
        if parameters is not None:
            said = ", ".join(f"{key} {number:,.4g}" for key, number in asdict(parameters).items())
            console.print(f"{name}: {said}", markup=False, highlight=False)
    if facts.value.correlation is not None:
        console.print(f"correlation of frequency and amounts: {facts.value.correlation:+.3f}", highlight=False)
    if facts.value.buying is not None:
        console.print(
            f"within {rules.value.months} months {sums['expected_purchases']:,.1f} purchases are expected, worth "
            f"{sums['lifetime_value']:,.2f} {facts.purchases.currency or ''}".rstrip(),
            highlight=False,
        )
        _print(shown)
    if tried is not None:
        _show_tried(tried)


def _show_tried(tried: Calibration) -> None:
    console = Console()
    share = (tried.predicted - tried.actual) / tried.actual if tried.actual else float("nan")
    console.print(
        f"held out after {tried.cut} until {tried.until}: of {tried.customers:,} customers {tried.predicted:,.1f} "
        f"purchases were foreseen and {tried.actual:,} came ({share:+.1%}); on average off by "
        f"{tried.absolute_error:.3f} per customer"
        + ("" if tried.correlation is None else f", correlation {tried.correlation:.3f}"),
        highlight=False,
    )
    if tried.spent_predicted is not None and tried.spent_actual is not None:
        console.print(
            f"amounts: {tried.spent_predicted:,.2f} foreseen, {tried.spent_actual:,.2f} came", highlight=False
        )
    for note in tried.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    groups = tried.groups.with_columns(
        repeats=pl.when(pl.col("repeats") == MOST_REPEATS)
        .then(pl.format("{} or more", "repeats"))
        .otherwise(pl.col("repeats").cast(pl.String))
    )
    _print(groups)


def show_attention(facts: CustomerFacts, found: Mapping[Care, pl.DataFrame], limit: int, *, as_json: bool) -> None:
    """The first customers to look after, by reason."""
    shared = [] if facts.table["account_id"].null_count() == len(facts.table) else ["account_id"]
    columns = ["customer_id", *shared, "segment", "frequency", "recency_days", "monetary", "unserved_days"]
    if as_json:
        groups = {
            str(reason): {"customers": len(rows), "first": rows.head(limit).to_dicts()}
            for reason, rows in found.items()
        }
        _print_json(_about(facts) | {"attention": groups})
        return
    _heading(facts)
    for reason, rows in found.items():
        Console().print(f"{reason}: {len(rows):,}", highlight=False)
        if len(rows):
            _print(rows.select(columns).head(limit))


def with_reasons(found: Mapping[Care, pl.DataFrame]) -> pl.DataFrame:
    """All rows to look after, once for each reason."""
    return pl.concat([rows.select(pl.lit(str(reason)).alias("reason"), pl.all()) for reason, rows in found.items()])


def show_refreshed(done: Refreshed, *, as_json: bool) -> None:
    """What was kept, and what does not count because the shop says it itself."""
    if as_json:
        _print_json(_about(done.facts) | {"kept": done.kept, "shadowed": dict(done.shadowed)})
        return
    _heading(done.facts)
    typer.echo(f"kept the facts of {done.kept:,} customers; filters say customer.segment, customer.lifetime_value, …")
    for name, count in done.shadowed.items():
        typer.echo(f"note: {count:,} customers have an attribute {name} of the shop's own, which counts instead")


def _heading(facts: CustomerFacts) -> None:
    purchases = facts.purchases
    console = Console()
    console.print(
        f"as of {_utc(facts.as_of)} ({facts.today} in the shop's zone), "
        f"amounts in {purchases.currency or 'no currency'}",
        markup=False,
        highlight=False,
    )
    for note in _notes(facts):
        console.print(f"note: {note}", markup=False, highlight=False)


def _notes(facts: CustomerFacts) -> list[str]:
    notes, purchases = [], facts.purchases
    if purchases.uncounted:
        notes.append(
            f"{purchases.uncounted:,} purchases have no price, or one in another currency; amounts leave them out"
        )
    if purchases.unmatched:
        notes.append(
            f"{purchases.unmatched:,.10g} returned pieces were bought nobody knows when; they take nothing off"
        )
    return [*notes, *facts.value.notes]


def _about(facts: CustomerFacts) -> dict[str, object]:
    return {
        "as_of": _utc(facts.as_of),
        "today": facts.today.isoformat(),
        "currency": facts.purchases.currency,
        "uncounted_purchases": facts.purchases.uncounted,
        "unmatched_returns": facts.purchases.unmatched,
        "notes": _notes(facts),
    }


def _model(model: ValueModel) -> dict[str, object]:
    return {
        "bg_nbd": None if model.buying is None else asdict(model.buying),
        "gamma_gamma": None if model.spending is None else asdict(model.spending),
        "customers": model.customers,
        "repeat": model.repeat,
        "correlation": model.correlation,
    }


def _tried(tried: Calibration) -> dict[str, object]:
    told = {name: getattr(tried, name) for name in ("customers", "predicted", "actual", "spent_predicted")}
    told |= {name: getattr(tried, name) for name in ("spent_actual", "correlation", "absolute_error", "notes")}
    return told | {
        "cut": tried.cut.isoformat(),
        "until": tried.until.isoformat(),
        "model": _model(tried.model),
        "groups": tried.groups.to_dicts(),
    }


def _print(rows: pl.DataFrame) -> None:
    table, shown = Table(box=SIMPLE_HEAD, pad_edge=False), [[_shown(each) for each in row] for row in rows.iter_rows()]
    for place, name in enumerate(rows.columns):
        text = rows[name].dtype == pl.String
        # Headings wrap where there is no room, and ids that are very long; a number that is broken is another one.
        longest = max((len(row[place]) for row in shown), default=0)
        table.add_column(
            name.replace("_", " "),
            justify="left" if text else "right",
            no_wrap=text and not name.endswith("_id"),
            overflow="fold",
            min_width=min(longest, _LONGEST_ID) if text else longest,
        )
    for row in shown:
        table.add_row(*map(verbatim, row))
    console = Console()
    # Rather a line that is too long for the terminal than one that is cut.
    needed = Measurement.get(console, console.options.update(width=_WIDEST), table).minimum
    console.print(table, width=max(console.width, needed), crop=False, no_wrap=True)


def _shown(found: object) -> str:
    if found is None:
        return "–"
    if isinstance(found, float):
        return f"{found:,.2f}"
    if isinstance(found, bool):
        return "yes" if found else "no"
    return f"{found:,}" if isinstance(found, int) else str(found)


def _utc(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _print_json(told: Mapping[str, object]) -> None:
    typer.echo(orjson.dumps(told, default=_plain, option=orjson.OPT_INDENT_2).decode())


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value)} is no JSON")
