"""All events that come of the looks: in the visit, at its end, and days later."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from recsys.data.events import EventKind
from recsys.simulation.decisions import Decisions
from recsys.simulation.spec import MS_PER_DAY
from recsys.simulation.visits import Looks

_MINUTE = 60_000
_SEARCH, _LIKE, _LIST, _SHARE, _REFUSE = 0.3, 0.06, 0.06, 0.01, 0.03
_RATE, _REVIEW, _IGNORE_GIFT, _UNDO = 0.2, 0.05, 0.3, 0.05
_RETURN_AT_LEAST, _RETURN_BY_DISLIKE = 0.02, 0.1
_SEVERAL = 0.03
_UNDOABLE = (
    EventKind.LIKE, EventKind.ADD_TO_LIST, EventKind.NOT_INTERESTED, EventKind.OWN,
    EventKind.IGNORE_FOR_RECOMMENDATIONS,
)  # fmt: skip

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EventRows:
    """Events as arrays of shape (events,), in order of time; what comes later in a visit comes later here.

    Attributes
    ----------
    kind : int8; kind codes.
    look : int64; the look that the event comes from: its customer, visit and book.
    when : int64; milliseconds UTC.
    quantity : float64; pieces.
    rating : float64; 1 to 5, NaN where there is none.
    in_visit : bool; it happened during the visit.
    undoes : int64; the row that an undo takes back, -1 for other kinds.
    """

    kind: npt.NDArray[np.int8]
    look: Ints
    when: Ints
    quantity: Floats
    rating: Floats
    in_visit: Bools
    undoes: Ints

    @classmethod
    def of_kind(cls, kind: EventKind, look: Ints, when: Ints, *, in_visit: bool = False) -> Self:
        """Events of one kind, one piece each, without ratings."""
        n = len(look)
        return cls(
            np.full(n, kind.code, dtype=np.int8), look, when, np.ones(n), np.full(n, np.nan),
            np.full(n, in_visit), np.full(n, -1),
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """The parts one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def taken(self, rows: Ints) -> Self:
        """These rows; `undoes` points into the new order and must find its row there."""
        place = np.full(len(self.kind) + 1, -1)  # the last is where -1 points
        place[rows] = np.arange(len(rows))
        columns = {field.name: getattr(self, field.name)[rows] for field in fields(self)}
        columns["undoes"] = place[columns["undoes"]]
        return type(self)(**columns)


def make_rows(looks: Looks, decisions: Decisions, liking: Floats, end_ms: int, rng: np.random.Generator) -> EventRows:
    """All events before `end_ms` (milliseconds UTC) that these looks lead to. `liking` has shape (looks,)."""
    parts = _in_visits(looks, decisions, rng)
    parts += _opinions(looks, liking, rng)
    parts += _after_purchases(looks, decisions, liking, rng)
    rows = EventRows.joined(parts)
    rows = EventRows.joined([rows, _undos(rows, rng)])
    order = np.argsort(rows.when, kind="stable")
    return rows.taken(order[: np.searchsorted(rows.when[order], end_ms)])


def _in_visits(looks: Looks, decisions: Decisions, rng: np.random.Generator) -> list[EventRows]:
    searched = np.flatnonzero(looks.first & (rng.random(len(looks.book)) < _SEARCH))
    cart, removed = np.flatnonzero(decisions.cart), np.flatnonzero(decisions.removed)
    bought, owned = np.flatnonzero(decisions.bought), np.flatnonzero(decisions.owned)
    purchases = EventRows.of_kind(EventKind.PURCHASE, bought, looks.checkout[bought], in_visit=True)
    several = rng.random(len(bought)) < _SEVERAL
    purchases.quantity[several] = rng.integers(2, 4, size=int(several.sum()))
    return [
        EventRows.of_kind(EventKind.SEARCH, searched, looks.when[searched] - 2_500, in_visit=True),
        EventRows.of_kind(EventKind.VIEW, np.arange(len(looks.book)), looks.when, in_visit=True),
        EventRows.of_kind(EventKind.OWN, owned, looks.when[owned] + 2_000, in_visit=True),
        EventRows.of_kind(EventKind.ADD_TO_CART, cart, looks.when[cart] + 2_500, in_visit=True),
        EventRows.of_kind(EventKind.REMOVE_FROM_CART, removed, looks.checkout[removed] - 10_000, in_visit=True),
        purchases,
    ]


def _opinions(looks: Looks, liking: Floats, rng: np.random.Generator) -> list[EventRows]:
    """What customers say of books in passing; nobody says it of a present."""
    own = ~looks.gift
    parts = []
    for kind, chance in (
        (EventKind.LIKE, _LIKE * liking),
        (EventKind.ADD_TO_LIST, _LIST * liking),
        (EventKind.SHARE, _SHARE * liking),
        (EventKind.NOT_INTERESTED, _REFUSE * (1.0 - liking) ** 3),
    ):
        at = np.flatnonzero(own & (rng.random(len(liking)) < chance))
        parts.append(EventRows.of_kind(kind, at, looks.when[at] + 2_000, in_visit=True))
    return parts


def _after_purchases(looks: Looks, decisions: Decisions, liking: Floats, rng: np.random.Generator) -> list[EventRows]:
    """What happens minutes to weeks after a purchase: returns, ratings, reviews, presents marked as such."""

    def later(at: Ints, least_days: float, mean_days: float) -> Ints:
        days = least_days + rng.exponential(mean_days, size=len(at))
        return np.asarray(looks.checkout[at] + (days * MS_PER_DAY).astype(np.int64))

    def some(at: Ints, chance: Floats | float) -> Ints:
        return at[rng.random(len(at)) < chance]

    bought, owned = np.flatnonzero(decisions.bought), np.flatnonzero(decisions.owned)
    own, gifts = bought[~looks.gift[bought]], bought[looks.gift[bought]]
    returned = some(own, _RETURN_AT_LEAST + _RETURN_BY_DISLIKE * (1.0 - liking[own]))
    kept = np.setdiff1d(own, returned, assume_unique=True)
    rated, reviewed = some(np.concatenate([kept, owned]), _RATE), some(kept, _REVIEW)
    ignored = some(gifts, _IGNORE_GIFT)
    minutes = rng.integers(_MINUTE, 30 * _MINUTE, size=len(ignored))
    parts = [
        EventRows.of_kind(EventKind.RETURN, returned, later(returned, 2.0, 8.0)),
        EventRows.of_kind(EventKind.RATE, rated, later(rated, 3.0, 20.0)),
        EventRows.of_kind(EventKind.REVIEW, reviewed, later(reviewed, 3.0, 25.0)),
        EventRows.of_kind(EventKind.IGNORE_FOR_RECOMMENDATIONS, ignored, looks.checkout[ignored] + minutes),
    ]
    for part in parts[1:3]:
        stars = 1.2 + 4.8 * liking[part.look] + rng.normal(0.0, 0.7, size=len(part.look))
        part.rating[:] = np.clip(np.rint(stars), 1.0, 5.0)
    return parts


def _undos(rows: EventRows, rng: np.random.Generator) -> EventRows:
    undoable = np.flatnonzero(np.isin(rows.kind, [kind.code for kind in _UNDOABLE]))
    undone = undoable[rng.random(len(undoable)) < _UNDO]
    wait = rng.integers(5_000, 60 * _MINUTE, size=len(undone))
    undos = EventRows.of_kind(EventKind.UNDO, rows.look[undone], rows.when[undone] + wait)
    undos.undoes[:] = undone
    return undos
