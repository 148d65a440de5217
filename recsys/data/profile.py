"""What a customer said about being served: consents per purpose, and whether recommendations are wanted at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from recsys.errors import InputError

MAX_SOURCE_LENGTH = 256
_PURPOSE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
PURPOSE = "1 to 64 of a-z, 0-9, `_`, `.` and `-`, a letter first"
"""What a purpose has to look like."""


def is_purpose(text: str) -> bool:
    """Whether a text can be the name of a purpose."""
    return _PURPOSE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Consent:
    """One statement of a customer about one purpose.

    Attributes
    ----------
    purpose : what for, as in `PURPOSE`: `email`, for one.
    granted : yes or no.
    source : where it was said: a form, a letter, the counter.
    stated : when, milliseconds UTC.
    """

    purpose: str
    granted: bool
    source: str
    stated: int


@dataclass(frozen=True, slots=True)
class Profile:
    """One customer.

    Attributes
    ----------
    customer_id : who this is: of a visitor who was merged into a customer, the customer.
    version : grows with everything that is said; 0 where nothing was.
    recommendations : False once they were switched off.
    consents : the statement in force for each purpose of which anything was said. Unknown is no.
    visitors : the ids under which the customer was met before.
    """

    customer_id: str
    version: int = 0
    recommendations: bool = True
    consents: Mapping[str, Consent] = field(default_factory=dict)
    visitors: tuple[str, ...] = ()

    def allows(self, purpose: str) -> bool:
        """Whether the customer may be served for this purpose: only after a yes that no later no takes back."""
        consent = self.consents.get(purpose)
        return consent is not None and consent.granted


def in_force(statements: Iterable[Consent]) -> dict[str, Consent]:
    """The statement that counts for each purpose: the latest, by when it was made; of two of the same moment the no."""
    latest: dict[str, Consent] = {}
    for consent in statements:
        kept = latest.get(consent.purpose)
        if kept is None or (consent.stated, not consent.granted) >= (kept.stated, not kept.granted):
            latest[consent.purpose] = consent
    return dict(sorted(latest.items()))


def check_consent(consent: Consent) -> None:
    """Raises InputError for a statement that cannot be kept."""
    if not is_purpose(consent.purpose):
        raise InputError(f"a consent for the purpose {consent.purpose!a}", expected=PURPOSE)
    if not 1 <= len(consent.source) <= MAX_SOURCE_LENGTH:
        raise InputError(
            f"a consent whose source has {len(consent.source)} characters", expected=f"1 to {MAX_SOURCE_LENGTH}"
        )
