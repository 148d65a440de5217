"""Links to unsubscribe: signed, so that nobody else's can be made, and good for as long as the keys are kept."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple, Self

from itsdangerous import BadData, URLSafeSerializer

from recsys.access.audit import Act, Actor, audit, customer_mark
from recsys.data.events import Event, EventKind
from recsys.data.profile import Consent, is_purpose
from recsys.durable import locked, replace_file
from recsys.errors import ForgottenCustomerError, InputError
from recsys.stores.admission import storable
from recsys.stores.protocols import Store

KEYS: Final = "unsubscribe.keys"
SOURCE: Final = "unsubscribe link"
"""Of the statements that it leaves behind."""

_SALT: Final = b"bookmatch.unsubscribe"
_KEY_BYTES: Final = 32


class Unsubscription(NamedTuple):
    """Who wants no more mails, and of which purpose."""

    customer_id: str
    purpose: str


class UnsubscribeLinks:
    """Signs with the newest key and takes what any of them signed: old mails stay in mailboxes for years.

    Parameters
    ----------
    keys : the oldest first; at least one.
    """

    def __init__(self, keys: list[bytes]) -> None:
        how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._serializer = URLSafeSerializer(list(keys), salt=_SALT, signer_kwargs=how)

    @classmethod
    def of_shop(cls, folder: Path) -> Self:
        """Those of a shop's folder `email`, whose first key is made where there is none. Raises InputError for a file
        of keys that cannot be read."""
        keys = read_keys(folder)
        return cls(keys or [rotate_key(folder, only_first=True)])

    def token(self, customer_id: str, purpose: str) -> str:
        """What stands at the end of the link: URL-safe text."""
        return str(self._serializer.dumps([customer_id, purpose]))

    def read(self, token: str) -> Unsubscription | None:
        """What a token says; None when none of the keys signed it."""
        try:
            said = self._serializer.loads(token)
        except BadData:
            return None
        if not (isinstance(said, list) and len(said) == 2 and all(isinstance(each, str) for each in said)):
            return None
        customer_id, purpose = said
        fits = storable(customer_id) and is_purpose(purpose)
        return Unsubscription(customer_id, purpose) if fits else None


def read_keys(folder: Path) -> list[bytes]:
    """The keys of a shop's folder `email`, the oldest first; none where there is no file. Raises InputError."""
    path = folder / KEYS
    try:
        keys = [bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise InputError(
            f"the keys in {path} cannot be read: {error}",
            expected=f"lines of {2 * _KEY_BYTES} hexadecimal digits",
            remedy="put the file back from a backup: without it links in mails that were sent do not work",
        ) from error
    if not keys or any(len(key) != _KEY_BYTES for key in keys):
        raise InputError(f"{path} holds no key, or one of another length", remedy="put it back from a backup")
    return keys


def rotate_key(folder: Path, *, only_first: bool = False) -> bytes:
    """Adds a new key, which signs from now on; all older ones stay good. Returns it, or with `only_first` the newest of
    those that are there. Raises InputError for a file that cannot be read or written."""
    try:
        with locked(folder):
            keys = read_keys(folder)
            if not (keys and only_first):
                keys.append(secrets.token_bytes(_KEY_BYTES))
                before = os.umask(0o077)
                try:
                    replace_file(folder / KEYS, "".join(f"{key.hex()}\n" for key in keys).encode())
                finally:
                    os.umask(before)
    except OSError as error:
        raise InputError(
            f"the keys of links to unsubscribe cannot be written: {error}",
            expected=f"a folder {folder} that this user may write",
        ) from error
    return keys[-1]


def unsubscribe(store: Store, wanted: Unsubscription, actor: Actor, at: int) -> bool:
    """Takes the consent to a purpose back, as of `at` (milliseconds UTC), and leaves an event and a line in the audit.
    False when nobody is written to for that purpose anyway; then nothing changes. Durable when it returns."""
    with store.transaction():
        profile = store.profiles.get(wanted.customer_id)
        said = profile.consents.get(wanted.purpose)
        if (said is not None and not said.granted) or store.persons.forgotten([wanted.customer_id]):
            return False
        # A statement of tomorrow, by whatever clock, would win over this one.
        stated = at if said is None else max(at, said.stated)
        try:
            store.profiles.put(wanted.customer_id, [Consent(wanted.purpose, False, SOURCE, stated)])
            store.events.append([_event(wanted, at)])
        except ForgottenCustomerError:
            return False
        audit(store, Act.CUSTOMER_UNSUBSCRIBED, [customer_mark(store, wanted.customer_id)], actor, at, wanted.purpose)
    return True


def _event(wanted: Unsubscription, at: int) -> Event:
    return Event(
        event_id=f"unsubscribe {secrets.token_hex(12)}",
        customer_id=wanted.customer_id,
        kind=EventKind.UNSUBSCRIBE,
        timestamp=at,
    )
