"""What metrics and slices need to know of items and customers: of the training part and the catalogue, not the test.

Prices, categories and attributes are those that the store has now; how popular an item is and how long a history, are
those before the cut. What the data do not allow stands in `not_applicable`, with why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
from scipy import sparse

from recsys.data.events import MAX_AMOUNT
from recsys.data.interactions import Interactions
from recsys.data.signals import UNKNOWN_TIME
from recsys.data.vocabulary import UNKNOWN
from recsys.models.content_terms import label, names, paths
from training.evaluation.baselines import target_counts
from training.evaluation.held_out import HeldOut, rows_of

Floats = npt.NDArray[np.float64]

POPULARITY, REVENUE, MARGIN, CATEGORY, FEATURES = "popularity", "revenue", "margin", "category", "features"
"""Families of facts; each is known, or in `not_applicable`."""

LEAST_KNOWN = 0.5
"""What is known of a smaller share of the events of training says nothing of lists: half of what they hold is dark."""

_MARGINS, _COSTS = ("margin",), ("cost", "cost_price", "purchase_price")
_MANY = 3  # so many causes of one thing are named


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What is known of the candidates, in their positions; None where the data do not allow it.

    Attributes
    ----------
    count : int64, shape (items,); how many customers of the training part have a target event on each.
    customers : how many have one at all.
    price, margin : float64, shape (items,), NaN where unknown; of one piece.
    price_of, margin_of : the same by id, also of items without a position.
    category : shape (items, categories); which share of an item belongs to each category, rows sum to 1 or are empty.
    category_names : what its columns are.
    features : shape (items, terms), 0 or more; what items have in common: paths of categories, and authors.
    first_seen : int64, shape (items,); milliseconds UTC of the first event in training, `UNKNOWN_TIME` where there is
        none.
    """

    count: npt.NDArray[np.int64]
    customers: int
    price: Floats | None
    margin: Floats | None
    price_of: Mapping[str, float]
    margin_of: Mapping[str, float]
    category: sparse.csr_matrix | None
    category_names: Sequence[str]
    features: sparse.csr_matrix | None
    first_seen: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """What is known of the scored customers, in the order of `HeldOut.customer_ids`.

    Attributes
    ----------
    history : int64, shape (n,); how many different items each had to do with in training; 0 for those absent from it.
    mix : shape (n, categories); how many of the target items of the history belong to each category. None without
        categories.
    attributes : name → one value (text, number, truth value or None) per customer.
    """

    history: npt.NDArray[np.int64]
    mix: sparse.csr_matrix | None
    attributes: Mapping[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it.

    Attributes
    ----------
    not_applicable : family → why the data do not allow it.
    """

    items: ItemFacts
    customers: CustomerFacts
    not_applicable: Mapping[str, str]


def facts_of(held_out: HeldOut, paid: pl.DataFrame, catalogue: pl.DataFrame, customers: pl.DataFrame) -> Facts:
    """The facts about one part.

    Parameters
    ----------
    paid : events of the part that is learned from: `item_id`, and the `price` of a piece with its `currency`.
    catalogue : in `ITEM_SCHEMA`, each item once.
    customers : in `CUSTOMER_SCHEMA`, each customer once; columns beyond it are attributes as well.
    """
    missing: dict[str, str] = {}
    training = held_out.training
    bought = target_counts(held_out)
    count = np.bincount(bought.indices, minlength=len(training.items)).astype(np.int64)
    if not count.any():
        missing[POPULARITY] = "models see no event of the kinds to predict"
    price_of, margin_of = _prices(paid, catalogue, missing), _margins(catalogue)
    price = _known(price_of, REVENUE, "price", training, missing)
    margin = _known(margin_of, MARGIN, "margin or cost", training, missing)
    category, category_names = _categories(catalogue, training, missing)
    features = _features(catalogue, training, missing)
    own = rows_of(bought, held_out.row)
    own.data[:] = 1
    items = ItemFacts(
        count=count,
        customers=int(np.count_nonzero(np.diff(bought.indptr))),
        price=price,
        margin=margin,
        price_of=price_of,
        margin_of=margin_of,
        category=category,
        category_names=category_names,
        features=features,
        first_seen=_first_seen(training),
    )
    mix = None if category is None else sparse.csr_matrix(own.astype(np.float64) @ category)
    known = CustomerFacts(_lengths(held_out), mix, _attributes(customers, held_out.customer_ids))
    return Facts(items, known, missing)


def _prices(events: pl.DataFrame, catalogue: pl.DataFrame, missing: dict[str, str]) -> dict[str, float]:
    """Of the catalogue, else the median of what was paid in training; nothing where currencies cannot be summed."""
    listed = catalogue.select("item_id", "price", "currency").drop_nulls("price")
    paid = events.select("item_id", "price", "currency").drop_nulls(["item_id", "price"])
    # What a price in another currency would not be used for does not spoil the others.
    paid = paid.join(listed, on="item_id", how="anti")
    currencies = sorted(pl.concat([listed["currency"], paid["currency"]]).drop_nulls().unique())
    if len(currencies) > 1:
        named = ", ".join(currencies[:_MANY]) + (", …" if len(currencies) > _MANY else "")
        missing[REVENUE] = f"prices are in {len(currencies)} currencies ({named}), which cannot be added up"
        return {}
    median = paid.group_by("item_id").agg(pl.col("price").median())
    return dict(median.iter_rows()) | dict(listed.select("item_id", "price").iter_rows())


def _margins(catalogue: pl.DataFrame) -> dict[str, float]:
    """What an item brings: its attribute `margin`, else its price less its `cost`; in the currency of prices.

    A text that is no amount says nothing.
    """
    text = catalogue["attributes"]

    def number(member: Sequence[str]) -> pl.Series:
        found = [text.str.json_path_match(f"$.{name}").cast(pl.Float64, strict=False) for name in member]
        # A text such as `inf` or `NaN` is a number to whoever casts it, and one of them is enough to spoil every sum.
        amounts = [each.set(~each.is_between(-MAX_AMOUNT, MAX_AMOUNT), None) for each in found]
        return pl.select(pl.coalesce(amounts)).to_series()

    margin = catalogue.select(
        "item_id", pl.coalesce(number(_MARGINS), pl.col("price") - number(_COSTS)).alias("margin")
    ).drop_nulls("margin")
    return dict(margin.iter_rows())


def _known(
    value: Mapping[str, float], family: str, name: str, training: Interactions, missing: dict[str, str]
) -> Floats | None:
    """One value per candidate, NaN where there is none; None where too few are known, weighed by their events."""
    found = np.full(len(training.items), np.nan)
    position = training.items.positions(pl.Series("item_id", list(value), dtype=pl.String))
    kept = position != UNKNOWN
    found[position[kept]] = np.fromiter(value.values(), dtype=np.float64, count=len(value))[kept]
    return found if _enough(~np.isnan(found), family, name, training, missing) else None


def _enough(
    known: npt.NDArray[np.bool_], family: str, name: str, training: Interactions, missing: dict[str, str]
) -> bool:
    share = float(known[training.item].mean())
    if family in missing or share < LEAST_KNOWN:
        few = f"only {share:.0%} of the events of training are on items with a known {name}"
        missing.setdefault(family, few if share else f"no item has a known {name}")
        return False
    return True


def _categories(
    catalogue: pl.DataFrame, training: Interactions, missing: dict[str, str]
) -> tuple[sparse.csr_matrix | None, tuple[str, ...]]:
    """The topmost category of each entry of an item's list, in equal shares."""
    labels: list[list[str]] = [[] for _ in range(len(training.items))]
    for position, text in _of_candidates(catalogue, "category", training):
        labels[position] = list(dict.fromkeys(path for path in paths(text) if ">" not in path))
    matrix, found = _labelled(labels)
    if not _enough(np.diff(matrix.indptr) > 0, CATEGORY, "category", training, missing):
        return None, ()
    share = 1.0 / np.maximum(np.diff(matrix.indptr), 1)
    return sparse.csr_matrix(sparse.diags_array(share) @ matrix), found


def _features(catalogue: pl.DataFrame, training: Interactions, missing: dict[str, str]) -> sparse.csr_matrix | None:
    labels: list[list[str]] = [[] for _ in range(len(training.items))]
    for position, text in _of_candidates(catalogue, "category", training):
        labels[position] += [f"category {path}" for path in paths(text)]
    for position, text in _of_candidates(catalogue, "author", training):
        labels[position] += [f"author {name}" for name in names(text)]
    matrix, _ = _labelled(labels)
    return matrix if _enough(np.diff(matrix.indptr) > 0, FEATURES, "category or author", training, missing) else None


def _of_candidates(catalogue: pl.DataFrame, column: str, training: Interactions) -> list[tuple[int, str]]:
    """The position and the text of each candidate that has one."""
    there = catalogue.select("item_id", column).drop_nulls(column)
    position = training.items.positions(there["item_id"])
    return [(int(at), text) for at, text in zip(position, there[column], strict=True) if at != UNKNOWN]


def _labelled(labels: Sequence[Sequence[str]]) -> tuple[sparse.csr_matrix, tuple[str, ...]]:
    """Which row has which label: ones, float64, shape (rows, labels); and the labels, ascending."""
    found = sorted({each for row in labels for each in row})
    place = {each: number for number, each in enumerate(found)}
    indptr = np.cumsum([0, *(len(row) for row in labels)])
    column = np.array([place[each] for row in labels for each in row], dtype=np.int32)
    shape = (len(labels), len(found))
    return sparse.csr_matrix((np.ones(len(column)), column, indptr), shape=shape), tuple(found)


def _first_seen(training: Interactions) -> npt.NDArray[np.int64]:
    known = training.timestamp != UNKNOWN_TIME
    first = np.full(len(training.items), np.iinfo(np.int64).max)
    np.minimum.at(first, training.item[known], training.timestamp[known])
    return np.where(first == np.iinfo(np.int64).max, UNKNOWN_TIME, first)


def _lengths(held_out: HeldOut) -> npt.NDArray[np.int64]:
    training = held_out.training
    touched = np.unique(training.groups()) // max(len(training.items), 1)
    length = np.bincount(touched, minlength=len(training.customers))
    return np.where(held_out.row == UNKNOWN, 0, np.append(length, 0)[held_out.row]).astype(np.int64)


def _attributes(customers: pl.DataFrame, ids: pl.Series) -> dict[str, list[object]]:
    """One value per scored customer and attribute; objects and lists are nothing to divide customers by."""
    own = ids.to_frame("customer_id").join(customers, on="customer_id", how="left", maintain_order="left")
    found: dict[str, list[object]] = {
        name: own[name].to_list() for name in own.columns if name not in ("customer_id", "account_id", "attributes")
    }
    for place, text in enumerate(own["attributes"] if "attributes" in own.columns else ()):
        for name, value in (orjson.loads(text) if text else {}).items():
            if isinstance(value, str | int | float):
                found.setdefault(name, [None] * len(ids))[place] = label(value) if isinstance(value, str) else value
    return dict(sorted(found.items()))
