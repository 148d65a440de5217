"""Whether models could have seen what they have to foresee. What is found here fails the evaluation.

Each check looks at what was handed to the models and at the whole history, apart from the code that divided it, so that
a fault there is found here. The first group is looked at before anything is fitted, the second on the fitted models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recsys.bundle.bundle import ModelBundle
from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.signals import EventWeights
from recsys.errors import LeakError
from recsys.models.popularity import PopularityConfig, fit_popularity
from recsys.stores.frames import behaviour
from training.evaluation.protocols import PAIR, Division, Part, moment
from training.fitting import fingerprint, with_rating_scale

if TYPE_CHECKING:
    from training.evaluation.results import Setting

_EXAMPLES = 3
_SAME = (*PAIR, "kind", "timestamp")


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """One way in which the future could have been seen: whether it was not, and what was looked at."""

    name: str
    passed: bool
    detail: str

    def to_json(self) -> dict[str, Any]:
        """As `metrics.json` has it."""
        return asdict(self)


def refuse(checks: Sequence[LeakCheck]) -> None:
    """LeakError when a check failed."""
    failed = [check for check in checks if not check.passed]
    if failed:
        raise LeakError(
            "the evaluation leaks: " + "; ".join(f"{check.name}: {check.detail}" for check in failed),
            expected="models that see nothing of what they have to foresee; nothing was written",
            remedy="correct the data or the division; docs/evaluation.md says what each check looks at",
        )


def before_fitting(setting: Setting, division: Division, training: Interactions) -> tuple[LeakCheck, ...]:
    """What the division hands to the models, against the whole history."""
    if setting.window is not None:
        cut, until = setting.window.cut, setting.window.until
        found = [
            _training_ends(division.test, training, cut),
            _test_within(setting.rows, division.test, cut, until),
            *([_validation_within(setting.rows, division.validation, cut)] if division.validation else []),
            _candidates_existed(setting, training, cut),
        ]
    elif setting.tested is not None:
        found = [_apart(setting.rows, setting.tested)]
    else:
        parts = {"test": division.test, "validation": division.validation}
        found = [_own_past(setting.rows, part, name) for name, part in parts.items() if part is not None]
    return (*found, _catalogue_of_candidates(setting.offer.of(training), training))


def after_fitting(setting: Setting, training: Interactions, bundle: ModelBundle) -> tuple[LeakCheck, ...]:
    """What the fitted models say that they were made from, and what can be made again from the training part."""
    return (
        _learned_from(training, bundle, None if setting.window is None else setting.window.cut),
        _rating_scale(training, bundle),
        _popularity(training, bundle),
        _settings(bundle),
    )


def _training_ends(part: Part, training: Interactions, cut: int) -> LeakCheck:
    rows = part.rows.filter(pl.col("timestamp") >= cut)
    late = int(np.count_nonzero(training.timestamp >= cut))
    detail = f"all {len(training):,} training events lie before {moment(cut)}"
    if late or rows.height:
        detail = f"{max(late, rows.height):,} training events lie at or after {moment(cut)}{_examples(rows)}"
    return LeakCheck("training ends before the cut", not (late or rows.height), detail)


def _test_within(rows: pl.DataFrame, part: Part, cut: int, until: int) -> LeakCheck:
    within = rows.filter(pl.col("timestamp").is_between(cut, until, closed="left"))
    strange = part.wanted.join(within, on=list(PAIR), how="anti")
    detail = f"each of {part.wanted.height:,} test items has an event from {moment(cut)} up to {moment(until)}"
    if strange.height:
        detail = f"{strange.height:,} test items have no event within the window{_examples(strange)}"
    return LeakCheck("the test lies within the window", strange.is_empty(), detail)


def _validation_within(rows: pl.DataFrame, part: Part, cut: int) -> LeakCheck:
    start = cut if part.until is None else part.until
    late = part.rows.filter(pl.col("timestamp") >= start)
    strange = part.wanted.join(
        rows.filter(pl.col("timestamp").is_between(start, cut, closed="left")), on=list(PAIR), how="anti"
    )
    passed = start < cut and late.is_empty() and strange.is_empty()
    detail = (
        f"settings are chosen on what happened from {moment(start)} up to the cut, by models that saw what was before"
    )
    if not passed:
        detail = (
            f"validation begins at {moment(start)}: its models see {late.height:,} later events, and "
            f"{strange.height:,} of its items have no event between that and the cut{_examples(strange)}"
        )
    return LeakCheck("validation lies before the cut", passed, detail)


def _candidates_existed(setting: Setting, training: Interactions, cut: int) -> LeakCheck:
    """A candidate without an event before the cut must have been published by then, or be named by the user and not
    known to have come later."""
    first = setting.rows.drop_nulls("item_id").group_by("item_id").agg(pl.col("timestamp").min().alias("first"))
    named = setting.offer.named.unique().to_frame("item_id").with_columns(pl.lit(True).alias("named"))
    dated = setting.offer.catalogue.select("item_id", "published")
    known = (
        pl.Series("item_id", list(training.items), dtype=pl.String)
        .to_frame()
        .join(first, on="item_id", how="left")
        .join(dated, on="item_id", how="left")
        .join(named, on="item_id", how="left")
    )
    there = (
        (pl.col("first") < cut).fill_null(False)
        | (pl.col("published") <= cut).fill_null(False)
        | (pl.col("named").fill_null(False) & pl.col("published").is_null())
    )
    early = known.filter(~there)
    detail = f"each of {known.height:,} candidates had an event or was published before {moment(cut)}, or was named"
    if early.height:
        detail = f"{early.height:,} candidates were not there yet at {moment(cut)}{_examples(early.select('item_id'))}"
    return LeakCheck("candidates existed", early.is_empty(), detail)


def _apart(train: pl.DataFrame, test: pl.DataFrame) -> LeakCheck:
    """The same event in both files; where times are unknown a pair in both may be a repeat."""
    both = test.filter(pl.col("timestamp").is_not_null()).join(train, on=list(_SAME), how="semi")
    detail = f"none of {test.height:,} test events is among the training events"
    if both.height:
        detail = f"{both.height:,} test events are among the training events{_examples(both.select(PAIR))}"
    elif test["timestamp"].null_count():
        detail += "; of those without a time nobody can tell"
    return LeakCheck("test events are not trained on", both.is_empty(), detail)


def _own_past(rows: pl.DataFrame, part: Part, name: str) -> LeakCheck:
    """Of leave-last-out: what is learned of a customer happened before what they are asked about."""
    known = behaviour(rows)
    order = "position" if known["timestamp"].null_count() else "timestamp"
    asked = (
        known.join(part.wanted, on=list(PAIR), how="semi")
        .group_by(PAIR)
        .agg(pl.col(order).max().alias("asked"))
        .group_by("customer_id")
        .agg(pl.col("asked").min())
    )
    learned = behaviour(part.rows).group_by("customer_id").agg(pl.col(order).max().alias("learned"))
    late = learned.join(asked, on="customer_id").filter(pl.col("learned") >= pl.col("asked"))
    detail = f"each of {asked.height:,} customers is asked about what came after all that is learned of them"
    if late.height:
        detail = f"of {late.height:,} customers something is learned that came with or after what they are asked about"
        detail += _examples(late.select("customer_id"))
    return LeakCheck(f"each customer's {name} lies after their training", late.is_empty(), detail)


def future_across_customers(rows: pl.DataFrame, part: Part) -> str:
    """What leave-last-out lets through by its nature, for the report: models learn from what others did later."""
    known = behaviour(rows)
    if known["timestamp"].null_count():
        when = "how much cannot be told without times"
    else:
        tested = known.join(part.wanted, on=list(PAIR), how="semi")["timestamp"].min()
        share = behaviour(part.rows).select((pl.col("timestamp") >= tested).mean()).item()
        when = f"{share or 0.0:.0%} of what is learned from happened when the first test item was already bought"
    return (
        "leave-last-out leaks the future across customers: models learn from what others did after a customer's last "
        f"step ({when}); it compares models, and does not say what a shop would see: use the protocol `time` for that"
    )


def _catalogue_of_candidates(rows: pl.DataFrame, training: Interactions) -> LeakCheck:
    strange = rows.filter(~pl.col("item_id").is_in(pl.Series(list(training.items), dtype=pl.String).implode()))
    detail = f"models are told of {rows.height:,} items, all of them candidates, as the catalogue describes them now"
    if strange.height:
        detail = (
            f"models are told of {strange.height:,} items that do not compete{_examples(strange.select('item_id'))}"
        )
    return LeakCheck("only candidates are described", strange.is_empty(), detail)


def _learned_from(training: Interactions, bundle: ModelBundle, cut: int | None) -> LeakCheck:
    newest = bundle.manifest.data.get("newest")
    passed = bundle.manifest.data.get("fingerprint") == fingerprint(training) and len(bundle.items) == len(
        training.items
    )
    passed &= cut is None or newest is None or newest < cut
    detail = f"the models' fingerprint is that of the {len(training):,} training events"
    if not passed:
        detail = "the models were not fitted on the training part: their fingerprint is another one"
    return LeakCheck("models were fitted on the training part", passed, detail)


def _rating_scale(training: Interactions, bundle: ModelBundle) -> LeakCheck:
    given, own = bundle.manifest.event_weights.rating_scale, with_rating_scale(EventWeights(), training).rating_scale
    detail = f"ratings are read on the scale {own[0]:g} to {own[1]:g}"
    rated = bool(np.isin(training.kind, [EventKind.RATE.code, EventKind.REVIEW.code]).any())
    passed = not rated or given == own
    if not passed:
        detail = f"ratings are read on the scale {given}, and those of the training part say {own}"
    return LeakCheck("the rating scale is the training part's", passed, detail)


def _popularity(training: Interactions, bundle: ModelBundle) -> LeakCheck:
    entry = bundle.manifest.models["popularity"]
    again = fit_popularity(training, bundle.manifest.event_weights, PopularityConfig(**entry))
    passed = np.array_equal(again.score, bundle.popularity.score)
    detail = "counted again from the training events it is the same"
    if not passed:
        detail = "counted again from the training events it is another"
    return LeakCheck("popularity is the training part's", passed, detail)


def _settings(bundle: ModelBundle) -> LeakCheck:
    """Settings that an earlier study found may have been chosen on what is the test here, and relevance may have been
    learned on it."""
    tuning, relevance = bundle.manifest.tuning, bundle.manifest.relevance
    recorded = tuning.get("settings") == "tuned" and tuning.get("started_from") != "shipped settings"
    passed = not recorded and "cause" in relevance
    detail = "settings come from the validation alone or are the shipped ones; relevance was not learned"
    if not passed:
        detail = "settings start from the record of another study, or relevance was learned on more than the validation"
    return LeakCheck("settings come from the training part", passed, detail)


def _examples(rows: pl.DataFrame) -> str:
    """The first rows, for a message."""
    columns = [name for name in ("customer_id", "item_id") if name in rows.columns]
    if rows.is_empty() or not columns:
        return ""
    shown: Iterable[tuple[object, ...]] = rows.select(columns).head(_EXAMPLES).iter_rows()
    return ", such as " + "; ".join(" with ".join(map(repr, row)) for row in shown)
