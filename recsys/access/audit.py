"""The audit: one durable line for every act of whoever looks after the shop."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from recsys.stores.protocols import Store


class Act(StrEnum):
    """What can be done that has to be accounted for."""

    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    CUSTOMERS_PUT = "customers.put"
    CUSTOMER_MERGED = "customer.merged"
    CUSTOMER_EXPORTED = "customer.exported"
    CUSTOMER_FORGOTTEN = "customer.forgotten"
    CUSTOMER_UNSUBSCRIBED = "customer.unsubscribed"
    ITEMS_PUT = "items.put"
    ITEMS_REMOVED = "items.removed"
    FILES_IMPORTED = "files.imported"
    BUNDLE_PUBLISHED = "bundle.published"
    BUNDLE_PROMOTED = "bundle.promoted"
    BUNDLE_ROLLED_BACK = "bundle.rolled_back"
    PLACEMENTS_PUBLISHED = "placements.published"
    PLACEMENTS_ROLLED_BACK = "placements.rolled_back"
    STORE_BACKED_UP = "store.backed_up"
    STORE_RESTORED = "store.restored"
    STORE_UPGRADED = "store.upgraded"
    BUNDLES_PRUNED = "bundles.pruned"
    MAILS_SENT = "mails.sent"


DONE: Final = "done"
MOST_NAMED: Final = 20
"""So many things are named in one line; of more, how many there were."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it.

    Attributes
    ----------
    name : `key:<id>` of a key, `user:<name>` of whoever ran a command, `nobody` where no key was asked for.
    request_id : of the request that asked for it; None for a command.
    """

    name: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditLine:
    """What was done.

    Attributes
    ----------
    at : milliseconds UTC.
    actor, request_id : see `Actor`.
    subjects : on what, the first `MOST_NAMED`: ids of items, keys or bundles, names of files; customers by
        `customer_mark`.
    number : how many there were.
    result : `done`, or why it was not.
    """

    at: int
    actor: str
    act: Act
    subjects: tuple[str, ...]
    number: int
    result: str
    request_id: str | None


def audit(store: Store, act: Act, subjects: Sequence[str], actor: Actor, at: int, result: str = DONE) -> AuditLine:
    """Writes one line and returns it; it is durable when this returns, or with the transaction that it is written in.

    Customers are named by `customer_mark` and never by their id: what is in the audit cannot be taken out again, and
    who is forgotten must be in no file. Raises StoreError.
    """
    line = AuditLine(at, actor.name, act, tuple(subjects[:MOST_NAMED]), len(subjects), result, actor.request_id)
    store.audit.append(line)
    return line


def customer_mark(store: Store, customer_id: str) -> str:
    """A keyed hash of a customer's id, always the same for the same one; it tells nobody who does not know the id."""
    key = hashlib.blake2b(store.secret(), digest_size=32, person=b"bookmatch.audit").digest()
    raw = customer_id.encode(errors="surrogatepass")
    return "customer:" + hashlib.blake2b(raw, digest_size=10, key=key).hexdigest()
