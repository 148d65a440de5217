"""`bookmatch customers`: who they are to the shop, what they are worth, and whom to look after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json

if TYPE_CHECKING:
    from recsys.customers import CustomerFacts, CustomerRules
    from recsys.stores.protocols import Store

app = typer.Typer(help="Segments, values, and customers to look after.", no_args_is_help=True)


class By(StrEnum):
    """As `recsys.customers.Unit`, which is not loaded before it is needed."""

    CUSTOMER = "customer"
    ACCOUNT = "account"


AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="TIME", help="Nothing later counts: a date, a time, or a span before now such as 90d."
    ),
]
Rules = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="Rules about customers; customers.toml in the shop's folder if any."),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="All rows, as .parquet or .csv.")]
ByOption = Annotated[By, typer.Option("--by", help="A row per customer, or per account that several share.")]
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="So many rows are shown; --out has all.")]


@app.command()
def segments(
    home: Home = DEFAULT_HOME,
    as_of: AsOf = None,
    rules: Rules = None,
    by: ByOption = By.CUSTOMER,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Show how many customers are in each segment and tier, and what they brought."""
    from recsys.cli import customers_report

    with _opened(home, rules) as (store, said):
        facts = _facts(store, as_of, said, by)
    customers_report.write(facts.table, out)
    customers_report.show_segments(facts, as_json=as_json)
    _told(out, as_json=as_json)


@app.command()
def show(
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="A customer's id, or with --by account theirs.")],
    home: Home = DEFAULT_HOME,
    as_of: AsOf = None,
    rules: Rules = None,
    by: ByOption = By.CUSTOMER,
    as_json: Json = False,
) -> None:
    """Show what follows from what one customer, or one account, did."""
    import polars as pl

    from recsys.cli import customers_report
    from recsys.errors import UnknownCustomerError

    with _opened(home, rules) as (store, said):
        facts = _facts(store, as_of, said, by)
        person, account = store.profiles.get(customer_id).customer_id, None
        if by is By.ACCOUNT and not store.persons.known(customer_id):
            account = customer_id
        elif by is By.ACCOUNT:
            account = next(iter(store.customers.get([person])["account_id"]), None)
    wanted = pl.col("customer_id") == person if account is None else pl.col("account_id") == account
    found = facts.table.filter(wanted)
    if found.is_empty():
        raise UnknownCustomerError(customer_id)
    customers_report.show_one(facts, found.row(0, named=True), as_json=as_json)


@app.command()
def value(
    home: Home = DEFAULT_HOME,
    as_of: AsOf = None,
    rules: Rules = None,
    by: ByOption = By.CUSTOMER,
    holdout: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="Foresee the last so many days, such as 180d, and compare with what came."),
    ] = None,
    limit: Limit = 10,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Show what customers are expected to buy and what they are worth, and with --holdout whether that comes true."""
    from recsys.cli import customers_report
    from recsys.cli.spans import span_ms
    from recsys.customers.calibration import calibrate

    with _opened(home, rules) as (store, said):
        until = _moment(as_of, said)
        facts = _facts(store, as_of, said, by)
        window = None if holdout is None else span_ms(holdout, "--holdout")
        tried = None if window is None else calibrate(store, until - window, until, said)
    customers_report.write(facts.table, out)
    customers_report.show_value(facts, said, tried, limit, as_json=as_json)
    _told(out, as_json=as_json)


@app.command()
def attention(
    home: Home = DEFAULT_HOME,
    as_of: AsOf = None,
    rules: Rules = None,
    by: ByOption = By.CUSTOMER,
    limit: Limit = 10,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Name the customers to look after: new ones, the best who slip away, those nobody serves, and advocates."""
    from recsys.cli import customers_report
    from recsys.customers.attention import to_look_after

    with _opened(home, rules) as (store, said):
        facts = _facts(store, as_of, said, by)
    found = to_look_after(facts, said)
    customers_report.write(customers_report.with_reasons(found), out)
    customers_report.show_attention(facts, found, limit, as_json=as_json)
    _told(out, as_json=as_json)


@app.command()
def refresh(home: Home = DEFAULT_HOME, as_of: AsOf = None, rules: Rules = None, as_json: Json = False) -> None:
    """Compute the facts of all customers and keep them: filters, campaigns and the service then know them."""
    from recsys.cli import customers_report
    from recsys.customers.kept import refresh as keep

    with _opened(home, rules) as (store, said):
        done = keep(store, _moment(as_of, said), said)
    customers_report.show_refreshed(done, as_json=as_json)


@contextmanager
def _opened(home: Path, rules: Path | None) -> Iterator[tuple[Store, CustomerRules]]:
    from contextlib import closing

    from recsys.customers import read_rules, rules_in
    from recsys.recommend.placements import placements_text
    from recsys.shop import ShopFolder
    from recsys.shop_lock import shop_in_use
    from recsys.stores import open_store

    shop = ShopFolder(home)
    # A file that was named has to be there; that of the shop need not.
    said = rules_in(shop.customer_rules) if rules is None else read_rules(placements_text(rules), str(rules))
    with shop_in_use(home), closing(open_store(shop.store, create=False)) as store:
        yield store, said


def _facts(store: Store, as_of: str | None, rules: CustomerRules, by: By) -> CustomerFacts:
    from recsys.customers import Unit, customer_facts

    return customer_facts(store, _moment(as_of, rules), rules, Unit(by))


def _moment(text: str | None, rules: CustomerRules) -> int:
    """Milliseconds UTC; now where nothing is said."""
    from zoneinfo import ZoneInfo

    from recsys.cli.auditing import now
    from recsys.cli.spans import moment_before

    return now() if text is None else moment_before(text, now(), "--as-of", ZoneInfo(rules.time_zone))


def _told(out: Path | None, *, as_json: bool) -> None:
    if out is not None and not as_json:
        typer.echo(f"all rows are in {out}")
