"""From logged lists to what another policy would have brought.

**The model of clicks.** Whether an item in a slot is clicked or bought may depend on the customer, the moment, the item
and the slot, and not on what stands in the other slots: the item-position model (Li, Abbasi-Yadkori, Kveton,
Muthukrishnan, Vinay and Wen 2018: Offline evaluation of ranking policies with click models). Then a slot is a decision
of its own, and the weight of what was seen in it is the probability that the target policy shows this item in this
slot, which for a list without chance is 1 or 0, by the probability that the logging policy did, its propensity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.errors import InputError
from recsys.metrics.off_policy import DOUBLY_ROBUST, Decisions, OffPolicy, evaluate_policy
from recsys.metrics.uncertainty import Interval, Verdict, verdicts
from recsys.outcomes.lift import Lift, Mean, lift_of, ratio_of
from recsys.outcomes.slots import SeenSlots
from training.evaluation.replay.lists import NO_ITEM
from training.evaluation.replay.reward_model import cross_fitted

LEAST_SUPPORT: Final = 0.95
"""With less of the target policy's places in the log than this, nothing is concluded."""

LEAST_EFFECTIVE: Final = 200.0
"""The same for the effective number of decisions: with fewer the few large weights decide, and intervals hold the truth
less often than they say (docs/benchmarks.md)."""

SMALLEST_LIFT: Final = 0.05
"""The lift that the interval is made to find soonest; it holds for any other."""

Names = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Replay:
    """What was found.

    Attributes
    ----------
    found : the estimates, per slot that was seen.
    verdict : whether the target policy is better than what was shown, by the doubly robust estimate; None where
        `cause` says why nothing is concluded.
    lift : over what was shown, by inverse propensities; None where nothing is concluded or there is too little.
    slots, answers, customers : how much was seen.
    chance : the share of slots in which chance had a part.
    clip : the largest weight.
    """

    found: OffPolicy
    verdict: Verdict | None
    cause: str | None
    lift: Lift | None
    slots: int
    answers: int
    customers: int
    chance: float
    clip: float

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        lift = self.lift
        return {
            "slots": self.slots,
            "answers": self.answers,
            "customers": self.customers,
            "chance": self.chance,
            "clip": self.clip,
            "clipped": self.found.clipped,
            "matched": self.found.weighted,
            "effective": self.found.effective,
            "support": _interval(self.found.support),
            "estimates": {name: _interval(each) for name, each in self.found.estimates.items()},
            "differences": {name: _interval(each) for name, each in self.found.differences.items()},
            "lift": None if lift is None else {"value": lift.value, "low": lift.low, "high": lift.high},
            "verdict": None if self.verdict is None else str(self.verdict),
            "cause": self.cause,
        }


def answers_of(seen: SeenSlots) -> pl.DataFrame:
    """The answers whose slots were seen, in order: `customer_id`, `recommendation_id`, `answered`."""
    return seen.rows.select("customer_id", "recommendation_id", "answered").unique(maintain_order=True)


def require_chance(seen: SeenSlots, placement: str) -> None:
    """InputError where nothing was seen, or where chance had no part in what was shown: of what else might have been
    shown such a log says nothing."""
    rows = seen.rows
    if rows.is_empty():
        causes = "; ".join(f"{cause}: {count:,}" for cause, count in seen.left_out.items())
        others = ", ".join(f"{name} {count:,}" for name, count in seen.placements.items())
        raise InputError(
            f"no slot of the placement {placement} was seen that counts"
            + (f" ({causes})" if causes else "")
            + (f"; slots seen by placement: {others}" if others else ""),
            expected="`impression` events with recommendation_id, slot and propensity, of answers that were given "
            "after the newest event that the bundle has learned from",
            remedy="send them from the storefront (docs/http-api.md, what was seen); name the placement with --logged",
        )
    if not (rows["propensity"] < 1).any():
        raise InputError(
            f"each of the {rows.height:,} slots seen of the placement {placement} held what it held for certain: a log "
            "without chance says nothing of other lists",
            expected="slots with a propensity below 1",
            remedy=f"switch exploration on ([placements.{placement}] explore = {{ share = 0.3, cost = 0.02 }}, "
            "docs/exploration.md) and let impressions quote the answer's propensities; or compare the two in an "
            "experiment (docs/experiments.md)",
        )


def replayed(
    seen: SeenSlots, lists: Callable[[pl.DataFrame, int], Names], seed: int, clip: float | None = None
) -> Replay:
    """Scores a policy on what was seen.

    Parameters
    ----------
    lists : the target policy's lists for answers (`answers_of`), so many items each: ids, `NO_ITEM` where short.
    clip : the largest weight; None: √n for n slots, or 10 if that is more (Ionides 2008).
    """
    rows = seen.rows
    answers = answers_of(seen)
    width = int(rows["slot"].max() or 1)  # type: ignore[arg-type]
    wanted = wanted_items(rows, answers, lists(answers, width))
    decisions = decisions_of(rows, wanted, seed)
    clip = max(10.0, float(np.sqrt(rows.height))) if clip is None else clip
    found = evaluate_policy(decisions, clip, seed)
    cause = _why_not(found)
    (verdict,) = verdicts({DOUBLY_ROBUST: found.differences[DOUBLY_ROBUST]}).values()
    return Replay(
        found=found,
        verdict=verdict if cause is None else None,
        cause=cause,
        lift=_lift(decisions, clip) if cause is None else None,
        slots=rows.height,
        answers=answers.height,
        customers=rows["customer_id"].n_unique(),
        chance=float((rows["propensity"] < 1).mean() or 0.0),  # type: ignore[arg-type]
        clip=clip,
    )


def wanted_items(rows: pl.DataFrame, answers: pl.DataFrame, lists: Names) -> pl.Series:
    """What the target policy shows in the slot of each row: String, `NO_ITEM` for nothing."""
    place = rows.join(
        answers.with_row_index("place"),
        on=["customer_id", "recommendation_id", "answered"],
        how="left",
        maintain_order="left",
    )["place"].to_numpy()
    return pl.Series("wanted", lists[place, rows["slot"].to_numpy() - 1].tolist(), dtype=pl.String)


def decisions_of(rows: pl.DataFrame, wanted: pl.Series, seed: int) -> Decisions:
    """Each slot that was seen as a decision; those of a customer belong together."""
    names = pl.concat([rows["item_id"], wanted]).unique().sort()
    names = names.filter(names != NO_ITEM)
    shown, target = (_codes(each, names) for each in (rows["item_id"], wanted))
    slot, reward = rows["slot"].to_numpy() - 1, rows["reward"].to_numpy().astype(np.float64)
    customer = rows["customer_id"].rank("dense").to_numpy().astype(np.int64) - 1
    sizes = (int(slot.max(initial=0)) + 1, len(names))
    expected, of_target = cross_fitted(slot, shown, target, reward, customer, sizes, seed)
    return Decisions(
        reward=reward,
        propensity=rows["propensity"].to_numpy().astype(np.float64),
        target=(shown == target).astype(np.float64),
        expected=expected,
        expected_of_target=of_target,
        group=customer,
    )


def _codes(ids: pl.Series, names: pl.Series) -> npt.NDArray[np.int64]:
    """Places in ascending names, -1 for `NO_ITEM`."""
    found = names.search_sorted(ids).to_numpy().astype(np.int64)
    return np.where((ids == NO_ITEM).to_numpy(), -1, found)


def _why_not(found: OffPolicy) -> str | None:
    """Why nothing is concluded, None where something is."""
    if found.effective < LEAST_EFFECTIVE:
        common = f"what the two have in common says as much as {found.effective:.0f} decisions"
        return f"{common}: {LEAST_EFFECTIVE:.0f} are needed"
    if found.support.mean < LEAST_SUPPORT:
        told = f"the log can tell of {found.support.mean:.0%} of the places of these lists alone"
        return f"{told}: the others hold items that could not have been shown there"
    return None


def _lift(decisions: Decisions, clip: float) -> Lift | None:
    weight = np.minimum(decisions.target / decisions.propensity, clip)
    rewards = (weight * decisions.reward, decisions.reward)
    above, below = (np.bincount(decisions.group, each).astype(np.float64) for each in rewards)
    customers = len(above)
    return lift_of(ratio_of(above, below), Mean(1.0, 0.0, customers, customers), SMALLEST_LIFT)


def _interval(found: Interval) -> Mapping[str, float | None]:
    numbers = {"mean": found.mean, "low": found.low, "high": found.high}
    return {name: each if np.isfinite(each) else None for name, each in numbers.items()}
