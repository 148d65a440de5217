"""How a service ends: nothing that it took is cut off, nothing that it acknowledged is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from recsys.errors import InputError, StoreUnavailableError
from recsys.shop_lock import shop_alone, use_shop
from tests.serving.processes import Server, serving, wait_until
from tests.serving.shop import store_of
from tests.serving.test_processes import assert_stored

DRAIN = "3"
CODES = ("stopping", "store-unavailable")


@dataclass
class Load:
    """Clients that ask and post until nobody listens any more."""

    server: Server
    acknowledged: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, clients: int) -> None:
        """Half of them keep their connections open."""
        for number in range(clients):
            thread = threading.Thread(target=self._go_on, args=(number,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _go_on(self, client: int) -> None:
        headers = {} if client % 2 else {"Connection": "close"}
        with httpx.Client(headers=headers, timeout=20) as http:
            for number in range(100_000):
                name = f"k{client}n{number}"
                event = {"event_id": name, "customer_id": name, "kind": "view", "item_id": "x"}
                try:
                    reply = http.post(f"{self.server.url}/v1/events", json={"events": [event]})
                    self.outcomes[f"post {reply.status_code}"] += 1
                    if reply.status_code == 200:
                        self.acknowledged.append(name)
                    reply = http.get(f"{self.server.url}/v1/customers/c1/recommendations")
                    self.outcomes[f"get {reply.status_code}"] += 1
                except httpx.ConnectError:
                    self.outcomes["refused"] += 1
                    return
                except httpx.TransportError as error:
                    self.outcomes[repr(error)] += 1
                    return

    def end(self) -> None:
        """Waits for all clients."""
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_stopping_under_load_cuts_nobody_off_and_loses_nothing(home: Path, workers: str) -> None:
    """SIGTERM: readiness says no first, requests go on being answered, then connections are refused, never cut."""
    with serving(home, "--workers", workers, BOOKMATCH_DRAIN_SECONDS=DRAIN) as server:
        load = Load(server)
        load.start(6)
        wait_until(lambda: len(load.acknowledged) > 60, what="load")
        before = len(load.acknowledged)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 503, 3, "readiness")
        reply = httpx.get(f"{server.url}/health/ready")
        assert (reply.status_code, "stopping" in reply.json()["detail"]) == (503, True)
        assert reply.headers["connection"] == "close"
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert server.process.wait(30) == 0
        load.end()
        log = server.log.read_text()
    assert len(load.acknowledged) > before
    assert set(load.outcomes) == {"post 200", "get 200", "refused"}, load.outcomes
    assert load.outcomes["refused"] == 6
    assert "Traceback" not in log
    assert_stored(home, load.acknowledged)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_ends_the_delay(home: Path, workers: str) -> None:
    """A delay of a minute is over at once; the exit code is still 0."""
    with serving(home, "--workers", workers, BOOKMATCH_DRAIN_SECONDS="60") as server:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 503, 10, "readiness")
        time.sleep(0.2)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(25) == 0


def test_ctrl_c_does_not_wait(home: Path) -> None:
    """A person at a terminal is no load balancer."""
    with serving(home, BOOKMATCH_DRAIN_SECONDS="60") as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(25) == 0


def test_who_waits_for_a_disk_that_does_not_answer_is_told_the_truth(home: Path) -> None:
    """The store is locked and the service is hurried: every request is answered 503, and what it says is so."""
    with serving(home) as server, store_of(home) as store, ThreadPoolExecutor(2) as pool:
        with store.transaction():
            replies = []
            for number in range(2):
                replies.append(pool.submit(post_one, server, f"w{number}"))
                waiting = f"bookmatch_events_waiting {number + 1}.0"
                wait_until(lambda waiting=waiting: waiting in httpx.get(f"{server.url}/metrics").text, what=waiting)  # type: ignore[misc]
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGTERM)
            answers = [reply.result(20) for reply in replies]
        assert server.process.wait(25) == 0
        told = {answer.json()["type"] for answer in answers}
        assert [answer.status_code for answer in answers] == [503, 503]
        # One was being written and nobody can know; the other had not begun.
        assert "urn:bookmatch:problem:store-unavailable" in told <= {f"urn:bookmatch:problem:{code}" for code in CODES}
        for number, answer in enumerate(answers):
            if answer.json()["type"].endswith("store-unavailable"):
                assert store.histories.get(f"w{number}", 1).version == 0


def post_one(server: Server, name: str) -> httpx.Response:
    """Posts one event by a customer of its name."""
    event = {"event_id": name, "customer_id": name, "kind": "view", "item_id": "x"}
    return httpx.post(f"{server.url}/v1/events", json={"events": [event]}, timeout=20)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_closing_the_terminal_is_no_reload(home: Path, workers: str) -> None:
    """A service that somebody tried in a window ends with it, and does not keep the port."""
    controller, terminal = os.openpty()
    with serving(home, "--workers", workers, stdin=terminal) as server:
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.log.read_text().count("looked for what is new") >= 2, what="a reload")
        os.close(controller)
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(25) == 0
    os.close(terminal)


def test_a_shop_that_is_served_is_not_replaced(home: Path) -> None:
    """As long as the service runs, nobody has the shop alone; afterwards, somebody may."""
    with serving(home) as server:
        with pytest.raises(InputError, match="is in use"), shop_alone(home):
            pass
        assert server.stop() == 0
    with shop_alone(home), pytest.raises(StoreUnavailableError, match="being restored"):
        use_shop(home)


def test_workers_end_with_their_parent(home: Path) -> None:
    """A parent that is killed leaves nobody behind who answers and keeps the port; until then the shop is in use."""
    with serving(home, "--workers", "2") as server:
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        wait_until(lambda: "closed" in server.log.read_text(), 30, "closing")
        wait_until(lambda: is_free(home), 30, "a shop that nobody uses")
    assert "Traceback" not in server.log.read_text()


def is_free(home: Path) -> bool:
    """Whether nobody uses the shop."""
    try:
        with shop_alone(home):
            return True
    except InputError:
        return False
