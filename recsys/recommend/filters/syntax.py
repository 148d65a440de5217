"""What a filter says, as a tree: values, and conditions on them. `at` is the place in the text, from 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from recsys.data.events import EventKind
from recsys.data.item_column import Kind


@dataclass(frozen=True, slots=True)
class Column:
    """An attribute of the item."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a text, yes or no, or None."""

    value: float | str | bool | None
    at: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """What the caller says: `:name`."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of whoever asks: `customer.name`."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Moment:
    """This moment, and so many milliseconds."""

    offset: int
    at: int


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`sign` is one of + - * /."""

    sign: str
    left: Value
    right: Value
    at: int


Value = Column | Constant | Parameter | Attribute | Moment | Arithmetic


@dataclass(frozen=True, slots=True)
class Comparison:
    """`sign` is one of = <> < <= > >=; `kind` is what both sides are, None where only their values say it."""

    sign: str
    left: Value
    right: Value
    at: int
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value among others: some, or those of a list."""

    value: Value
    options: tuple[Value, ...] | Parameter | Attribute
    at: int
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Contains:
    """A text among those of an attribute that is a list."""

    text: Value
    column: Column
    at: int


@dataclass(frozen=True, slots=True)
class Like:
    """A text of a pattern."""

    value: Value
    pattern: Value
    escape: str | None
    at: int


@dataclass(frozen=True, slots=True)
class IsNull:
    """A value that is not known."""

    value: Value
    at: int


@dataclass(frozen=True, slots=True)
class Is:
    """A condition that is true, or false, and known to be."""

    part: Condition
    truth: bool
    at: int


@dataclass(frozen=True, slots=True)
class Flag:
    """A value that is yes or no."""

    value: Value
    at: int


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; of what is not known it is not known either."""

    part: Condition
    at: int


@dataclass(frozen=True, slots=True)
class Every:
    """AND."""

    parts: tuple[Condition, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Some:
    """OR."""

    parts: tuple[Condition, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Did:
    """Whoever asks did one of these with the item.

    Attributes
    ----------
    within : in so many milliseconds until now; None is ever.
    rating : rated it so high at least when they last did; None is not about ratings.
    """

    kinds: frozenset[EventKind]
    at: int
    within: int | None = None
    rating: float | None = None


@dataclass(frozen=True, slots=True)
class Same:
    """The item agrees in an attribute with one that whoever asks did something with; `did` as above."""

    column: Column
    did: Did
    at: int


Condition = Comparison | OneOf | Contains | Like | IsNull | Is | Flag | Not | Every | Some | Did | Same


def within(condition: Condition) -> Iterator[Condition | Value]:
    """A condition and everything in it."""
    waiting: list[Condition | Value] = [condition]
    while waiting:
        node = waiting.pop()
        yield node
        match node:
            case Every(parts) | Some(parts):
                waiting.extend(parts)
            case Not(part) | Is(part):
                waiting.append(part)
            case Comparison(_, left, right) | Arithmetic(_, left, right):
                waiting.extend((left, right))
            case OneOf(value, options):
                waiting.extend((value, *(options if isinstance(options, tuple) else (options,))))
            case Contains(text, column):
                waiting.extend((text, column))
            case Like(value, pattern):
                waiting.extend((value, pattern))
            case IsNull(value) | Flag(value):
                waiting.append(value)
            case Same(column):
                waiting.append(column)
            case _:
                pass
