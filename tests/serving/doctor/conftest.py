"""A healthy shop, and what the doctor says of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
import pytest

from recsys.data.catalog import ITEM_SCHEMA
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.doctor.circumstances import Circumstances
from serving.doctor.examine import examine
from serving.doctor.findings import Finding, Severity
from serving.http.settings import Settings
from tests.serving.processes import free_port
from tests.serving.shop import DAY, PER_SHELF, SHELVES, START, item

Examine = Callable[..., dict[str, Finding]]


def worst_by_check(found: Iterable[Finding]) -> dict[str, Finding]:
    """The worst finding of each check, by the check's name."""
    return {each.check: each for each in sorted(found, key=lambda each: list(Severity).index(each.severity))}


@pytest.fixture(scope="session")
def _healthy(trained_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Path(shutil.copytree(trained_shop, tmp_path_factory.mktemp("healthy") / "shop"))
    put_items(home, [item(shelf, place) for shelf in range(SHELVES) for place in range(PER_SHELF)])
    return home


@pytest.fixture
def healthy(_healthy: Path, tmp_path: Path) -> Path:
    """A shop with a bundle and a row for every item, of the test's own."""
    return Path(shutil.copytree(_healthy, tmp_path / "healthy"))


def put_items(home: Path, ids: list[str], **columns: object) -> None:
    """Rows with these ids, and the same values in each."""
    rows = [{"item_id": each, **columns} for each in ids]
    store = open_store(ShopFolder(home).store, create=False)
    store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    store.close()


@pytest.fixture
def examined(healthy: Path) -> Examine:
    """Examines the healthy shop, or another one, under other circumstances; the worst finding of each check by name."""

    def run(home: Path = healthy, settings: Settings | None = None, **circumstances: object) -> dict[str, Finding]:
        told: dict[str, object] = {
            "settings": settings or Settings(home=home),
            "environment": {},
            "now": lambda: START + 20 * DAY,
            "timer": time.perf_counter,
            "port": free_port(),
        }
        return worst_by_check(examine(Circumstances(**(told | circumstances))))  # type: ignore[arg-type]

    return run
