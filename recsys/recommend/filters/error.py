"""What is wrong with a filter, and where."""

from __future__ import annotations

from recsys.errors import InputError


class FilterError(InputError):
    """A filter that cannot be understood, or does not fit the catalogue or its parameters.

    Attributes
    ----------
    position : of the character where it begins, from 1; None where it is about no place in the text.
    column : the attribute, parameter or function that it is about, or None.
    """

    def __init__(
        self, found: str, *, at: int | None, column: str | None = None, expected: str = "", remedy: str = ""
    ) -> None:
        self.position = None if at is None else at + 1
        self.column = column
        where = "the filter" if at is None else f"the filter, at character {at + 1}"
        super().__init__(f"{where}: {found}", expected=expected, remedy=remedy)


class ParameterError(FilterError):
    """A parameter of a filter that is missing, unknown or of another kind; `column` is its name."""
