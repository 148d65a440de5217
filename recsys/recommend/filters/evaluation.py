"""Which items a condition holds for, in SQL's logic of three values: it may be true, false, or not known.

Each condition is asked whether it is true, or whether it is false; of what is not known it is neither. So NOT asks its
part the other question, and no third value is ever held.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.item_column import Kind
from recsys.data.item_table import ItemTable
from recsys.recommend.filters.binding import Bound
from recsys.recommend.filters.checking import Checked, time_of
from recsys.recommend.filters.error import FilterError
from recsys.recommend.filters.happened import ALWAYS, NEVER, Happened
from recsys.recommend.filters.patterns import like_lookup, like_one
from recsys.recommend.filters.syntax import (
    Arithmetic,
    Attribute,
    Column,
    Comparison,
    Condition,
    Constant,
    Contains,
    Did,
    Every,
    Flag,
    Is,
    IsNull,
    Like,
    Moment,
    Not,
    OneOf,
    Parameter,
    Same,
    Some,
    Value,
)
from recsys.recommend.filters.truth import Flags, Holds, both, either, negated, plain

Items = npt.NDArray[np.int32]

_OPPOSITE = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_TURNED = {"=": "=", "<>": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CALCULATE: Mapping[str, Callable[[Any, Any], Any]] = {"+": np.add, "-": np.subtract, "*": np.multiply}
_Numbers = npt.NDArray[np.float64] | np.float64


class Evaluation:
    """One filter over some items, with everything that was put into it.

    Parameters
    ----------
    values : of the filter's parameters and then of its attributes of customers.
    rows : int32; the items; None for all.
    happened : what the history says, for items in `rows`; None asks about somebody without one.

    Attributes
    ----------
    since, until : milliseconds UTC between which the same comes out, as far as what was asked depends on the time.
    """

    def __init__(
        self,
        checked: Checked,
        table: ItemTable,
        values: Sequence[Bound],
        now: int,
        rows: Items | None = None,
        happened: Mapping[Did | Same, Happened] | None = None,
    ) -> None:
        self._table = table
        self._parameters = dict(zip(checked.parameters, values, strict=False))
        self._attributes = dict(zip(checked.attributes, values[len(checked.parameters) :], strict=True))
        self._now = now
        self._rows = rows
        self._happened = happened or {}
        self.since, self.until = int(ALWAYS), int(NEVER)

    def holds(self, node: Condition, truth: bool = True) -> Holds:
        """Where a condition is true, or where it is false."""
        match node:
            case Every(parts):
                return self._all(parts, True) if truth else self._any(parts, False)
            case Some(parts):
                return self._any(parts, True) if truth else self._all(parts, False)
            case Not(part):
                return self.holds(part, not truth)
            case Is(part, wanted):
                return self.holds(part, wanted) if truth else negated(self.holds(part, wanted))
            case Comparison():
                return self._comparison(node, truth)
            case OneOf():
                return self._one_of(node, truth)
            case Contains():
                return self._contains(node, truth)
            case Like():
                return self._like(node, truth)
            case IsNull(value):
                return self._is_null(value) if truth else negated(self._is_null(value))
            case Flag(value):
                return self._compare(Kind.FLAG, "=", value, Constant(truth, value.at))
            case Did() | Same():
                return self._did(node, truth)

    def _all(self, parts: Sequence[Condition], truth: bool) -> Holds:
        found: Holds = True
        for part in parts:
            found = both(found, self.holds(part, truth))
            if found is False:
                return False
        return found

    def _any(self, parts: Sequence[Condition], truth: bool) -> Holds:
        found: Holds = False
        for part in parts:
            found = either(found, self.holds(part, truth))
            if found is True:
                return True
        return found

    def _did(self, asked: Did | Same, truth: bool) -> Holds:
        said = self._happened.get(asked)
        if said is None or self._rows is None:
            return not truth
        yes = np.isin(self._rows, said.yes)
        return yes if truth else ~(yes | np.isin(self._rows, said.maybe))

    def _comparison(self, node: Comparison, truth: bool) -> Holds:
        return self._compare(node.kind, node.sign if truth else _OPPOSITE[node.sign], node.left, node.right)

    def _compare(self, kind: Kind | None, sign: str, left: Value, right: Value) -> Holds:
        """Where a comparison is true."""
        if kind is Kind.NUMBER or kind is Kind.TIME:
            if kind is Kind.TIME:
                self._passing(left, right)
            return _compared(sign, self._numbers(left, kind), self._numbers(right, kind))
        if isinstance(right, Column) and not isinstance(left, Column):
            left, right, sign = right, left, _TURNED[sign]
        if not isinstance(left, Column):
            return _scalars(sign, self._scalar(left), self._scalar(right), kind)
        if kind is Kind.FLAG:
            return self._flags(sign, left, right)
        if isinstance(right, Column):
            one, other = self._texts(left), self._texts(right)
            return np.asarray(_COMPARE[sign](one, other).fill_null(False).to_numpy(), dtype=np.bool_)
        text = self._scalar(right)
        if not isinstance(text, str):
            return False
        texts = self._table.column(left.name).texts
        return self._looked_up(left, _COMPARE[sign](texts, text).to_numpy() if len(texts) else _NOTHING)

    def _flags(self, sign: str, left: Column, right: Value) -> Holds:
        flags = self._taken(self._table.column(left.name).flags)
        if isinstance(right, Column):
            other = self._taken(self._table.column(right.name).flags)
            return np.asarray(_COMPARE[sign](flags, other) & (flags >= 0) & (other >= 0))
        wanted = self._scalar(right)
        if not isinstance(wanted, bool):
            return False
        return np.asarray(flags == int(wanted if sign == "=" else not wanted))

    def _looked_up(self, column: Column, lookup: Flags) -> Flags:
        """For each item what is said of its text; False where it has none."""
        held = self._table.column(column.name)
        codes = self._taken(held.text_codes)
        chosen = np.flatnonzero(lookup)
        if len(chosen) == 1:
            return np.asarray(codes == np.int32(chosen[0]))
        return _of_codes(lookup, codes)

    def _one_of(self, node: OneOf, truth: bool) -> Holds:
        options = self._options(node)
        if options is None:
            return False
        if truth:
            return self._either(node, options)
        # Of what is not known it is not known whether it is none of these either; unless there are none.
        if not options:
            return True
        if None in options:
            return False
        return both(negated(self._either(node, options)), negated(self._is_null(node.value)))

    def _options(self, node: OneOf) -> list[Bound] | None:
        """What the value may be; None where that is not known."""
        if isinstance(node.options, tuple):
            return [self._scalar(option) for option in node.options]
        held = self._scalar(node.options)
        if held is None:
            return None
        return list(held) if isinstance(held, tuple) else [held]

    def _either(self, node: OneOf, options: Sequence[Bound]) -> Holds:
        if node.kind is Kind.TEXT and isinstance(node.value, Column):
            texts = [option for option in options if isinstance(option, str)]
            known = self._table.column(node.value.name).texts
            return self._looked_up(node.value, known.is_in(texts).to_numpy() if len(known) and texts else _NOTHING)
        if node.kind in (Kind.NUMBER, Kind.TIME):
            numbers = self._numbers(node.value, node.kind)
            wanted = [_number(option, node.kind) for option in options]
            if len(wanted) > 8:
                return plain(np.isin(numbers, [each for each in wanted if each == each]))
            found: Holds = False
            for each in wanted:
                found = either(found, plain(numbers == each))
            return found
        return self._any([Comparison("=", node.value, _constant(each), node.at, node.kind) for each in options], True)

    def _contains(self, node: Contains, truth: bool) -> Holds:
        text = self._scalar(node.text)
        if not isinstance(text, str):
            return False
        held = self._table.column(node.column.name)
        lookup = held.lists.list.contains(text).to_numpy() if len(held.lists) else _NOTHING
        codes = self._taken(held.list_codes)
        return _of_codes(lookup if truth else ~lookup, codes)

    def _like(self, node: Like, truth: bool) -> Holds:
        pattern = self._scalar(node.pattern)
        if not isinstance(pattern, str):
            return False
        if isinstance(node.value, Column):
            lookup = like_lookup(self._table.column(node.value.name).texts, pattern, node.escape, node.pattern.at)
            return self._looked_up(node.value, lookup if truth else ~lookup)
        text = self._scalar(node.value)
        return isinstance(text, str) and like_one(text, pattern, node.escape, node.pattern.at) is truth

    def _is_null(self, value: Value) -> Holds:
        match value:
            case Column(name):
                held = self._table.column(name)
                kind = held.kind.kind
                if kind is Kind.TEXT:
                    return np.asarray(self._taken(held.text_codes) < 0)
                if kind is Kind.TEXTS:
                    return np.asarray(self._taken(held.list_codes) < 0)
                if kind is Kind.FLAG:
                    return np.asarray(self._taken(held.flags) < 0)
                return np.asarray(np.isnan(self._taken(held.numbers)))
            case Arithmetic():
                return plain(np.isnan(self._numbers(value)))
            case Moment():
                return False
        return self._scalar(value) is None

    def _numbers(self, value: Value, kind: Kind = Kind.NUMBER) -> _Numbers:
        match value:
            case Column(name):
                return np.asarray(self._taken(self._table.column(name).numbers))
            case Moment(offset):
                return np.float64(self._now + offset)
            case Arithmetic(sign, left, right):
                return self._calculated(sign, self._numbers(left), self._numbers(right))
        return np.float64(_number(self._scalar(value), kind))

    def _calculated(self, sign: str, left: _Numbers, right: _Numbers) -> _Numbers:
        with np.errstate(all="ignore"):
            if sign != "/":
                result: _Numbers = _CALCULATE[sign](left, right)
                return result
            # What is divided by nothing is not known.
            return np.where(right == 0, np.nan, left / np.where(right == 0, 1.0, right))

    def _scalar(self, value: Value) -> Bound:
        """A value that is the same for all items."""
        match value:
            case Constant(constant):
                return constant
            case Parameter(name):
                return self._parameters[name]
            case Attribute(name):
                return self._attributes[name]
            case Moment(offset):
                return float(self._now + offset)
            case Arithmetic():
                number = float(self._numbers(value))
                return None if number != number else number
        raise AssertionError(value)

    def _texts(self, column: Column) -> pl.Series:
        """The text of each item, null where it has none."""
        held = self._table.column(column.name)
        codes = pl.Series(self._taken(held.text_codes))
        if not len(held.texts):
            return pl.Series([None] * len(codes), dtype=pl.String)
        return held.texts.gather(codes.clip(lower_bound=0)).set(codes < 0, None)

    def _taken(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values if self._rows is None else values[self._rows]

    def _passing(self, left: Value, right: Value) -> None:
        """Notes until when a comparison with this moment comes out the same, and since when."""
        for moment, other in ((left, right), (right, left)):
            if isinstance(moment, Moment) and not isinstance(other, Moment):
                # It may turn when the moment reaches the time, and when it leaves it behind.
                reached = np.atleast_1d(self._numbers(other, Kind.TIME)) - moment.offset
                left_behind = reached + 1
                for turn in (reached, left_behind):
                    past = turn <= self._now
                    self.since = max(self.since, int(np.max(turn, initial=float(self.since), where=past)))
                    ahead = turn > self._now
                    self.until = min(self.until, int(np.min(turn, initial=float(2**62), where=ahead)))


_NOTHING = np.zeros(0, dtype=np.bool_)


def _compared(sign: str, left: _Numbers, right: _Numbers) -> Holds:
    """Where numbers compare so; what is not known, NaN, compares in no way."""
    if sign == "<>":
        return plain((left < right) | (left > right))
    return plain(_COMPARE[sign](left, right))


def _of_codes(lookup: Flags, codes: Items) -> Flags:
    """What is said of each code; False where there is none, which is −1."""
    return np.asarray(np.append(lookup, False)[codes], dtype=np.bool_)


def _scalars(sign: str, left: Bound, right: Bound, kind: Kind | None) -> bool:
    """Whether two values compare so; those of two kinds, or not known, compare in no way."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, tuple) or one is None or type(one) is not type(other):
            return False
    if isinstance(left, bool) and (sign not in ("=", "<>") or kind not in (Kind.FLAG, None)):
        return False
    return bool(_COMPARE[sign](left, right))


def _number(value: Bound, kind: Kind) -> float:
    """A number or a time; NaN for what is neither, as a customer's row may say anything."""
    if kind is Kind.TIME and isinstance(value, str):
        try:
            return time_of(value, 0)
        except FilterError:
            return float("nan")
    return value if isinstance(value, float) else float("nan")


def _constant(value: Bound) -> Constant:
    return Constant(None if isinstance(value, tuple) else value, 0)
