"""What the store keeps for access to the service: protocols, as in `recsys.stores.protocols`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from recsys.access.audit import AuditLine
from recsys.access.keys import ApiKey


class KeyStore(Protocol):
    """API keys, by their ids. None is ever removed: what an audit line names stays known."""

    def add(self, key: ApiKey) -> None:
        """Stores a key. Raises InputError when its id or its digest is there already."""
        ...

    def all(self) -> Sequence[ApiKey]:
        """Every key there ever was, the oldest first; those of one moment by id."""
        ...

    def expire(self, key_id: str, at: int) -> ApiKey:
        """The key is valid until `at` (milliseconds UTC) and no longer; never makes it valid for longer than it was.
        Returns it as it is then. Raises InputError for an id that is not known."""
        ...

    def revoke(self, key_id: str, at: int) -> ApiKey:
        """The key opens nothing any more, whatever the time; the first revocation's time stays. Returns it as it is
        then. Raises InputError for an id that is not known."""
        ...

    def mark(self) -> str:
        """Another text after each change of any key; cheap. Equal marks mean equal keys, also across a backup."""
        ...


class AuditStore(Protocol):
    """Lines that are only ever added: the store itself refuses to change or to remove one."""

    def append(self, line: AuditLine) -> None:
        """Stores a line after all others."""
        ...

    def read(self, since: int | None = None) -> Sequence[AuditLine]:
        """All lines, or those of `since` (milliseconds UTC) and later, in the order in which they were written."""
        ...
