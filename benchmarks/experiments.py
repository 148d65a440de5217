"""`make bench-experiments`: how often an experiment looked at daily is wrong, and how often it finds what is there.

Customers buy as the negative binomial model has it (Ehrenberg 1959): each at a rate of their own, gamma-distributed,
most of them nothing in a month. They come into the experiment with their first visit, sooner the more they buy. Each
look sees what has happened by the end of that day: customers of the first day for thirty days, those of the last for
one.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.measured import Row
from recsys.outcomes.lift import Mean, lift_of
from recsys.outcomes.sample_ratio import sample_ratio

DAYS = 30
BEFORE_DAYS = 90
TESTS = 1_000
POWER_TESTS = 200
SMALLEST = 0.05
PAGE = Path(__file__).parents[1] / "docs" / "experiments.md"
START, END = "<!-- experiments -->", "<!-- /experiments -->"

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shop:
    """How customers of a shop buy.

    Attributes
    ----------
    buyers : the share of customers who buy within 30 days.
    shape : of the gamma distribution of their rates; the smaller, the more of all purchases are of few customers.
    """

    buyers: float
    shape: float = 0.55

    @property
    def rate(self) -> float:
        """Purchases per customer and day on average: (1 + 30 rate / shape)^-shape buy nothing in 30 days."""
        return self.shape * ((1 - self.buyers) ** (-1 / self.shape) - 1) / DAYS


@dataclass(frozen=True, slots=True)
class Sums:
    """What looks need of one arm, by day: sums over its customers up to the end of each day, shape (30,).

    y is what a customer bought since the first exposure, x what they bought in the 90 days before.
    """

    count: Floats
    active: Floats
    y: Floats
    yy: Floats
    x: Floats
    xx: Floats
    xy: Floats


@dataclass(frozen=True, slots=True)
class Customers:
    """The customers of one arm.

    Attributes
    ----------
    entry : int64; the day of the first exposure of each.
    before : float64; what each bought in the 90 days before.
    who, day : int64; the customer and the day of each purchase after it, ascending by customer and day.
    """

    entry: Ints
    before: Floats
    who: Ints
    day: Ints


def drawn(rng: np.random.Generator, shop: Shop, customers: int, lift: float) -> Customers:
    """So many customers of a shop, who buy more than they else would by `lift` once they are in the experiment."""
    rates = rng.gamma(shop.shape, shop.rate / shop.shape, customers)
    # The more somebody buys the more they visit; who has not come by the last day comes on any.
    entered = rng.exponential(1.0, customers) / (0.05 + 3.0 * rates)
    entered = np.where(entered < DAYS, entered, rng.uniform(0, DAYS, customers))
    before = rng.poisson(rates * BEFORE_DAYS).astype(np.float64)
    bought = rng.poisson(rates * (DAYS - entered) * (1 + lift))
    who = np.repeat(np.arange(customers), bought)
    day = (entered[who] + rng.uniform(size=len(who)) * (DAYS - entered[who])).astype(np.int64)
    # All that is bought on one day is one purchase.
    who, day = np.divmod(np.unique(who * DAYS + day), DAYS)
    return Customers(entered.astype(np.int64), before, who, day)


def sums_of(arm: Customers) -> Sums:
    """What looks need of an arm: a purchase that makes y of y − 1 adds 2 y − 1 to the sum of squares."""
    first = np.flatnonzero(np.diff(arm.who, prepend=-1))
    earlier = np.arange(len(arm.who)) - np.repeat(first, np.diff(first, append=len(arm.who)))

    def by_day(days: Ints, amounts: Floats | None = None) -> Floats:
        return np.cumsum(np.bincount(days, amounts, minlength=DAYS)).astype(np.float64)

    return Sums(
        count=by_day(arm.entry),
        active=by_day(arm.day[first]),
        y=by_day(arm.day),
        yy=by_day(arm.day, 2.0 * earlier + 1),
        x=by_day(arm.entry, arm.before),
        xx=by_day(arm.entry, arm.before * arm.before),
        xy=by_day(arm.day, arm.before[arm.who]),
    )


def means(sums: Sums, day: int, theta: float, middle: float) -> Mean:
    """The mean of y − θ (x − middle) on one day, as `recsys.outcomes.lift` has it of single customers."""
    n = sums.count[day]
    y, x = sums.y[day] / n, sums.x[day] / n
    value = y - theta * (x - middle)
    spread = sums.yy[day] - 2 * theta * sums.xy[day] + theta**2 * sums.xx[day] - n * (y - theta * x) ** 2
    relative = spread / (n - 1) / n / value**2 if value > 0 else math.inf
    return Mean(float(value), float(relative), int(n), int(sums.active[day]))


def pooled(one: Sums, other: Sums, day: int) -> tuple[float, float]:
    """θ of both arms together, and the mean of x."""
    n, x, y, xx, xy = (getattr(one, name)[day] + getattr(other, name)[day] for name in ("count", "x", "y", "xx", "xy"))
    spread = xx - x * x / n
    return (float((xy - x * y / n) / spread) if spread > 0 else 0.0), float(x / n)


@dataclass(frozen=True, slots=True)
class Found:
    """The first day, from 1, on which one experiment showed an effect by each way of looking; None for never."""

    sequence: int | None
    unadjusted: int | None
    daily_t: int | None
    last_t: int | None
    ratio_off: bool
    covered: bool


def one_test(rng: np.random.Generator, shop: Shop, customers: int, lift: float) -> Found:
    """One experiment with two arms, looked at every day."""
    in_control = int(rng.binomial(customers, 0.5))
    control = sums_of(drawn(rng, shop, in_control, 0.0))
    arm = sums_of(drawn(rng, shop, customers - in_control, lift))
    days: dict[str, int | None] = {"sequence": None, "unadjusted": None, "daily_t": None, "last_t": None}
    covered = True
    for day in range(DAYS):
        theta, middle = pooled(arm, control, day)
        for name, slope in (("sequence", theta), ("unadjusted", 0.0)):
            found = lift_of(means(arm, day, slope, middle), means(control, day, slope, middle), SMALLEST)
            if found is None:
                continue
            if days[name] is None and found.is_found:
                days[name] = day + 1
            if name == "sequence":
                covered &= found.low <= lift <= found.high
                usual = abs(math.log1p(found.value)) > 1.96 * found.standard_error
                if usual and days["daily_t"] is None:
                    days["daily_t"] = day + 1
                if usual and day == DAYS - 1:
                    days["last_t"] = DAYS
    counts = np.column_stack([control.count, arm.count]).astype(np.int64)
    return Found(**days, ratio_off=sample_ratio(counts, np.array([0.5, 0.5])).is_off, covered=covered)


def simulated(shop: Shop, customers: int, lift: float, count: int, seed: int) -> list[Found]:
    """So many experiments."""
    rng = np.random.default_rng(seed)
    return [one_test(rng, shop, customers, lift) for _ in range(count)]


def share(found: list[Found], asked: Callable[[Found], bool]) -> float:
    """Of how many of them this holds."""
    return sum(map(asked, found)) / len(found)


def with_error(value: float, count: int) -> str:
    """A share and its standard error, in percent."""
    return f"{100 * value:.1f} % (± {100 * math.sqrt(value * (1 - value) / count):.1f})"


AA_SHOPS = ((Shop(0.20), 10_000), (Shop(0.20), 100_000), (Shop(0.02), 10_000))
REPORTED = (0.10, 0.25, 0.36)
"""Those of docs/benchmarks.md: few buyers, where it is found in four of five cases, and as in online-retail-uci."""
POWER_SHOPS = (*(Shop(buyers) for buyers in (0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30)), Shop(0.36, 1.35))


def false_alarms(count: int) -> Iterator[str]:
    """Rows of the table of A/A tests."""
    yield (
        "| buy within 30 days | customers | ever shows an effect | the truth is ever outside "
        "| a t-test looked at daily | split called off |"
    )
    yield "|---|---|---|---|---|---|"
    for number, (shop, customers) in enumerate(AA_SHOPS):
        found = simulated(shop, customers, 0.0, count, seed=10 + number)
        shown = [
            share(found, lambda each: each.sequence is not None),
            share(found, lambda each: not each.covered),
            share(found, lambda each: each.daily_t is not None),
            share(found, lambda each: each.ratio_off),
        ]
        cells = " | ".join(with_error(value, count) for value in shown)
        yield f"| {shop.buyers:.0%} | {customers:,} | {cells} |"


def power(count: int) -> Iterator[str]:
    """Rows of the table of a true lift of 5 % on 100,000 customers."""
    yield "| buy within 30 days | found by day 30 | median day | without CUPED | one t-test on day 30, no look before |"
    yield "|---|---|---|---|---|"
    for number, shop in enumerate(POWER_SHOPS):
        found = simulated(shop, 100_000, 0.05, count, seed=50 + number)
        on = sorted(each.sequence or DAYS + 1 for each in found)[count // 2]
        yield (
            f"| {shop.buyers:.0%} | {with_error(share(found, lambda each: each.sequence is not None), count)} "
            f"| {on if on <= DAYS else '–'} "
            f"| {with_error(share(found, lambda each: each.unadjusted is not None), count)} "
            f"| {with_error(share(found, lambda each: each.last_t is not None), count)} |"
        )


def measure() -> list[Row]:
    """The lines of docs/benchmarks.md."""
    fair = simulated(AA_SHOPS[1][0], 100_000, 0.0, TESTS, seed=11)
    shown = with_error(share(fair, lambda each: each.sequence is not None), TESTS)
    daily = with_error(share(fair, lambda each: each.daily_t is not None), TESTS)
    found = {
        shop.buyers: share(
            simulated(shop, 100_000, 0.05, POWER_TESTS, seed=50 + number), lambda e: e.sequence is not None
        )
        for number, shop in enumerate(POWER_SHOPS)
        if shop.buyers in REPORTED
    }
    cases = "; ".join(f"where {buyers:.0%} buy within 30 days: {100 * value:.1f} %" for buyers, value in found.items())
    command = "python -m benchmarks.experiments"
    return [
        Row(
            "1,000 A/A tests of 100,000 customers, 30 daily looks: ever show an effect",
            command,
            f"{shown}; a t-test looked at as often: {daily}",
            "≤ 5 %",
        ),
        Row("a true lift of 5 % on 100,000 customers: found by day 30", command, cases, "≥ 80 %"),
    ]


def main() -> None:
    """Prints both tables and writes them into docs/experiments.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=TESTS, help="A/A tests of each kind")
    parser.add_argument("--power-tests", type=int, default=POWER_TESTS, help="tests with a lift, of each kind")
    options = parser.parse_args()
    started = time.monotonic()
    lines = [f"{options.tests:,} A/A tests of each kind:", "", *false_alarms(options.tests), ""]
    lines += [f"A true lift of 5 % on 100,000 customers, {options.power_tests:,} tests of each kind:", ""]
    lines += power(options.power_tests)
    text = "\n".join(lines)
    before, rest = PAGE.read_text().split(START)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{START}\n{text}\n{END}{after}")
    print(text)
    print(f"{time.monotonic() - started:.0f} s; wrote {PAGE.name}")


if __name__ == "__main__":
    main()
