"""What a filter over 100,000 items costs: when it is first asked for, and when it was asked for before.

`python -m benchmarks.filters`. The peer is SQLite over the same rows in memory, in the same run.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from statistics import median

import orjson
import polars as pl

from benchmarks.measured import Row
from recsys.data.catalog import ITEM_SCHEMA, CatalogChanges
from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.item_table import ItemTable
from recsys.data.packed import HistoryRow
from recsys.data.vocabulary import Vocabulary
from recsys.recommend.filters import AskerFacts, parse
from recsys.recommend.rules import NO_RULES

ITEMS, EVENTS, TIMES = 100_000, 200, 15
NOW, DAY = 1_700_000_000_000, 86_400_000
COMMAND = "python -m benchmarks.filters"
PLAIN = "category = 'Crime' AND price < {} AND stock > 0 AND author LIKE 'author 1%'"
WHOLE = "category = 'Crime' AND price < {} AND stock > 0 AND NOT bought_within('30d')"


def frame() -> pl.DataFrame:
    """Made-up books."""
    rng = random.Random(1)
    rows = [
        {
            "item_id": f"i{n:06}",
            "author": f"author {rng.randrange(ITEMS // 5)}",
            "category": rng.choice(["Crime", "Science fiction", "Poetry", "Travel"]),
            "price": rng.choice([None, round(rng.random() * 30, 2)]),
            "attributes": orjson.dumps({"stock": rng.randrange(5), "pages": rng.randrange(900)}).decode(),
        }
        for n in range(ITEMS)
    ]
    missing = [pl.lit(None, kind).alias(name) for name, kind in ITEM_SCHEMA.items() if name not in rows[0]]
    return pl.DataFrame(rows).with_columns(missing).select(*ITEM_SCHEMA)


def timed(run: Callable[[int], object], times: int = TIMES) -> float:
    """Seconds of one call, the median; each is told which it is."""
    seconds = []
    for number in range(times):
        # Seconds of computing: nothing here waits, and others may be at work on the machine.
        start = time.process_time()
        run(number)
        seconds.append(time.process_time() - start)
    return median(seconds)


def per_call(run: Callable[[], object], calls: int = 2_000) -> float:
    """Seconds of one of many calls, the median of some rounds."""

    def rounds(_: int) -> None:
        for _ in range(calls):
            run()

    return timed(rounds) / calls


def in_sqlite(rows: pl.DataFrame) -> sqlite3.Connection:
    """The same rows in memory."""
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA case_sensitive_like = ON")
    database.execute("CREATE TABLE items (n INTEGER PRIMARY KEY, author, category, price, stock)")
    values = (
        (n, author, category, price, orjson.loads(attributes)["stock"])
        for n, (author, category, price, attributes) in enumerate(
            rows.select("author", "category", "price", "attributes").iter_rows()
        )
    )
    database.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?)", values)
    return database


def measure() -> list[Row]:
    """The figures."""
    rows = frame()
    items = Vocabulary.from_ids(rows["item_id"])
    build = timed(lambda _: ItemTable.from_items(rows, items), 3)
    table = ItemTable.from_items(rows, items, 1)
    changed = rows.slice(500, 1).with_columns(attributes=pl.lit('{"pages":5,"stock":77}'))
    change = timed(lambda number: table.with_changes(CatalogChanges(changed, (), number), items))

    rng = random.Random(2)
    events = [
        HistoryRow(f"i{rng.randrange(ITEMS):06}", EventKind.PURCHASE.code, NOW - (EVENTS - n) * DAY, None, 1.0, None)
        for n in range(EVENTS)
    ]
    asker = AskerFacts(History.from_stored(StoredHistory.of(1, events), items))
    database = in_sqlite(rows)
    parse("price < 1", table.kinds).mask(table)
    first_plain = timed(lambda n: parse(PLAIN.format(10 + n), table.kinds).mask(table, now=NOW))
    first_whole = timed(lambda n: parse(WHOLE.format(10 + n), table.kinds).mask(table, asker, NOW))
    peer = timed(lambda n: database.execute(f"SELECT n FROM items WHERE {PLAIN.format(10 + n)}").fetchall())
    plain, whole = (parse(text.format(":max"), table.kinds) for text in (PLAIN, WHOLE))
    cached_plain = per_call(lambda: NO_RULES.narrowed(plain.where(table, asker, NOW, {"max": 10})))
    cached_whole = per_call(lambda: whole.where(table, asker, NOW, {"max": 10}))
    masked = per_call(lambda: NO_RULES.narrowed(whole.where(table, asker, NOW, {"max": 10})))
    return [
        Row(
            f"filter over {ITEMS:,} items, first use: parsed, checked, made",
            COMMAND,
            f"{first_plain * 1e3:.1f} ms; with a history of {EVENTS} events {first_whole * 1e3:.1f} ms; the same rows "
            f"selected by SQLite in memory {peer * 1e3:.1f} ms, ratio {first_plain / peer:.2f}",
            "≤ 20 ms",
        ),
        Row(
            "filter that was asked for before, added to an answer",
            COMMAND,
            f"{cached_plain * 1e6:.1f} µs; with a history {cached_whole * 1e6:.1f} µs, {masked * 1e6:.1f} µs where a "
            "list is ranked",
            "≤ 5 µs",
        ),
        Row(
            f"attributes of {ITEMS:,} items as columns, once a filter asks for them",
            COMMAND,
            f"{build:.2f} s; one changed item after that {change * 1e3:.2f} ms",
            "–",
        ),
    ]


def main() -> None:
    """Prints them."""
    for row in measure():
        print(f"| {row.what} | {row.measured} | {row.target} | `{row.command}` |")


if __name__ == "__main__":
    main()
