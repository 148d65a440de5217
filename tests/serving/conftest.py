"""A trained shop and a service over it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.http.logs import configure_logging
from serving.http.settings import Settings
from tests.serving.redis_server import ClusterOfRedis, RedisServer, WatchedRedis, require_redis
from tests.serving.service import FakeClock, Service
from tests.serving.shop import item, items_frame, shop_events, train_shop


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> Iterator[None]:
    """Logs as the service writes them, only warnings and worse."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging(logging.WARNING, "json")
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def _no_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests ask nobody outside: httpx reads all authorities of the machine for each call, 40 ms of computing, and tests
    that poll a server while it starts would take half of a processor from it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("authorities")))
        yield


@pytest.fixture(scope="session")
def trained_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop's folder that tests copy and never change."""
    home = tmp_path_factory.mktemp("trained") / "shop"
    store = open_store(ShopFolder(home).store)
    store.events.append(shop_events())
    store.catalog.put(items_frame(**{item(0, 0): True}))
    store.close()
    train_shop(home)
    return home


@pytest.fixture
def home(trained_shop: Path, tmp_path: Path) -> Path:
    """A trained shop of the test's own."""
    return Path(shutil.copytree(trained_shop, tmp_path / "shop"))


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until it is moved."""
    return FakeClock()


@pytest.fixture
def service(home: Path, clock: FakeClock) -> Iterator[Service]:
    """The service over a trained shop of the test's own."""
    with Service(Settings(home=home), clock) as running:
        yield running


@pytest.fixture(scope="module")
def shared_service(trained_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all examples of a property; each example must leave answers as they were."""
    home = shutil.copytree(trained_shop, tmp_path_factory.mktemp("shared") / "shop")
    with Service(Settings(home=Path(home)), FakeClock()) as running:
        yield running


@pytest.fixture(scope="session")
def _redis_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(require_redis(), tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def redis_server(_redis_of_the_session: RedisServer) -> RedisServer:
    """An empty Redis without limits."""
    _redis_of_the_session.clear()
    return _redis_of_the_session


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may break."""
    server = RedisServer(require_redis(), tmp_path)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def _watched_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedRedis]:
    servers = WatchedRedis(require_redis(), tmp_path_factory.mktemp("watched"))
    yield servers
    servers.kill()


@pytest.fixture
def watched_redis(_watched_of_the_session: WatchedRedis) -> WatchedRedis:
    """An empty primary with its replica and a sentinel."""
    _watched_of_the_session.clear()
    return _watched_of_the_session


@pytest.fixture(scope="session")
def _cluster_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOfRedis]:
    servers = ClusterOfRedis(require_redis(), tmp_path_factory.mktemp("cluster"))
    yield servers
    servers.kill()


@pytest.fixture
def redis_cluster(_cluster_of_the_session: ClusterOfRedis) -> ClusterOfRedis:
    """Three empty primaries."""
    _cluster_of_the_session.clear()
    return _cluster_of_the_session


@pytest.fixture
def own_watched_redis(tmp_path: Path) -> Iterator[WatchedRedis]:
    """A primary, a replica and a sentinel that the test may break."""
    servers = WatchedRedis(require_redis(), tmp_path)
    yield servers
    servers.kill()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[ClusterOfRedis]:
    """A cluster that the test may break; its first primary has a replica."""
    servers = ClusterOfRedis(require_redis(), tmp_path, replicas=1)
    yield servers
    servers.kill()
