"""Keys as they are used: `bookmatch serve` with several workers, and commands beside it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import orjson
import pytest

from recsys.access.keys import NewKey, Role
from serving.http.protocol import MAX_HEAD_BYTES
from tests.serving.keys import given_key
from tests.serving.processes import Server, free_port, serving
from tests.serving.shop import store_of

TARGET = "/v1/customers/c1/recommendations"
CONNECTIONS = 24


@pytest.fixture(scope="module")
def shop(trained_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a key, so that keys are asked for."""
    home = Path(shutil.copytree(trained_shop, tmp_path_factory.mktemp("keyed") / "shop"))
    given_key(home, Role.ADMIN)
    return home


@pytest.fixture(scope="module")
def two_workers(shop: Path) -> Iterator[Server]:
    """A service of two processes."""
    with serving(shop, "--workers", "2", BOOKMATCH_LOG_LEVEL="debug") as server:
        yield server


def statuses(server: Server, key: NewKey) -> list[int]:
    """What a key opens, over so many new connections that every worker takes some."""

    def ask(_: int) -> int:
        return httpx.get(server.url + TARGET, headers={"Authorization": f"Bearer {key.text}"}).status_code

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, range(CONNECTIONS)))


def command(home: Path, *words: str) -> str:
    """What `bookmatch` prints."""
    program = str(Path(sys.executable).with_name("bookmatch"))
    done = subprocess.run([program, *words, "--home", str(home)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def opens(server: Server, key: str) -> int:
    """What a key opens, asked again for as long as this address is only told to wait."""
    while (reply := httpx.get(server.url + TARGET, headers={"X-API-Key": key})).status_code == 429:
        time.sleep(float(reply.headers["Retry-After"]))
    return reply.status_code


def test_a_key_counts_on_every_worker_from_when_it_is_there(two_workers: Server, shop: Path) -> None:
    """Made beside the running service and used at once; revoked, and no request that starts after that gets in."""
    for _ in range(5):
        key = given_key(shop, Role.STOREFRONT)
        assert set(statuses(two_workers, key)) == {200}
        with store_of(shop) as store:
            store.keys.revoke(key.kept.key_id, 1)
        # After some dozen refusals an address is only told to wait.
        assert set(statuses(two_workers, key)) <= {401, 429}


def test_commands_make_rotate_and_revoke_keys_beside_the_service(two_workers: Server, shop: Path) -> None:
    """As typed: both keys are valid during the overlap, and neither once they are revoked. No log shows a key."""
    first = orjson.loads(command(shop, "keys", "create", "--role", "storefront", "--name", "shop", "--json"))
    second = orjson.loads(command(shop, "keys", "rotate", first["id"], "--overlap", "1h", "--json"))
    assert [opens(two_workers, each["key"]) for each in (first, second)] == [200, 200]
    for each in (first, second):
        command(shop, "keys", "revoke", each["id"])
        assert opens(two_workers, each["key"]) == 401
    httpx.get(f"{two_workers.url}{TARGET}?key={first['key']}")
    log = two_workers.log.read_text()
    assert "refused" in log
    for each in (first, second):
        assert each["key"].rpartition("_")[2] not in log


def test_a_head_that_goes_on_and_on_is_refused(two_workers: Server) -> None:
    """431 long before memory is full, for one endless header as for many."""
    host, _, port = two_workers.url.removeprefix("http://").partition(":")
    for piece in (b"x" * 4096, b"x-more: y\r\n" * 400):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: shop\r\nx-long: ")
            sent, answer = 0, b""
            try:
                while not answer and sent < 100 * MAX_HEAD_BYTES:
                    connection.sendall(piece)
                    sent += len(piece)
                    connection.settimeout(0.01)
                    try:
                        answer = connection.recv(4096)
                    except TimeoutError:
                        connection.settimeout(10)
            except ConnectionError:
                pytest.fail(f"cut without a word after {sent} bytes")
        assert answer.startswith(b"HTTP/1.1 431 "), answer
        assert sent <= 3 * MAX_HEAD_BYTES


def test_trailers_are_bounded_and_say_nothing(two_workers: Server) -> None:
    """Whoever has no key must not fill memory after a body's last chunk, nor add headers that the head did not have."""
    host, _, port = two_workers.url.removeprefix("http://").partition(":")
    head = b"POST /v1/events HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = b"HTTP/1.1 429 "
    while answer.startswith(b"HTTP/1.1 429 "):  # After refusals of before, for a second.
        time.sleep(0.1)
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(head + b"2\r\n{}\r\n0\r\nx-request-id: of-a-trailer\r\n\r\n")
            answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 401 "), answer
    assert b"of-a-trailer" not in answer
    for piece in (b"x" * 4096, b"x-more: y\r\n" * 400):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(head + b"0\r\nx-long: ")
            with pytest.raises(ConnectionError):
                connection.sendall(piece * (100 * MAX_HEAD_BYTES // len(piece)))


def test_without_keys_it_starts_on_this_machine_alone(trained_shop: Path, tmp_path: Path) -> None:
    """Elsewhere it refuses and says how to make keys, or what --no-keys means; here it says that it is open."""
    home = Path(shutil.copytree(trained_shop, tmp_path / "shop"))
    program = str(Path(sys.executable).with_name("bookmatch"))
    words = [program, "serve", "--home", str(home), "--host", "0.0.0.0", "--port", str(free_port())]
    refused = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 1
    assert "there is no API key" in refused.stderr
    assert "bookmatch keys create --role storefront" in refused.stderr
    assert "--no-keys" in refused.stderr
    with serving(home) as server:
        assert httpx.get(server.url + TARGET).status_code == 200
        assert "No API key yet: only programs of this machine" in server.log.read_text()
    with serving(home, "--host", "0.0.0.0", "--no-keys") as server:
        assert httpx.get(server.url + TARGET, headers={"X-Forwarded-For": "203.0.113.1"}).status_code == 200
        assert "whoever reaches this address" in server.log.read_text()
    given_key(home, Role.ADMIN)
    with serving(home, "--host", "0.0.0.0") as server:
        assert httpx.get(server.url + TARGET).status_code == 401
        assert "No API key" not in server.log.read_text()
