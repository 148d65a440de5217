"""What a filter may ask of the history of whoever asks, and of the clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from recsys.data.events import EventKind
from recsys.recommend.filters.error import FilterError
from recsys.recommend.filters.syntax import Column, Constant, Did, Moment, Same

MS_PER_HOUR = 3_600_000
MOST_DAYS = 36_500
WINDOW = f"a text such as '30d' or '12h', up to {MOST_DAYS} days"

ASKED_KINDS = tuple(kind for kind in EventKind if kind.needs_item and not kind.is_exposure)
"""What a history holds of an item."""

_VERBS: Mapping[str, tuple[EventKind, ...]] = {
    "bought": (EventKind.PURCHASE,),
    "viewed": (EventKind.VIEW,),
    "clicked": (EventKind.CLICK,),
    "carted": (EventKind.ADD_TO_CART,),
    "rated": (EventKind.RATE, EventKind.REVIEW),
}

Arguments = Sequence[Constant | Column]


def _window(argument: Constant | Column) -> int:
    """The milliseconds of a window as it is written."""
    text = argument.value if isinstance(argument, Constant) else argument.name
    found = re.fullmatch(r"([1-9][0-9]{0,5})([dh])", text, re.ASCII) if isinstance(text, str) else None
    days = int(found[1]) / (1 if found[2] == "d" else 24) if found is not None else MOST_DAYS + 1
    if not isinstance(argument, Constant) or found is None or days > MOST_DAYS:
        raise FilterError(f"the window {text!r:.80}", at=argument.at, expected=WINDOW)
    return int(found[1]) * MS_PER_HOUR * (24 if found[2] == "d" else 1)


def _kind(argument: Constant | Column) -> frozenset[EventKind]:
    text = argument.value if isinstance(argument, Constant) else argument.name
    kind = next((each for each in ASKED_KINDS if each == text), None)
    if kind is None or not isinstance(argument, Constant):
        expected = f"one of {', '.join(repr(str(each)) for each in ASKED_KINDS)}"
        raise FilterError(f"the kind of event {text!r:.80}", at=argument.at, expected=expected)
    return frozenset({kind})


def _column(argument: Constant | Column) -> Column:
    if isinstance(argument, Column):
        return argument
    if not isinstance(argument.value, str):
        raise FilterError(f"the attribute {argument.value!r}", at=argument.at, expected="a name, as in 'author'")
    return Column(argument.value, argument.at)


def _rating(argument: Constant | Column) -> float:
    if isinstance(argument, Constant) and isinstance(argument.value, float):
        return argument.value
    raise FilterError("a rating that is no number", at=argument.at, expected="a number, as in rated_at_least(4)")


_Made = Callable[[int, Arguments], Did | Same | Moment]


def _functions() -> dict[str, tuple[str, int, int, _Made]]:
    """By name: how each is written, how many arguments it takes at least and at most, and what it makes."""
    made: dict[str, tuple[str, int, int, _Made]] = {
        "did": (
            "did('kind'), did('kind', '30d')", 1, 2,
            lambda at, given: Did(_kind(given[0]), at, _window(given[1]) if len(given) > 1 else None),
        ),
        "did_same": (
            "did_same('kind', 'attribute'), did_same('kind', 'attribute', '30d')", 2, 3,
            lambda at, given: Same(
                _column(given[1]), Did(_kind(given[0]), at, _window(given[2]) if len(given) > 2 else None), at
            ),
        ),
        "rated_at_least": (
            "rated_at_least(4)", 1, 1,
            lambda at, given: Did(frozenset(_VERBS["rated"]), at, None, _rating(given[0])),
        ),
        "ago": ("ago('30d')", 1, 1, lambda at, given: Moment(-_window(given[0]), at)),
        "ahead": ("ahead('7d')", 1, 1, lambda at, given: Moment(_window(given[0]), at)),
    }  # fmt: skip
    for verb, kinds in _VERBS.items():
        made |= _of_verb(verb, frozenset(kinds))
    return made


def _of_verb(verb: str, kinds: frozenset[EventKind]) -> dict[str, tuple[str, int, int, _Made]]:
    return {
        verb: (f"{verb}()", 0, 0, lambda at, _: Did(kinds, at)),
        f"{verb}_within": (f"{verb}_within('30d')", 1, 1, lambda at, given: Did(kinds, at, _window(given[0]))),
        f"{verb}_same": (
            f"{verb}_same('attribute'), {verb}_same('attribute', '30d')", 1, 2,
            lambda at, given: Same(
                _column(given[0]), Did(kinds, at, _window(given[1]) if len(given) > 1 else None), at
            ),
        ),
    }  # fmt: skip


FUNCTIONS = _functions()


def called(name: str, at: int, arguments: Arguments) -> Did | Same | Moment:
    """What a call of a function means. Raises FilterError for an unknown one and for arguments that do not fit."""
    function = FUNCTIONS.get(name.lower())
    if function is None:
        close = get_close_matches(name[:40].lower(), [*FUNCTIONS, "has"], n=1, cutoff=0.6)
        names = ", ".join(sorted([*FUNCTIONS, "has"]))
        expected = f"did you mean {close[0]}?" if close else f"one of {names}"
        raise FilterError(f"the function {name[:40]!r}", at=at, column=name[:40], expected=expected)
    written, least, most, make = function
    if not least <= len(arguments) <= most:
        found = f"{name.lower()} with {len(arguments)} arguments"
        raise FilterError(found, at=at, column=name.lower(), expected=written)
    return make(at, arguments)
