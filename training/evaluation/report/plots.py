"""The figures of a report: matplotlib draws, the page holds each as SVG whose text is text.

Every figure is narrow enough for a phone; a page puts several side by side. Models differ by marker and line as well as
by colour.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from matplotlib.typing import RcKeyType

from training.evaluation.report import words
from training.evaluation.report.answer import BETTER, WORSE
from training.evaluation.report.recorded import Cost, Estimate, Slice, Track

WIDTH = 4.0
"""Inches; 96 pixels each on a screen: a phone shows it whole, and its text in about the size of the page's."""
_SETTINGS: dict[RcKeyType, Any] = {
    "svg.hashsalt": "bookmatch",  # the same figure gives the same bytes
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9.0,
    "text.parse_math": False,  # a shop's `$` is no formula
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5a6472",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e2e6eb",
    "xtick.color": "#3a4350",
    "ytick.color": "#3a4350",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
_BLEND, _RIVAL = "#0b4f9c", "#a8410a"
_OTHERS = ("#2d6e4e", "#7a3e8e", "#5b5b00", "#8a2f4d", "#00686e", "#4a4a8c", "#6b4a2b", "#555555")
_MARKERS = "osD^vP*Xh<>"
_LINES = ("-", "--", "-.", ":")
_LONGEST = 24


class Look:
    """The colour, the marker and the line of each model: the same in every figure of a page."""

    def __init__(self, models: Sequence[str], rival: str | None) -> None:
        self._place = {name: place for place, name in enumerate(models)}
        self._rival = rival

    def of(self, name: str) -> tuple[str, str, str]:
        """Colour, marker, line."""
        place = self._place.setdefault(name, len(self._place))
        colour = _OTHERS[place % len(_OTHERS)]
        if name == words.BLEND:
            colour = _BLEND
        elif name == self._rival:
            colour = _RIVAL
        return colour, _MARKERS[place % len(_MARKERS)], _LINES[place % len(_LINES)]


def metric_by_k(track: Track, family: str, look: Look) -> str | None:
    """Every model's metric at each k with its interval, the best model on top; None where nothing was scored."""
    scored = track.scored()
    metrics = sorted(
        {name for found in scored.values() for name in found if words.family(name) == family and words.at(name)},
        key=lambda name: words.at(name) or 0,
    )
    if not metrics:
        return None
    models = sorted(scored, key=lambda name: scored[name].get(metrics[0]) or 0.0)
    with _drawn(0.9 + 0.24 * len(models) * max(1.0, 0.55 * len(metrics))) as (figure, axes):
        step = 0.7 / len(metrics)
        for order, metric in enumerate(metrics):
            offset = (len(metrics) - 1) / 2 - order
            for row, name in enumerate(models):
                value = scored[name].get(metric)
                if value is None:
                    continue
                colour = look.of(name)[0]
                where = row + offset * step
                interval = track.intervals.get(name, {}).get(metric, Estimate())
                if interval.low is not None and interval.high is not None:
                    axes.plot([interval.low, interval.high], [where, where], color=colour, lw=1.5)
                axes.plot(value, where, _MARKERS[order % len(_MARKERS)], color=colour, ms=5)
            axes.plot([], [], _MARKERS[order % len(_MARKERS)], color="#333", ls="", label=f"first {words.at(metric)}")
        axes.set_yticks(range(len(models)), [words.model(name) for name in models])
        axes.set_xlim(left=0.0)
        axes.set_xlabel(f"{words.meaning(family).label} with 95 % interval")
        axes.grid(axis="y", visible=False)
        _legend(figure, axes, 4)
        return _svg(figure)


def forest(values: Mapping[str, Slice], metric: str, rival: str) -> str | None:
    """The blend minus the rival in each group, with its interval, the first group on top; None for less than two."""
    there = [(name, part, part.differences.get(rival, {}).get(metric, Estimate())) for name, part in values.items()]
    rows = [(name, part, each, each.mean) for name, part, each in there if each.mean is not None][::-1]
    if len(rows) < 2:
        return None
    with _drawn(0.95 + 0.28 * len(rows)) as (figure, axes):
        axes.axvline(0.0, color="#333", lw=1)
        for row, (_, _, each, mean) in enumerate(rows):
            shape, colour, filled = _verdict_look(each.verdict)
            if each.low is not None and each.high is not None:
                axes.plot([each.low, each.high], [row, row], color=colour, lw=1.5)
            axes.plot(mean, row, shape, color=colour, ms=6, mfc=colour if filled else "white")
        for verdict in dict.fromkeys(each.verdict for _, _, each, _ in rows):
            shape, colour, filled = _verdict_look(verdict)
            label = verdict or "no verdict"
            axes.plot([], [], shape, color=colour, mfc=colour if filled else "white", ls="", label=label)
        axes.set_yticks(range(len(rows)), [f"{_short(name)} ({part.customers:,})" for name, part, *_ in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        # At the right end, since the names on the left may leave little room below the axis.
        axes.set_xlabel(f"{words.metric_label(metric)}: blend minus {words.model(rival)}", loc="right")
        axes.grid(axis="y", visible=False)
        axes.locator_params(axis="x", nbins=4)
        _legend(figure, axes, 3)
        return _svg(figure)


def coverage(track: Track, look: Look) -> str | None:
    """The share of the candidates that anybody's list holds, by the length of the lists."""
    curves = {
        name: [(int(k), value) for k, value in found.items() if value is not None]
        for name, found in track.curves.coverage.items()
    }
    if not any(curves.values()):
        return None
    with _drawn(3.4) as (figure, axes):
        for name, points in curves.items():
            colour, marker, line = look.of(name)
            points.sort()
            axes.plot(
                *zip(*points, strict=True),
                color=colour, marker=marker, ls=line, ms=4, lw=1.2, markevery=max(1, len(points) // 6),
                label=words.model(name),
            )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("places of a list")
        axes.set_ylabel("share of the catalogue")
        axes.set_ylim(bottom=0.0)
        _legend(figure, axes, 3)
        return _svg(figure)


def popularity(track: Track, look: Look) -> str | None:
    """Lorenz curves: the share of places that the least shown share of items has."""
    curves = {name: points for name, points in track.curves.popularity.items() if points}
    if not curves:
        return None
    with _drawn(4.1) as (figure, axes):
        axes.plot([0, 1], [0, 1], color="#777", lw=1, ls=":", label="All alike")
        for name, points in curves.items():
            colour, marker, line = look.of(name)
            every = max(1, len(points) // 6)
            axes.plot(
                *zip(*points, strict=True),
                color=colour, marker=marker, ls=line, ms=4, lw=1.2, markevery=every, label=words.model(name),
            )  # fmt: skip
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
        axes.set_xlabel("share of items, the least shown first")
        axes.set_ylabel("share of all places")
        _legend(figure, axes, 3)
        return _svg(figure)


def quality_against_cost(track: Track, cost: Mapping[str, Cost], metric: str, look: Look) -> str | None:
    """Each model's metric over what one list takes."""
    scored = track.scored()
    points = [
        (name, each.list_microseconds, value)
        for name, each in cost.items()
        if each.list_microseconds and (value := scored.get(name, {}).get(metric)) is not None
    ]
    if not points:
        return None
    with _drawn(3.6) as (figure, axes):
        for name, micros, value in points:
            colour, marker, _ = look.of(name)
            axes.plot([micros], [value], color=colour, marker=marker, ls="", ms=8, label=words.model(name))
        axes.set_xscale("log")
        axes.set_ylim(bottom=0.0)
        axes.margins(x=0.15)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("microseconds for one list (each step is ten times)")
        axes.set_ylabel(words.metric_label(metric))
        _legend(figure, axes, 3)
        return _svg(figure)


def _verdict_look(verdict: str | None) -> tuple[str, str, bool]:
    if verdict == BETTER:
        return "^", "#1b6b3a", True
    if verdict == WORSE:
        return "v", "#a01c1c", True
    return "o", "#4a5361", False


def _short(text: str) -> str:
    return words.printable(text, _LONGEST)


def _legend(figure: Figure, axes: Axes, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)), handletextpad=0.4)


@contextmanager
def _drawn(height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of the page's width. No state of matplotlib outlives it."""
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        # The reader's browser has the letters that the font for measuring lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        yield figure, figure.add_subplot()


def _svg(figure: Figure) -> str:
    drawn = StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return drawn.getvalue()
