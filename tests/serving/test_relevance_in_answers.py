"""Relevance beside every score: the bundle's, whoever writes it and wherever it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from recsys.bundle import BundleRepository
from recsys.data.events import EventKind
from recsys.models.relevance import Relevance
from recsys.shop import ShopFolder
from serving.http.settings import Settings
from tests.serving.redis_server import RedisServer
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import START, item

STEEP = (np.arange(0.0, 3.0, 0.001), np.arange(0.0, 0.3, 0.0001))
FLAT = (np.array([1.0]), np.array([0.00321]))
UNKNOWN = (np.zeros(0), np.zeros(0))
RELEVANCE = Relevance.of_curves((EventKind.PURCHASE,), 28, (4,), (UNKNOWN, STEEP, UNKNOWN, FLAT))


@pytest.fixture
def home(home: Path) -> Path:
    """The trained shop with a bundle that knows relevance, for newcomers and for histories of four items or more."""
    repository = BundleRepository(ShopFolder(home).models)
    bundle = repository.load(repository.current_id() or "")
    folder = repository.folder / bundle.bundle_id / "arrays"
    arrays = {name: np.load(folder / f"{name}.npy") for name in bundle.manifest.arrays} | RELEVANCE.arrays()
    manifest = replace(bundle.manifest, relevance=RELEVANCE.described())
    repository.publish(manifest, arrays, {"at": START}, START)
    return home


@pytest.fixture
def services(home: Path, redis_server: RedisServer) -> Iterator[list[Service]]:
    """Without a cache, with one in the process, with Redis."""
    clock = FakeClock()
    with ExitStack() as stack:
        yield [
            stack.enter_context(Service(Settings(home=home, cache_size=0), clock)),
            stack.enter_context(Service(Settings(home=home), clock)),
            stack.enter_context(Service(Settings(home=home, redis_url=redis_server.url), clock)),
        ]


def told(reply: Reply) -> list[float | None]:
    """The relevance of each item."""
    return [each["relevance"] for each in reply.json()["items"]]


@pytest.mark.redis
def test_cached_is_fresh_and_is_the_curve(services: list[Service]) -> None:
    """Asked twice of each: the numbers of the curve for this history's length, null for items that fill the list up."""
    for service in services:
        for _ in range(2):
            reply = service.get("/v1/customers/c1/recommendations?limit=30")
            for each, relevance in zip(reply.json()["items"], told(reply), strict=True):
                if each["reason"]["code"] == "popular":
                    assert relevance is None
                else:
                    assert relevance == pytest.approx(min(0.1 * each["score"], 0.2999), abs=1.1e-4)
            assert any(told(reply))
            assert reply.served_from["relevance"] == {"kinds": ["purchase"], "days": 28}


def test_a_newcomer_s_list_has_the_newcomers_relevance(home: Path) -> None:
    """It is popular, says so, and is foreseen as what newcomers do."""
    with Service(Settings(home=home), FakeClock()) as service:
        reply = service.get("/v1/customers/stranger/recommendations?limit=3")
        assert told(reply) == [0.00321] * 3
        assert reply.served_from["fallback"] == "unknown_customer"
        assert {each["reason"]["code"] for each in reply.json()["items"]} == {"popular"}


def test_a_short_session_is_not_foreseen_and_an_item_s_page_neither(home: Path) -> None:
    """Where the curve is empty, and where no customer is asked about, relevance is null."""
    with Service(Settings(home=home), FakeClock()) as service:
        body = orjson.dumps({"events": [{"item_id": item(0, 1)}], "limit": 2})
        session = service.ask("POST", "/v1/recommendations", body, content_type="application/json")
        assert told(session) == [None, None]
        assert session.served_from["relevance"] == {"kinds": ["purchase"], "days": 28}
        related = service.get(f"/v1/items/{item(0, 1).replace('/', '%2F')}/related?limit=2")
        assert told(related) == [None, None]
        assert related.served_from["relevance"] is None


def test_a_bundle_that_cannot_tell_says_nothing(service: Service, tmp_path: Path) -> None:
    """`service` over a bundle without relevance: null, in the items and in `served_from`."""
    repository = BundleRepository(ShopFolder(tmp_path / "shop").models)
    repository.promote(repository.bundle_ids()[0], START)
    service.look_for_bundles()
    reply = service.get("/v1/customers/c1/recommendations?limit=2")
    assert told(reply) == [None, None]
    assert reply.served_from["relevance"] is None
