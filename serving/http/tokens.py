"""`recommendation_id`: a signed token that says which answer it was, so that answering writes nothing."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from itsdangerous import BadData, URLSafeSerializer

_SALT: Final = b"bookmatch.recommendation"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class AnswerIdentity:
    """What a token says of the answer that carried it.

    Attributes
    ----------
    bundle, placement : what answered, and where.
    time : milliseconds UTC.
    nonce : random, so that no two answers share an id.
    """

    bundle: str
    placement: str
    time: int
    nonce: str


class RecommendationTokens:
    """Signs and verifies with the store's secret: a token is good on every machine that shares the store."""

    def __init__(self, secret: bytes) -> None:
        self._serializer = URLSafeSerializer(secret, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256})
        self._receipts = URLSafeSerializer(
            secret, salt=b"bookmatch.forgotten", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._key = self._serializer.make_signer(_SALT).derive_key()

    def sign(self, identity: AnswerIdentity) -> str:
        """The token: URL-safe text.

        What the library's serializer would give, without the tenfold time that its layers take: every answer waits for
        this. `verify` is the library's.
        """
        content = orjson.dumps([_VERSION, identity.bundle, identity.placement, identity.time, identity.nonce])
        payload = urlsafe_b64encode(content).rstrip(b"=")
        signature = urlsafe_b64encode(hmac.digest(self._key, payload, "sha256")).rstrip(b"=")
        return f"{payload.decode()}.{signature.decode()}"

    def sign_receipt(self, customer_ids: Sequence[str], at: int) -> str:
        """A token that says that these customers were forgotten at that time (milliseconds UTC)."""
        return str(self._receipts.dumps([sorted(customer_ids), at]))

    def verify(self, token: str) -> AnswerIdentity | None:
        """What the token says, or None when this store did not sign it."""
        try:
            content = self._serializer.loads(token)
        except BadData:
            return None
        if not (isinstance(content, list) and len(content) == 5 and content[0] == _VERSION):
            return None
        _, bundle, placement, time, nonce = content
        return AnswerIdentity(str(bundle), str(placement), int(time), str(nonce))
