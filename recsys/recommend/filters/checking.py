"""Whether a filter fits the columns of a catalogue: every name is known, and like is compared with like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from recsys.data.item_column import ColumnKind, Kind
from recsys.data.item_table import instead_of
from recsys.recommend.filters.error import FilterError
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
    within,
)

A_TIME = "a time as ISO 8601 writes it, such as '2026-12-24' or '2026-12-24T18:00:00Z'"


class ParameterKind(NamedTuple):
    """What a parameter has to be.

    Attributes
    ----------
    kind : of its value, or of each of them; None where any will do.
    many : whether it is a list.
    at : where it stands first.
    """

    kind: Kind | None
    many: bool
    at: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A filter that fits.

    Attributes
    ----------
    condition : with the kind of each comparison, and times as numbers.
    parameters : by name.
    columns : the attributes of items that it reads, ascending.
    attributes : those of customers, ascending.
    asks : what it asks of a history.
    exact : whether equal values that are put into it are values of one kind.
    """

    condition: Condition
    parameters: Mapping[str, ParameterKind]
    columns: tuple[str, ...]
    attributes: tuple[str, ...]
    asks: tuple[Did | Same, ...]
    exact: bool


def checked(condition: Condition, columns: Mapping[str, ColumnKind]) -> Checked:
    """The filter over a catalogue with these columns. Raises FilterError with the name and the place."""
    checking = _Checking(columns)
    fitting = checking.condition(condition)
    nodes = list(within(fitting))
    return Checked(
        fitting,
        dict(sorted(checking.parameters.items())),
        tuple(sorted({node.name for node in nodes if isinstance(node, Column)})),
        tuple(sorted({node.name for node in nodes if isinstance(node, Attribute)})),
        tuple(dict.fromkeys(node for node in nodes if isinstance(node, Did | Same))),
        all(each.kind is not None for each in checking.parameters.values())
        and not any(isinstance(node, Attribute) for node in nodes),
    )


def time_of(text: str, at: int) -> float:
    """Milliseconds UTC of a time as text; without a zone it is UTC. Raises FilterError."""
    try:
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise FilterError(f"the time {text[:40]!r}", at=at, expected=A_TIME) from error
    zoned = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return float(round(zoned.timestamp() * 1000))


class _Checking:
    """One filter while it is checked; `parameters` are those that were met."""

    def __init__(self, columns: Mapping[str, ColumnKind]) -> None:
        self._columns = columns
        self.parameters: dict[str, ParameterKind] = {}

    def condition(self, node: Condition) -> Condition:
        """The same with kinds."""
        match node:
            case Every() | Some():
                return replace(node, parts=tuple(self.condition(part) for part in node.parts))
            case Not() | Is():
                return replace(node, part=self.condition(node.part))
            case Comparison():
                return self._comparison(node)
            case OneOf():
                return self._one_of(node)
            case Contains():
                self._column(node.column, Kind.TEXTS)
                if isinstance(node.text, Column):
                    found = f"the attribute {node.text.name!r} looked for in a list"
                    expected = f"a text or a parameter, as in 'x' IN {node.column.name}"
                    raise FilterError(found, at=node.text.at, column=node.text.name, expected=expected)
                return replace(node, text=self._fit(node.text, Kind.TEXT))
            case Like():
                value, pattern = self._fit(node.value, Kind.TEXT), self._fit(node.pattern, Kind.TEXT)
                if isinstance(pattern, Column):
                    found = f"the attribute {pattern.name!r} as a pattern"
                    raise FilterError(found, at=pattern.at, column=pattern.name, expected="a text")
                return replace(node, value=value, pattern=pattern)
            case IsNull():
                self._kind(node.value)
                return replace(node, value=self._inside(node.value))
            case Flag():
                constant = isinstance(node.value, Constant) and node.value.value is None
                return node if constant else replace(node, value=self._flag(node.value))
            case Same():
                self._column(node.column, Kind.TEXT)
                return node
        return node

    def _flag(self, value: Value) -> Value:
        kind = self._kind(value)
        if kind not in (Kind.FLAG, None):
            expected = "a condition, as in price < 10; alone stands only what is yes or no"
            raise FilterError(
                f"{_said(value)}, a {kind}, by itself", at=value.at, column=_name(value), expected=expected
            )
        return self._fit(value, Kind.FLAG)

    def _comparison(self, node: Comparison) -> Comparison:
        kinds = [self._kind(side) for side in (node.left, node.right)]
        kind = self._common(node, node.left, kinds[0], node.right, kinds[1])
        if kind is Kind.FLAG and node.sign not in ("=", "<>"):
            expected = "= or <>: yes is no more than no"
            raise FilterError(f"{node.sign} between yes and no", at=node.at, column=_name(node.left), expected=expected)
        return replace(node, left=self._fit(node.left, kind), right=self._fit(node.right, kind), kind=kind)

    def _common(self, node: Condition, left: Value, one: Kind | None, right: Value, other: Kind | None) -> Kind | None:
        """What two values are compared as."""
        if Kind.TEXTS in (one, other):
            which = left if one is Kind.TEXTS else right
            expected = f"as in 'x' IN {_name(which)}"
            raise FilterError(f"{_said(which)}, a list, compared", at=which.at, column=_name(which), expected=expected)
        for value, kind, beside in ((left, one, other), (right, other, one)):
            # A time is written as a text.
            if kind is Kind.TEXT and beside is Kind.TIME and isinstance(value, Constant):
                return Kind.TIME
        if one is not None and other is not None and one is not other:
            column = _name(left) or _name(right)
            found = f"{_said(left)}, a {one}, beside {_said(right)}, a {other}"
            raise FilterError(found, at=node.at, column=column, expected="two of one kind")
        return one or other

    def _one_of(self, node: OneOf) -> OneOf:
        kind = self._kind(node.value)
        if isinstance(node.options, Parameter):
            if kind is Kind.TEXTS:
                raise self._list_in_list(node.value)
            self._declare(node.options, kind, many=True)
            return replace(node, value=self._fit(node.value, kind), kind=kind)
        if isinstance(node.options, Attribute):
            return replace(node, value=self._fit(node.value, kind), kind=kind)
        for option in node.options:
            if isinstance(option, Column | Arithmetic):
                expected = "texts, numbers, parameters; for attributes join conditions by OR"
                raise FilterError(f"{_said(option)} in a list", at=option.at, column=_name(option), expected=expected)
            kind = self._common(node, node.value, kind, option, self._kind(option))
        options = tuple(self._fit(option, kind) for option in node.options)
        return replace(node, value=self._fit(node.value, kind), options=options, kind=kind)

    def _list_in_list(self, value: Value) -> FilterError:
        expected = f"a text in the list: as in 'x' IN {_name(value)}"
        return FilterError(f"{_said(value)}, a list, before IN", at=value.at, column=_name(value), expected=expected)

    def _kind(self, value: Value) -> Kind | None:
        """What a value is; None where only its value says it."""
        match value:
            case Column():
                return self._column(value)
            case Constant(None):
                raise FilterError("NULL compared", at=value.at, column="NULL", expected="IS NULL or IS NOT NULL")
            case Constant(bool()):
                return Kind.FLAG
            case Constant(str()):
                return Kind.TEXT
            case Constant() | Arithmetic():
                return Kind.NUMBER
            case Moment():
                return Kind.TIME
        return None

    def _column(self, column: Column, wanted: Kind | None = None) -> Kind:
        held = self._columns.get(column.name)
        if held is None:
            expected = instead_of(column.name, self._columns)
            raise FilterError(
                f"the attribute {column.name[:80]!r}, which no item has",
                at=column.at,
                column=column.name,
                expected=expected,
            )
        if held.kind is None:
            remedy = "give all items the same kind of value"
            found = f"the attribute {column.name!r}, which is {held.found}"
            raise FilterError(found, at=column.at, column=column.name, expected="values of one kind", remedy=remedy)
        if wanted is not None and held.kind is not wanted:
            found = f"the attribute {column.name!r}, a {held.kind}"
            raise FilterError(found, at=column.at, column=column.name, expected=f"a {wanted}")
        return held.kind

    def _inside(self, value: Value) -> Value:
        """With everything in it as what it has to be."""
        if not isinstance(value, Arithmetic):
            if isinstance(value, Parameter):
                self._declare(value, None, many=False)
            return value
        return replace(value, left=self._fit(value.left, Kind.NUMBER), right=self._fit(value.right, Kind.NUMBER))

    def _fit(self, value: Value, kind: Kind | None) -> Value:
        """The value as one of this kind. Raises FilterError."""
        if isinstance(value, Parameter):
            self._declare(value, kind, many=False)
            return value
        own = self._kind(value)
        if isinstance(value, Constant) and kind is Kind.TIME and isinstance(value.value, str):
            return Constant(time_of(value.value, value.at), value.at)
        if kind is not None and own is not None and own is not kind:
            expected = f"a {kind}" + (", or ago('30d')" if own is Kind.TIME and kind is Kind.NUMBER else "")
            raise FilterError(f"{_said(value)}, a {own}", at=value.at, column=_name(value), expected=expected)
        return self._inside(value)

    def _declare(self, parameter: Parameter, kind: Kind | None, *, many: bool) -> None:
        known = self.parameters.get(parameter.name)
        if known is None:
            self.parameters[parameter.name] = ParameterKind(kind, many, parameter.at)
            return
        if known.many != many or (None not in (known.kind, kind) and known.kind is not kind):
            one, other = (_described(each, several) for each, several in ((known.kind, known.many), (kind, many)))
            found = f"the parameter :{parameter.name}, here {other} and before {one}"
            raise FilterError(found, at=parameter.at, column=parameter.name, expected="one kind, or two parameters")
        self.parameters[parameter.name] = known._replace(kind=known.kind or kind)


def _described(kind: Kind | None, many: bool) -> str:
    return f"a list, each a {kind}" if many else f"a {kind or 'value'}"


def _name(value: Value) -> str | None:
    return value.name if isinstance(value, Column | Parameter | Attribute) else None


def _said(value: Value) -> str:
    """A value, for people."""
    match value:
        case Column():
            return f"the attribute {value.name!r}"
        case Parameter():
            return f"the parameter :{value.name}"
        case Attribute():
            return f"customer.{value.name}"
        case Constant(bool()):
            return "TRUE" if value.value else "FALSE"
        case Constant(str(text)):
            return repr(text[:40])
        case Constant(float(number)):
            return f"{number:g}"
    return "a time" if isinstance(value, Moment) else "a calculation"
