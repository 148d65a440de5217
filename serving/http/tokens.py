"""`recommendation_id`: a signed token that says which answer it was, so that answering writes nothing."""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import orjson
from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.signer import SigningAlgorithm

_SALT: Final = b"bookmatch.recommendation"
_VERSION: Final = 1
_SIGNATURE_BYTES: Final = 20
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class AnswerIdentity(NamedTuple):
    """What a token says of the answer that carried it.

    Attributes
    ----------
    bundle, placement : what answered, and where.
    arm : of the experiment that the answer was part of; empty where there was none.
    seed : what chance was drawn from; no two answers share one.
    time : milliseconds UTC.
    """

    bundle: str
    placement: str
    arm: str
    seed: str
    time: int


class _Blake2(SigningAlgorithm):
    """Keyed BLAKE2b (RFC 7693): a fraction of HMAC's time, and every answer waits for it."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return blake2b(value, key=key, digest_size=_SIGNATURE_BYTES).digest()


def _encoded(value: bytes) -> bytes:
    """URL-safe base64 without padding."""
    return b2a_base64(value, newline=False).translate(_URL_SAFE, b"=")


class RecommendationTokens:
    """Signs and verifies with the store's secret: a token is good on every machine that shares the store."""

    def __init__(self, secret: bytes) -> None:
        how = {"algorithm": _Blake2(), "digest_method": hashlib.sha256}
        self._serializer = URLSafeSerializer(secret, salt=_SALT, signer_kwargs=how)
        self._receipts = URLSafeSerializer(secret, salt=b"bookmatch.forgotten", signer_kwargs=how)
        self._key = self._serializer.make_signer(_SALT).derive_key()

    def sign(self, identity: AnswerIdentity) -> str:
        """The token: URL-safe text.

        What the library's serializer would give, without the tenfold time that its layers take: every answer waits for
        this. `verify` is the library's.
        """
        payload = _encoded(orjson.dumps((_VERSION, *identity)))
        return (
            payload + b"." + _encoded(blake2b(payload, key=self._key, digest_size=_SIGNATURE_BYTES).digest())
        ).decode()

    def sign_receipt(self, customer_ids: Sequence[str], at: int) -> str:
        """A token that says that these customers were forgotten at that time (milliseconds UTC)."""
        return str(self._receipts.dumps([sorted(customer_ids), at]))

    def verify(self, token: str) -> AnswerIdentity | None:
        """What the token says, or None when this store did not sign it."""
        try:
            content = self._serializer.loads(token)
        except BadData:
            return None
        if not (isinstance(content, list) and len(content) == 6 and content[0] == _VERSION):
            return None
        _, bundle, placement, arm, seed, time = content
        return AnswerIdentity(str(bundle), str(placement), str(arm), str(seed), int(time))
