"""The implementations that run every contract; a new one adds itself to IMPLEMENTATIONS."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from recsys.stores import open_store
from recsys.stores.protocols import Store
from recsys.stores.sqlite import catalog, ingest
from tests.contracts.plain_store import OpenStore


@contextmanager
def fresh_sqlite() -> Iterator[OpenStore]:
    """An empty database that can be opened any number of times; everything is closed and removed at the end."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as handles:

        def opened() -> Store:
            store = open_store(Path(folder) / "store.db", busy_seconds=0.05)
            handles.callback(store.close)
            return store

        yield opened


@contextmanager
def fresh_archive() -> Iterator[OpenStore]:
    """The same, where every frame of events, however small, goes to the archive, and three items are very many."""
    with pytest.MonkeyPatch.context() as patch, fresh_sqlite() as opened:
        patch.setattr(ingest, "ARCHIVED_ROWS", 0)
        patch.setattr(catalog, "BULK_ROWS", 2)
        yield opened


IMPLEMENTATIONS: dict[str, Callable[[], AbstractContextManager[OpenStore]]] = {
    "sqlite": fresh_sqlite,
    "archive": fresh_archive,
}


@pytest.fixture(scope="session", params=IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS.keys())
def fresh(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[OpenStore]]:
    """Makes empty databases, for tests that need many."""
    return request.param


@pytest.fixture
def opened(fresh: Callable[[], AbstractContextManager[OpenStore]]) -> Iterator[OpenStore]:
    """Opens one and the same database, as often as it is called."""
    with fresh() as opener:
        yield opener


@pytest.fixture
def store(opened: OpenStore) -> Store:
    """An empty store."""
    return opened()
