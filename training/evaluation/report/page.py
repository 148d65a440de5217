"""`report.html`: one file with everything in it, to be read on a screen of any width, on paper, or aloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from pydantic import JsonValue

from training.evaluation.report import plots, tables, words
from training.evaluation.report.answer import Answer, answers
from training.evaluation.report.pictures import Picture, picture
from training.evaluation.report.recorded import Estimate, Movers, Recorded, Track
from training.evaluation.report.tables import Table

_CURVED = ("recall", "ndcg")
"""Drawn at every k."""
_PLAIN = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class TrackView:
    """What a page shows of one track."""

    answer: Answer
    track: Track
    main: Table | None
    curves: list[Picture]
    groups: list[Picture]
    group_table: Table | None
    spread: list[Picture]
    cost: Picture | None
    windows: Table | None
    all_metrics: Table | None


def render(metrics: Mapping[str, object]) -> str:
    """The page of this content of `metrics.json`; the same content gives the same bytes."""
    recorded = Recorded.of(metrics)
    found = answers(recorded)
    models = dict.fromkeys(name for track in recorded.all_tracks().values() for name in track.scored())
    rival = next((answer.rival for answer in found if answer.rival), None)
    look = plots.Look(list(models), rival)
    views = [_view(recorded, answer, look) for answer in found]
    return _template().render(
        recorded=recorded,
        answers=found,
        views=views,
        cost=tables.cost_table(recorded.cost),
        movers=_movers(recorded.movers),
        failed=[each for each in recorded.checks.leaks if not each.passed],
        warned=[each for each in recorded.checks.data if each.count],
        reproduce=_facts(recorded.reproduce),
        config=orjson.dumps(recorded.config, option=orjson.OPT_INDENT_2).decode(),
        models=[(words.model(name), words.ABOUT_MODELS[name]) for name in models if name in words.ABOUT_MODELS],
        span=_span(recorded),
        words=words,
    )


def _span(recorded: Recorded) -> str:
    """What was learned from and what was foreseen, in a few words."""
    windows = recorded.windows
    if not windows:
        return f"protocol {recorded.config.get('protocol', 'not told')}"
    first = (
        f"learned from what was before {words.moment(windows[0].cut)}, foreseen until {words.moment(windows[0].until)}"
    )
    if len(windows) == 1:
        return first
    return (
        f"{len(windows)} stretches of time, the first foreseen from {words.moment(windows[0].cut)} on, "
        f"the last until {words.moment(windows[-1].until)}"
    )


@cache
def _template() -> Template:
    loader = PackageLoader("training.evaluation.report")
    # Ids, titles and categories come from a shop's data: everything is escaped.
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["printable"] = words.printable
    environment.filters["plain"] = _text
    return environment.get_template("report.html")


def _view(recorded: Recorded, answer: Answer, look: plots.Look) -> TrackView:
    track = recorded.all_tracks()[answer.track]
    return TrackView(
        answer=answer,
        track=track,
        main=tables.main_table(track, answer),
        curves=_curves(track, answer, look),
        groups=_groups(track, answer),
        group_table=tables.groups_table(track, answer),
        spread=_spread(track, answer, look),
        cost=_cost(recorded, track, answer, look),
        windows=tables.window_table(recorded, answer),
        all_metrics=tables.all_metrics(track, answer) if track.scored() else None,
    )


def _curves(track: Track, answer: Answer, look: plots.Look) -> list[Picture]:
    found = []
    for family in _CURVED:
        drawn = plots.metric_by_k(track, family, look)
        if drawn is None:
            continue
        label = words.meaning(family).label
        title = f"{answer.title}: {label} of every model, with intervals"
        found.append(picture(drawn, f"k-{answer.track}-{family}", title, _said_of_models(track, family)))
    return found


def _said_of_models(track: Track, family: str) -> str:
    said = []
    for name, metrics in track.scored().items():
        values = [
            f"{words.number(value)} in the first {words.at(metric)}"
            for metric, value in metrics.items()
            if words.family(metric) == family and words.at(metric)
        ]
        said.append(f"{words.model(name)}: {', '.join(values)}")
    return ". ".join(said) + "."


def _groups(track: Track, answer: Answer) -> list[Picture]:
    found: list[Picture] = []
    if answer.metric is None or answer.rival is None:
        return found
    for place, (dimension, values) in enumerate(track.slices.items()):
        drawn = plots.forest(values, answer.metric, answer.rival)
        if drawn is None:
            continue
        said = [
            f"{words.printable(name, 100)}: {each.verdict or 'no verdict'}, {tables.difference(each).text}"
            for name, part in values.items()
            for each in [part.differences.get(answer.rival, {}).get(answer.metric, Estimate())]
        ]
        title = f"{answer.title}: {words.dimension(dimension)}"
        found.append(picture(drawn, f"slice-{answer.track}-{place}", title, ". ".join(said) + "."))
    return found


def _spread(track: Track, answer: Answer, look: plots.Look) -> list[Picture]:
    found = []
    drawn = plots.coverage(track, look)
    if drawn is not None:
        said = ". ".join(
            f"{words.model(name)}: {words.percent(value)} with {k} places"
            for name, each in track.curves.coverage.items()
            for k, value in list(each.items())[-1:]
        )
        title = f"{answer.title}: how much of the catalogue is shown to anybody"
        found.append(picture(drawn, f"coverage-{answer.track}", title, said + "."))
    drawn = plots.popularity(track, look)
    if drawn is not None:
        said = ". ".join(
            f"{words.model(name)}: the less shown half of the items has "
            f"{words.percent(max((share for items, share in points if items <= 0.5), default=0.0))} of the places"
            for name, points in track.curves.popularity.items()
        )
        title = f"{answer.title}: how evenly the places of the lists are shared out"
        found.append(picture(drawn, f"popularity-{answer.track}", title, said + "."))
    return found


def _cost(recorded: Recorded, track: Track, answer: Answer, look: plots.Look) -> Picture | None:
    if answer.metric is None:
        return None
    drawn = plots.quality_against_cost(track, recorded.cost, answer.metric, look)
    if drawn is None:
        return None
    said = ". ".join(
        f"{words.model(name)}: {words.number(metrics.get(answer.metric))} at "
        f"{words.number(recorded.cost[name].list_microseconds, 1)} microseconds"
        for name, metrics in track.scored().items()
        if name in recorded.cost
    )
    title = f"{answer.title}: {words.metric_label(answer.metric)} and what one list takes"
    return picture(drawn, f"cost-{answer.track}", title, said + ".")


def _movers(movers: Movers | None) -> list[Table]:
    if movers is None:
        return []
    against, metric = words.model(movers.against), words.metric_label(movers.metric) if movers.metric else "the metric"
    found = []
    for key, caption, customers in (
        (
            "winners",
            f"Customers who gain most in {metric} where the blend takes the place of {against}",
            movers.winners,
        ),
        ("losers", f"Customers who lose most in {metric}", movers.losers),
    ):
        if customers:
            found.append(tables.mover_table(key, caption, customers, movers.against))
    for key, caption, items in (
        ("item-winners", "Items that the blend brings to more of those who want them", movers.item_winners),
        ("item-losers", f"Items that {against} brings to more of those who want them", movers.item_losers),
    ):
        if items:
            found.append(tables.item_mover_table(key, caption, items, movers.against))
    return found


def _facts(found: Mapping[str, JsonValue], above: str = "") -> list[tuple[str, str]]:
    """Nested facts as names and texts, one line each."""
    facts: list[tuple[str, str]] = []
    for name, value in found.items():
        label = f"{above} {name}".strip().replace("_", " ")
        if isinstance(value, dict):
            facts += _facts(value, label)
        elif isinstance(value, list):
            facts.append((label, "; ".join(map(_text, value))))
        else:
            facts.append((label, _text(value)))
    return facts


def _text(value: JsonValue) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    return str(value) if isinstance(value, _PLAIN) else orjson.dumps(value).decode()
