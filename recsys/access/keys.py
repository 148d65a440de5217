"""API keys: a random text that is shown once, and what the store keeps of it."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

from recsys.access.rates import Rate
from recsys.data.events import EventKind


class Role(StrEnum):
    """What a key is for; `serving.http.permissions` says which routes that is."""

    STOREFRONT = "storefront"
    EVENTS = "events"
    ADMIN = "admin"


PREFIXES: Final = {Role.STOREFRONT: "store", Role.EVENTS: "event", Role.ADMIN: "admin"}
KEY: Final = re.compile(r"bm_(?:store|event|admin)_([a-z2-7]{8})_[a-z2-7]{32}")
"""What every key looks like: `bm_store_<id>_<secret>`, so that people and secret scanners recognise one."""

ID_BYTES, SECRET_BYTES = 5, 20

BROWSER_KINDS: Final = (
    EventKind.VIEW,
    EventKind.SEARCH,
    EventKind.ADD_TO_CART,
    EventKind.REMOVE_FROM_CART,
    EventKind.LIKE,
    EventKind.ADD_TO_LIST,
    EventKind.SHARE,
    EventKind.NOT_INTERESTED,
    EventKind.IGNORE_FOR_RECOMMENDATIONS,
    EventKind.IMPRESSION,
    EventKind.CLICK,
)
"""What a key that stands in a web page may write unless told otherwise: whoever reads the page can send anything with
it, and a forged purchase, return or unsubscription would cost more than a forged look."""

BROWSER_RATE: Final = Rate(600, 60)
"""Of such a key, for each address: a visitor sends a batch at a time, not ten a second."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; never the key itself.

    Attributes
    ----------
    key_id : its public name, part of the key's text.
    digest : SHA-256 of the key's text.
    name : what the shop calls it.
    origins : of pages that may use it from a browser; empty for a key that only programs hold.
    kinds : the kinds of events that it may write; empty for all.
    rate : how often it may ask, a browser's key from each address; None for no limit.
    created, expires, revoked : milliseconds UTC; None for never.
    """

    key_id: str
    digest: bytes
    role: Role
    name: str
    created: int
    origins: tuple[str, ...] = ()
    kinds: tuple[EventKind, ...] = ()
    rate: Rate | None = None
    expires: int | None = None
    revoked: int | None = None

    def is_valid(self, now: int) -> bool:
        """Whether it opens anything at `now`."""
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the only moment at which its text is known.

    Attributes
    ----------
    text : for whoever will send it.
    kept : what the store is given.
    """

    text: str
    kept: ApiKey

    @classmethod
    def like(cls, wanted: ApiKey) -> Self:
        """A new random key with all but the id and the digest of `wanted`."""
        key_id = _random(ID_BYTES)
        text = f"bm_{PREFIXES[wanted.role]}_{key_id}_{_random(SECRET_BYTES)}"
        return cls(text, replace(wanted, key_id=key_id, digest=digest(text.encode())))


def wanted_key(
    role: Role,
    name: str,
    created: int,
    *,
    origins: tuple[str, ...] = (),
    kinds: tuple[EventKind, ...] = (),
    rate: Rate | None = None,
    expires: int | None = None,
) -> ApiKey:
    """What `NewKey.like` makes a key of; one for browsers gets `BROWSER_KINDS` and `BROWSER_RATE` where nothing else is
    said."""
    if origins:
        kinds, rate = kinds or BROWSER_KINDS, rate or BROWSER_RATE
    return ApiKey("", b"", role, name, created, origins, kinds, rate, expires)


def digest(text: bytes) -> bytes:
    """What a key is known by.

    A fast hash is right here: slow ones protect passwords, which people choose and which can be tried one by one. Of
    160 random bits nobody tries enough to find one, and a slow hash would cost every answer milliseconds.
    """
    return hashlib.sha256(text).digest()


def _random(size: int) -> str:
    """So many random bytes in letters and digits that survive shells, URLs and being read aloud."""
    return base64.b32encode(secrets.token_bytes(size)).decode().lower()
