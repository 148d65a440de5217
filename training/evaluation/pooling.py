"""Several windows as one result, in which each customer counts once."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from training.evaluation.comparison import Scored, conclude, per_person
from training.evaluation.held_out import Repeats
from training.evaluation.protocols import moment
from training.evaluation.results import Evaluation, Pooled, Track, WindowResult
from training.stages import StageLog


def pooled(windows: Sequence[WindowResult], asked: Repeats, seed: int, stages: StageLog) -> Evaluation:
    """All windows together; `asked` is the rule about repeats that the evaluation was told."""
    with stages.stage("differences"):
        tracks = {
            repeats: pooled_track([each.tracks[repeats] for each in windows], seed) for repeats in windows[0].tracks
        }
    main, newest = tracks[asked], windows[-1]
    if isinstance(main, str):
        raise TypeError("a window has nobody to ask by the rule that was asked for")
    asked_of = [each for window in windows if isinstance(each := window.tracks[asked], Track)]
    seconds = {name: sum(each.seconds[name] for each in windows) for name in newest.seconds}
    seconds["score"] += stages.costs[-1].seconds
    return Evaluation(
        repeats=asked,
        windows=tuple(windows),
        pooled=tracks,
        models=_by_customer(asked_of, main),
        causes=main.causes,
        differences={
            name: {metric: each.interval for metric, each in metrics.items()}
            for name, metrics in main.comparison.differences.items()
        },
        customer_ids=main.customers["customer_id"],
        test_items=main.customers["test_items"],
        known=main.customers["known"],
        items=newest.candidates,
        validation={name: sum(each.validation[name] for each in windows) for name in newest.validation},
        manifest=newest.bundle.manifest,
        seconds=seconds,
        notes=tuple(dict.fromkeys(note for each in windows for note in _told(each, len(windows)))),
    )


def _told(window: WindowResult, windows: int) -> list[str]:
    at = window.setting.window
    return [note if at is None or windows == 1 else f"window of {moment(at.cut)}: {note}" for note in window.notes]


def pooled_track(found: Sequence[Track | str], seed: int) -> Pooled | str:
    """One track over these windows, or why nobody could be asked in any of them."""
    tracks = [each for each in found if isinstance(each, Track)]
    if not tracks:
        return str(found[-1])
    customers = (
        pl.concat([each.customers for each in tracks])
        .group_by("customer_id")
        .agg(pl.col("known").any(), pl.col("test_items").sum())
        .sort("customer_id")
    )
    causes = {}
    for name in tracks[-1].lists:
        without = [each for each in tracks if each.lists.get(name) is None]
        if without:
            causes[name] = without[0].causes.get(name, "it is not in every window")
    return Pooled(customers, causes, conclude([each.measured for each in tracks], seed))


def _by_customer(tracks: Sequence[Track], pooled: Pooled) -> dict[str, Scored | None]:
    """The metrics of `Pooled.comparison`, customer by customer in the order of `Pooled.customers`."""
    ids = pl.concat([each.test.customer_ids for each in tracks])
    found: dict[str, Scored | None] = {}
    for name, means in pooled.comparison.models.items():
        there = [each.measured.models.get(name) for each in tracks]
        windows = [each.each for each in there if each is not None]
        if means is None:
            found[name] = None
            continue
        own = per_person(windows, ids)
        found[name] = Scored(own, {metric: value for metric, value in means.items() if metric not in own})
    return found
