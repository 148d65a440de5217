"""Customers to look at, for the report: some with their lists, and who and what gains and loses most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recsys.bundle.bundle import ModelBundle
from recsys.metrics.ranking import RECALL
from training.evaluation.listing import BLEND, PRODUCTION
from training.evaluation.report.answer import rival_of
from training.evaluation.report.examples import Pair, examples, movers, titles_of
from training.evaluation.results import Evaluation, Track


def closeups(evaluation: Evaluation, ks: Sequence[int]) -> dict[str, Any]:
    """`examples` and `movers` of the newest window, by the rule about repeats that was asked for: the blend beside the
    bundle in force, or where there is none beside the strongest simple model."""
    window = evaluation.windows[-1]
    track = window.tracks[evaluation.repeats]
    metric = f"{RECALL}@{max(ks)}"
    against = rival_of(
        {name: None if each is None else each.means() for name, each in evaluation.models.items()}, metric
    )
    if against is None or not isinstance(track, Track):
        return {"examples": [], "movers": None}
    lists = {name: ranked for name in (BLEND, against) if (ranked := track.lists[name]) is not None}
    scored = {name: each.each[metric] for name in lists if (each := track.measured.models[name]) is not None}
    pair = Pair(track.test, against, lists, metric, scored, titles_of(window.setting.offer.catalogue))
    bundles = {BLEND: window.bundle}
    if against == PRODUCTION and isinstance(window.setting.production, ModelBundle):
        bundles[PRODUCTION] = window.setting.production
    return {
        "examples": [each.model_dump(mode="json") for each in examples(pair, bundles, track.test.showable)],
        "movers": movers(pair).model_dump(mode="json"),
    }
