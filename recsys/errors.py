"""The domain's errors. Each says what was found, what was expected and what to do; none knows HTTP or the terminal."""

from __future__ import annotations

from collections.abc import Sequence


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


class UnknownCustomerError(BookmatchError):
    """No customer with this id is known to the store."""

    def __init__(self, customer_id: str) -> None:
        self.customer_id = customer_id
        super().__init__(
            f"customer {customer_id!r} is not known",
            expected="the id of a customer with events, a row or a profile",
            remedy="check the id",
        )


class ForgottenCustomerError(BookmatchError):
    """Customers who asked to be forgotten: nothing is stored of them ever again."""

    def __init__(self, customer_ids: Sequence[str]) -> None:
        self.customer_ids = tuple(customer_ids)
        super().__init__(
            f"customer {', '.join(map(repr, self.customer_ids))} asked to be forgotten",
            expected="ids of customers of whom something may be stored",
            remedy="give a person who comes back a new id",
        )


class StoreError(BookmatchError):
    """The store cannot be read or written."""


class StoreVersionError(StoreError):
    """The store was written by a newer version of the project."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached now (locked, disk full, gone); the write did not happen."""


class BundleError(BookmatchError):
    """A model bundle is missing, damaged or of a format this version cannot read."""


class PlacementsError(BookmatchError):
    """A version of the placements is missing or damaged, or cannot be written."""


class LeakError(BookmatchError):
    """An evaluation let its models see what they have to foresee, so its numbers would be worth nothing."""
