"""What stands in the cache: a ranked list with spare items, versioned, checked and never pickled."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import orjson

FORMAT: Final = b"bm1\n"
"""Part of every key and every payload: another version of the project neither finds nor reads what this one wrote."""

_TAG_BYTES: Final = 16

ItemJson = dict[str, Any]
"""One item of an answer as the response holds it: `item_id`, `score`, `reason`."""


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that a ranked list depends on, but for availability, which is checked on every answer.

    Attributes
    ----------
    bundle : the models' id.
    subject : what is asked for: `("customer", id)`, `("nobody",)` for all who have no history, or
        `("item", id, relation)`.
    history_version, profile_version : the customer's; 0 where there is none.
    placement, policy_version : the spot and the version of its policy.
    history_limit : how much of a history was looked at.
    depth : how many items the list was asked to have, spare ones included.
    """

    bundle: str
    subject: tuple[str, ...]
    history_version: int
    profile_version: int
    placement: str
    policy_version: int
    history_limit: int
    depth: int


@dataclass(frozen=True, slots=True)
class RankedList:
    """An answer as it was computed, with spare items.

    Attributes
    ----------
    items : best first.
    sources, fallback, masked, short : as in `Answer`.
    computed_at : milliseconds UTC.
    catalog_version : of the catalogue that decided what may be shown.
    """

    items: Sequence[ItemJson]
    sources: Sequence[str]
    fallback: str | None
    masked: dict[str, int]
    short: str | None
    computed_at: int
    catalog_version: int


_FIELDS: Final = frozenset(field.name for field in fields(RankedList))


class Sealer:
    """Makes keys that say nothing of the customer, and payloads that nobody else can have made.

    Parameters
    ----------
    secret : the store's; shops that share a Redis never read each other's lists.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.blake2b(secret, digest_size=32, person=b"bookmatch.cache").digest()

    def key(self, question: Question) -> str:
        """The cache key of a question."""
        content = FORMAT + orjson.dumps(question)
        return f"bookmatch:{hashlib.blake2b(content, digest_size=20, key=self._secret).hexdigest()}"

    def seal(self, key: str, ranked: RankedList) -> bytes:
        """The payload to put under the key."""
        body = orjson.dumps(ranked)
        return FORMAT + self._tag(key, body) + body

    def unseal(self, key: str, payload: bytes) -> RankedList | None:
        """The list that was sealed for this key, or None when these bytes are anything else."""
        start = len(FORMAT) + _TAG_BYTES
        if payload[: len(FORMAT)] != FORMAT or len(payload) < start:
            return None
        body = payload[start:]
        if not hmac.compare_digest(payload[len(FORMAT) : start], self._tag(key, body)):
            return None
        content = orjson.loads(body)
        return RankedList(**content) if content.keys() == _FIELDS else None

    def _tag(self, key: str, body: bytes) -> bytes:
        tag = hashlib.blake2b(body, digest_size=_TAG_BYTES, key=self._secret, person=b"payload")
        tag.update(key.encode())
        return tag.digest()
