"""For whom a model is better, and for what: customers and wanted items, divided.

A *dimension* divides customers (by the length of their history, by whether they are new, by an attribute) or what they
wanted (by how it sells, by its category). In a dimension of items a customer counts in each slice from which they
wanted something, and only that is to be found there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.metrics.popularity import best_sellers
from recsys.metrics.ranking import NDCG, RECALL, Ranked, Relevant, per_customer
from training.evaluation.facts import CustomerFacts, Facts, ItemFacts

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

METRICS = (RECALL, NDCG)
"""Slices have these alone, at the largest k: the more that is asked, the less can be said of each."""

HISTORY_EDGES = (0, 1, 2, 5, 10, 20, 50)
"""Lengths of history, in different items, at which a slice begins."""

HEAD, MIDDLE, TAIL = "head", "middle", "tail"
HEAD_SHARE, UPPER_SHARE = 0.2, 0.5
"""Head: the best-selling fifth of the items that sold; tail: those beyond the better half, and what never sold."""

MOST_VALUES = 8
"""Of a dimension with more values than this the largest are told apart; the others are `OTHER`."""
OTHER, UNSAID = "other", "unknown"


@dataclass(frozen=True, slots=True)
class Slice:
    """Who belongs to one value of a dimension, and what counts for them.

    Attributes
    ----------
    rows : of the scored customers; ascending.
    relevant : what these wanted, of what counts.
    """

    dimension: str
    value: str
    rows: Rows
    relevant: Relevant

    def scored(self, ranked: Ranked, k: int) -> dict[str, Floats]:
        """`METRICS` at k of these customers' lists: float64, shape (rows,)."""
        found = per_customer(ranked[self.rows], self.relevant, [k])
        return {f"{name}@{k}": found[f"{name}@{k}"] for name in METRICS}


def slices_of(relevant: Relevant, facts: Facts) -> tuple[list[Slice], dict[str, str]]:
    """All slices of all dimensions, in the order of the report; and dimension → why there is none of it."""
    slices: list[Slice] = []
    causes: dict[str, str] = {}
    for dimension, label in _of_customers(facts.customers):
        values, place = label.values, label.place
        if set(values) <= {OTHER, UNSAID}:
            causes[dimension] = "hardly two customers have the same value"
        elif len(values) < 2:
            causes[dimension] = f"it is {values[0]} for every customer"
        else:
            for number, value in enumerate(values):
                rows = np.flatnonzero(place == number).astype(np.int64)
                slices.append(Slice(dimension, value, rows, of_rows(relevant, rows)))
    for dimension, value, counted in _of_items(facts.items, relevant):
        rows, part = of_items(relevant, counted)
        if len(rows):
            slices.append(Slice(dimension, value, rows, part))
    return slices, causes


def of_rows(relevant: Relevant, rows: Rows) -> Relevant:
    """What these customers wanted."""
    length = np.diff(relevant.indptr)[rows]
    indptr = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    place = np.repeat(relevant.indptr[rows] - indptr[:-1], length) + np.arange(indptr[-1])
    return Relevant(indptr, relevant.item[place], relevant.size[rows])


def of_items(relevant: Relevant, counted: npt.NDArray[np.bool_]) -> tuple[Rows, Relevant]:
    """Who wanted any of the items that are `counted` (bool, shape (items,)), and what of these."""
    kept = counted[relevant.item]
    row = np.repeat(np.arange(len(relevant)), np.diff(relevant.indptr))[kept]
    rows, size = np.unique(row, return_counts=True)
    indptr = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    return rows.astype(np.int64), Relevant(indptr, relevant.item[kept], size.astype(np.int64))


class _Labels(NamedTuple):
    """The value of each customer: `values[place[row]]`; every value is somebody's."""

    values: tuple[str, ...]
    place: Rows


def _of_customers(customers: CustomerFacts) -> Iterator[tuple[str, _Labels]]:
    new = (customers.history == 0).astype(np.int64)
    yield "customer", _present(("returning", "new"), new)
    spans = [_span(low, high - 1) for low, high in pairwise(HISTORY_EDGES)] + [f"{HISTORY_EDGES[-1]}+"]
    yield "history", _present(spans, np.searchsorted(HISTORY_EDGES, customers.history, side="right") - 1)
    for name, values in customers.attributes.items():
        yield f"customer.{name}", _grouped(values)


def _of_items(items: ItemFacts, relevant: Relevant) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    head, upper = best_sellers(items.count, HEAD_SHARE), best_sellers(items.count, UPPER_SHARE)
    for value, counted in ((HEAD, head), (MIDDLE, upper & ~head), (TAIL, ~upper)):
        yield "popularity", value, counted
    if items.category is not None:
        belongs = items.category.astype(bool)
        wanted = np.bincount(relevant.item, minlength=len(items.count)) @ belongs
        largest = np.argsort(-wanted, kind="stable")[:MOST_VALUES]
        for column in largest:
            yield "category", items.category_names[column], belongs[:, [column]].toarray().ravel()


def _span(low: float, high: float) -> str:
    return f"{low:g}" if high == low else f"{low:g}–{high:g}"


def _present(values: Sequence[str], place: npt.NDArray[np.integer]) -> _Labels:
    """Without the values that nobody has."""
    used, place = np.unique(place, return_inverse=True)
    return _Labels(tuple(values[each] for each in used), place.astype(np.int64))


def _grouped(values: Sequence[object]) -> _Labels:
    """Numbers of many values in four spans of about as many customers; of other values the most frequent."""
    numbers = [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(set(numbers)) > MOST_VALUES and all(each is None or isinstance(each, int | float) for each in values):
        return _spans(np.array([np.nan if each is None else float(each) for each in values]))  # type: ignore[arg-type]
    texts = [UNSAID if each is None else str(each).lower() if isinstance(each, bool) else str(each) for each in values]
    frequent = [value for value, count in Counter(texts).most_common() if value != UNSAID and count > 1][:MOST_VALUES]
    order = [*frequent, OTHER, UNSAID]
    place = {value: number for number, value in enumerate(order)}
    return _present(order, np.array([place.get(text, len(frequent)) for text in texts], dtype=np.int64))


def _spans(values: Floats) -> _Labels:
    edges = np.unique(np.nanquantile(values, [0.25, 0.5, 0.75]))
    place = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))
    names = [
        _span(float(values[place == number].min()), float(values[place == number].max()))
        if (place == number).any()
        else ""
        for number in range(len(edges) + 1)
    ]
    return _present([*names, UNSAID], place)
