"""A small trained shop, and ways to run the service over it: inside the test, and as real processes on real sockets."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from recsys.bundle import BundleRepository
from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.http.app import create_app
from serving.http.settings import Settings
from serving.http.state import Clocks
from training.pipeline import TrainingConfig, train
from training.stages import StageLog

START = 1_700_000_000_000
DAY = 86_400_000
SHELVES = 4
PER_SHELF = 30
CUSTOMERS = 48


def item(shelf: int, place: int) -> str:
    """The id of a book; customers keep to one shelf, so lists must too."""
    return f"s{shelf}/b{place:02}"


def purchase(customer: str, item_id: str, day: int, number: int = 0) -> Event:
    """One purchase with an id made from what it says."""
    return Event(
        event_id=f"{customer}|{item_id}|{day}|{number}",
        customer_id=customer,
        kind=EventKind.PURCHASE,
        item_id=item_id,
        timestamp=START + day * DAY,
    )


def shop_events() -> list[Event]:
    """Customer `c<n>` buys ten books of shelf `n % SHELVES`, each time another ten."""
    return [
        purchase(f"c{n}", item(n % SHELVES, (n // SHELVES * 3 + step * 2) % PER_SHELF), step)
        for n in range(CUSTOMERS)
        for step in range(10)
    ]


def items_frame(**available: bool) -> pl.DataFrame:
    """A row for each named item, with nothing but its availability."""
    rows = [{"item_id": name, "available": is_available} for name, is_available in available.items()]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def train_shop(home: Path, seed: int = 0) -> str:
    """Trains and publishes; another seed makes another bundle."""
    shop = ShopFolder(home)
    store = open_store(shop.store, create=False)
    try:
        config = TrainingConfig(seed=seed)
        trained = train(store, BundleRepository(shop.models), config, START + seed, StageLog(), "test")
    finally:
        store.close()
    return trained.bundle_id


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


@dataclass
class FakeClock:
    """Both clocks, moved by hand: `ms` since 1970."""

    ms: int = START + 100 * DAY

    def clocks(self) -> Clocks:
        """As the service takes them."""
        return Clocks(now=lambda: self.ms, monotonic=lambda: self.ms / 1000)

    def forward(self, seconds: float) -> None:
        """Lets time pass."""
        self.ms += int(seconds * 1000)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until it is moved."""
    return FakeClock()


@asynccontextmanager
async def running(settings: Settings, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    """The application with its lifespan, asked without a network."""
    app = create_app(settings, clock.clocks())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield client


Scenario = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]


@pytest.fixture
def ask(home: Path, clock: FakeClock) -> Callable[[Scenario], None]:
    """Runs a scenario against the application over the test's own shop."""

    def run(scenario: Scenario) -> None:
        async def session() -> None:
            async with running(Settings(home=home), clock) as client:
                await scenario(client)

        asyncio.run(session())

    return run


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(happened: Callable[[], bool], seconds: float = 20.0, what: str = "it") -> None:
    """Returns as soon as `happened`; fails after some seconds."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


@dataclass
class Server:
    """One `bookmatch serve` process."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def is_ready(self) -> bool:
        """Whether it answers that it is ready."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """Asks it to stop and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def serving(home: Path, *options: str, wait: bool = True, **variables: str) -> Iterator[Server]:
    """`bookmatch serve` over a shop, as a process of its own on a free port, until the block ends."""
    port = free_port()
    log = home.parent / f"serve-{port}.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BOOKMATCH_")}
    command = [sys.executable, "-m", "recsys.cli", "serve", "--home", str(home), "--port", str(port), *options]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment | variables, text=True
        )
    server = Server(process, f"http://127.0.0.1:{port}", log)
    try:
        if wait:
            wait_until(server.is_ready, what=f"ready\n{log.read_text()}")
        yield server
    finally:
        if process.poll() is None:
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
