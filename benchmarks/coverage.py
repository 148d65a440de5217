"""`make bench-coverage`: how often an evaluation's intervals hold the truth, and how often it sees what is not there.

Each simulated shop has a population of customers, two fixed models and what every customer goes on to want, so the true
difference of the models is known: the mean over the population. A *world* shows a sample of it, drawn independently,
and the evaluation says what it would say of a real shop. In an A/A world a coin decides for each customer which of the
two is called the first, so that in truth there is no difference, however different the models.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.metrics import popularity, variety
from recsys.metrics.ranking import Ranked, Relevant, per_customer
from recsys.metrics.uncertainty import RESAMPLES, Verdict
from recsys.metrics.value import value_per_customer
from training.evaluation.differences import judged_together, resampled

WORLDS = 2_000
SAMPLES = (100, 400)
K = 10
FEW = 5
"""Where fewer customers differ, on average, an interval is wide rather than right."""

_NULL = "null "

PAGE = Path(__file__).parents[1] / "docs" / "evaluation.md"
START, END = "<!-- coverage -->", "<!-- /coverage -->"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shop:
    """A simulated shop.

    Attributes
    ----------
    name : what the table calls it.
    followed : the share of what customers want that follows their taste; the rest may be anything.
    wanted : how many items each wants on average beyond the first.
    apart : how far the two models' views of a taste lie apart; the smaller, the fewer customers get different lists.
    """

    name: str
    followed: float
    wanted: float
    apart: float
    customers: int = 20_000
    items: int = 400
    tastes: int = 4


SHOPS = (
    Shop("dense", followed=0.9, wanted=4.0, apart=1.0),
    Shop("usual", followed=0.5, wanted=1.0, apart=0.7),
    Shop("sparse", followed=0.15, wanted=0.3, apart=0.7),
    Shop("sparse, models alike", followed=0.15, wanted=0.3, apart=0.1),
)


def population(shop: Shop, seed: int) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The metrics of two models for every customer of a shop: metric → float64, shape (customers,)."""
    rng = np.random.default_rng(seed)
    count = np.sort(rng.zipf(1.5, shop.items).clip(1, 10_000))[::-1].astype(np.int64)
    taste = rng.normal(size=(shop.customers, shop.tastes))
    kinds = rng.normal(size=(shop.items, shop.tastes))
    seen = [np.log(count) * 0.5 + _view(taste, kinds, shop.apart, rng) for _ in range(2)]
    lists = [_best(scores) for scores in seen]
    relevant = _wanted(shop, np.log(count) * 0.5 + taste @ kinds.T, rng)
    price = np.exp(rng.normal(2.0, 1.0, shop.items))
    features = sparse.csr_matrix(np.eye(20)[rng.integers(20, size=shop.items)])
    first, second = (_metrics(ranked, relevant, count, price, features) for ranked in lists)
    return first, second


def _view(taste: Floats, kinds: Floats, apart: float, rng: np.random.Generator) -> Floats:
    """What a model believes of all tastes: it errs for some customers more than for others."""
    error = rng.normal(size=taste.shape) * rng.exponential(apart, size=(len(taste), 1))
    return np.asarray((taste + error) @ kinds.T)


def _best(scores: Floats) -> Ranked:
    top = np.argpartition(-scores, K, axis=1)[:, :K]
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
    return np.take_along_axis(top, order, axis=1).astype(np.int32)


def _wanted(shop: Shop, scores: Floats, rng: np.random.Generator) -> Relevant:
    """Gumbel noise draws without replacement, in proportion to exp(score); what follows no taste is outside of it."""
    size = 1 + rng.poisson(shop.wanted, shop.customers)
    most = int(size.max())
    noisy = 2.0 * scores + rng.gumbel(size=scores.shape)
    drawn = np.argpartition(-noisy, most, axis=1)[:, :most]
    anything = np.argpartition(rng.random(scores.shape), most, axis=1)[:, :most]
    item = np.where(rng.random(drawn.shape) < shop.followed, drawn, anything)
    item[np.arange(most) >= size[:, None]] = -1
    item.sort(axis=1)
    kept = (item >= 0) & (np.diff(item, axis=1, prepend=-1) > 0)
    own = kept.sum(axis=1)
    return Relevant(np.concatenate([[0], np.cumsum(own)]).astype(np.int64), item[kept].astype(np.int32), size)


def _metrics(
    ranked: Ranked, relevant: Relevant, count: npt.NDArray[np.int64], price: Floats, features: sparse.csr_matrix
) -> dict[str, Floats]:
    worth = price[relevant.item]
    whole = np.diff(np.concatenate([[0.0], np.cumsum(worth)])[relevant.indptr])
    return {
        **per_customer(ranked, relevant, [K]),
        **value_per_customer(ranked, relevant, worth, whole, [K], "revenue"),
        "debiased_recall@10": popularity.debiased_recall(ranked, relevant, K, count),
        "hard_to_find_recall@10": popularity.recall_among(ranked, relevant, K, ~popularity.best_sellers(count)),
        "novelty@10": popularity.novelty(ranked, K, count, int(count.sum())),
        "average_popularity@10": popularity.average_popularity(ranked, K, count),
        "serendipity@10": variety.serendipity(ranked, relevant, K, variety.popularity_places(count)),
        "intra_list_diversity@10": variety.intra_list_diversity(ranked, K, features),
    }


@dataclass(frozen=True, slots=True)
class Found:
    """Of the worlds of one shop and one size of samples.

    Attributes
    ----------
    covered : metric → the share of intervals that hold the truth.
    alarms : the share of A/A worlds in which any verdict sees a difference.
    different : metric → how many customers of a sample have two different values, on average.
    """

    shop: Shop
    size: int
    covered: dict[str, float]
    alarms: float
    different: dict[str, float]


def worlds(shop: Shop, sizes: Sequence[int], count: int, resamples: int = RESAMPLES, seed: int = 0) -> list[Found]:
    """What the evaluation says in so many worlds of each size."""
    with threadpool_limits(1, "blas"):
        first, second = population(shop, seed)
        return [_worlds(shop, first, second, size, count, resamples) for size in sizes]


def _worlds(
    shop: Shop, first: dict[str, Floats], second: dict[str, Floats], size: int, count: int, resamples: int
) -> Found:
    apart = {metric: first[metric] - second[metric] for metric in first}
    truth = {metric: float(np.nanmean(values)) for metric, values in apart.items()}
    rng = np.random.default_rng(size)
    covered, alarms = dict.fromkeys(first, 0), 0
    for world in range(count):
        rows = rng.integers(shop.customers, size=size)
        swapped = rng.random(size) < 0.5
        one = {metric: values[rows] for metric, values in first.items()}
        two = {metric: values[rows] for metric, values in second.items()}
        # Both questions are asked of the same resamples.
        one |= {f"{_NULL}{metric}": np.where(swapped, two[metric], one[metric]) for metric in first}
        two |= {f"{_NULL}{metric}": np.where(swapped, first[metric][rows], two[metric]) for metric in first}
        found = resampled({"first": one, "second": two}, "first", world, resamples)[1]["second"]
        for metric, true in truth.items():
            covered[metric] += found[metric].low <= true <= found[metric].high
        null = {metric: found[f"{_NULL}{metric}"] for metric in first}
        judged = judged_together({None: {"second": null}})[None]["second"]
        alarms += any(each.verdict is not Verdict.NO_CLEAR_DIFFERENCE for each in judged.values())
    return Found(
        shop,
        size,
        {metric: each / count for metric, each in covered.items()},
        alarms / count,
        {metric: size * float(np.count_nonzero(np.nan_to_num(each))) / len(each) for metric, each in apart.items()},
    )


def table(found: Sequence[Found]) -> Iterator[str]:
    """The lines of the table."""
    yield "| shop | customers | median of the metrics | lowest | highest | where few differ | A/A with a verdict |"
    yield "|---|---|---|---|---|---|---|"
    for each in found:
        usual = {metric: share for metric, share in each.covered.items() if each.different[metric] >= FEW}
        few = [each.covered[metric] for metric in each.covered if metric not in usual]
        low, high = min(usual, key=usual.__getitem__), max(usual, key=usual.__getitem__)
        cells = (
            each.shop.name,
            f"{each.size:,}",
            f"{100 * float(np.median(list(usual.values()))):.1f} %",
            *(f"{100 * usual[metric]:.1f} % ({metric.partition('@')[0]})" for metric in (low, high)),
            f"{100 * min(few):.1f} – {100 * max(few):.1f} % ({len(few)})" if few else "–",
            f"{100 * each.alarms:.1f} %",
        )
        yield f"| {' | '.join(cells)} |"


def summary(found: Sequence[Found], count: int) -> str:
    """The table in one sentence or two."""
    shares = [share for each in found for metric, share in each.covered.items() if each.different[metric] >= FEW]
    inside = sum(0.94 <= share <= 0.96 for share in shares)
    error = math.sqrt(0.05 * 0.95 / count)
    return (
        f"{count:,} worlds of each kind and size, so that the standard error of a share is {100 * error:.1f} %. "
        f"Where {FEW} customers or more differ, {100 * float(np.mean(shares)):.2f} % of all intervals hold the truth; "
        f"{inside} of the {len(shares)} shares (a metric, in a shop, at a size) lie between 94 and 96 %. "
        f"Of A/A worlds at most {100 * max(each.alarms for each in found):.1f} % have any verdict; "
        f"{100 * (0.05 + 2 * error):.1f} % would be too many."
    )


def main() -> None:
    """Prints the table and writes it into docs/evaluation.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=WORLDS, help="of each kind")
    options = parser.parse_args()
    started = time.monotonic()
    with ProcessPoolExecutor(2) as pool:
        found = []
        tasks = [pool.submit(worlds, shop, SAMPLES, options.worlds, RESAMPLES, seed) for seed, shop in enumerate(SHOPS)]
        for task in tasks:
            found += task.result()
            print(*table(found[-len(SAMPLES) :]), sep="\n", flush=True)
    text = "\n".join([*table(found), "", summary(found, options.worlds)])
    print(text)
    if options.worlds >= WORLDS:
        before, rest = PAGE.read_text().split(START)
        PAGE.write_text(f"{before}{START}\n{text}\n{END}{rest.split(END)[1]}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
