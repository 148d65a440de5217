"""One attribute of all items, typed, with what is not known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import count
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from recsys.data.vocabulary import UNKNOWN
from recsys.errors import InputError

NO_CODE = -1
"""The code of an item that has no value."""

_MOST_CHUNKS = 32
_FEW = 64


class Kind(StrEnum):
    """What values are. Times are milliseconds UTC, which compare as numbers."""

    NUMBER = "number"
    TEXT = "text"
    FLAG = "yes or no"
    TIME = "time"
    TEXTS = "list of texts"


class ColumnKind(NamedTuple):
    """What a column's values are; `kind` is None where they are of several kinds, or of none that can be asked for, and
    `found` says which."""

    kind: Kind | None
    found: str


_OTHER = "object or list of other than texts"
_Part = npt.NDArray[np.float64] | npt.NDArray[np.int32] | npt.NDArray[np.int8]
_DTYPES: Mapping[str, tuple[type[np.generic], float]] = {
    Kind.NUMBER: (np.float64, np.nan),
    Kind.TIME: (np.float64, np.nan),
    Kind.TEXT: (np.int32, NO_CODE),
    Kind.TEXTS: (np.int32, NO_CODE),
    Kind.FLAG: (np.int8, -1),
    _OTHER: (np.int8, -1),
}
"""How the values of a kind are held, and what stands for none."""


@dataclass(frozen=True, slots=True, eq=False)
class _Dictionary:
    """The distinct texts of a column by their code; those that no item has any more stay until `tidied`."""

    texts: pl.Series

    def with_texts(self, values: Sequence[str], before: npt.NDArray[Any]) -> tuple[_Dictionary, list[int]]:
        """The dictionary that has all of these texts, and their codes; `before` are the codes that they replace."""
        distinct = dict.fromkeys(values)
        if len(values) <= _FEW:
            # Mostly one item changed, and not in this: then there is nothing to look for.
            held = {self.texts[code]: code for code in before.tolist() if code != NO_CODE}
            if held.keys() >= distinct.keys():
                return self, [held[text] for text in values]
        known = self.texts.is_in(list(distinct)).arg_true()
        code = dict(zip(self.texts.gather(known).to_list(), known.to_list(), strict=True))
        new = [text for text in distinct if text not in code]
        if not new:
            return self, [code[text] for text in values]
        code.update(zip(new, range(len(self.texts), len(self.texts) + len(new)), strict=True))
        texts = pl.concat([self.texts, pl.Series(new, dtype=pl.String)])
        # Each change adds a piece; of too many one is made, or reading them would take longer and longer.
        texts = texts.rechunk() if texts.n_chunks() > _MOST_CHUNKS else texts
        return _Dictionary(texts), [code[text] for text in values]

    def tidied(self, codes: npt.NDArray[Any]) -> tuple[_Dictionary, npt.NDArray[Any]]:
        """Without the texts that are not among these codes, of all items, and the codes in it; as it is while those
        texts are at most half of it."""
        used = np.zeros(len(self.texts), dtype=np.bool_)
        used[codes[codes != NO_CODE]] = True
        if 2 * np.count_nonzero(used) >= len(used):
            return self, codes
        after = np.append(np.cumsum(used) - 1, NO_CODE).astype(codes.dtype)
        # By a plain list: a part of a series may hold on to the memory of the whole.
        texts = pl.Series(self.texts.gather(np.flatnonzero(used)).to_list(), dtype=pl.String)
        return _Dictionary(texts), after[codes]


@dataclass(frozen=True, eq=False)
class ItemColumn:
    """The values of one attribute by item position. Never changed: `with_values` makes the next one.

    Each kind of value that occurs has an array of its own, so that a catalogue that says `12` of one item and `"12"` of
    another loses nothing; but then there is no single kind, and nothing to ask for.

    Attributes
    ----------
    size : how many items.
    parts : by kind: float64 with NaN for none, int32 codes or int8 (0, 1) with −1 for none; shape (items,).
    counts : how many items have a value of each kind.
    dictionaries : of the kinds with codes.
    declared : the kind of a column that has one whatever it holds.
    serial : another number for each column that was ever made here: what was made of one is known by it.
    """

    size: int
    parts: Mapping[str, _Part] = field(default_factory=dict, repr=False)
    counts: Mapping[str, int] = field(default_factory=dict)
    dictionaries: Mapping[str, _Dictionary] = field(default_factory=dict, repr=False)
    declared: Kind | None = None
    serial: int = field(default_factory=count().__next__, init=False, repr=False)

    @classmethod
    def all_true(cls, size: int) -> Self:
        """Yes for every item."""
        return cls(size, {Kind.FLAG: np.ones(size, dtype=np.int8)}, {Kind.FLAG: size}, declared=Kind.FLAG)

    @cached_property
    def kind(self) -> ColumnKind:
        """What the values are."""
        held = [kind for kind, count in self.counts.items() if count]
        if self.declared is not None:
            return ColumnKind(self.declared, str(self.declared))
        if len(held) == 1 and held[0] != _OTHER:
            return ColumnKind(Kind(held[0]), held[0])
        said = " and ".join(f"a {kind} in {self.counts[kind]}" for kind in sorted(held))
        return ColumnKind(None, f"{said} of {self.size} items")

    @property
    def empty(self) -> bool:
        """Whether no item has a value."""
        return not any(self.counts.values())

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """float64, shape (items,); NaN where there is none. Of times milliseconds UTC."""
        return np.asarray(self._part(Kind.TIME if self.declared is Kind.TIME else Kind.NUMBER), dtype=np.float64)

    @property
    def flags(self) -> npt.NDArray[np.int8]:
        """int8, shape (items,); 1 is yes, 0 is no, −1 is not known."""
        return np.asarray(self._part(Kind.FLAG), dtype=np.int8)

    @property
    def text_codes(self) -> npt.NDArray[np.int32]:
        """int32, shape (items,); places in `texts`, `NO_CODE` where there is none."""
        return np.asarray(self._part(Kind.TEXT), dtype=np.int32)

    @property
    def texts(self) -> pl.Series:
        """Texts by their code, each once."""
        return self._dictionary(Kind.TEXT).texts

    @property
    def list_codes(self) -> npt.NDArray[np.int32]:
        """int32, shape (items,); places in `lists`, `NO_CODE` where there is none."""
        return np.asarray(self._part(Kind.TEXTS), dtype=np.int32)

    @cached_property
    def lists(self) -> pl.Series:
        """Lists of texts by their code, each once."""
        return self._dictionary(Kind.TEXTS).texts.str.json_decode(pl.List(pl.String))

    @cached_property
    def codes(self) -> npt.NDArray[np.int32]:
        """Equal values have equal codes: int32, shape (items,), `NO_CODE` where there is none.

        Raises InputError for lists, and where values are of several kinds.
        """
        kind = self.kind.kind
        if kind is Kind.TEXT:
            return self.text_codes
        if kind is Kind.FLAG:
            return self.flags.astype(np.int32)
        if kind is None or kind is Kind.TEXTS:
            raise InputError(f"an attribute that is {self.kind.found}", expected="one value for each item")
        known = ~np.isnan(self.numbers)
        codes = np.full(self.size, NO_CODE, dtype=np.int32)
        codes[known] = np.unique(self.numbers[known], return_inverse=True)[1]
        return codes

    @cached_property
    def by_code(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """The items of each text: positions, int32, and where those of each code begin, int64, shape (texts + 1,)."""
        codes = self.text_codes
        order = np.argsort(codes, kind="stable").astype(np.int32)
        return order, np.searchsorted(codes[order], np.arange(len(self.texts) + 1))

    def moved(self, origins: npt.NDArray[np.int32]) -> ItemColumn:
        """The same values by the positions of another vocabulary; `origins` as of `Catalog.moved`. Most texts of a
        dictionary are of items."""
        parts, dictionaries = {kind: part[origins] for kind, part in self.parts.items()}, dict(self.dictionaries)
        for kind, part in parts.items():
            part[origins == UNKNOWN] = _DTYPES[kind][1]
            if kind in dictionaries:
                dictionaries[kind], parts[kind] = dictionaries[kind].tidied(part)
        counts = {kind: int(np.count_nonzero(_is_held(part))) for kind, part in parts.items()}
        return replace(self, size=len(origins), parts=parts, counts=counts, dictionaries=dictionaries)

    def with_values(
        self, touched: npt.NDArray[np.int32], positions: Sequence[int], values: Sequence[object]
    ) -> ItemColumn:
        """The column after these items changed; itself where nothing is different.

        Parameters
        ----------
        touched : int32; all items that changed: those that are not in `positions` have no value now.
        positions, values : items and what each has, as parsed JSON.
        """
        sorted_out: dict[str, tuple[Sequence[int], Sequence[Any]]] = dict.fromkeys(self.parts, ((), ()))
        sorted_out |= _sorted_out(positions, values, self.declared)
        changed = self
        for kind, (places, kept) in sorted_out.items():
            changed = changed._with_kind(kind, touched, places, kept)
        return changed

    def _with_kind(
        self, kind: str, touched: npt.NDArray[np.int32], places: Sequence[int], values: Sequence[Any]
    ) -> ItemColumn:
        dictionaries = self.dictionaries
        if kind in (Kind.TEXT, Kind.TEXTS):
            before = self._dictionary(kind)
            after, values = before.with_texts(values, self._part(kind)[np.asarray(places, dtype=np.int64)])
            dictionaries = dictionaries if after is before else {**dictionaries, kind: after}
        part = self._part(kind)
        old = part[touched]
        wanted = np.full(self.size if len(touched) > self.size // 8 else 0, _DTYPES[kind][1], dtype=part.dtype)
        if len(wanted):
            wanted[np.asarray(places, dtype=np.int64)] = values
            new = wanted[touched]
        else:
            order = np.argsort(touched)
            new = np.full(len(touched), _DTYPES[kind][1], dtype=part.dtype)
            new[order[np.searchsorted(touched, np.asarray(places, dtype=np.int32), sorter=order)]] = values
        if kind in self.parts and np.array_equal(old, new, equal_nan=part.dtype == np.float64):
            return self
        part = part.copy() if kind in self.parts else part
        part[touched] = new
        more = int(np.count_nonzero(_is_held(new))) - int(np.count_nonzero(_is_held(old)))
        return replace(
            self,
            parts={**self.parts, kind: part},
            counts={**self.counts, kind: self.counts.get(kind, 0) + more},
            dictionaries=dictionaries,
        )

    def _part(self, kind: str) -> _Part:
        part = self.parts.get(kind)
        if part is None:
            dtype, none = _DTYPES[kind]
            part = np.full(self.size, none, dtype=dtype)
        return part

    def _dictionary(self, kind: str) -> _Dictionary:
        return self.dictionaries.get(kind) or _Dictionary(pl.Series([], dtype=pl.String))


_OF_TYPES: Mapping[frozenset[type], str] = {
    frozenset({str}): Kind.TEXT,
    frozenset({bool}): Kind.FLAG,
    frozenset({int}): Kind.NUMBER,
    frozenset({float}): Kind.NUMBER,
    frozenset({int, float}): Kind.NUMBER,
}


def _sorted_out(
    positions: Sequence[int], values: Sequence[object], declared: Kind | None
) -> dict[str, tuple[Sequence[int], Sequence[Any]]]:
    """Items and their values as they are held, by the values' kind."""
    if not len(values):
        return {}
    # Nearly always they are of one kind: then none need be looked at by itself.
    only = declared or _OF_TYPES.get(frozenset(map(type, values)))
    if only is not None:
        return {only: (positions, values)}
    sorted_out: dict[str, tuple[list[int], list[Any]]] = {}
    for position, value in zip(positions, values, strict=True):
        kind, held = _held(value)
        places, kept = sorted_out.setdefault(kind, ([], []))
        places.append(position)
        kept.append(held)
    return dict(sorted_out)


def _held(value: object) -> tuple[str, object]:
    """The kind of a value of JSON, and how it is held."""
    if isinstance(value, bool):
        return Kind.FLAG, value
    if isinstance(value, str):
        return Kind.TEXT, value
    if isinstance(value, int | float):
        return Kind.NUMBER, value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return Kind.TEXTS, orjson.dumps(value).decode()
    return _OTHER, 1


def _is_held(values: _Part) -> npt.NDArray[np.bool_]:
    return ~np.isnan(values) if values.dtype == np.float64 else np.asarray(values >= 0)
