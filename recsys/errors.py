"""The domain's errors. Each says what was found, what was expected and what to do; none knows HTTP or the terminal."""

from __future__ import annotations


class BookmatchError(Exception):
    """The root of every error this project raises on purpose.

    Attributes
    ----------
    found : what was there.
    expected : what should have been there; may be empty.
    remedy : what the reader can do about it; may be empty.
    """

    def __init__(self, found: str, *, expected: str = "", remedy: str = "") -> None:
        self.found = found
        self.expected = expected
        self.remedy = remedy
        parts = [found]
        if expected:
            parts.append(f"Expected: {expected}")
        if remedy:
            parts.append(f"To do: {remedy}")
        super().__init__(". ".join(part.rstrip(".") for part in parts) + ".")


class InputError(BookmatchError):
    """A file, a column, a value or an option given by the user does not fit."""


class TooManyBadRowsError(InputError):
    """A file holds more bad rows than the caller allows, so nothing of it was taken."""


class NotEnoughDataError(BookmatchError):
    """There is too little history to learn anything from."""


class UnknownItemError(BookmatchError):
    """No item with this id is known to the model."""

    def __init__(self, item_id: str) -> None:
        self.item_id = item_id
        super().__init__(
            f"item {item_id!r} is not in the model that answers",
            expected="the id of an item that had events or a catalogue row when the model was trained",
            remedy="check the id, or train again if the item is new",
        )


class StoreError(BookmatchError):
    """The store cannot be read or written."""


class StoreVersionError(StoreError):
    """The store was written by a newer version of the project."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached now (locked, disk full, gone); the write did not happen."""


class BundleError(BookmatchError):
    """A model bundle is missing, damaged or of a format this version cannot read."""
