"""Lists about the shop and not about one customer: what is popular, what rises, what is new."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import Catalog
from recsys.data.catalog_index import CatalogIndex
from recsys.data.signals import MS_PER_DAY, UNKNOWN_TIME
from recsys.errors import InputError
from recsys.models.interest import MOST_DAYS, PER_CUSTOMER, Interest
from recsys.recommend.kernel import UNITS
from recsys.recommend.masks import EXCLUDED, FILTERED, ON_PAGE, UNAVAILABLE
from recsys.recommend.types import Answer, Evidence, Reason, Recommendation, Request

NO_TIMES = "no_times"
"""The fallback of a list that was to be about some days, where the history does not say when anything happened."""

WHOLE = "all"
LONGEST_WINDOW = MOST_DAYS // 2
WINDOWS = f"`{WHOLE}`, or 1 to {LONGEST_WINDOW} days, such as `30d`"


class Order(StrEnum):
    """What a list begins with."""

    POPULAR = "popular"
    RISING = "rising"
    NEW = "new"


_NOT_LISTED = np.iinfo(np.int64).min

_HELD = {
    Order.POPULAR: "that anybody showed interest in",
    Order.RISING: "whose interest surely grew",
    Order.NEW: "that appeared",
}


@dataclass(frozen=True, slots=True)
class PopularQuestion:
    """What a list of the shop is to be about.

    Attributes
    ----------
    order : what it begins with.
    days : counted back from the newest event that the models know; None for all of the history.
    category : by its exact name in the catalogue; None for all items.
    """

    order: Order = Order.POPULAR
    days: int | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class ShopList:
    """All that a list may hold, in its order, whether it may be shown just now or not.

    Attributes
    ----------
    question : as it was asked, but for a window that could not be kept.
    item : int32, shape (k,); positions in a `CatalogIndex`.
    units : int64, shape (k,); scores in units of 1 / `UNITS`, descending.
    fallback : `NO_TIMES`, or None.
    cause : why there is nothing; None where the question has an answer.
    """

    question: PopularQuestion
    item: npt.NDArray[np.int32]
    units: npt.NDArray[np.int64]
    fallback: str | None = None
    cause: str | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return self.item.nbytes + self.units.nbytes + 500


def window_days(text: str) -> int | None:
    """The days of a window as it is typed: `all` is None, `30d` is 30. Raises InputError for anything else."""
    if text == WHOLE:
        return None
    if re.fullmatch(r"[1-9][0-9]{0,2}d", text, re.ASCII) and int(text[:-1]) <= LONGEST_WINDOW:
        return int(text[:-1])
    raise InputError(f"the window {text[:80]!r}", expected=WINDOWS)


def shop_list(bundle: ModelBundle, catalog: Catalog, index: CatalogIndex, question: PopularQuestion) -> ShopList:
    """The list for a question.

    - `popular`: by interest in the window. The score is in customers: each counts for at most one purchase a day.
    - `rising`: by the factor by which interest surely grew against as many days before. `all` compares the newer half
      of the days that are known with the older one. Nothing that may not have grown.
    - `new`: by date, the newest first; the score is in days since 1970. An item's date is the catalogue's, else that of
      its first event; a newcomer without one dates from the newest event.

    Raises InputError for a category that the catalogue does not have.
    """
    members = None if question.category is None else index.members(question.category)
    known = question if bundle.interest.days else PopularQuestion(question.order, None, question.category)
    fallback = NO_TIMES if known.days != question.days else None
    cause = _why_nothing_rises(bundle, known.days) if question.order is Order.RISING else None
    if cause is not None:
        return ShopList(known, np.zeros(0, np.int32), np.zeros(0, np.int64), cause=cause)
    if question.order is Order.NEW:
        units = _new(bundle, catalog, index, known.days)
    else:
        units = (_rising if question.order is Order.RISING else _popular)(bundle.interest, known.days)
    wanted = units > _NOT_LISTED
    if members is not None:
        wanted &= members[: len(wanted)]
    item = np.flatnonzero(wanted)
    total = np.zeros(max(len(units), 1), dtype=np.int64)
    total[: len(bundle.interest.total)] = bundle.interest.total
    order = item[np.lexsort((item, -total[item], -units[item]))]
    return ShopList(known, order.astype(np.int32), units[order], fallback)


def _popular(interest: Interest, days: int | None) -> npt.NDArray[np.int64]:
    """The interest in every item within a window in `UNITS`; as below, `_NOT_LISTED` where there is none."""
    counted = np.asarray(interest.total) if days is None else interest.within(0, days)
    return np.where(counted > 0, counted * int(UNITS / PER_CUSTOMER), _NOT_LISTED)


def _why_nothing_rises(bundle: ModelBundle, days: int | None) -> str | None:
    reach = bundle.interest.days
    if not reach:
        return "the history does not say when anything happened, so nothing is known to rise"
    if (days or 1) >= reach:
        return f"the history reaches back {reach} days: there is nothing to compare {days or 1} of them with"
    return None


def _rising(interest: Interest, days: int | None) -> npt.NDArray[np.int64]:
    """The sure growth of interest in every item."""
    growth = interest.growth(days or min(interest.days // 2, LONGEST_WINDOW))
    return np.where(growth > 1.0, np.rint(growth * UNITS).astype(np.int64), _NOT_LISTED)


def _new(bundle: ModelBundle, catalog: Catalog, index: CatalogIndex, days: int | None) -> npt.NDArray[np.int64]:
    """The date of every item and newcomer, in days."""
    newest = bundle.manifest.data["newest"]
    own = np.where(catalog.published != UNKNOWN_TIME, catalog.published, bundle.interest.first)
    came = index.shelf.published
    came = np.where(came != UNKNOWN_TIME, came, UNKNOWN_TIME if newest is None else newest)
    date = np.concatenate([own, came])
    dated = date != UNKNOWN_TIME
    if days is not None and newest is not None:
        dated &= date > newest - days * int(MS_PER_DAY)
    return np.where(dated, np.rint(date / MS_PER_DAY * UNITS).astype(np.int64), _NOT_LISTED)


def shown(
    listed: ShopList,
    index: CatalogIndex,
    catalog: Catalog,
    request: Request,
    passing: npt.NDArray[np.bool_] | None = None,
) -> Answer:
    """What may be shown of a list now. Raises nothing: an empty list says why.

    Parameters
    ----------
    passing : bool, in the positions of `index`; what passes a filter, where there is one.
    """
    showable = index.showable(catalog, request.now)
    allowed = showable[listed.item]
    masked = {UNAVAILABLE: len(allowed) - int(np.count_nonzero(allowed))}
    if passing is not None:
        through = passing[listed.item]
        masked[FILTERED] = int(np.count_nonzero(allowed & ~through))
        allowed = allowed & through
    masked[EXCLUDED] = 0
    for name, ids in ((EXCLUDED, request.exclude), (ON_PAGE, request.on_page)):
        if ids:
            positions = [*index.items.positions(sorted(ids))]
            positions += [len(index.items) + new for new in index.newcomers.positions(sorted(ids)) if new >= 0]
            excluded = allowed & np.isin(listed.item, positions)
            masked[name] = int(np.count_nonzero(excluded))
            allowed &= ~excluded
    places = np.flatnonzero(allowed)[: request.limit]
    code = str(listed.question.order)
    items = tuple(
        Recommendation(
            item_id=index.id_of(item), score=score, relevance=None, reason=Reason(code, (Evidence(None, code, score),))
        )
        for item, score in zip(listed.item[places].tolist(), (listed.units[places] / UNITS).tolist(), strict=True)
    )
    short = None if len(items) == request.limit else listed.cause or _why_short(listed.question, len(items), masked)
    return Answer(items, (code,) if items else (), listed.fallback, masked, short)


def _why_short(question: PopularQuestion, found: int, masked: dict[str, int]) -> str:
    words: Sequence[str] = [f"items that may be shown and {_HELD[question.order]}"]
    if question.days is not None:
        words = [*words, f"in the newest {question.days} days"]
    if question.category is not None:
        words = [*words, f"in the category {question.category!r}"]
    removed = ", ".join(f"{count} {name}" for name, count in masked.items() if count)
    return f"{' '.join(words)}: {found}" + (f" (left out: {removed})" if removed else "")
