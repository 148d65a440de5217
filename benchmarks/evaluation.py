"""`make bench-evaluation`: the reports of three real shops, as `bookmatch evaluate` writes them. Needs BOOKMATCH_DATA.

Each shop imports what happened up to a day, trains and publishes on that, goes on, and asks later: is what would be
trained now better than what is in production since that day? With `--folder` stores and reports stay, and what is there
already is not made again.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import polars as pl

from benchmarks.data_sets import NON_ITEMS, data_folder
from benchmarks.measured import Run, run

BOOKMATCH = str(Path(sys.executable).with_name("bookmatch"))


@dataclass(frozen=True, slots=True)
class Shop:
    """One real data set as a shop.

    Attributes
    ----------
    facts : files of items and customers, each with the options of `bookmatch import`.
    events, options : the file of events and its options.
    time : its column of times; seconds since 1970 where it holds numbers.
    trained : the bundle in production has learned from everything before this day.
    asked : the further options of `bookmatch evaluate`.
    """

    name: str
    facts: tuple[tuple[str, ...], ...]
    events: str
    options: tuple[str, ...]
    time: str
    trained: datetime
    asked: tuple[str, ...]


SHOPS = (
    Shop(
        "online-retail-uci",
        (),
        "transactions.parquet",
        ("--format", "online-retail", "--ignore-items", NON_ITEMS),
        "timestamp",
        datetime(2010, 10, 1, tzinfo=UTC),
        ("--cut", "2010-11-01T00:00:00Z", "--windows", "2", "--k", "5,10,20"),
    ),
    Shop(
        "movielens-100k",
        (("items.parquet", "--as", "items"), ("users.parquet", "--as", "customers")),
        "ratings.parquet",
        ("--format", "movielens"),
        "timestamp",
        datetime(1998, 2, 1, tzinfo=UTC),
        ("--cut", "1998-03-01T00:00:00Z", "--k", "5,10,20"),
    ),
    Shop(
        "complete-journey",
        (
            ("products.parquet", "--as", "items", "--map", "item_id=product_id,title=product_type,category=department"),
            ("demographics.parquet", "--as", "customers", "--map", "customer_id=household_id"),
        ),
        "transactions.parquet",
        (
            *("--map", "customer_id=household_id,item_id=product_id,timestamp=transaction_timestamp,quantity="),
            *("--event", "purchase", "--timezone", "America/New_York"),
        ),
        "transaction_timestamp",
        datetime(2017, 10, 1, tzinfo=UTC),
        ("--cut", "2017-12-01T05:00:00Z", "--k", "5,10,20"),
    ),
)


def built(shop: Shop, folder: Path, budget: float) -> Path:
    """The folder of the shop's report; makes what is not there yet and says what each step took."""
    report = folder / f"{shop.name}-report"
    if report.exists():
        _say(f"{shop.name}: done before")
        return report
    home = folder / shop.name
    if not (home / "models").exists():
        opened(shop, home, folder)
    found = told(
        f"{shop.name}: evaluate", ["evaluate", "--home", str(home), *_tuned(budget), *shop.asked, "--out", str(report)]
    )
    metrics = orjson.loads((report / "metrics.json").read_bytes())
    spent = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in metrics["seconds"].items())
    _say(f"{shop.name}: {metrics['customers']:,} customers; seconds: {spent}; {found.peak_bytes / 1e6:,.0f} MB")
    return report


def opened(shop: Shop, home: Path, folder: Path) -> None:
    """The shop as it is today: its whole history, and the bundle that it trained on the day."""
    source = data_folder() / shop.name
    for file, *options in shop.facts:
        told(
            f"{shop.name}: import {file}", ["import", str(source / file), *_format(shop, options), "--home", str(home)]
        )
    rows = pl.read_parquet(source / shop.events)
    named = rows.schema[shop.time].is_temporal()
    day = shop.trained.replace(tzinfo=None) if named else shop.trained.timestamp()
    for name, part in (
        ("before", rows.filter(pl.col(shop.time) < day)),
        ("after", rows.filter(pl.col(shop.time) >= day)),
    ):
        file = folder / f"{shop.name}-{name}.parquet"
        part.write_parquet(file)
        told(f"{shop.name}: import what was {name}", ["import", str(file), *shop.options, "--home", str(home)])
        if name == "before":
            told(f"{shop.name}: train", ["train", "--home", str(home), "--tune-budget", "0"])
        file.unlink()


def _format(shop: Shop, options: Sequence[str]) -> list[str]:
    return [*options] if "--map" in options else [*shop.options, *options]


def _tuned(budget: float) -> list[str]:
    return ["--tune-budget", f"{budget:g}"]


def told(what: str, arguments: Sequence[str]) -> Run:
    """Runs `bookmatch` with these arguments and says what it took."""
    _say(f"$ bookmatch {shlex.join(arguments)}")
    found = run([BOOKMATCH, *arguments])
    _say(f"{what}: {found.seconds:.1f} s")
    return found


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Parses the arguments and builds the reports."""
    names = [shop.name for shop in SHOPS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--only", metavar="NAME,…", default="", help=f"some of {', '.join(names)}")
    parser.add_argument("--folder", type=Path, help="stores and reports lie there and stay; else in a temporary folder")
    parser.add_argument("--tune-budget", type=float, default=20.0, help="seconds, as for bookmatch evaluate")
    asked = parser.parse_args()
    chosen = [name.strip() for name in asked.only.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in names]
    if unknown:
        parser.error(f"--only names {', '.join(unknown)}; expected some of {', '.join(names)}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for shop in SHOPS:
            if shop.name not in (chosen or names):
                continue
            try:
                _say(f"{shop.name}: {built(shop, folder, asked.tune_budget) / 'report.html'}")
            except subprocess.CalledProcessError as failed:
                sys.exit(f"{failed}\n{failed.output}")


if __name__ == "__main__":
    main()
