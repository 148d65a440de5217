"""Links in mails: to the shop's own pages, with what tells afterwards which mail and which list brought the customer.

There is no address here that passes readers on to another one: nobody can make one of ours lead anywhere else.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

TOKEN = "bm_rec"  # noqa: S105 - the name of a parameter
"""The parameter that holds the `recommendation_id`, which a shop's page sends back with its events."""

_UNFIT = re.compile(r"""[\x00-\x20\x7f"'<>\\`]""")


@lru_cache(maxsize=100_000)
def is_link(url: str | None) -> bool:
    """Whether an address may stand in a mail: http or https, with a host, and nothing that ends a line or an
    attribute."""
    if not url or _UNFIT.search(url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def tracked(url: str, campaign: str, token: str) -> str:
    """The address with the campaign, as web analytics read it, and the mail's token."""
    before, after = _around(url, campaign)
    return f"{before}{token}{after}"


@lru_cache(maxsize=100_000)
def _around(url: str, campaign: str) -> tuple[str, str]:
    """What stands before and after the token; items are in many mails."""
    parts = urlsplit(url)
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in _OURS]
    query = "&".join(filter(None, (urlencode(kept, quote_via=quote), _of_campaign(campaign), f"{TOKEN}=")))
    whole = urlunsplit(parts._replace(query=query, fragment=""))
    return whole, f"#{parts.fragment}" if parts.fragment else ""


_OURS = frozenset({"utm_source", "utm_medium", "utm_campaign", TOKEN})


@lru_cache(maxsize=1_000)
def _of_campaign(campaign: str) -> str:
    return urlencode({"utm_source": "bookmatch", "utm_medium": "email", "utm_campaign": campaign}, quote_via=quote)
