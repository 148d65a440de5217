"""What is put into a filter: parameters, and attributes of whoever asks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from recsys.data.item_column import Kind
from recsys.recommend.filters.checking import A_TIME, Checked, ParameterKind, time_of
from recsys.recommend.filters.error import FilterError, ParameterError

Scalar = str | float | bool
ParameterValue = Scalar | Sequence[Scalar]
Bound = Scalar | tuple[Scalar, ...] | None
"""A value as it is compared: numbers as float, times in milliseconds; None is not known."""

MOST_LISTED = 1_000
MOST_LENGTH = 1_000


def parameters_of(checked: Checked, texts: Mapping[str, Sequence[str]]) -> dict[str, ParameterValue]:
    """Parameters from a query, where all is text and a list says its name several times. Raises ParameterError."""
    found: dict[str, ParameterValue] = {}
    for name, given in texts.items():
        wanted = checked.parameters.get(name)
        if wanted is None:
            raise _unknown(name, checked)
        if len(given) > 1 and not wanted.many:
            raise ParameterError(f":{name} given {len(given)} times", at=wanted.at, column=name, expected="one value")
        values = [_read(name, each, wanted) for each in given]
        found[name] = values if wanted.many else values[0]
    return found


def _read(name: str, text: str, wanted: ParameterKind) -> Scalar:
    if wanted.kind is Kind.NUMBER:
        try:
            return float(text)
        except ValueError:
            raise _unfit(name, text, wanted, "a number") from None
    if wanted.kind is Kind.FLAG:
        if text not in ("true", "false"):
            raise _unfit(name, text, wanted, "true or false")
        return text == "true"
    return text


def bound(
    checked: Checked, parameters: Mapping[str, ParameterValue], attributes: Mapping[str, object]
) -> tuple[Bound, ...]:
    """The values of `checked.parameters` and then of `checked.attributes`, in their order.

    What a customer's row does not say, or says as an object, is not known. Raises ParameterError for parameters that
    are missing, too many or of another kind.
    """
    for name in parameters:
        if name not in checked.parameters:
            raise _unknown(name, checked)
    values: list[Bound] = []
    for name, wanted in checked.parameters.items():
        if name not in parameters:
            described = f"a value for :{name}" + (f", a {wanted.kind}" if wanted.kind else "")
            raise ParameterError(
                f"the parameter :{name} without a value", at=wanted.at, column=name, expected=described
            )
        values.append(_fitting(name, parameters[name], wanted))
    values.extend(_known(attributes.get(name)) for name in checked.attributes)
    return tuple(values)


def _fitting(name: str, value: ParameterValue, wanted: ParameterKind) -> Bound:
    if isinstance(value, str) or not isinstance(value, Sequence):
        if wanted.many:
            raise _unfit(name, value, wanted, "a list")
        return _one(name, value, wanted)
    if not wanted.many:
        raise ParameterError(f":{name} is a list", at=wanted.at, column=name, expected="one value, or IN before it")
    if len(value) > MOST_LISTED:
        expected = f"at most {MOST_LISTED}"
        raise ParameterError(f":{name} has {len(value)} values", at=wanted.at, column=name, expected=expected)
    return tuple(_one(name, each, wanted) for each in value)


def _one(name: str, value: Scalar, wanted: ParameterKind) -> Scalar:
    kind = wanted.kind
    if isinstance(value, str):
        if len(value) > MOST_LENGTH:
            expected = f"at most {MOST_LENGTH} characters"
            raise ParameterError(f":{name} has {len(value)} characters", at=wanted.at, column=name, expected=expected)
        if kind is Kind.TIME:
            try:
                return time_of(value, wanted.at)
            except FilterError:
                raise _unfit(name, value, wanted, A_TIME) from None
        if kind not in (Kind.TEXT, None):
            raise _unfit(name, value, wanted, f"a {kind}")
        return value
    if isinstance(value, bool):
        if kind not in (Kind.FLAG, None):
            raise _unfit(name, value, wanted, A_TIME if kind is Kind.TIME else f"a {kind}")
        return value
    if kind not in (Kind.NUMBER, None) or not math.isfinite(value):
        raise _unfit(name, value, wanted, A_TIME if kind is Kind.TIME else f"a {kind or 'number that is finite'}")
    return float(value)


def _unfit(name: str, value: object, wanted: ParameterKind, expected: str) -> ParameterError:
    return ParameterError(f"the parameter :{name} is {value!r:.60}", at=wanted.at, column=name, expected=expected)


def _unknown(name: str, checked: Checked) -> ParameterError:
    close = get_close_matches(name[:40], checked.parameters, n=1)
    names = ", ".join(f":{each}" for each in checked.parameters) or "none"
    expected = f"did you mean :{close[0]}?" if close else f"only those that the filter has: {names}"
    return ParameterError(f"a value for :{name[:40]}, which is not in it", at=None, column=name[:40], expected=expected)


def _known(value: object) -> Bound:
    """What a customer's row says, as far as it can be compared."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, list):
        scalars = [_known(each) for each in value[:MOST_LISTED]]
        return tuple(each for each in scalars if isinstance(each, str | float | bool))
    return None
