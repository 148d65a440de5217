"""The keys that one worker knows: those of the store, read again whenever one of them changed."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from recsys.access.keys import ApiKey
from recsys.stores.protocols import Store

log = structlog.get_logger("bookmatch.serving")


class KeyRing:
    """Follows the store: `LiveStore` shows it every new state before the request that noticed it goes on.

    While the store does not answer, the keys that were known last stay in force.
    """

    def __init__(self) -> None:
        self._mark: str | None = None
        self.by_digest: Mapping[bytes, ApiKey] = {}
        """Every key there ever was. A look into a dictionary takes no longer for a guess that is nearly right: what is
        compared is SHA-256 of the guess, and nobody can choose one whose hash begins like that of a key."""

    @property
    def is_known(self) -> bool:
        """Whether the store has ever said which keys there are."""
        return self._mark is not None

    @property
    def is_empty(self) -> bool:
        """Whether no key was ever made; one that has ended counts, so that ending the last one opens nothing."""
        return not self.by_digest

    def follow(self, store: Store) -> None:
        """Takes over the store's keys where they changed. Raises StoreError."""
        # Before the keys: a change between the two shows as one next time.
        mark = store.keys.mark()
        if mark == self._mark:
            return
        self.by_digest = {key.digest: key for key in store.keys.all()}
        self._mark = mark
        log.info("keys read", keys=len(self.by_digest))

    def admits_origin(self, origin: str, now: int) -> bool:
        """Whether any valid key may be used by pages of this origin."""
        return any(origin in key.origins and key.is_valid(now) for key in self.by_digest.values())
