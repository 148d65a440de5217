"""One customer's history as columns, and those columns in one piece, as a store keeps them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from recsys.data.signals import UNKNOWN_TIME

_FORMAT = b"H1"
_HEAD = np.dtype([("format", "S2"), ("flags", "<u2"), ("rows", "<u4"), ("earlier", "<u4"), ("items", "<u4")])
_UNDOS = 1


class HistoryRow(NamedTuple):
    """One event of a history as a store hands it out; fields as in `Event`, `kind` as its code."""

    item_id: str
    kind: int
    timestamp: int | None
    position: int | None
    quantity: float
    rating: float | None


class HistoryColumns(NamedTuple):
    """A history, oldest first; n events, m distinct items, e kinds of events on items before them.

    Attributes
    ----------
    text, offsets : uint8 and int64 of shape (m + 1,); the UTF-8 ids of the items, end to end.
    timestamp, position : int64, shape (n,); `UNKNOWN_TIME` where unknown.
    quantity, rating : float64, shape (n,); `rating` is NaN where there is none.
    item, kind : int32 and int8, shape (n,); places among the m items, and codes.
    earlier_item, earlier_kind : int32 and int8, shape (e,); each pair once.
    """

    text: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    timestamp: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    quantity: npt.NDArray[np.float64]
    rating: npt.NDArray[np.float64]
    item: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    earlier_item: npt.NDArray[np.int32]
    earlier_kind: npt.NDArray[np.int8]

    @classmethod
    def of(cls, rows: Sequence[HistoryRow], earlier: Collection[tuple[str, int]] = ()) -> Self:
        """The columns of these rows."""
        place: dict[str, int] = {}
        item = [place.setdefault(row.item_id, len(place)) for row in rows]
        earlier_item = [place.setdefault(item_id, len(place)) for item_id, _ in earlier]
        # Ids that no store can hold find nothing; they come only from a session.
        encoded = [identifier.encode(errors="surrogatepass") for identifier in place]
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(raw) for raw in encoded], out=offsets[1:])
        return cls(
            np.frombuffer(b"".join(encoded), dtype=np.uint8).copy(),
            offsets,
            _times([row.timestamp for row in rows]),
            _times([row.position for row in rows]),
            np.array([row.quantity for row in rows], dtype=np.float64),
            np.array([np.nan if row.rating is None else row.rating for row in rows], dtype=np.float64),
            np.array(item, dtype=np.int32),
            np.array([row.kind for row in rows], dtype=np.int8),
            np.array(earlier_item, dtype=np.int32),
            np.array([kind for _, kind in earlier], dtype=np.int8),
        )

    @property
    def events(self) -> int:
        """n."""
        return len(self.item)

    def ids(self) -> list[str]:
        """The ids of the m items."""
        raw, ends = self.text.tobytes(), self.offsets.tolist()
        return [raw[first:last].decode(errors="surrogatepass") for first, last in pairwise(ends)]

    def rows(self) -> list[HistoryRow]:
        """The events as they were given."""
        ids = self.ids()
        columns = zip(
            self.item.tolist(),
            self.kind.tolist(),
            self.timestamp.tolist(),
            self.position.tolist(),
            self.quantity.tolist(),
            self.rating.tolist(),
            strict=True,
        )
        return [
            HistoryRow(
                ids[item],
                kind,
                None if timestamp == UNKNOWN_TIME else timestamp,
                None if position == UNKNOWN_TIME else position,
                quantity,
                None if rating != rating else rating,
            )
            for item, kind, timestamp, position, quantity, rating in columns
        ]

    def earlier(self) -> set[tuple[str, int]]:
        """Item and kind of the events before."""
        ids = self.ids()
        pairs = zip(self.earlier_item.tolist(), self.earlier_kind.tolist(), strict=True)
        return {(ids[item], kind) for item, kind in pairs}

    def followed_by(self, later: HistoryColumns) -> HistoryColumns:
        """With the events of another history that arrived after these; times decide the order, then positions, then
        arrival. What either knows only as earlier stays so."""
        # Items may stand twice among the ids: nothing asks for each once.
        shift = len(self.offsets) - 1
        order = np.lexsort(
            (np.concatenate([self.position, later.position]), np.concatenate([self.timestamp, later.timestamp]))
        )

        return self._replace(
            text=np.concatenate([self.text, later.text]),
            offsets=np.concatenate([self.offsets, later.offsets[1:] + self.offsets[-1]]),
            timestamp=np.concatenate([self.timestamp, later.timestamp])[order],
            position=np.concatenate([self.position, later.position])[order],
            quantity=np.concatenate([self.quantity, later.quantity])[order],
            rating=np.concatenate([self.rating, later.rating])[order],
            item=np.concatenate([self.item, later.item + np.int32(shift)])[order],
            kind=np.concatenate([self.kind, later.kind])[order],
            earlier_item=np.concatenate([self.earlier_item, later.earlier_item + np.int32(shift)]),
            earlier_kind=np.concatenate([self.earlier_kind, later.earlier_kind]),
        )

    def newest(self, limit: int) -> HistoryColumns:
        """The newest events, at most so many; the others are known as earlier."""
        first = len(self.item) - limit
        if first <= 0:
            return self
        pairs = np.stack(
            [
                np.concatenate([self.earlier_item, self.item[:first]]).astype(np.int64),
                np.concatenate([self.earlier_kind, self.kind[:first]]).astype(np.int64),
            ]
        )
        distinct = np.unique(pairs, axis=1)
        return self._replace(
            timestamp=self.timestamp[first:],
            position=self.position[first:],
            quantity=self.quantity[first:],
            rating=self.rating[first:],
            item=self.item[first:],
            kind=self.kind[first:],
            earlier_item=distinct[0].astype(np.int32),
            earlier_kind=distinct[1].astype(np.int8),
        )

    def to_bytes(self, *, undos: bool) -> bytes:
        """In one piece. `undos` is told again by `from_bytes`: whether something of this customer was ever taken
        back."""
        head = np.array(
            (_FORMAT, _UNDOS * undos, len(self.item), len(self.earlier_item), len(self.offsets) - 1), dtype=_HEAD
        )
        # The widest first, so that each column begins where its numbers may lie.
        columns = (self.timestamp, self.position, self.quantity, self.rating, self.offsets.astype(np.uint32))
        rest = (self.item, self.earlier_item, self.kind, self.earlier_kind, self.text)
        return head.tobytes() + b"".join(column.tobytes() for column in (*columns, *rest))

    @classmethod
    def from_bytes(cls, body: bytes) -> tuple[Self, bool] | None:
        """What `to_bytes` was given; None for a piece that another version of the project wrote."""
        head = np.frombuffer(body, dtype=_HEAD, count=1)[0]
        if head["format"] != _FORMAT:
            return None
        rows, earlier, items = int(head["rows"]), int(head["earlier"]), int(head["items"])
        at = _HEAD.itemsize

        def column(dtype: type[np.generic], count: int) -> npt.NDArray[np.generic]:
            nonlocal at
            values = np.frombuffer(body, dtype=dtype, count=count, offset=at)
            at += values.nbytes
            return values

        timestamp, position = column(np.int64, rows), column(np.int64, rows)
        quantity, rating = column(np.float64, rows), column(np.float64, rows)
        offsets = column(np.uint32, items + 1).astype(np.int64)
        item, earlier_item = column(np.int32, rows), column(np.int32, earlier)
        kind, earlier_kind = column(np.int8, rows), column(np.int8, earlier)
        text = column(np.uint8, int(offsets[-1])).copy()
        columns = (text, offsets, timestamp, position, quantity, rating, item, kind, earlier_item, earlier_kind)
        return cls._make(columns), bool(head["flags"] & _UNDOS)


def _times(values: Sequence[int | None]) -> npt.NDArray[np.int64]:
    return np.array([UNKNOWN_TIME if value is None else value for value in values], dtype=np.int64)
