"""Origins of web pages (RFC 6454), as browsers write them into requests."""

from __future__ import annotations

from urllib.parse import urlsplit

from recsys.errors import InputError

_PORTS = {"http": 80, "https": 443}


def parse_origin(text: str) -> str:
    """The origin as a browser sends it: `https://shop.example`, in lower case, the usual port left out.

    Raises InputError for anything else: a wildcard would let every page of the web write events, and `null` is what
    every sandboxed page sends.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _refused(text) from None
    host = parts.hostname or ""
    is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username or parts.password)
    named = host.replace(".", "").replace("-", "").replace(":", "")
    if parts.scheme not in _PORTS or not is_plain or not named.isascii() or not named.isalnum():
        raise _refused(text)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in (None, _PORTS[parts.scheme]) else f":{port}")


def _refused(text: str) -> InputError:
    return InputError(
        f"{text!r} is no origin of web pages",
        expected="scheme, host and an unusual port, such as https://shop.example; other alphabets in their ASCII form, "
        "and no wildcard",
        remedy="name each origin with an --origin of its own",
    )
