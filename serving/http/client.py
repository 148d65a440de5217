"""Where a request comes from: this machine, or which address, seen through proxies that are trusted."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this name, in lower case; None where there is none."""
    return next((value.decode("latin-1") for each, value in scope["headers"] if each == name), None)


def is_of_this_machine(scope: Scope) -> bool:
    """Whether a program of this machine asks, and asks for this machine.

    A proxy here passes on what strangers ask: what says that it was forwarded does not count. Nor does another name in
    Host: a page of the web may have made its own name point to this machine.
    """
    client = scope.get("client")
    if client is None or not _is_loopback(client[0]):
        return False
    if any(name in _FORWARDED for name, _ in scope["headers"]):
        return False
    host = header(scope, b"host")
    if host is None:
        return True  # No browser leaves it out.
    return _names_this_machine(host)


def address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The address that asks: the last one in X-Forwarded-For that no trusted proxy has, if a trusted proxy passed the
    request on."""
    client = scope.get("client")
    seen = str(client[0]) if client else ""
    forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"] if trusted else []
    for each in reversed(b",".join(forwarded).decode("latin-1").split(",")):
        if not each.strip() or not _is_in(seen, trusted):
            break
        seen = each.strip()
    return _block(seen)


def _block(text: str) -> str:
    """An address, or of version 6 its network: whoever has one address of that kind has all of its /64."""
    parsed = _parsed(text)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return text[:64] if parsed is None else str(parsed)


def _is_in(text: str, networks: Sequence[Network]) -> bool:
    parsed = _parsed(text)
    return parsed is not None and any(parsed in network for network in networks)


@lru_cache(1_000)
def _names_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


@lru_cache(1_000)
def _is_loopback(text: str) -> bool:
    parsed = _parsed(text)
    return parsed is not None and parsed.is_loopback


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
