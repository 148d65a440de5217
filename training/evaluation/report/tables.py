"""The tables of a report: what stands in each cell. Neither HTML nor Markdown is known here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from training.evaluation.report import words
from training.evaluation.report.answer import Answer
from training.evaluation.report.recorded import Cost, Estimate, ItemMover, Mover, Numbers, Recorded, Track

SHORT = ("recall", "ndcg", "hit_rate", "coverage")
"""The metrics of the first table; all the others stand further below."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is read, the verdict that it says, and whether it is a number."""

    text: str
    verdict: str | None = None
    is_number: bool = False
    about: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, the heads of the columns, and rows whose first cell is their head. `strong` rows are the blend's."""

    key: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    strong: frozenset[int] = field(default_factory=frozenset)

    @property
    def numbers(self) -> Sequence[bool]:
        """Which columns hold numbers."""
        return [any(row[column].is_number for row in self.rows) for column in range(len(self.head))]


def number(value: float | None) -> Cell:
    """A metric."""
    return Cell(words.number(value), is_number=True)


def count(value: int) -> Cell:
    """How many."""
    return Cell(f"{value:,}", is_number=True)


def difference(each: Estimate) -> Cell:
    """A difference with its interval."""
    if each.mean is None:
        return Cell("–", is_number=True)
    text = words.signed(each.mean)
    if each.low is not None and each.high is not None:
        text += f" [{words.signed(each.low)}, {words.signed(each.high)}]"
    return Cell(text, is_number=True)


def verdict(each: Estimate) -> Cell:
    """The words, with a mark before them."""
    if each.verdict is None:
        return Cell("–")
    return Cell(f"{words.MARKS.get(each.verdict, '')} {each.verdict}".strip(), each.verdict)


def main_table(track: Track, answer: Answer) -> Table | None:
    """Every model's main metrics, and what the blend is beside each."""
    if answer.metric is None:
        return None
    k = words.at(answer.metric)
    known = {name for metrics in track.scored().values() for name in metrics}
    shown = [name for name in (f"{each}@{k}" for each in SHORT) if name in known]
    label = words.metric_label(answer.metric)
    head = ["Model", "Blend is", *map(words.metric_label, shown), f"Blend minus it, {label}"]
    rows = []
    for name, metrics in track.scored().items():
        each = track.differences.get(name, {}).get(answer.metric, Estimate())
        rows.append(
            [
                Cell(words.model(name)),
                verdict(each),
                *(number(metrics.get(metric)) for metric in shown),
                difference(each),
            ]
        )
    strong = frozenset(place for place, name in enumerate(track.scored()) if name == words.BLEND)
    caption = f"{answer.title}: {track.customers:,} customers, {track.test_pairs:,} things to foresee"
    return Table(f"main-{answer.track}", caption, head, rows, strong)


def all_metrics(track: Track, answer: Answer) -> Table:
    """Every metric of every model; the last column is the verdict on the blend beside its rival."""
    scored = track.scored()
    metrics = words.in_order(metric for found in scored.values() for metric in found)
    head = ["Metric", *map(words.model, scored)]
    if answer.rival:
        head.append(f"Blend beside {words.model(answer.rival)}")
    rows, told = [], set[str]()
    for metric in metrics:
        own = words.family(metric)
        row = [Cell(words.metric_label(metric), about="" if own in told else words.meaning(metric).about)]
        told.add(own)
        row += [number(found.get(metric)) for found in scored.values()]
        if answer.rival:
            row.append(verdict(track.differences.get(answer.rival, {}).get(metric, Estimate())))
        rows.append(row)
    return Table(
        f"all-{answer.track}",
        f"{answer.title}: every metric of every model; verdicts beside recall and NDCG at the largest k explore",
        head,
        rows,
    )


def _of(models: dict[str, Numbers | None], name: str, metric: str) -> float | None:
    return (models.get(name) or {}).get(metric)


def groups_table(track: Track, answer: Answer) -> Table | None:
    """The blend and its rival in each group of customers or items."""
    metric, rival = answer.metric, answer.rival
    if metric is None or rival is None or not track.slices:
        return None
    rows = []
    few = 0
    for dimension, values in track.slices.items():
        for name, part in values.items():
            each = part.differences.get(rival, {}).get(metric)
            if each is None:
                few += 1
                continue
            rows.append(
                [
                    Cell(f"{words.dimension(dimension)}: {words.printable(name, 100)}"),
                    verdict(each),
                    count(part.customers),
                    number(_of(part.models, words.BLEND, metric)),
                    number(_of(part.models, rival, metric)),
                    difference(each),
                ]
            )
    head = ["Group", "Blend is", "Customers", "Blend", words.model(rival), "Blend minus it"]
    caption = f"{answer.title}, group by group: {words.metric_label(metric)}"
    if few:
        caption += f"; {few} groups have too few customers for a verdict and stand in metrics.json alone"
    return Table(f"groups-{answer.track}", caption, head, rows)


def window_table(recorded: Recorded, answer: Answer) -> Table | None:
    """The blend and its rival in each stretch of time."""
    if answer.metric is None or answer.rival is None or len(recorded.windows) < 2:
        return None
    rows = []
    for window in recorded.windows:
        track = window.tracks.get(answer.track)
        if track is None:
            continue
        each = track.differences.get(answer.rival, {}).get(answer.metric, Estimate())
        rows.append(
            [
                Cell(words.moment(window.cut)),
                Cell(words.moment(window.until)),
                verdict(each),
                count(track.customers),
                number(_of(track.models, words.BLEND, answer.metric)),
                number(_of(track.models, answer.rival, answer.metric)),
                difference(each),
            ]
        )
    head = ["Learned until", "Foreseen until", "Blend is", "Customers", "Blend", words.model(answer.rival)]
    caption = f"{answer.title}, each stretch of time: {words.metric_label(answer.metric)}"
    return Table(f"windows-{answer.track}", caption, [*head, "Blend minus it"], rows) if rows else None


def cost_table(cost: dict[str, Cost]) -> Table | None:
    """What each model takes."""
    if not cost:
        return None
    rows = [
        [
            Cell(words.model(name)),
            number(each.fit_seconds) if each.fit_seconds is None else Cell(f"{each.fit_seconds:,.1f}", is_number=True),
            Cell("–" if each.list_microseconds is None else f"{each.list_microseconds:,.0f}", is_number=True),
        ]
        for name, each in cost.items()
    ]
    return Table("cost", "What each model takes", ["Model", "Seconds to fit", "Microseconds for a list"], rows)


def mover_table(key: str, caption: str, movers: Sequence[Mover], rival: str) -> Table:
    """Customers for whom one model is far better."""
    rows = []
    for each in movers:
        change = None if each.blend is None or each.other is None else each.blend - each.other
        rows.append(
            [
                Cell(words.printable(each.customer_id)),
                count(each.test_items),
                number(each.blend),
                number(each.other),
                Cell(words.signed(change), is_number=True),
            ]
        )
    return Table(key, caption, ["Customer", "Things wanted", "Blend", words.model(rival), "Change"], rows)


def item_mover_table(key: str, caption: str, movers: Sequence[ItemMover], rival: str) -> Table:
    """Items that one model brings to more of those who want them."""
    rows = [
        [
            Cell(
                words.printable(each.title or each.item_id), about=words.printable(each.item_id) if each.title else ""
            ),
            count(each.wanted),
            count(each.blend),
            count(each.other),
            Cell(f"{'−' if each.blend < each.other else '+'}{abs(each.blend - each.other):,}", is_number=True),
        ]
        for each in movers
    ]
    return Table(key, caption, ["Item", "Wanted by", "Found by blend", f"By {words.model(rival)}", "Change"], rows)
