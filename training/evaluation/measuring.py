"""Every metric of one model's lists on one part of a history; what the data do not allow is left out, with why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.metrics import popularity, ranking, stability, value, variety
from recsys.metrics.ranking import Ranked
from training.evaluation import facts as families
from training.evaluation.facts import Facts
from training.evaluation.held_out import HeldOut

Floats = npt.NDArray[np.float64]

NOVELTY, AVERAGE_POPULARITY, SERENDIPITY = "novelty", "average_popularity", "serendipity"
DEBIASED_RECALL, HARD_TO_FIND_RECALL = "debiased_recall", "hard_to_find_recall"
REVENUE, MARGIN = "revenue", "margin"
DIVERSITY, MISCALIBRATION, STABILITY = "intra_list_diversity", "miscalibration", "stability"
COVERAGE, GINI = ranking.COVERAGE, "gini"

PER_CUSTOMER = (
    *ranking.PER_CUSTOMER, DEBIASED_RECALL, HARD_TO_FIND_RECALL, REVENUE, f"{REVENUE}_recall", MARGIN,
    f"{MARGIN}_recall", NOVELTY, AVERAGE_POPULARITY, SERENDIPITY, DIVERSITY, MISCALIBRATION, STABILITY,
)  # fmt: skip
"""Every metric that has a value per customer, in the order of the report."""

OVERALL = (COVERAGE, GINI)
"""Metrics of all lists together. They have no interval: in a sample of customers drawn with replacement some stand
twice and others not at all, so that its lists always cover less."""

LOWER_IS_BETTER = frozenset({MISCALIBRATION})
NEITHER_IS_BETTER = frozenset({NOVELTY, AVERAGE_POPULARITY, DIVERSITY})
"""These describe lists: random items are novel and diverse."""

_NEEDS = {
    families.POPULARITY: (NOVELTY, AVERAGE_POPULARITY, SERENDIPITY, DEBIASED_RECALL, HARD_TO_FIND_RECALL),
    families.REVENUE: (REVENUE, f"{REVENUE}_recall"),
    families.MARGIN: (MARGIN, f"{MARGIN}_recall"),
    families.CATEGORY: (MISCALIBRATION,),
    families.FEATURES: (DIVERSITY,),
}


def not_applicable(facts: Facts, has_reference: bool) -> dict[str, str]:
    """Metric → why the data do not allow it."""
    found = {metric: cause for family, cause in facts.not_applicable.items() for metric in _NEEDS[family]}
    return found if has_reference else found | {STABILITY: "there are no lists of another bundle to compare with"}


class Measures:
    """The metrics that a part allows, ready to be asked of each model's lists in turn.

    Parameters
    ----------
    ks : how many places are looked at, each 1 or more.
    reference : lists of the same customers that stability is measured against, or None.
    """

    def __init__(self, held_out: HeldOut, facts: Facts, ks: Sequence[int], reference: Ranked | None = None) -> None:
        self.ks = tuple(ks)
        self.not_applicable = not_applicable(facts, reference is not None)
        self._candidates = held_out.candidates
        self._relevant, self._facts, self._reference = held_out.relevant, facts, reference
        count = facts.items.count
        self._place, self._hard = variety.popularity_places(count), ~popularity.best_sellers(count)
        self._worth = {
            name: (each, of_wanted(held_out, of_id))
            for name, each, of_id in (
                (REVENUE, facts.items.price, facts.items.price_of),
                (MARGIN, facts.items.margin, facts.items.margin_of),
            )
            if each is not None
        }

    def per_customer(self, ranked: Ranked) -> dict[str, Floats]:
        """Each metric at each k, as `recall@10`: float64, shape (customers,); NaN where it is not defined."""
        found = ranking.per_customer(ranked, self._relevant, self.ks)
        for name, (each, whole) in self._worth.items():
            worth = np.nan_to_num(each[self._relevant.item])
            found |= value.value_per_customer(ranked, self._relevant, worth, whole, self.ks, name)
        for k in self.ks:
            found |= {f"{name}@{k}": values for name, values in self._beyond(ranked, k).items()}
        ordered = [f"{name}@{k}" for k in self.ks for name in PER_CUSTOMER]
        return {metric: found[metric] for metric in ordered if metric in found}

    def overall(self, ranked: Ranked) -> dict[str, float]:
        """The metrics of `OVERALL` at each k."""
        return {f"{COVERAGE}@{k}": ranking.coverage(ranked, k, self._candidates) for k in self.ks} | {
            f"{GINI}@{k}": popularity.gini(ranked, k, self._candidates) for k in self.ks
        }

    def _beyond(self, ranked: Ranked, k: int) -> dict[str, Floats]:
        items, relevant = self._facts.items, self._relevant
        found: dict[str, Floats] = {}
        if NOVELTY not in self.not_applicable:
            found = {
                DEBIASED_RECALL: popularity.debiased_recall(ranked, relevant, k, items.count),
                HARD_TO_FIND_RECALL: popularity.recall_among(ranked, relevant, k, self._hard),
                NOVELTY: popularity.novelty(ranked, k, items.count, items.customers),
                AVERAGE_POPULARITY: popularity.average_popularity(ranked, k, items.count),
                SERENDIPITY: variety.serendipity(ranked, relevant, k, self._place),
            }
        if items.features is not None and k > 1:
            found[DIVERSITY] = variety.intra_list_diversity(ranked, k, items.features)
        if items.category is not None and self._facts.customers.mix is not None:
            found[MISCALIBRATION] = variety.miscalibration(ranked, k, items.category, self._facts.customers.mix)
        if self._reference is not None:
            found[STABILITY] = stability.rank_biased_overlap(ranked[:, :k], self._reference[:, :k])
        return found


def of_wanted(held_out: HeldOut, value_of: Mapping[str, float]) -> Floats:
    """The sum of one value per item over everything that a customer wanted, with what has no position: float64, shape
    (customers,). Items without a value count nothing."""
    values = pl.DataFrame(
        {"item_id": list(value_of), "value": list(value_of.values())},
        schema={"item_id": pl.String, "value": pl.Float64},
    )
    summed = (
        held_out.wanted.join(values, on="item_id", how="left")
        .group_by("customer_id")
        .agg(pl.col("value").sum())
        .sort("customer_id")
    )
    return summed["value"].to_numpy()
