"""`make bench-email`: lists with reasons for a million customers as a campaign's plan, against `implicit` in one run.

The shop is simulated, imported and trained by the command; everybody consented and has an address. What is timed is the
whole of planning: who is in the audience, who may be written to, lists, reasons, theme lines, tokens and Parquet files
on disk. Reading the store is told beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import polars as pl
from implicit.cpu.als import AlternatingLeastSquares
from rich.progress import Progress
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.measured import Row, run
from benchmarks.pages import EMAIL, PAGE, filled, put
from benchmarks.served import BOOKMATCH
from recsys.bundle import BundleRepository
from recsys.data.catalog import UNREAD, Catalog
from recsys.data.interactions import Interactions
from recsys.data.item_table import ItemTable
from recsys.recommend.recommender import Recommender
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.email.campaign import Audience, Block, BlockKind, Campaign, Restraint, ShopFacts
from serving.email.people import people_of
from serving.email.plan import Shop, make_plan
from serving.email.words import with_own
from serving.http.tokens import RecommendationTokens

COMMAND = "python -m benchmarks.email"
ITEMS = 20
"""Of a list, ours and theirs."""

PEER = 20_000
"""So many customers are asked of `implicit`: the rate stays the same, and a million would take minutes."""

MOST_SECONDS, MOST_BYTES, LEAST_RATIO = 90.0, 4e9, 1.5
NOW = 1_793_491_200_000
"""The day after the simulated time ends."""

LISTS = (Block(kind=BlockKind.FOR_YOU, items=ITEMS),)
MAIL = (
    Block(kind=BlockKind.BECAUSE_YOU_BOUGHT, days=365.0),
    Block(kind=BlockKind.NEW_FROM_AUTHORS, days=60.0),
    Block(kind=BlockKind.FOR_YOU),
    Block(kind=BlockKind.POPULAR_NEAR_TASTE),
)
"""What is measured: one long list each, and four blocks of four."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a shop is."""

    books: int
    customers: int
    events: int


FULL, SMALL = Size(50_000, 1_000_000, 10_000_000), Size(50_000, 100_000, 1_000_000)


def prepared(folder: Path, size: Size) -> Path:
    """The home of the shop, simulated, imported and trained; what is there already is kept."""
    home = folder / f"{size.books}-{size.customers}"
    if (home / "trained").exists():
        return home / "shop"
    files = home / "files"
    sizes = ["--books", str(size.books), "--customers", str(size.customers), "--events", str(size.events)]
    run([BOOKMATCH, "simulate", str(files), *sizes])
    for subject, names in (("items", "items"), ("customers", "customers"), ("interactions", "events-*")):
        paths = [str(path) for path in sorted(files.glob(f"{names}.parquet"))]
        run([BOOKMATCH, "import", *paths, "--as", subject, "--home", str(home / "shop")])
    run([BOOKMATCH, "train", "--tune-budget", "0", "--home", str(home / "shop")])
    (home / "trained").touch()
    return home / "shop"


def campaign_of(blocks: tuple[Block, ...]) -> Campaign:
    """Everybody gets these blocks."""
    shop = ShopFacts(name="Moonlight Books", item_url="https://moonlight.example/books/{item_id}")
    return Campaign(
        name="everybody", purpose="email", template=None, shop=shop, audience=Audience(), blocks=blocks,
        restraint=Restraint(), holdout=0.1, salt="everybody", words=with_own({}),
    )  # fmt: skip


def opened(home: Path) -> Shop:
    """The shop, where everybody has an address and consented."""
    folder = ShopFolder(home)
    repository = BundleRepository(folder.models)
    bundle = repository.load(repository.current_id() or "")
    store = open_store(folder.store, create=False, read_only=True)
    changes, events = store.catalog.changes(UNREAD), store.events.read()
    people = people_of(store.customers.read(), events.customer_ids, None).with_columns(
        attributes='{"email":"' + pl.col("customer_id").str.to_lowercase() + '@mail.example","name":"Somebody"}'
    )
    shop = Shop(
        recommender=Recommender(bundle),
        catalog=Catalog.of(changes, bundle.items),
        table=ItemTable.of(changes, bundle.items),
        items=store.catalog.read(),
        interactions=Interactions.from_events(events).over(bundle.items),
        people=people,
        permissions=people.select("customer_id", granted=pl.lit(True), recommendations=pl.lit(True)),
        forgotten=frozenset(),
        unreachable=frozenset(),
        mailed=pl.DataFrame(schema={"customer_id": pl.String, "at": pl.Int64, "content": pl.String}),
        tokens=RecommendationTokens(store.secret()),
    )
    store.close()
    return shop


def plan_once(home: Path, which: str) -> None:
    """Plans, in a process of its own whose memory is measured, and prints what it took as JSON."""
    started = time.perf_counter()
    shop = opened(home)
    read = time.perf_counter() - started
    # What is compiled once for a machine is not the plan's.
    few = Shop(**{name: getattr(shop, name) for name in Shop.__dataclass_fields__} | {"people": shop.people.head(500)})
    campaign = campaign_of(LISTS if which == "lists" else MAIL)
    with tempfile.TemporaryDirectory() as folder, Progress() as bar:
        make_plan(campaign, few, NOW, Path(folder) / "few", 2)
        task = bar.add_task("planning", total=len(shop.people))
        started = time.perf_counter()
        header = make_plan(
            campaign, shop, NOW, Path(folder) / "plan", 2, lambda _what, done, _all: bar.update(task, completed=done)
        )
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in (Path(folder) / "plan").iterdir())
    said = {"read": read, "seconds": seconds, "audience": header.audience, "planned": header.planned, "bytes": size}
    print(orjson.dumps(said).decode())


def peer(home: Path) -> float:
    """Customers per second of `implicit`'s ALS, 128 factors, in batches of 1,000."""
    shop = opened(home)
    strengths = shop.interactions.strengths(shop.bundle.manifest.event_weights)
    matrix = sparse.csr_matrix(strengths, dtype=np.float32)
    matrix.data[:] = 1.0
    rates = []
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        als = AlternatingLeastSquares(factors=128, iterations=1, random_state=0)
        als.fit(matrix, show_progress=False)
        for _ in range(3):
            rows = np.arange(min(PEER, matrix.shape[0]))
            started = time.perf_counter()
            for first in range(0, len(rows), 1000):
                some = rows[first : first + 1000]
                als.recommend(some, matrix[some], N=ITEMS)
            rates.append(len(rows) / (time.perf_counter() - started))
    return float(np.median(rates))


def measure(home: Path) -> list[Row]:
    """Both plans and the peer, one after the other."""
    rows = []
    theirs = peer(home)
    for which, what in (
        ("lists", f"one block of {ITEMS} items with reasons"),
        ("mail", "four blocks of four items: because you bought, new from authors, for you, popular near your taste"),
    ):
        done = run([sys.executable, "-m", "benchmarks.email", "--plan", which, "--home", str(home)])
        said = orjson.loads(done.output.splitlines()[-1])
        rate = said["audience"] / said["seconds"]
        met = said["seconds"] <= MOST_SECONDS and done.peak_bytes <= MOST_BYTES and rate / theirs >= LEAST_RATIO
        rows.append(
            Row(
                f"plan for {said['audience']:,} customers, {what}, 2 cores",
                COMMAND,
                f"{said['seconds']:.0f} s, {done.peak_bytes / 1e9:.1f} GB, {rate:,.0f} customers/s; implicit's ALS, "
                f"128 factors, batches of 1,000: {theirs:,.0f}; ratio {rate / theirs:.2f} "
                f"({said['bytes'] / 1e6:,.0f} MB on disk; reading the store: {said['read']:.0f} s)",
                f"≤ {MOST_SECONDS:.0f} s, ≤ 4 GB, ≥ {LEAST_RATIO} ×: {'met' if met else 'missed'}"
                if which == "lists"
                else "none",
            )
        )
    return rows


HEAD = (
    EMAIL
    + """

Written by `make bench-email` on {cores} cores ({machine}, Python {python}), all in one run: a simulated shop of 50,000
books, a million customers and ten million events. Everybody is in the audience, consented and has an address. The time
is that of planning: audience, permission, lists with reasons, theme lines, tokens, and files on disk.

| what | measured | target |
|---|---|---|
"""
)


def page(rows: list[Row]) -> str:
    """Its part of docs/benchmarks.md."""
    return filled(HEAD) + "".join(f"| {row.what} | {row.measured} | {row.target} |\n" for row in rows)


def main() -> None:
    """Parses the arguments and runs."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--folder", type=Path, help="the shop lies there and stays; else in a temporary folder")
    parser.add_argument("--small", action="store_true", help="a tenth of the customers; writes no page")
    parser.add_argument("--prepare", action="store_true", help="only build the shop")
    parser.add_argument("--plan", choices=("lists", "mail"), help="only plan, for the shop in --home")
    parser.add_argument("--home", type=Path)
    chosen = parser.parse_args()
    if chosen.plan:
        plan_once(chosen.home, chosen.plan)
        return
    with tempfile.TemporaryDirectory() as temporary:
        home = prepared(chosen.folder or Path(temporary), SMALL if chosen.small else FULL)
        if chosen.prepare:
            return
        rows = measure(home)
    for row in rows:
        print(f"{row.what}\n    {row.measured} · {row.target}", flush=True)
    if not chosen.small:
        put(EMAIL, page(rows))
        print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
