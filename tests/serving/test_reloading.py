"""SIGHUP: what is new is taken at once, by every worker, and no request notices."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from recsys.bundle import BundleRepository
from recsys.errors import InputError
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from serving.http.settings import Settings
from serving.http.settings_file import VARIABLE, with_file
from tests.serving.processes import Server, serving, wait_until
from tests.serving.service import FakeClock, Service
from tests.serving.shop import train_shop

LISTS = "/v1/customers/c1/recommendations"


def bundles(server: Server, asked: int = 12) -> set[str]:
    """Which bundles answer, asked over so many new connections."""
    with ThreadPoolExecutor(4) as pool:
        replies = pool.map(lambda _: httpx.get(f"{server.url}{LISTS}"), range(asked))
        return {reply.json()["served_from"]["bundle"] for reply in replies}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_worker_takes_what_is_new_at_once(home: Path, tmp_path: Path, workers: str) -> None:
    """Nobody looks by himself for an hour; after the signal all answer from the new bundle, and the log says so."""
    settings = tmp_path / "bookmatch.env"
    settings.write_text("# the shop's\nBOOKMATCH_LOG_LEVEL=info\n")
    options = {"BOOKMATCH_BUNDLE_POLL": "3600", VARIABLE: str(settings), "BOOKMATCH_LOG_FORMAT": "json"}
    with serving(home, "--workers", workers, **options) as server:
        old = bundles(server)
        new = train_shop(home, seed=5)
        assert bundles(server) == old != {new}
        PlacementRepository(ShopFolder(home).placements).publish(
            "[placements.home]\n", by="a test", why="to see", now=0
        )
        settings.write_text('BOOKMATCH_LOG_LEVEL="debug"\nBOOKMATCH_CACHE_TTL=7\n')
        failed = threading.Event()
        ended = threading.Event()
        asking = threading.Thread(target=ask_on, args=(server, failed, ended))
        asking.start()
        os.kill(server.process.pid, signal.SIGHUP)
        wait_until(lambda: server.log.read_text().count('"what": "settings"') == int(workers), what="looking")
        assert bundles(server) == {new}
        ended.set()
        asking.join(10)
        assert not failed.is_set()
        log = server.log.read_text()
        assert log.count(f'"what": "bundle", "found": "{new}"') == int(workers)
        assert log.count('"what": "placements", "found": "version 1"') == int(workers)
        found = "log_level=debug; only after a restart: cache_ttl"
        assert log.count(f'"what": "settings", "found": "{found}"') == int(workers)
        assert '"event": "request"' in log, "the level that debug needs"
        assert server.stop() == 0


def ask_on(server: Server, failed: threading.Event, ended: threading.Event) -> None:
    """Asks until it is told to end, or something fails."""
    with httpx.Client() as client:
        while not ended.is_set():
            if client.get(f"{server.url}{LISTS}").status_code != 200:
                failed.set()


def test_a_bundle_that_was_refused_is_tried_again(home: Path) -> None:
    """A look by itself leaves a refused bundle alone for half a minute; one that was asked for does not."""
    with Service(Settings(home=home), FakeClock()) as service:
        bundle_id = train_shop(home, seed=5)
        manifest = BundleRepository(ShopFolder(home).models).folder / bundle_id / "manifest.json"
        content = manifest.read_bytes()
        manifest.write_bytes(b"{}")
        service.look_for_bundles()
        manifest.write_bytes(content)
        service.look_for_bundles()
        assert service.get(LISTS).served_from["bundle"] != bundle_id
        service.runner.run(service.app.reload())
        assert service.get(LISTS).served_from["bundle"] == bundle_id


def test_a_file_of_settings_wins_over_the_environment(tmp_path: Path) -> None:
    """Comments and empty lines are none; quotes are not part of a value."""
    path = tmp_path / "file"
    path.write_text("# comment\n; another\n\nBOOKMATCH_CACHE_TTL = '5'\nOTHER=\"a b\"\n")
    merged = with_file({VARIABLE: str(path), "BOOKMATCH_CACHE_TTL": "9", "PATH": "/bin"})
    assert merged == {VARIABLE: str(path), "BOOKMATCH_CACHE_TTL": "5", "OTHER": "a b", "PATH": "/bin"}
    assert with_file({"PATH": "/bin"}) == {"PATH": "/bin"}


@pytest.mark.parametrize("line", ["BOOKMATCH_CACHE_TTL", "a b=3", f"{VARIABLE}=other", "BOOKMATCH_HOME=elsewhere"])
def test_a_line_that_is_no_setting_is_named(tmp_path: Path, line: str) -> None:
    """With the file and the line's number."""
    path = tmp_path / "file"
    path.write_text(f"\n{line}\n")
    with pytest.raises(InputError, match=r"line 2 of .*file is"):
        with_file({VARIABLE: str(path)})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the variable that names it."""
    with pytest.raises(InputError, match=rf"{VARIABLE} names .*cannot be read"):
        with_file({VARIABLE: str(tmp_path / "none")})
