"""The answer of an evaluation in words: is the blend better, than what, for whom, and is it real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.evaluation.report import words
from training.evaluation.report.recorded import Estimate, Recorded, Slice, Track

BETTER, WORSE, UNCLEAR = "better", "worse", "no clear difference"
MAIN = "recall"
"""What the answer is about: of what customers went on to want, how much stood in the list."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one track says.

    Attributes
    ----------
    track, title, what : its name, its title, and what is foreseen in it.
    verdict : `better`, `worse` or `no clear difference`; None where there is nothing to compare with.
    headline : one sentence; `detail`: its numbers.
    beside, whom, stability : one sentence each, or empty: beside the best simple model where the rival is another, for
        whom, and in how many stretches of time.
    metric, rival : what the answer is about, and the model that the blend is compared with; None without one.
    """

    track: str
    title: str
    what: str
    verdict: str | None
    headline: str
    detail: str = ""
    beside: str = ""
    whom: str = ""
    stability: str = ""
    metric: str | None = None
    rival: str | None = None


def main_metric(track: Track) -> str | None:
    """Recall at the largest k that was asked for, as groups have it; None where nothing was scored."""
    names = [name for metrics in track.scored().values() for name in metrics if words.family(name) == MAIN]
    return max(names, key=lambda name: words.at(name) or 0, default=None)


def rival_of(models: Mapping[str, Mapping[str, float | None] | None], metric: str) -> str | None:
    """What the blend has to beat: the bundle in production, else the best of the simple models, else of all."""
    scored = {name: found[metric] or 0.0 for name, found in models.items() if found and found.get(metric) is not None}
    scored.pop(words.BLEND, None)
    if words.PRODUCTION in scored:
        return words.PRODUCTION
    among = [name for name in words.SIMPLE if name in scored] or list(scored)
    return max(among, key=scored.__getitem__, default=None)


def answers(recorded: Recorded) -> list[Answer]:
    """One for each track, in the order of the report."""
    return [_answer(name, track, recorded) for name, track in recorded.all_tracks().items()]


def _answer(name: str, track: Track, recorded: Recorded) -> Answer:
    title, what = words.track(track.repeats or name)
    metric = main_metric(track)
    if metric is None:
        cause = track.cause or "there is no model to score"
        return Answer(name, title, what, None, "There is nothing to foresee here.", f"{cause[:1].upper()}{cause[1:]}.")
    rival = rival_of(track.models, metric)
    difference = track.differences.get(rival or "", {}).get(metric)
    if rival is None or difference is None or difference.mean is None:
        return Answer(name, title, what, None, "There is no other model to compare the blend with.", metric=metric)
    verdict = difference.verdict
    return Answer(
        track=name,
        title=title,
        what=what,
        verdict=verdict,
        headline=_headline(verdict, rival),
        detail=_detail(track, metric, rival, difference),
        beside=_beside(track, metric, rival),
        whom=_whom(track, metric, rival),
        stability=_stability(name, metric, rival, recorded),
        metric=metric,
        rival=rival,
    )


def _beside(track: Track, metric: str, rival: str) -> str:
    simple = {name: found for name, found in track.models.items() if name in words.SIMPLE}
    best = rival_of(simple, metric)
    if best is None or rival in words.SIMPLE:
        return ""
    each = track.differences.get(best, {}).get(metric, Estimate())
    if each.mean is None:
        return ""
    said = f"Beside {_named(best)}, the blend is {each.verdict or 'without a verdict'}"
    if each.verdict == UNCLEAR:
        said = f"Beside {_named(best)}, there is {UNCLEAR}"
    interval = "" if each.low is None or each.high is None else f", {points(each.low)} to {points(each.high)}"
    return f"{said} ({points(each.mean)} points{interval})."


def _named(model: str) -> str:
    """In the middle of a sentence."""
    if model == words.PRODUCTION:
        return "what is in production now"
    return f"the best simple model, {words.model(model)}" if model in words.SIMPLE else words.model(model)


def _headline(verdict: str | None, rival: str) -> str:
    if verdict == BETTER:
        return f"Yes: the blend is better than {_named(rival)}."
    if verdict == WORSE:
        return f"No: the blend is worse than {_named(rival)}."
    if verdict == UNCLEAR:
        return f"Too close to call: no clear difference from {_named(rival)}."
    return f"The blend was compared with {_named(rival)}; there is no verdict."


def _detail(track: Track, metric: str, rival: str, difference: Estimate) -> str:
    scored = track.scored()
    blend, other = scored[words.BLEND][metric], scored[rival][metric]
    sentence = (
        f"Of what a customer went on to want, the first {words.at(metric)} places of the blend held "
        f"{words.percent(blend)} on average, against {words.percent(other)} with {_named(rival)}: a difference of "
        f"{points(difference.mean)} points"
    )
    if difference.low is None or difference.high is None:
        return sentence + "."
    sentence += f" (95 % interval {points(difference.low)} to {points(difference.high)})"
    if difference.p_holm is None:
        return sentence + "."
    chance = (
        "chance alone hardly makes one so large"
        if difference.verdict in {BETTER, WORSE}
        else "chance alone may make it"
    )
    return f"{sentence}; {chance} ({probability(difference.p_holm)}, corrected for being one of many)."


def points(value: float | None) -> str:
    """A difference of shares in percentage points, with a sign."""
    return words.signed(None if value is None else 100 * value, 2)


def probability(p: float) -> str:
    """`p = 0.03`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def by_verdict(track: Track, metric: str, rival: str) -> dict[str, list[tuple[str, str, Slice]]]:
    """The groups of customers and items by what the difference says in them: dimension, value and slice."""
    found: dict[str, list[tuple[str, str, Slice]]] = {BETTER: [], WORSE: [], UNCLEAR: []}
    for dimension, values in track.slices.items():
        for value, part in values.items():
            verdict = part.differences.get(rival, {}).get(metric, Estimate()).verdict
            if verdict in found:
                found[verdict].append((dimension, value, part))
    return found


def _whom(track: Track, metric: str, rival: str) -> str:
    groups = by_verdict(track, metric, rival)
    total = sum(map(len, groups.values()))
    if not total:
        return ""
    said = [f"better in {len(groups[BETTER])} of {total} groups of customers and items"]
    said += [f"{each} in {len(groups[each])} ({_listed(groups[each])})" for each in (WORSE, UNCLEAR) if groups[each]]
    if not groups[WORSE]:
        said.append("worse in none")
    return f"For whom: {'; '.join(said)}."


def _listed(groups: Sequence[tuple[str, str, Slice]], most: int = 3) -> str:
    largest = sorted(groups, key=lambda each: -each[2].customers)[:most]
    named = [f"{words.dimension(dimension)}: {words.printable(value, 40)}" for dimension, value, _ in largest]
    return ", ".join(named) + (", …" if len(groups) > most else "")


def _stability(name: str, metric: str, rival: str, recorded: Recorded) -> str:
    if len(recorded.windows) < 2:
        return ""
    found = [
        window.tracks[name].differences.get(rival, {}).get(metric, Estimate()).mean
        for window in recorded.windows
        if name in window.tracks
    ]
    known = [each for each in found if each is not None]
    ahead = sum(each > 0 for each in known)
    return f"The blend was ahead in {ahead} of {len(known)} stretches of time." if known else ""
