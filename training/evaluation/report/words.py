"""What names of models, metrics and tracks mean to somebody who runs a shop."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

_DIGITS_OF_MILLISECONDS = 11
"""Shorter numbers are positions, not moments."""
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})[\d:.]*(?:Z|\+00:00)")

BLEND = "blend"
PRODUCTION = "production"
SIMPLE = ("popular", "popular_7d", "personal_top", "bm25")
"""What a shop could have without this engine: the blend has to be worth more than the best of them."""

MODELS = {
    BLEND: "Blend",
    PRODUCTION: "In production",
    "item_item": "Item-item",
    "als": "ALS",
    "content": "Content",
    "repeat": "Repeat",
    "bm25": "BM25",
    "popular": "Popular",
    "popular_7d": "Popular, 7 days",
    "personal_top": "Own favourites",
}

ABOUT_MODELS = {
    BLEND: "what the service would answer, trained on this history",
    PRODUCTION: "the bundle that answers now, trained before the cut",
    "item_item": "the blend's neighbourhood model alone",
    "als": "the blend's factor model alone",
    "content": "the blend's model of titles, authors and categories alone",
    "repeat": "the blend's model of what is bought again alone",
    "bm25": "classic item-item with BM25 weights",
    "popular": "what most customers wanted",
    "popular_7d": "the same in the last seven days",
    "personal_top": "what the customer wanted most often, then what is popular",
}


class Meaning(NamedTuple):
    """A metric's name in a table, and what it says."""

    label: str
    about: str


METRICS = {
    "recall": Meaning("Recall", "the share of what a customer went on to want that the list holds"),
    "ndcg": Meaning("NDCG", "the same, counting more the higher in the list it stands; 1 is the best order"),
    "hit_rate": Meaning("Hit rate", "the share of customers whose list holds at least one thing they went on to want"),
    "mrr": Meaning("MRR", "one divided by the place of the first hit"),
    "precision": Meaning("Precision", "the share of places with something the customer went on to want"),
    "map": Meaning("MAP", "precision, averaged over the places of the hits"),
    "debiased_recall": Meaning("Debiased recall", "recall in which a seldom wanted item counts more"),
    "hard_to_find_recall": Meaning("Hard to find", "recall of what is not among the best-selling fifth"),
    "revenue": Meaning("Revenue", "what the hits of one customer are worth, in the shop's currency"),
    "revenue_recall": Meaning("Revenue recall", "the share of the worth of what a customer went on to want"),
    "margin": Meaning("Margin", "what the hits of one customer earn, in the shop's currency"),
    "margin_recall": Meaning("Margin recall", "the share of what could be earned"),
    "coverage": Meaning("Coverage", "the share of the catalogue that is in anybody's list"),
    "gini": Meaning("Gini", "how unevenly items are shown: 0 all alike, 1 one item alone"),
    "novelty": Meaning("Novelty", "how little known the listed items are, in bits"),
    "average_popularity": Meaning("Popularity", "how many customers the listed items have, on average"),
    "serendipity": Meaning("Serendipity", "hits that a list of popular items would not have"),
    "intra_list_diversity": Meaning("Diversity", "how unlike the items of one list are"),
    "miscalibration": Meaning(
        "Miscalibration", "how far a list's categories are from the customer's; 0 is the same mix"
    ),
    "stability": Meaning("Stability", "how alike the lists are to those of the bundle in production; 1 is the same"),
}
_PLACE = {name: place for place, name in enumerate(METRICS)}

TRACKS = {
    "discovery": ("Discovery", "things that are new to the customer"),
    "repeat": ("Buying again", "things the customer had already"),
    "exclude": ("Discovery", "things that are new to the customer"),
    "only": ("Buying again", "things the customer had already"),
    "allow": ("New and again", "everything, had before or not"),
}

DIMENSIONS = {
    "customer": "New or returning",
    "history": "Length of history",
    "popularity": "How items sell",
    "category": "Category",
}

MARKS = {"better": "▲", "worse": "▼", "no clear difference": "○", "higher": "△", "lower": "▽"}
"""Beside the words of a verdict, so that a column can be read at a glance."""


def model(name: str) -> str:
    """The label of a model."""
    return MODELS.get(name, name)


def family(metric: str) -> str:
    """`recall` of `recall@10`."""
    return metric.partition("@")[0]


def at(metric: str) -> int | None:
    """10 of `recall@10`; None where a metric has no k."""
    k = metric.rpartition("@")[2]
    return int(k) if k.isdigit() and "@" in metric else None


def meaning(metric: str) -> Meaning:
    """The label and the meaning of a metric; its own name where it is not known here."""
    own = family(metric)
    return METRICS.get(own, Meaning(own.replace("_", " ").capitalize(), ""))


def metric_label(metric: str) -> str:
    """`Recall@10`."""
    k = at(metric)
    return meaning(metric).label + ("" if k is None else f"@{k}")


def in_order(metrics: Iterable[str]) -> list[str]:
    """By what they measure, then by k; those not known here last."""
    return sorted(
        dict.fromkeys(metrics), key=lambda each: (_PLACE.get(family(each), len(_PLACE)), family(each), at(each) or 0)
    )


def dimension(name: str) -> str:
    """What customers or items are divided by."""
    own = name.removeprefix("customer.")
    return DIMENSIONS.get(name, printable(own.replace("_", " ").capitalize(), 60))


def track(name: str) -> tuple[str, str]:
    """The title of a track, and what is foreseen in it."""
    return TRACKS.get(name, (name.capitalize(), "what customers went on to want"))


def number(value: float | None, digits: int = 4) -> str:
    """A metric; a dash for what could not be computed."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.1f}"


def signed(value: float | None, digits: int = 4) -> str:
    """As `number` with a sign, a real minus."""
    if value is None:
        return "–"
    text = number(abs(value), digits)
    return ("−" if value < 0 else "+") + text if text.strip("0.,") else text


def percent(value: float | None) -> str:
    """A share with three significant digits."""
    if value is None:
        return "–"
    return f"{value:.1%}" if value >= 0.1 else f"{value:.2%}"


def printable(text: str, longest: int = 200) -> str:
    """Text of a shop without what is no character for a reader (controls, lone surrogates), cut when very long."""
    clean = "".join("�" if unicodedata.category(each) in {"Cc", "Cs", "Cn"} else each for each in text[: longest + 1])
    return clean[: longest - 1] + "…" if len(clean) > longest else clean


def moment(text: str | None) -> str:
    """A time UTC, in milliseconds or as `2024-05-01T00:00:00Z`, to the minute, without that at midnight.

    Other text, such as a position, as it is.
    """
    if text is None:
        return "–"
    if text.removeprefix("-").isdigit() and len(text) >= _DIGITS_OF_MILLISECONDS:
        text = datetime.fromtimestamp(int(text) / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:00Z")
    found = _MOMENT.fullmatch(text)
    if found is None:
        return text
    day, minute = found.groups()
    return day if minute == "00:00" else f"{day} {minute}"
