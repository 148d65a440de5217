"""Headers that keep browsers from doing more with an answer than is meant."""

from __future__ import annotations

import base64
import hashlib
import re

from serving.http.unsubscribe_page import PATH, STYLE

RawHeaders = tuple[tuple[bytes, bytes], ...]

_ALWAYS: RawHeaders = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_DATA: RawHeaders = (
    # Lists are personal, and stock changes: no answer is to be kept between here and whoever asked.
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class SecurityHeaders:
    """What every answer carries.

    Parameters
    ----------
    hsts_seconds : for how long browsers are told to use TLS alone; 0 says nothing of it.
    docs : the page at /docs: the script in it is allowed to run by its hash.
    """

    def __init__(self, hsts_seconds: int = 0, docs: str = "") -> None:
        hsts = f"max-age={hsts_seconds}".encode()
        always = (*_ALWAYS, (b"strict-transport-security", hsts)) if hsts_seconds else _ALWAYS
        self._data = (*always, *_DATA)
        self._pages = (*always, (b"cache-control", b"no-store"), (b"content-security-policy", _pages_policy()))
        self._docs = (*always, (b"cache-control", b"no-cache"), (b"content-security-policy", _docs_policy(docs)))

    def of(self, path: str) -> RawHeaders:
        """Those of an answer at this path."""
        if path.startswith("/docs"):
            return self._docs
        return self._pages if path.startswith(PATH) else self._data


def _pages_policy() -> bytes:
    """For a page with one button: no script at all, its own style by its hash, and its form comes back here."""
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ).encode()


def _docs_policy(page: str) -> bytes:
    inline = [hashlib.sha256(script.encode()).digest() for script in re.findall(r"<script>(.*?)</script>", page, re.S)]
    scripts = ["'self'", *(f"'sha256-{base64.b64encode(each).decode()}'" for each in inline)]
    parts = (
        "default-src 'none'",
        f"script-src {' '.join(scripts)}",
        # The page's library styles its elements one by one, and draws its icons from data in its own file.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return "; ".join(parts).encode()
