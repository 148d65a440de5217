"""What was measured beside what is published and what was set as a goal before anything was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.quality.cases import ALLOWED, BASKETS, BEAUTY, BOOKS, BOUGHT, ROCKET, SHOP, TMALL
from benchmarks.quality.reports import Lift, Peer, Report, lift
from recsys.metrics.uncertainty import Interval

NONE = "–"
BASELINES = ("popular_7d", "bm25", "als", "personal_top")
"""What the blend has to beat in the gift shop."""

LIFTS = {ROCKET: (0.65, 1.0), TMALL: (0.12, 0.25)}
"""By how much browsing has to lift `LIFTED`: to reach, and to stretch for."""

LIFTED = "recall@10"
SHOP_METRICS = ("recall@10", "ndcg@10", "recall@20", "ndcg@20")


class Verdict(StrEnum):
    """Whether a goal was met."""

    MISSED = "missed"
    REACHED = "reached"
    STRETCHED = "reached, and the stretch"


@dataclass(frozen=True, slots=True)
class Line:
    """One goal: texts for the page, and the verdict."""

    data: str
    figure: str
    published: str
    measured: str
    reach: str
    stretch: str
    verdict: Verdict


def verdict(value: float, reach: float, stretch: float, *, sure: bool = True) -> Verdict:
    """Of a figure of which more is better; `sure` is whether the interval that a goal asks for lies above 0."""
    if not sure or value < reach:
        return Verdict.MISSED
    return Verdict.STRETCHED if value >= stretch else Verdict.REACHED


def beaten(report: Report, metric: str, over: tuple[str, ...], stretch: float) -> Verdict:
    """Whether the blend is surely above each of these models that there is, and by the share `stretch` above the best.

    ValueError when there is none of them.
    """
    there = [name for name in over if name in report.models]
    if not there:
        raise ValueError(f"none of {', '.join(over)} was measured")
    sure = all(report.differences[name][metric].low > 0 for name in there)
    best = max(report.models[name][metric] for name in there)
    return verdict(report.blend(metric), 0.0, best * (1.0 + stretch), sure=sure)


def lines(reports: Mapping[str, Report], lifts: Mapping[str, Lift], peer: Peer | None) -> list[Line]:
    """The goals of every data set that was measured."""
    found = []
    if BOOKS in reports:
        found += _book_lines(reports[BOOKS])
        found += [] if peer is None else _peer_lines(reports[BOOKS], peer)
    if BEAUTY in reports:
        found += _beauty_lines(reports[BEAUTY])
    found += [_lift_line(name, each) for name, each in lifts.items()]
    for name in (SHOP, SHOP + ALLOWED):
        if name in reports:
            found += [_beaten_line(name, reports[name], metric, BASELINES, 0.15) for metric in SHOP_METRICS]
    if BASKETS in reports:
        found.append(_beaten_line(BASKETS, reports[BASKETS], "recall@10", ("personal_top",), 0.1))
    return found


def lifts_of(reports: Mapping[str, Report]) -> dict[str, Lift]:
    """Of every data set with further kinds that was measured, what they add to purchases alone."""
    return {
        name: lift(reports[name].each, reports[name + BOUGHT].each, LIFTED, reports[name].seed)
        for name in LIFTS
        if name in reports
    }


def signed(interval: Interval) -> str:
    """A difference with its interval."""
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def percent(interval: Interval) -> str:
    """A ratio less 1 with its interval."""
    return f"{interval.mean:+.1%} [{interval.low:+.1%}, {interval.high:+.1%}]"


def _metric_line(data: str, report: Report, metric: str, published: str, reach: float, stretch: float) -> Line:
    value = report.blend(metric)
    met = verdict(value, reach, stretch)
    return Line(data, metric, published, f"{value:.4f}", f"{reach:.3f}", f"{stretch:.3f}", met)


def _most_line(figure: str, value: float, limit: float, unit: str) -> Line:
    met = Verdict.REACHED if value <= limit else Verdict.MISSED
    return Line(BOOKS, figure, NONE, f"{value:.2f} {unit}", f"≤ {limit:g} {unit}", NONE, met)


def _book_lines(report: Report) -> list[Line]:
    return [
        _metric_line(BOOKS, report, "recall@20", "KGAT 0.1503, KGIN 0.1688", 0.182, 0.190),
        _metric_line(BOOKS, report, "ndcg@20", "KGIN 0.0917", 0.105, 0.110),
        _most_line("fit of the blend", report.seconds["fit"], 30, "s"),
        _most_line("read, compile, tune, fit and score", report.total_seconds, 180, "s"),
        _most_line("peak memory", report.peak_bytes / 1e9, 4, "GB"),
    ]


def _peer_lines(report: Report, peer: Peer) -> list[Line]:
    ratio, least = report.blend("recall@20") / peer.best("recall@20"), 1.3
    met = Verdict.REACHED if ratio >= least else Verdict.MISSED
    figure = "recall@20 over the better of implicit's cosine and ALS"
    return [
        Line(BOOKS, figure, NONE, f"{ratio:.3f} ×", f"≥ {least:g} ×", NONE, met),
        _most_line("fit over implicit's cosine + ALS", report.seconds["fit"] / peer.fit_seconds, 6, "×"),
    ]


def _beauty_lines(report: Report) -> list[Line]:
    hits = "SASRec 0.0605, HSTU 0.0788, SASRec + sampled softmax 0.0921, eSASRec 0.0928"
    gains = "SASRec 0.0318, HSTU 0.0439, SASRec + sampled softmax 0.0531, eSASRec 0.0523"
    return [
        _metric_line(BEAUTY, report, "hit_rate@10", hits, 0.100, 0.110),
        _metric_line(BEAUTY, report, "ndcg@10", gains, 0.062, 0.068),
    ]


def _lift_line(data: str, found: Lift) -> Line:
    reach, stretch = LIFTS[data]
    met = verdict(found.ratio.mean, reach, stretch, sure=found.difference.low > 0)
    asked = (f"+{reach:.0%}, interval above 0", f"+{stretch:.0%}")
    return Line(data, f"{LIFTED}, all kinds over purchases only", NONE, percent(found.ratio), *asked, met)


def _beaten_line(data: str, report: Report, metric: str, over: tuple[str, ...], stretch: float) -> Line:
    there = [name for name in over if name in report.models]
    best = max(there, key=lambda name: report.models[name][metric])
    closest = min((report.differences[name][metric] for name in there), key=lambda each: each.low)
    more = report.blend(metric) / report.models[best][metric] - 1.0 if report.models[best][metric] else float("inf")
    measured = f"{report.blend(metric):.4f}, {more:+.1%} over {best}, least sure {signed(closest)}"
    reach = f"above {', '.join(over)}, intervals above 0"
    return Line(data, metric, NONE, measured, reach, f"+{stretch:.0%}", beaten(report, metric, over, stretch))
