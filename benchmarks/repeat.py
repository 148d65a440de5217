"""`python -m benchmarks.repeat [FOLDER]`: what predicted repeat purchases are worth on data held out in time.

For each data set the model learns from everything before a cut and predicts, for every item that each customer has,
the probability of buying it again in the window after the cut. Printed: predicted and observed repeats by tenth of the
prediction, their log loss against the shop's plain rate, and how well a customer's own items are ranked against
personal top-frequency (ties: the latest first) and against the latest first. Needs BOOKMATCH_DATA. The imported stores
are kept in FOLDER when one is given.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.data_sets import NON_ITEMS, data_folder
from benchmarks.measured import run
from recsys.data.events import EventKind
from recsys.data.interactions import EventTable, Interactions
from recsys.data.signals import MS_PER_DAY
from recsys.models.occasions import Clock, Occasions, occasions_of, purchase_rows
from recsys.models.repeat import Bought, Repeat, RepeatConfig, bought_by, category_codes, fit_repeat
from recsys.shop import ShopFolder
from recsys.stores import open_store

BOOKMATCH = str(Path(sys.executable).parent / "bookmatch")
Floats = npt.NDArray[np.float64]
TOP = 10


@dataclass(frozen=True, slots=True)
class Trial:
    """A data set, how it is imported (arguments after the folder; `SIM` for the simulated shop) and the window."""

    name: str
    imports: tuple[tuple[str, ...], ...]
    window: int
    kind: EventKind = EventKind.PURCHASE


TRIALS = (
    Trial(
        "online-retail-uci",
        (("transactions.parquet", "--format", "online-retail", "--ignore-items", NON_ITEMS),),
        30,
    ),
    Trial(
        "complete-journey",
        (
            ("products.parquet", "--as", "items", "--map", "item_id=product_id,category=product_category"),
            (
                "transactions.parquet",
                "--event",
                "purchase",
                "--timezone",
                "America/New_York",
                "--max-bad",
                "5%",
                "--map",
                "customer_id=household_id,item_id=product_id,timestamp=transaction_timestamp",
            ),
        ),
        14,
    ),
    Trial(
        "tafeng-nbr",
        (
            (
                "baskets.parquet",
                "--event",
                "purchase",
                "--map",
                "customer_id=user,item_id=item,position=basket",
            ),
        ),
        1,
    ),
    Trial("movielens-100k", (("ratings.parquet", "--format", "movielens"),), 30, EventKind.RATE),
)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One row per customer and item bought before the cut: what was known, and whether it was bought in the window."""

    row: npt.NDArray[np.int64]
    had: Bought
    again: npt.NDArray[np.bool_]


def stored(trial: Trial, folder: Path, scratch: Path) -> tuple[EventTable, pl.DataFrame]:
    """The data set's events and catalogue, imported once."""
    home = scratch / trial.name
    if not ShopFolder(home).store.exists():
        for file, *options in trial.imports:
            run([BOOKMATCH, "import", str(folder / trial.name / file), *options, "--home", str(home)])
    store = open_store(ShopFolder(home).store, create=False, read_only=True)
    try:
        return store.events.read(), store.catalog.read()
    finally:
        store.close()


def split(table: EventTable, window: int) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """The events before the cut, those in the window, and the cut: days before the newest, or each customer's last."""
    events = table.events
    if events["timestamp"].null_count() == events.height:
        last = pl.col("position") == pl.col("position").max().over("customer")
        several = pl.col("position").n_unique().over("customer") > 1
        return events.filter(~(last & several)), events.filter(last & several), 0
    newest = events["timestamp"].max()
    assert isinstance(newest, int)
    cut = newest - round(window * MS_PER_DAY)
    return events.filter(pl.col("timestamp") < cut), events.filter(pl.col("timestamp") >= cut), cut


def occasions(interactions: Interactions, clock: Clock, kind: EventKind) -> Occasions:
    """All customers' purchases on the model's clock."""
    return occasions_of(purchase_rows(interactions), clock, (kind,))


def held_out(
    past: Interactions, later: pl.DataFrame, table: EventTable, model: Repeat, cut: int, kind: EventKind
) -> HeldOut:
    """What each customer had at the cut, and whether it was bought again."""
    row, had = bought_by(occasions(past, model.clock, kind), model.clock, cut)
    bought = later.filter(pl.col("kind") == kind.code).select("customer", "item").unique()
    known = bought.with_columns(
        pl.Series("row", past.customers.positions(table.customer_ids.gather(bought["customer"])), dtype=pl.Int64),
        pl.Series("place", past.items.positions(table.item_ids.gather(bought["item"])), dtype=pl.Int64),
    )
    size = len(past.items)
    again = np.isin(row * size + had.item, known["row"].to_numpy() * size + known["place"].to_numpy())
    # On steps, who has no later basket has nothing held out.
    able = np.isin(row, known["row"].to_numpy()) if model.clock is Clock.STEPS else np.ones(len(row), dtype=np.bool_)
    return HeldOut(row[able], Bought(had.item[able], had.elapsed[able], had.times[able], had.rhythm[able]), again[able])


def ranking(known: HeldOut, keys: tuple[Floats, ...]) -> tuple[float, float, int]:
    """Recall and NDCG of the customer's own items at 10, the last key deciding first, over who repeats anything."""
    order = np.lexsort((known.had.item, *(-key for key in keys), known.row))
    row, again = known.row[order], known.again[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    size = int(row.max()) + 1
    total = np.bincount(row, weights=again, minlength=size)
    hits = np.bincount(row, weights=again & (rank < TOP), minlength=size)
    gain = np.bincount(row, weights=np.where(again & (rank < TOP), 1 / np.log2(rank + 2), 0.0), minlength=size)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(TOP) + 2))])
    those = total > 0
    best = ideal[np.minimum(total[those], TOP).astype(int)]
    return float(np.mean(hits[those] / total[those])), float(np.mean(gain[those] / best)), int(those.sum())


def log_loss(again: npt.NDArray[np.bool_], predicted: Floats) -> float:
    """Mean negative log likelihood, in nats."""
    predicted = np.clip(predicted, 1e-7, 1 - 1e-7)
    return -float(np.mean(np.where(again, np.log(predicted), np.log1p(-predicted))))


def report(trial: Trial, folder: Path, scratch: Path) -> list[str]:
    """Lines of text about one data set."""
    table, catalogue = stored(trial, folder, scratch)
    before, later, cut = split(table, trial.window)
    past = Interactions.from_events(EventTable(before, table.customer_ids, table.item_ids))
    started = time.perf_counter()
    config = RepeatConfig(kinds=(trial.kind,))
    model = fit_repeat(past, category_codes(catalogue, past.items), config)
    seconds = time.perf_counter() - started
    known = held_out(past, later, table, model, cut, trial.kind)
    predicted = model.score(known.had, trial.window)
    second, interval = model.probability, np.exp(np.median(model.interval))
    lines = [
        f"## {trial.name}: window {trial.window} {model.clock}, fitted in {seconds:.1f} s on {len(past):,} events",
        f"probability of a second purchase: median {np.median(second):.4f}, {second.min():.4f} to {second.max():.4f}",
        f"strength {model.strength:.2f}; interval {interval:.1f}, {model.tempo}",
        f"{len(known.row):,} customer-item pairs, {known.again.sum():,} bought again",
    ]
    tenths = np.array_split(np.argsort(predicted, kind="stable"), 10)
    lines.append("predicted " + " ".join(f"{predicted[part].mean():.4f}" for part in tenths))
    lines.append("observed  " + " ".join(f"{known.again[part].mean():.4f}" for part in tenths))
    plain = np.full(len(predicted), max(known.again.mean(), 1e-7))
    lines.append(
        f"log loss {log_loss(known.again, predicted):.5f}, of the rate itself {log_loss(known.again, plain):.5f}"
    )
    if known.again.any():
        frequency, latest = known.had.times.astype(float), -known.had.elapsed
        for name, keys in (
            ("model", (predicted,)),
            ("personal top-frequency", (latest, frequency)),
            ("latest first", (frequency, latest)),
        ):
            recall, ndcg, customers = ranking(known, keys)
            lines.append(f"{name:<24} recall@{TOP} {recall:.4f}  ndcg@{TOP} {ndcg:.4f}  ({customers:,} customers)")
    return lines


def main() -> None:
    """Prints all."""
    folder = data_folder()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        for trial in TRIALS:
            print("\n".join(report(trial, folder, scratch)), flush=True)


if __name__ == "__main__":
    main()
