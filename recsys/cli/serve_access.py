"""Whom `bookmatch serve` answers: said when it starts, and refused where it would be everybody by mistake."""

from __future__ import annotations

import ipaddress
from enum import Enum
from pathlib import Path

import structlog
import typer

from recsys.errors import InputError
from recsys.stores.protocols import Store

log = structlog.get_logger("bookmatch.serving")


class Access(Enum):
    """Who is let in."""

    KEYS = "whoever has a key"
    THIS_MACHINE = "programs of this machine, as there is no key yet"
    EVERYBODY = "everybody"


def access_of(store: Store, *, no_keys: bool) -> Access:
    """Whom a service over this store answers."""
    if no_keys:
        return Access.EVERYBODY
    return Access.KEYS if store.keys.all() else Access.THIS_MACHINE


def announce_access(access: Access, address: str, home: Path) -> None:
    """Says it where not everybody needs a key.

    Raises InputError where nobody could ask at all: without a key, on an address that is not this machine's.
    """
    make_one = f"bookmatch keys create --role storefront --name shop --home {home}"
    if access is Access.EVERYBODY:
        typer.echo(
            "Keys are not asked for (--no-keys): whoever reaches this address reads, writes and deletes.", err=True
        )
        log.warning("keys are not asked for", address=address)
    if access is not Access.THIS_MACHINE:
        return
    if not ipaddress.ip_address(address).is_loopback:
        raise InputError(
            f"there is no API key, and {address} can be reached by other machines",
            expected="a key, or an address of this machine alone such as 127.0.0.1",
            remedy=f"make keys with `{make_one}` (and --role events, --role admin); or, behind a proxy that lets in "
            "only whom it should, start with --no-keys: then whoever reaches the address reads, writes and deletes",
        )
    typer.echo(
        f"No API key yet: only programs of this machine are answered, and may do everything. `{make_one}`", err=True
    )
    log.warning("no API key yet", answered="programs of this machine", address=address)
