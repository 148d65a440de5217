"""What an e-mail address has to look like."""

from __future__ import annotations

import re

ADDRESS = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
)
"""As HTML's `input type=email` takes it, with a dot in the domain. Domains with other letters are in Punycode."""

MOST_CHARACTERS = 254
_ADDRESS = re.compile(ADDRESS.removeprefix("^").removesuffix("$"))


def is_address(text: str) -> bool:
    """Whether a text can be the address of a mailbox."""
    return len(text) <= MOST_CHARACTERS and _ADDRESS.fullmatch(text) is not None
