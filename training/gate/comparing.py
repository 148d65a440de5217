"""Two bundles side by side, on what neither has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import polars as pl

from recsys.bundle.bundle import ModelBundle
from recsys.data.events import EventKind
from recsys.data.interactions import EventTable
from recsys.errors import InputError
from training.evaluation.comparison import compare
from training.evaluation.facts import facts_of
from training.evaluation.measuring import (
    AVERAGE_POPULARITY,
    COVERAGE,
    DIVERSITY,
    GINI,
    MISCALIBRATION,
    NOVELTY,
    STABILITY,
)
from training.evaluation.protocols import Part
from training.gate.asking import ranked_by
from training.gate.latency import latency_of
from training.gate.window import held_out_of, newest_of, part_since
from training.stages import StageLog
from training.validation import MOST_EVENTS, sampled

MOST_CUSTOMERS: Final = 20_000
"""So many customers of the window are asked about, at most; drawn by the seed."""

TIMED_SECONDS: Final = 2.0
"""So long both are timed."""

OF_LISTS: Final = frozenset({NOVELTY, AVERAGE_POPULARITY, DIVERSITY, MISCALIBRATION, STABILITY, COVERAGE, GINI})
"""What can be said of lists whoever has seen what."""

_FOUND: Final = frozenset({"pairs"})
"""What stands among settings and is what fitting found."""

_NOT_SETTINGS: Final = frozenset({"arrays", "data", "relevance", "format_version"})


def compare_bundles(
    table: EventTable,
    catalogue: pl.DataFrame,
    customers: pl.DataFrame,
    bundles: tuple[ModelBundle, ModelBundle],
    ks: Sequence[int],
    seed: int,
    threads: int,
    stages: StageLog,
) -> dict[str, Any]:
    """What the second bundle does otherwise than the first, as `bookmatch models compare --json` prints it.

    Both are asked for lists of what is new to each customer (as the default placement masks), as of the moment after
    the newest event that either has learned from, and what happened since says how good they are. Where nothing
    happened since, what their lists hold is compared all the same.

    Parameters
    ----------
    table, catalogue, customers : all that the store has.
    ks : how many places of the lists are looked at, ascending.

    Raises InputError when there is nobody to ask.
    """
    first, second = bundles
    target = target_of(second)
    with stages.stage("draw window"):
        rows, _ = sampled(table, seed, MOST_EVENTS)
        unseen = _window(rows, target, first, second)
        part = _drawn(unseen, seed) if isinstance(unseen, Part) else unseen
        held_out = held_out_of(rows, part, target, seed, bundles)
        if isinstance(held_out, str):
            raise InputError(held_out, expected="customers with a history", remedy="import events that are newer")
    ranked = {}
    for name, bundle in (("second", second), ("first", first)):
        with stages.stage(f"ask the {name}", len(held_out.row)):
            ranked[bundle.bundle_id] = ranked_by(bundle, held_out, held_out.row, max(ks), threads)
    with stages.stage("compare"):
        facts = facts_of(held_out, rows, catalogue, customers)
        found = compare(ranked, held_out, facts, ks, seed, reference=first.bundle_id).to_json()
    with stages.stage("time both"):
        latency = latency_of(second, first, held_out, held_out.row, TIMED_SECONDS, seed)
    judged = part if isinstance(part, Part) else None
    kept = found if judged else _of_lists(found)
    return {
        "bundles": [each.bundle_id for each in bundles],
        "window": {"since": judged.until if judged else None, "cause": None if judged else part},
        "target": sorted(str(kind) for kind in target),
        "customers": found["customers"] if "customers" in found else len(held_out.customer_ids),
        "models": kept["models"],
        "intervals": kept["intervals"],
        "differences": kept["differences"][first.bundle_id],
        "not_applicable": kept["not_applicable"],
        "latency": {name: value for name, value in asdict(latency).items() if name not in ("candidate", "in_force")}
        | {"seconds": {second.bundle_id: latency.candidate, first.bundle_id: latency.in_force}},
        "settings": differing(first.manifest.to_json(), second.manifest.to_json()),
        "data": {each.bundle_id: dict(each.manifest.data) for each in bundles},
        "seed": seed,
    }


def target_of(bundle: ModelBundle) -> frozenset[EventKind]:
    """The kinds of events that a bundle's lists predict."""
    return frozenset(EventKind(kind) for kind in bundle.manifest.models["item_item"]["target_kinds"])


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The settings of two manifests that are not the same, by their path: [first, second]; None where there is none."""
    one, other = (dict(_paths({k: v for k, v in each.items() if k not in _NOT_SETTINGS})) for each in (first, second))
    paths = sorted({*one, *other})
    return {
        path: [one.get(path), other.get(path)]
        for path in paths
        if one.get(path) != other.get(path) and path.rpartition(".")[2] not in _FOUND
    }


def _paths(value: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, each in value.items():
        path = f"{above}{name}"
        found += _paths(each, f"{path}.") if isinstance(each, Mapping) else [(path, each)]
    return found


def _window(rows: pl.DataFrame, target: frozenset[EventKind], first: ModelBundle, second: ModelBundle) -> Part | str:
    newest = [newest_of(each) for each in (first, second)]
    known = [each for each in newest if each is not None]
    if len(known) < len(newest):
        return "a bundle that learned from events without times does not say what it has seen"
    return part_since(rows, target, max(known) + 1)


def _drawn(part: Part, seed: int) -> Part:
    """The part for `MOST_CUSTOMERS` of those who have something to foresee."""
    ids = part.wanted["customer_id"].unique().sort()
    if len(ids) <= MOST_CUSTOMERS:
        return part
    chosen = ids.gather(np.sort(np.random.default_rng(seed).permutation(len(ids))[:MOST_CUSTOMERS]))
    return replace(part, wanted=part.wanted.filter(pl.col("customer_id").is_in(chosen.implode())))


def _of_lists(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is left where one of them has seen what was to be foreseen."""

    def kept(metrics: Mapping[str, Any]) -> dict[str, Any]:
        return {name: each for name, each in metrics.items() if name.partition("@")[0] in OF_LISTS}

    sections = ("models", "intervals", "differences")
    return {each: {name: kept(metrics) for name, metrics in found[each].items()} for each in sections} | {
        "not_applicable": found["not_applicable"]
    }
