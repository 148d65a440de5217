"""Weights of the blend per length of history, learned on validation.

Every source scores every validation customer once. A customer's candidates are the best items of each source; what no
source puts there is not at the top of any blend. Weights are then found one source at a time, which costs no further
fit: each customer's candidates are put in order again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.metrics.ranking import Relevant
from recsys.models.blend import LENGTHS, BlendWeights
from recsys.recommend.sources import POPULAR, REPEAT
from training.tuning.judging import MANY, OBJECTIVE, Each, Gain, K, gain

STEPS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Weights that are tried for a source whose scores are in units of their spread; item-item has weight 1."""

REPEAT_STEPS = (0.0, 3.0, 10.0, 30.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 3000.0)
"""Weights of a probability."""

PAYS = 0.002
"""A source pays when it raises the objective by this share."""

ROUNDS = 3
LEAST_CUSTOMERS = 200
"""A class of history length with fewer validation customers keeps the weights of all."""

Weights = dict[str, float]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the sources say of each validation customer's candidates.

    Attributes
    ----------
    item : int32, shape (n, width); positions, ascending in a row, -1 where a row has fewer.
    said : per source float32, shape (n, width), scaled as the blend scales it.
    lengths : int64, shape (n,); how many items speak in each history.
    """

    item: npt.NDArray[np.int32]
    said: Mapping[str, npt.NDArray[np.float32]]
    lengths: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bench:
    """Candidates beside what was wanted, ready to be put in order by any weights.

    Attributes
    ----------
    names : the sources but popularity, in the order of `said`.
    said : float32, shape (sources, n, width).
    popular : float32, shape (n, width).
    wanted : bool, shape (n, width).
    there : bool, shape (n, width); where there is a candidate.
    ideal : float64, shape (n,); the best sum of gains that a list can have.
    discount : float64, shape (K,).
    """

    names: tuple[str, ...]
    said: npt.NDArray[np.float32]
    popular: npt.NDArray[np.float32]
    wanted: npt.NDArray[np.bool_]
    there: npt.NDArray[np.bool_]
    ideal: npt.NDArray[np.float64]
    discount: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        candidates: Candidates,
        relevant: Relevant,
        common: str = POPULAR,
        commons: Collection[str] = (POPULAR,),
    ) -> Bench:
        """`relevant` has the rows of `candidates`; of the names in `commons`, which are the same for everybody, one is
        popularity."""
        names = tuple(name for name in candidates.said if name not in commons)
        size = int(max(candidates.item.max(initial=-1), relevant.item.max(initial=-1))) + 1
        row = np.arange(len(candidates.item), dtype=np.int64)
        pairs = np.repeat(row, np.diff(relevant.indptr)) * size + relevant.item
        there = candidates.item >= 0
        discount = 1.0 / np.log2(np.arange(2, K + 2, dtype=np.float64))
        return cls(
            names,
            np.stack([candidates.said[name] for name in names]),
            candidates.said[common],
            np.isin(row[:, None] * size + candidates.item, pairs) & there,
            there,
            np.cumsum(discount)[np.minimum(relevant.size, K) - 1],
            discount,
        )

    def objective(self, weights: Mapping[str, float], rows: Rows) -> Each:
        """The objective of some customers' lists by these weights: shape (len(rows),)."""
        from recsys.models.ranking_kernels import blended_gains

        weight = np.array([weights.get(name, 0.0) for name in self.names], dtype=np.float32)
        common = float(weights.get(POPULAR, 0.0))
        gains: Each = blended_gains(
            rows, self.said, weight, self.popular, common, self.wanted, self.there, self.discount
        )
        return gains / self.ideal[rows]


@dataclass(frozen=True, slots=True)
class Learned:
    """Weights, and why each source has its weight.

    Attributes
    ----------
    before, after : the mean objective with the weights that the search started from, and with those found.
    causes : per source a sentence.
    """

    weights: BlendWeights
    before: float
    after: float
    causes: Mapping[str, str]


def learn_weights(
    bench: Bench,
    lengths: npt.NDArray[np.int64],
    start: Sequence[Mapping[str, float]],
    searched: Sequence[str],
    go_on: Callable[[], bool] = lambda: True,
) -> Learned:
    """The weights of the `searched` sources, for all customers and then per class of history length.

    A weight is changed where that is clearly better (`Gain.clear`). Then each source is left out on trial: one that
    does not pay (`PAYS`) gets weight 0, and costs nothing when answering.

    Parameters
    ----------
    lengths : shape (n,); how many items speak in each history.
    start : the weights of all sources, per class of `LENGTHS`; the search over all customers starts from the last.
    go_on : asked before each class; False leaves it with the weights of all customers.
    """
    place = np.array([bisect_right(LENGTHS, int(length)) for length in lengths])
    everyone = np.arange(len(place))
    common = pruned(bench, _climbed(bench, dict(start[-1]), searched, everyone), searched, everyone)
    found = []
    for number, given in enumerate(start):
        shared = common | {name: weight for name, weight in given.items() if name not in searched}
        rows = np.flatnonzero((place == number) & (lengths > 0))
        own = shared
        if len(rows) >= LEAST_CUSTOMERS and go_on():
            own = _climbed(bench, shared, searched, rows)
            if not gain(bench.objective(own, rows), bench.objective(shared, rows)).clear:
                own = shared
        found.append(own)
    before, after = _by_class(bench, start, place), _by_class(bench, found, place)
    return Learned(
        BlendWeights(LENGTHS, {name: tuple(float(each[name]) for each in found) for name in start[-1]}),
        float(before.mean()),
        float(after.mean()),
        {name: _cause(bench, name, found, place, after) for name in searched},
    )


def best_step(bench: Bench, weights: Weights, name: str, rows: Rows) -> tuple[Weights, Each]:
    """The weights with the right step for one source, and their objective.

    Of the steps that are no more than a standard error behind the best, it is the one nearest to the weight there was:
    the objective is flat around its best, which therefore lies anywhere by chance (Breiman et al. 1984, the rule of one
    standard error).
    """
    trials = [weights | {name: step} for step in (REPEAT_STEPS if name == REPEAT else STEPS)]
    judged = [(trial, bench.objective(trial, rows)) for trial in trials if _speaks(trial)]
    if not judged:
        return weights, bench.objective(weights, rows)
    best = max((each for _, each in judged), key=lambda each: float(each.mean()))
    as_good = [(trial, each) for trial, each in judged if gain(best, each).mean <= gain(best, each).error]
    return min(as_good, key=lambda pair: abs(np.log1p(pair[0][name]) - np.log1p(weights[name])))


def _climbed(bench: Bench, weights: Weights, searched: Sequence[str], rows: Rows) -> Weights:
    """Coordinate ascent over the steps."""
    current = bench.objective(weights, rows)
    for _ in range(ROUNDS):
        changed = False
        for name in searched:
            best, each = best_step(bench, weights, name, rows)
            if gain(each, current).clear:
                weights, current, changed = best, each, True
        if not changed:
            break
    return weights


def pruned(bench: Bench, weights: Weights, searched: Sequence[str], rows: Rows) -> Weights:
    """Weight 0 for the sources that do not pay, the least useful first, for as long as all that are left out do not
    pay together: sources that say nearly the same would each seem to be of no use beside the others."""
    whole = bench.objective(weights, rows)
    while True:
        without = [weights | {name: 0.0} for name in searched if weights[name] > 0]
        judged = [(gain(whole, bench.objective(trial, rows)), trial) for trial in without if _speaks(trial)]
        useless = [(worth.mean, trial) for worth, trial in judged if _useless(worth, float(whole.mean()))]
        if not useless:
            return weights
        weights = min(useless, key=lambda pair: pair[0])[1]


def _useless(worth: Gain, objective: float) -> bool:
    """Whether a source does not pay. What few customers do not show is no reason to drop what pays elsewhere: of fewer
    than `MANY` it takes a loss that is clear."""
    if worth.customers < MANY:
        return Gain(-worth.mean, worth.error, worth.customers).clear
    return worth.mean < PAYS * objective


def _speaks(weights: Mapping[str, float]) -> bool:
    """Whether any source but popularity, which speaks for nobody in particular, has a weight."""
    return any(weight > 0 for name, weight in weights.items() if name != POPULAR)


def _by_class(bench: Bench, classes: Sequence[Mapping[str, float]], place: npt.NDArray[np.int64]) -> Each:
    """The objective of all customers, each by the weights of their class."""
    each = np.zeros(len(place))
    for number, weights in enumerate(classes):
        rows = np.flatnonzero(place == number)
        each[rows] = bench.objective(weights, rows)
    return each


def _cause(bench: Bench, name: str, found: Sequence[Weights], place: npt.NDArray[np.int64], after: Each) -> str:
    """Why a source has its weights."""
    if not any(weights[name] for weights in found):
        whose = f"{OBJECTIVE} of {len(place)} validation customers"
        return f"weight 0: all sources of weight 0 together do not raise {whose} by {PAYS:.1%}"
    without = [weights | {name: 0.0} if _speaks(weights | {name: 0.0}) else weights for weights in found]
    worth = gain(after, _by_class(bench, without, place))
    doubt = "" if worth.clear else "kept, though it is not clear that it pays: "
    return (
        f"{doubt}without it {OBJECTIVE} of {len(place)} validation customers would be lower by {worth.mean:.5f} "
        f"(standard error {worth.error:.5f})"
    )
