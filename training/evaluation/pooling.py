"""Several windows as one result, in which each customer counts once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.metrics.uncertainty import Interval
from training.evaluation.comparison import Scored, differences
from training.evaluation.held_out import Repeats
from training.evaluation.listing import BLEND
from training.evaluation.protocols import moment
from training.evaluation.results import Evaluation, Pooled, Track, WindowResult
from training.stages import StageLog


def pooled(windows: Sequence[WindowResult], asked: Repeats, seed: int, stages: StageLog) -> Evaluation:
    """All windows together; `asked` is the rule about repeats that the evaluation was told."""
    with stages.stage("differences"):
        tracks = {repeats: _pooled([each.tracks[repeats] for each in windows], seed) for repeats in windows[0].tracks}
    main, newest = tracks[asked], windows[-1]
    if isinstance(main, str):
        raise TypeError("a window has nobody to ask by the rule that was asked for")
    seconds = {name: sum(each.seconds[name] for each in windows) for name in newest.seconds}
    seconds["score"] += stages.costs[-1].seconds
    return Evaluation(
        windows=tuple(windows),
        pooled=tracks,
        models=main.models,
        causes=main.causes,
        differences=main.differences,
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


def _pooled(found: Sequence[Track | str], seed: int) -> Pooled | str:
    tracks = [each for each in found if isinstance(each, Track)]
    if not tracks:
        return str(found[-1])
    frames = [each.customers for each in tracks]
    customers = (
        pl.concat(frames)
        .group_by("customer_id")
        .agg(pl.col("known").any(), pl.col("test_items").sum())
        .sort("customer_id")
    )
    place = [customers["customer_id"].search_sorted(frame["customer_id"]).to_numpy() for frame in frames]
    models: dict[str, Scored | None] = {}
    causes: dict[str, str] = {}
    for name in tracks[-1].models:
        each = [track.models.get(name) for track in tracks]
        there = [scored for scored in each if scored is not None]
        if len(there) == len(tracks):
            models[name] = _mean(there, place, customers.height)
        else:
            models[name] = None
            causes[name] = next(track.causes.get(name, "it is not in every window") for track in tracks if track.models.get(name) is None)
    return Pooled(customers, models, causes, _differences(models, seed))


def _differences(models: Mapping[str, Scored | None], seed: int) -> dict[str, dict[str, Interval]]:
    found = {name: each for name, each in models.items() if each is not None}
    blend = found.pop(BLEND)
    return differences(blend, found, seed)


def _mean(each: Sequence[Scored], place: Sequence[npt.NDArray[np.int64]], customers: int) -> Scored:
    """Each customer's mean over the windows that they are in; of what is about all lists the mean of the windows."""
    if len(each) == 1:
        return each[0]
    metrics = {}
    for name in each[0].each:
        total, count = np.zeros(customers), np.zeros(customers)
        for scored, rows in zip(each, place, strict=True):
            values = scored.each[name]
            there = ~np.isnan(values)
            total[rows[there]] += values[there]
            count[rows[there]] += 1
        metrics[name] = np.divide(total, count, out=np.full(customers, np.nan), where=count > 0)
    overall = {name: float(np.mean([scored.coverage[name] for scored in each])) for name in each[0].coverage}
    return Scored(metrics, overall)
