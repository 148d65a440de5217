"""Keys for services in tests."""

from __future__ import annotations

from pathlib import Path

from recsys.access.keys import NewKey, Role, wanted_key
from recsys.access.rates import Rate
from recsys.data.events import EventKind
from tests.serving.shop import START, store_of


def given_key(
    home: Path,
    role: Role,
    *,
    origins: tuple[str, ...] = (),
    kinds: tuple[EventKind, ...] = (),
    rate: Rate | None = None,
    expires: int | None = None,
) -> NewKey:
    """A key that the shop's store knows from now on."""
    wanted = wanted_key(role, f"the {role} key", START, origins=origins, kinds=kinds, rate=rate, expires=expires)
    new = NewKey.like(wanted)
    with store_of(home) as store:
        store.keys.add(new.kept)
    return new
