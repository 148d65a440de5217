"""The items of an answer as JSON, written by compiled code: one call per answer, no Python object per item."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
from numba import njit

from recsys.data.vocabulary import Vocabulary
from recsys.models.kernels import Items, Places
from recsys.recommend.kernel import BY_NEW, BY_NONE, BY_POPULARITY, BY_RISING, MOST_EVIDENCE, Listed
from recsys.recommend.relevance import UNKNOWN_RELEVANCE

Bytes = npt.NDArray[np.uint8]


class Texts(NamedTuple):
    """Texts as JSON, with their quotes, end to end.

    Attributes
    ----------
    bytes : uint8.
    start : int64, shape (texts + 1,).
    """

    bytes: Bytes
    start: Places

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Any texts."""
        encoded = [orjson.dumps(text) for text in texts]
        start = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(each) for each in encoded], out=start[1:])
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8).copy(), start)

    @classmethod
    def of_ids(cls, ids: Vocabulary) -> Texts:
        """All ids of a vocabulary."""
        raw = np.asarray(ids.text)
        if np.any((raw < 0x20) | (raw == ord('"')) | (raw == ord("\\"))):
            return cls.of(ids)
        # Nothing to escape: each is itself between quotes.
        offsets = np.asarray(ids.offsets)
        start = offsets + 2 * np.arange(len(offsets))
        text = np.full(start[-1], ord('"'), dtype=np.uint8)
        inside = np.ones(len(text), dtype=np.bool_)
        inside[start[:-1]] = inside[start[1:] - 1] = False
        text[inside] = raw
        return cls(text, start)


def _constant(text: bytes) -> Bytes:
    return np.frombuffer(text, dtype=np.uint8).copy()


_ITEM, _SCORE = _constant(b'{"item_id":'), _constant(b',"score":')
_RELEVANCE = _constant(b',"relevance":')
_REASON, _EVIDENCE = _constant(b',"reason":{"code":'), _constant(b',"evidence":[')
_KIND, _SHARE, _END, _NULL = _constant(b',"kind":'), _constant(b',"share":'), _constant(b"]}}"), _constant(b"null")
_CODES = Texts.of(["history", "related", "popular", "other", "rising", "new"])
_CODE_BYTES, _CODE_START = _CODES
HISTORY, RELATED, _POPULAR, _OTHER, _RISING, _NEW = range(6)
"""Codes of the reasons of personal items, and of what is no item of the history."""

_MINUS, _POINT, _ZERO, _COMMA, _CLOSE = (np.uint8(ord(character)) for character in "-.0,}")
_DIGITS = 5
_UNITS, _TEN, _SMALL_TEN = np.uint64(100_000), np.uint64(10), np.uint32(10)
_MOST_NUMBER = 24


def written(
    found: Listed, relevance: Places, code: int, ids: Texts, speakers: Items, kinds: Items, names: Texts
) -> tuple[bytes, Places]:
    """The items of a list, separated by commas, and where each ends: int64, shape (k,).

    Parameters
    ----------
    relevance : as `relevance_of` gives it.
    code : `HISTORY` or `RELATED`.
    ids : of the bundle's items.
    speakers, kinds : int32, shape (m,); the history's items, and the place of the kind of each among `names`.
    """
    text, ends = _written(
        found.item, found.score, relevance, found.personal, found.named, found.share, code, *ids, speakers, kinds,
        *names,
    )  # fmt: skip
    return text.tobytes(), ends


@njit(nogil=True, cache=True, error_model="numpy")
def _put(out: Bytes, at: int, text: Bytes) -> int:  # pragma: no cover - compiled
    for place in range(len(text)):
        out[at + place] = text[place]
    return at + len(text)


@njit(nogil=True, cache=True, error_model="numpy")
def _put_text(out: Bytes, at: int, texts: Texts, which: int) -> int:  # pragma: no cover - compiled
    first, last, source = texts.start[which], texts.start[which + 1], texts.bytes
    for place in range(last - first):
        out[at + place] = source[first + place]
    return int(at + last - first)


@njit(nogil=True, cache=True, error_model="numpy")
def _put_number(out: Bytes, at: int, units: int) -> int:  # pragma: no cover - compiled
    """Units of 10^-5 as a number with a point, without needless zeros."""
    if units < 0:
        out[at] = _MINUS
        at += 1
        units = -units
    # Unsigned: division by a constant is then a multiplication, and takes half the time.
    left = np.uint64(units)
    whole = left // _UNITS
    part = np.uint32(left - whole * _UNITS)
    digits, rest = 1, whole // _TEN
    while rest:
        digits += 1
        rest //= _TEN
    for place in range(digits):
        rest = whole // _TEN
        out[at + digits - 1 - place] = _ZERO + np.uint8(whole - rest * _TEN)
        whole = rest
    at += digits
    out[at] = _POINT
    last = 1
    for place in range(_DIGITS, 0, -1):
        shorter = part // _SMALL_TEN
        digit = part - shorter * _SMALL_TEN
        out[at + place] = _ZERO + np.uint8(digit)
        if digit and last == 1:
            last = place
        part = shorter
    return at + last + 1


@njit(nogil=True, cache=True, error_model="numpy")
def _nobody(who: int) -> int:  # pragma: no cover - compiled
    """The code of what speaks for an item and is no item of the history."""
    if who == BY_RISING:
        return _RISING
    if who == BY_NEW:
        return _NEW
    return _POPULAR if who == BY_POPULARITY else _OTHER


@njit(nogil=True, cache=True, error_model="numpy")
def _written(
    item: Items,
    score: Places,
    relevance: Places,
    personal: int,
    named: Items,
    share: Places,
    code: int,
    ids_bytes: Bytes,
    ids_start: Places,
    speakers: Items,
    kinds: Items,
    names_bytes: Bytes,
    names_start: Places,
) -> tuple[Bytes, Places]:  # pragma: no cover - compiled
    # Built here: tuples take long to get into compiled code.
    ids, names, codes = Texts(ids_bytes, ids_start), Texts(names_bytes, names_start), Texts(_CODE_BYTES, _CODE_START)
    longest_name = 8
    for which in range(len(names.start) - 1):
        longest_name = max(longest_name, names.start[which + 1] - names.start[which])
    fixed = len(_ITEM) + len(_SCORE) + len(_RELEVANCE) + len(_REASON) + len(_EVIDENCE) + len(_END) + longest_name + 1
    fixed += 2 * _MOST_NUMBER
    per_part = len(_ITEM) + len(_KIND) + len(_SHARE) + len(_NULL) + _MOST_NUMBER + longest_name + 2
    room = 0
    for place in range(len(item)):
        room += fixed + MOST_EVIDENCE * per_part + ids.start[item[place] + 1] - ids.start[item[place]]
        for part in range(MOST_EVIDENCE):
            if named[place, part] >= 0:
                speaker = speakers[named[place, part]]
                room += ids.start[speaker + 1] - ids.start[speaker]
    out, ends, at = np.empty(room, np.uint8), np.empty(len(item), np.int64), 0
    for place in range(len(item)):
        if place:
            out[at] = _COMMA
            at += 1
        at = _put_text(out, _put(out, at, _ITEM), ids, item[place])
        at = _put_number(out, _put(out, at, _SCORE), score[place])
        at = _put(out, at, _RELEVANCE)
        known = relevance[place] != UNKNOWN_RELEVANCE
        at = _put_number(out, at, relevance[place]) if known else _put(out, at, _NULL)
        at = _put_text(out, _put(out, at, _REASON), codes, code if place < personal else _nobody(named[place, 0]))
        at = _put(out, at, _EVIDENCE)
        for part in range(MOST_EVIDENCE):
            who = named[place, part]
            if who == BY_NONE:
                break
            if part:
                out[at] = _COMMA
                at += 1
            at = _put(out, at, _ITEM)
            if who >= 0:
                at = _put(out, _put_text(out, at, ids, speakers[who]), _KIND)
                at = _put_text(out, at, names, kinds[who])
            else:
                at = _put(out, _put(out, at, _NULL), _KIND)
                at = _put_text(out, at, codes, _nobody(who))
            at = _put_number(out, _put(out, at, _SHARE), share[place, part])
            out[at] = _CLOSE
            at += 1
        at = _put(out, at, _END)
        ends[place] = at
    return out[:at], ends
