"""What stands in the cache: a ranked list with spare items, versioned, checked and never pickled."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

FORMAT: Final = b"bm4\n"
"""Part of every key and every payload: another version of the project neither finds nor reads what this one wrote."""

_TAG_BYTES: Final = 16
_HEAD_BYTES: Final = 4

OVERHEAD: Final = 900
"""Bytes that a list in memory takes beside its arrays and JSON, measured with `sys.getsizeof` over the parts."""


class Question(NamedTuple):
    """Everything that a ranked list depends on, but for availability, which is checked on every answer.

    Attributes
    ----------
    store_file : device and inode of the store's file: a backup that was put in its place gives its versions out again,
        for other histories.
    bundle : the models' id.
    subject : what is asked for: `("customer", id)`, `("nobody",)` for all who have no history, or
        `("item", id, relation)`.
    history_version, profile_version : the customer's; 0 where there is none.
    placement, policy_version : the spot and the version of its policy.
    history_limit : how much of a history was looked at.
    depth : how many items the list was asked to have, spare ones included.
    rules : what the placement's rules came to, but for what passes its filter, which is checked on every answer too.
    """

    store_file: tuple[int, int]
    bundle: str
    subject: tuple[str, ...]
    history_version: int
    profile_version: int
    placement: str
    policy_version: int
    history_limit: int
    depth: int
    rules: str = ""


_NOTHING: Mapping[str, int] = {}


class Explored(NamedTuple):
    """What was explored in a list.

    Attributes
    ----------
    seed : of the answer; it stands in its token.
    propensity : per item, how likely its slot was to hold it before the seed was known; empty where chance had no part.
    slots : how many hold an explored item.
    newcomers : by their positions, the ids of items that the bundle does not know.
    trouble : why nothing was explored, or None.
    """

    seed: str
    propensity: Sequence[float]
    slots: int
    newcomers: Mapping[int, str]
    trouble: str | None


class RankedList(NamedTuple):
    """An answer as it was computed, with spare items.

    Attributes
    ----------
    items : JSON of the items, best first, separated by commas.
    ends : int32, shape (k,); where each item's JSON ends.
    positions : int32, shape (k,); the items in the bundle's vocabulary.
    sources, fallback, masked, short : as in `Answer`.
    computed_at : milliseconds UTC.
    catalog_version : of the catalogue that decided what may be shown.
    moved : how many items each rule moved when the list was arranged; nothing before, and not kept.
    explored : what was explored; None where nothing is, and not kept.
    """

    items: bytes
    ends: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int32]
    sources: Sequence[str]
    fallback: str | None
    masked: Mapping[str, int]
    short: str | None
    computed_at: int
    catalog_version: int
    moved: Mapping[str, int] = _NOTHING
    explored: Explored | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return len(self.items) + self.ends.nbytes + self.positions.nbytes + OVERHEAD

    def first(self, count: int) -> bytes:
        """The JSON of the first items."""
        return self.items[: self.ends[min(count, len(self.ends)) - 1]] if len(self.ends) else b""

    def head(self, count: int) -> RankedList:
        """The same list without what follows its first items."""
        return self._replace(items=self.first(count), ends=self.ends[:count], positions=self.positions[:count])

    def only(self, places: npt.NDArray[np.int64]) -> RankedList:
        """The same list without its other items; places ascend."""
        return self.of(self.parts(places.tolist()), self.positions[places])

    def parts(self, places: Sequence[int]) -> list[bytes]:
        """The JSON of some items."""
        ends = [-1, *self.ends.tolist()]
        return [self.items[ends[place] + 1 : ends[place + 1]] for place in places]

    def of(self, parts: Sequence[bytes], positions: npt.NDArray[np.int32]) -> RankedList:
        """The same list with other items, given as JSON."""
        ends = np.fromiter(accumulate(len(part) + 1 for part in parts), dtype=np.int32, count=len(parts)) - 1
        return self._replace(items=b",".join(parts), ends=ends, positions=positions)


_Head = tuple[Sequence[str], str | None, Mapping[str, int], str | None, int, int, int]


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
        content = FORMAT + orjson.dumps(tuple(question))
        return self.prefix(question.subject) + hashlib.blake2b(content, digest_size=20, key=self._secret).hexdigest()

    def prefix(self, subject: tuple[str, ...]) -> str:
        """How the keys of everything about a subject begin; the braces keep them on one server of a cluster."""
        about = hashlib.blake2b(orjson.dumps(subject), digest_size=12, key=self._secret, person=b"subject").hexdigest()
        return f"bookmatch:{{{about}}}:"

    def seal(self, key: str, ranked: RankedList) -> bytes:
        """The payload to put under the key."""
        head = orjson.dumps(
            (
                ranked.sources,
                ranked.fallback,
                ranked.masked,
                ranked.short,
                ranked.computed_at,
                ranked.catalog_version,
                len(ranked.ends),
            )
        )
        size = len(head).to_bytes(_HEAD_BYTES, "little")
        body = b"".join([size, head, ranked.ends.tobytes(), ranked.positions.tobytes(), ranked.items])
        return FORMAT + self._tag(key, body) + body

    def unseal(self, key: str, payload: bytes) -> RankedList | None:
        """The list that was sealed for this key, or None when these bytes are anything else."""
        start = len(FORMAT) + _TAG_BYTES
        if payload[: len(FORMAT)] != FORMAT or len(payload) < start:
            return None
        body = payload[start:]
        if not hmac.compare_digest(payload[len(FORMAT) : start], self._tag(key, body)):
            return None
        # Whoever could tag it is this version of the project, which also laid it out.
        size = _HEAD_BYTES + int.from_bytes(body[:_HEAD_BYTES], "little")
        head: _Head = orjson.loads(body[_HEAD_BYTES:size])
        numbers = np.frombuffer(body, dtype=np.int32, count=2 * head[-1], offset=size)
        return RankedList(
            body[size + numbers.nbytes :],
            numbers[: head[-1]],
            numbers[head[-1] :],
            *head[:-1],
        )

    def _tag(self, key: str, body: bytes) -> bytes:
        tag = hashlib.blake2b(body, digest_size=_TAG_BYTES, key=self._secret, person=b"payload")
        tag.update(key.encode())
        return tag.digest()
