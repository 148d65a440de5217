"""`make bench-exploration`: how soon new good books get their fair share, and what it costs, in simulated shops.

Several shops, each with its own seed, live through the same days with and without exploration; an oracle that knows
what customers like says what is fair. Writes the tables in docs/exploration.md and a line in docs/benchmarks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks import pages
from benchmarks.exploration.arms import ABLATIONS, HOW, NONE, THOMPSON
from benchmarks.exploration.loop import Arm, run, run_oracle
from benchmarks.exploration.measures import Measured, cohort, good_books, measured_sales, share_of_fair
from benchmarks.exploration.world import DAYS, make_world
from recsys.simulation.spec import ShopSpec

SEEDS, ABLATED = range(4), range(2)
"""Not those that anything was chosen on."""
WORKERS = 2
RESAMPLED = 2_000
COMMAND = "python -m benchmarks.exploration"
ARMS: dict[str, Arm] = {arm.name: arm for arm in (NONE, THOMPSON, *ABLATIONS)}
AGES = (3, 7, 14, 21, 28, 35, 42)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "exploration.md"
Shops = Sequence[dict[str, Measured]]
"""What was measured in each shop, by the names of the arms."""
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


def spec_of(seed: int) -> ShopSpec:
    """A shop of 600 books, three new ones every two days, and 150 visits a day."""
    return ShopSpec(
        books=600,
        customers=1_200,
        events=120_000,
        days=160,
        release_share=0.4,
        seed=seed,
        events_per_block=10**9,
    )


def measured(seed: int, arms: tuple[str, ...]) -> dict[str, Measured]:
    """Some arms in one shop, by name."""
    world = make_world(spec_of(seed))
    oracle = run_oracle(world)
    found = {}
    for name in arms:
        counted = run(world, ARMS[name])
        found[name] = Measured(cohort(world, counted, oracle), *measured_sales(world, counted, oracle))
        print(seed, name, len(good_books(world, oracle)), "good books", found[name], flush=True)
    return found


def reached(own: Sequence[Measured], fair: float) -> int:
    """The age in days at which new good books together have this part of the oracle's share; more than `DAYS` where
    they never do."""
    there = np.flatnonzero(share_of_fair([each.cohort for each in own])[:DAYS] >= fair)
    return int(there[0]) + 1 if len(there) else DAYS + 1


def old_part(own: Sequence[Measured]) -> float:
    """What part of the oracle's share old books have that are as good."""
    return sum(each.old for each in own) / sum(each.old_fair for each in own)


def on_day(day: int) -> str:
    """How a table says it."""
    return f"day {day}" if day <= DAYS else f"not in {DAYS} days"


def line(name: str, shops: Shops) -> str:
    """A row of the table."""
    own = [shop[name] for shop in shops]
    share = share_of_fair([each.cohort for each in own])
    parts = " | ".join(f"{share[age - 1]:.2f}" for age in AGES)
    same, without = (reached(own, old_part(each)) for each in (own, [shop[NONE.name] for shop in shops]))
    slots = 100 * sum(each.explored for each in own) / sum(each.slots for each in own)
    return (
        f"| {name} | {len(shops)} | {parts} | {old_part(own):.2f} | {on_day(without)} | {on_day(same)} | {slots:.1f} % "
        f"| {gained(name)(shops):+.1f} % |"
    )


def gained(name: str) -> Callable[[Shops], float]:
    """By how many of a hundred purchases lists differ from those without exploration."""

    def of(shops: Shops) -> float:
        return 100 * (sum(s[name].expected for s in shops) / sum(s[NONE.name].expected for s in shops) - 1)

    return of


def time_needed(shops: Shops) -> float:
    """The part of the time without exploration after which new good books have what old ones have without it."""
    none, own = ([shop[name] for shop in shops] for name in (NONE.name, THOMPSON.name))
    return reached(own, old_part(none)) / reached(none, old_part(none))


def interval(shops: Shops, of: Callable[[Shops], float]) -> str:
    """The 95 % interval of a figure over shops drawn with replacement."""
    rng = np.random.default_rng(0)
    drawn = [of([shops[place] for place in rng.integers(len(shops), size=len(shops))]) for _ in range(RESAMPLED)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{low:.2f} to {high:.2f}"


def told(shops: Shops, few: Shops) -> tuple[str, str]:
    """Both tables and what they come to, and the line for docs/benchmarks.md."""
    head = [
        "| lists | shops | " + " | ".join(f"day {age}" for age in AGES) + " | old books | fair share reached "
        "| as old books in the same lists | slots explored | purchases |",
        "|---|---:|" + "---:|" * len(AGES) + "---:|---|---|---:|---:|",
    ]
    none, own = ([shop[name] for shop in shops] for name in (NONE.name, THOMPSON.name))
    ever = reached(none, old_part(none)) <= DAYS
    ratio = (
        f"{'' if ever else 'at most '}{time_needed(shops):.2f} of the time (95 % interval over shops "
        f"{interval(shops, time_needed)})"
    )
    cost = f"purchases {gained(THOMPSON.name)(shops):+.1f} % ({interval(shops, gained(THOMPSON.name))} %)"
    lost = 100 * sum(each.lost for each in own) / sum(each.expected for each in none)
    outcome = (
        f"Fair is {old_part(none):.2f} of the oracle's share. It is reached in {ratio}; {cost}. The policy "
        f"itself expected to lose {lost:.2f} % of the purchases, of {100 * HOW.cost:g} % that it was allowed."
    )
    lines = [
        *head,
        *(line(name, shops) for name in (NONE.name, THOMPSON.name)),
        "",
        outcome,
        "",
        *head,
        *(line(name, few) for name in ARMS),
    ]
    what = "new good books reach their fair share, with exploration against without, in simulated shops"
    met = time_needed(shops) <= 0.25 and gained(THOMPSON.name)(shops) >= -2.0
    target = f"≤ 0.25 of the time, at ≤ 2 % of purchases: {'met' if met else 'missed'}"
    return "\n".join(lines), f"| {what} | {ratio}; {cost} | {target} | `{COMMAND}` |"


def main() -> None:
    """Runs all and writes."""
    names = (NONE.name, THOMPSON.name)
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        asked = [pool.submit(measured, seed, names) for seed in SEEDS]
        more = [pool.submit(measured, seed, tuple(arm.name for arm in ABLATIONS)) for seed in ABLATED]
        shops = [each.result() for each in asked]
        few = [shop | each.result() for shop, each in zip(shops, more, strict=False)]
    write(*told(shops, few))


def write(text: str, row: str) -> None:
    """Puts both where they belong."""
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n\n" + text + "\n\n" + END + rest.split(END)[1])
    first, second = pages.parts()
    kept = [each for each in first.rstrip().splitlines() if COMMAND not in each]
    pages.write("\n".join([*kept, row]) + "\n", second)
    print(text)


if __name__ == "__main__":
    main()
