"""`make bench-replay`: replays in simulated shops where the target policy's true value is known.

Lists of six are logged by the exploration that the service runs: which slot holds what, and how likely that was, comes
from `recsys.recommend.exploration.choose`. Customers of three kinds look at so many slots, whatever they hold, and
click in proportion to what they like, where the item stands and how active they are; the active ones come more often.
What a policy is worth per slot that is seen follows from these probabilities, without any sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.measured import Row
from recsys.metrics.off_policy import DOUBLY_ROBUST, IPS, LOGGED, SNIPS
from recsys.outcomes.slots import SLOT_SCHEMA, SeenSlots
from recsys.recommend.exploration import SCENARIOS, Beliefs, Suited, choose
from recsys.recommend.exploration.groups import ItemGroups
from recsys.recommend.placement import Exploration
from training.evaluation.replay.replaying import Names, Replay, replayed

Floats = npt.NDArray[np.float64]
Items = npt.NDArray[np.int32]

KINDS, SLOTS, ITEMS, NEW = 3, 6, 24, 6
"""Kinds of customers, slots of a list, items, and how many of them, the last, are explored."""

EXPLORATION: Final = Exploration(share=0.5, cost=1.0)
WORLDS, CUSTOMERS = 250, 200
_COMMAND = "python -m benchmarks.replay"


@dataclass(frozen=True, slots=True)
class World:
    """A shop whose truth is known.

    Attributes
    ----------
    liking : shape (KINDS, ITEMS); how likely a customer of average activity clicks an item in the first slot.
    looks : shape (SLOTS,); how much that is in the other slots.
    lists : int32, shape (KINDS, SLOTS); what would be shown without exploration.
    beliefs : of the explored items.
    """

    liking: Floats
    looks: Floats
    lists: Items
    beliefs: Beliefs

    @classmethod
    def drawn(cls, seed: int) -> World:
        """Any."""
        rng = np.random.default_rng(seed)
        liking = rng.beta(1.5, 8.0, size=(KINDS, ITEMS)) * 0.5
        lists = np.argsort(-liking[:, : ITEMS - NEW] * rng.lognormal(0.0, 0.5, (KINDS, ITEMS - NEW)), axis=1)[:, :SLOTS]
        explored = np.arange(ITEMS - NEW, ITEMS, dtype=np.int32)
        place = np.full(ITEMS, -1, dtype=np.int32)
        place[explored] = np.arange(NEW)
        mean = liking.mean(axis=0)
        draws = rng.gamma(1.0, mean[explored, None], size=(NEW, SCENARIOS)).astype(np.float32)
        groups = ItemGroups.nothing(ITEMS)
        looks = 1.0 / np.log2(np.arange(2, SLOTS + 2))
        return cls(
            liking,
            looks,
            lists.astype(np.int32),
            Beliefs(mean, explored, place, draws, draws[:, 0], groups, groups, groups.at(explored)),
        )

    def target(self, tried: int | None) -> Items:
        """The lists of a policy without chance: as the shop's own, or with the first explored item in one slot."""
        lists = self.lists.copy()
        if tried is not None:
            lists[:, tried] = ITEMS - NEW
        return lists

    def value(self, lists: Items) -> float:
        """Clicks per slot seen. With a the activity, gamma(2, ½), and 1 + Poisson(a) visits: E[visits · a] / E[visits]
        = (E[a] + E[a²]) / (1 + E[a]) = 1.25. A slot is seen in all lists that are looked at to there."""
        seen = np.arange(SLOTS, 0, -1) / SLOTS
        clicks = np.take_along_axis(self.liking, lists.astype(np.int64), axis=1) * self.looks
        return float(1.25 * (clicks * seen).sum(axis=1).mean() / seen.sum())

    def logged(self, rng: np.random.Generator, customers: int, *, chance: bool = True) -> tuple[SeenSlots, Items]:
        """What a shop's log has of so many customers, and the kind of each answer's customer, by answer. Without
        `chance` nothing was explored."""
        kind, activity = rng.integers(KINDS, size=customers), rng.gamma(2.0, 0.5, size=customers)
        visits = 1 + rng.poisson(activity)
        who = np.repeat(np.arange(customers), visits)
        candidates = Suited(np.arange(NEW, dtype=np.int32), np.ones(NEW, dtype=np.float32))
        shown = self.lists[kind[who]]
        propensity = np.ones(shown.shape)
        for number in range(len(who)) if chance else ():
            found = choose(str(rng.integers(2**62)), shown[number], candidates, self.beliefs, EXPLORATION)
            shown[number], propensity[number] = found.item, found.propensity
        depth = rng.integers(1, SLOTS + 1, size=len(who))
        likely = self.liking[kind[who, None], shown] * self.looks * activity[who, None]
        clicked = rng.random(shown.shape) < np.minimum(likely, 1.0)
        answer, slot = np.nonzero(np.arange(SLOTS) < depth[:, None])
        rows = {
            "customer_id": [f"c{number}" for number in who[answer]],
            "recommendation_id": [f"a{number}" for number in answer],
            "answered": answer,
            "item_id": [f"i{number}" for number in shown[answer, slot]],
            "slot": slot + 1,
            "propensity": propensity[answer, slot],
            "seen": answer,
            "reward": clicked[answer, slot].astype(np.float64),
        }
        frame = pl.DataFrame(rows, schema_overrides=SLOT_SCHEMA).select(list(SLOT_SCHEMA))
        return SeenSlots(frame, {}, {"home": frame.height}), kind[who].astype(np.int32)


def replay_of(world: World, lists: Items, rng: np.random.Generator, customers: int) -> Replay:
    """What a replay says of a policy in a world."""
    seen, kind = world.logged(rng, customers)

    def asked(answers: pl.DataFrame, width: int) -> Names:
        number = answers["recommendation_id"].str.slice(1).cast(pl.Int64).to_numpy()
        return np.array([[f"i{item}" for item in lists[kind[own], :width]] for own in number], dtype=object)

    return replayed(seen, asked, seed=0)


@dataclass(frozen=True, slots=True)
class Studied:
    """Over many worlds: how often the 95 % interval of each estimate holds the truth, how far the mean of the estimates
    is from that of the truths as a share of it, and the standard error of that."""

    coverage: Mapping[str, float]
    bias: Mapping[str, float]
    error: Mapping[str, float]


def study(worlds: int, customers: int, tried: int | None, seed: int = 0) -> Studied:
    """Replays of one policy in so many worlds."""
    names = (LOGGED, IPS, SNIPS, DOUBLY_ROBUST)
    held: dict[str, list[bool]] = {name: [] for name in names}
    off: dict[str, list[float]] = {name: [] for name in names}
    for number in range(worlds):
        world = World.drawn(seed * 1_000_003 + number)
        lists = world.target(tried)
        truth, rng = world.value(lists), np.random.default_rng([seed, number])
        for name, found in replay_of(world, lists, rng, customers).found.estimates.items():
            held[name].append(found.low <= truth <= found.high)
            off[name].append(found.mean / truth - 1.0)
    return Studied(
        {name: float(np.mean(each)) for name, each in held.items()},
        {name: float(np.mean(each)) for name, each in off.items()},
        {name: float(np.std(each) / np.sqrt(worlds)) for name, each in off.items()},
    )


def measure(worlds: int = WORLDS) -> list[Row]:
    """A row for each policy."""
    rows = []
    for what, tried in (("the lists without exploration", None), ("a new item in the second slot", 1)):
        found = study(worlds, CUSTOMERS, tried)
        told = "; ".join(
            f"{name} {found.coverage[name]:.1%}, bias {found.bias[name]:+.1%} ± {found.error[name]:.1%}"
            for name in (LOGGED, IPS, SNIPS, DOUBLY_ROBUST)
        )
        met = all(0.93 <= found.coverage[name] <= 0.97 for name in (IPS, SNIPS, DOUBLY_ROBUST))
        rows.append(
            Row(
                f"replays of {what} in {worlds:,} simulated shops of {CUSTOMERS} customers: how often the interval "
                "holds the truth, and bias",
                _COMMAND,
                told,
                f"93 to 97 % for ips, snips and doubly_robust: {'met' if met else 'missed'}",
            )
        )
    return rows


def main() -> None:
    """Prints them."""
    for row in measure():
        print(f"| {row.what} | {row.measured} | {row.target} | `{row.command}` |")


if __name__ == "__main__":
    main()
