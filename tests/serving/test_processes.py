"""The service as it runs: processes, sockets, signals."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from recsys.shop import ShopFolder
from tests.serving.processes import Server, free_port, serving, wait_until
from tests.serving.redis_server import RedisServer
from tests.serving.shop import item, purchase, store_of

TARGET = "/v1/customers/c1/recommendations"


def post(server: Server, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """Posts events to one server; the results."""
    reply = httpx.post(f"{server.url}/v1/events", json={"events": events})
    assert reply.status_code == 200, reply.text
    results: list[dict[str, Any]] = reply.json()["results"]
    return results


def listed(server: Server) -> list[str]:
    """The items that a server answers, over a new connection."""
    reply = httpx.get(f"{server.url}{TARGET}")
    assert reply.status_code == 200, reply.text
    return [entry["item_id"] for entry in reply.json()["items"]]


def raw(server: Server, request: bytes) -> tuple[int, bytes, bytes]:
    """Status, head and body of what the server says to these bytes."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.lower(), body


@pytest.fixture(scope="module")
def one_server(trained_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that tests only read from."""
    home = shutil.copytree(trained_shop, tmp_path_factory.mktemp("one") / "shop")
    with serving(Path(home)) as server:
        yield server


def assert_events_count_everywhere(one: Server, two: Server) -> None:
    """What is posted to one is known to the other when it is asked next, and the other way round."""
    for number in range(10):
        writer, reader = (one, two) if number % 2 else (two, one)
        first = listed(reader)[0]
        result = post(writer, {"customer_id": "c1", "kind": "purchase", "item_id": first})
        assert result[0]["status"] == "accepted"
        assert first not in listed(reader)
        assert first not in listed(writer)


def test_an_event_posted_to_one_process_counts_in_the_next_answer_of_another(home: Path) -> None:
    """Two servers, one store, no Redis."""
    with serving(home) as one, serving(home) as two:
        assert_events_count_everywhere(one, two)


@pytest.mark.redis
def test_an_item_that_is_put_through_one_process_holds_in_the_next_answer_of_another(
    home: Path, redis_server: RedisServer
) -> None:
    """Two servers, one store, one Redis: sold out through one, it is in no list of the other; put back, it is."""
    shared = {"BOOKMATCH_REDIS_URL": redis_server.url, "BOOKMATCH_REDIS_TIMEOUT_MS": "1000"}
    with serving(home, **shared) as one, serving(home, **shared) as two:
        for number in range(6):
            writer, reader = (one, two) if number % 2 else (two, one)
            before = listed(reader)
            address = f"{writer.url}/v1/items/{quote(before[0], safe='')}"
            assert httpx.put(address, json={"available": False}).status_code in (200, 201)
            assert before[0] not in listed(reader) + listed(writer)
            if number < 3:
                assert httpx.put(address, json={"title": "back"}).json()["status"] == "changed"
                assert listed(reader) == listed(writer) == before


@pytest.mark.redis
def test_the_same_with_a_cache_that_both_share(home: Path, redis_server: RedisServer) -> None:
    """Two servers, one store, one Redis; and the cache is in use."""
    with (
        serving(home, BOOKMATCH_REDIS_URL=redis_server.url) as one,
        serving(home, BOOKMATCH_REDIS_URL=redis_server.url) as two,
    ):
        assert_events_count_everywhere(one, two)
        listed(one)
        wait_until(lambda: httpx.get(f"{two.url}{TARGET}").json()["served_from"]["cache"]["status"] == "hit")


def test_several_workers_answer_alike_and_add_up_their_metrics(home: Path) -> None:
    """An event counts on every worker; /metrics is the sum whichever worker is asked; stopping leaves nothing."""
    with serving(home, "--workers", "2", TMPDIR=str(home.parent)) as server:
        first = listed(server)[0]
        post(server, {"customer_id": "c1", "kind": "purchase", "item_id": first})
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: listed(server), range(60)))
        assert all(first not in answer for answer in answers)
        count = 'requests_total{method="GET",route="/v1/customers/{id}/recommendations",status="200"} 61.0'
        for _ in range(6):
            assert f"bookmatch_http_{count}" in httpx.get(f"{server.url}/metrics").text
        # Each worker keeps the customer's history, and says so every second.
        wait_until(lambda: "bookmatch_history_copies 2.0" in httpx.get(f"{server.url}/metrics").text, what="both sizes")
        assert server.stop() == 0
    assert not list(home.parent.glob("bookmatch-metrics-*"))


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (b"/v1/items/s1%2Fb02/related", 200, None),
        (b"/v1/items/s1%2fb02/related?limit=1", 200, None),
        (b"/v1/items/s1/b02/related", 404, "no-such-route"),
        (b"/v1/items/../related", 404, "unknown-item"),
        (b"/v1/items/%2E%2E/related", 404, "unknown-item"),
        (b"/v1/items/./related", 404, "unknown-item"),
        (b"/v1/items/..%2F..%2Fhealth/related", 404, "unknown-item"),
        (b"/v1/items/x/../../../health/live", 404, "no-such-route"),
        (b"//v1/items/s1%2Fb02/related", 404, "no-such-route"),
        (b"/v1/items//related", 404, "no-such-route"),
        (b"/v1/items/a%3Fb%23c/related", 404, "unknown-item"),
        (b"/v1/items/%FF/related", 400, "malformed-path"),
        (b"/v1/items/%zz/related", 400, "malformed-path"),
        (b"/v1/customers/%E4%B9%A6/recommendations", 200, None),
    ],
)
def test_paths_mean_on_the_wire_what_they_say(one_server: Server, path: bytes, status: int, code: str | None) -> None:
    """Through the real server nothing is decoded twice, collapsed or redirected."""
    got, head, body = raw(one_server, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert got == status
    if code is not None:
        assert b"application/problem+json" in head
        assert orjson.loads(body)["type"] == f"urn:bookmatch:problem:{code}"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /v1/items/a b/related HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_a_problem_too(one_server: Server, request_bytes: bytes) -> None:
    """400, and the connection is closed."""
    status, head, body = raw(one_server, request_bytes)
    assert status == 400
    assert b"application/problem+json" in head
    assert orjson.loads(body)["type"] == "urn:bookmatch:problem:malformed-request"


def test_head_sends_no_body_over_the_wire(one_server: Server) -> None:
    """Only the head."""
    request = b"HEAD /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert raw(one_server, request)[::2] == (200, b"")


def test_a_body_that_grows_too_large_on_its_way_is_cut_off(one_server: Server) -> None:
    """Chunked, without an announced length: 413."""

    def pieces() -> Any:
        for _ in range(40):
            yield b" " * 65536

    headers = {"Content-Type": "application/json"}
    reply = httpx.post(f"{one_server.url}/v1/events", content=pieces(), headers=headers)
    assert (reply.status_code, reply.json()["type"]) == (413, "urn:bookmatch:problem:body-too-large")


def run_serve(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A `bookmatch serve` that is expected to refuse."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BOOKMATCH_")}
    program = str(Path(sys.executable).with_name("bookmatch"))
    return subprocess.run(
        [program, "serve", *options],
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_serving_without_a_store_says_how_to_make_one(tmp_path: Path) -> None:
    """Exit code 1, one paragraph."""
    result = run_serve("--home", str(tmp_path / "none"))
    assert result.returncode == 1
    assert "there is no store" in result.stderr
    assert "bookmatch import" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "none").exists()


def test_serving_without_a_model_says_how_to_make_one(home: Path) -> None:
    """Exit code 1."""
    shutil.rmtree(ShopFolder(home).models)
    result = run_serve("--home", str(home))
    assert (result.returncode, "bookmatch train" in result.stderr) == (1, True)


def test_a_port_in_use_is_told_by_its_number(home: Path) -> None:
    """Exit code 1, before any worker starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_serve("--home", str(home), "--port", str(port), "--workers", "2")
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in result.stderr


def test_a_misspelt_variable_stops_the_start(home: Path) -> None:
    """Exit code 1, and the name."""
    result = run_serve("--home", str(home), "--port", str(free_port()), BOOKMATCH_CACHESIZE="3")
    assert (result.returncode, "BOOKMATCH_CACHESIZE" in result.stderr) == (1, True)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_hints_work_as_they_are_printed(home: Path, workers: str) -> None:
    """Three curl lines, with a customer and an item of this shop; each runs in a shell and succeeds."""
    with store_of(home) as store:
        store.events.append([purchase("o'hara & söhne/1", item(2, place), place) for place in range(20)])
    with serving(home, "--hints", "--workers", workers) as server:
        wait_until(lambda: "Ctrl-C" in server.log.read_text(), what="printing hints")
        lines = [line for line in server.log.read_text().splitlines() if line.startswith("  curl ")]
        assert len(lines) == 3
        answers = [
            subprocess.run(line.replace("curl", "curl -sf", 1), shell=True, capture_output=True, check=True).stdout
            for line in lines
        ]
        assert orjson.loads(answers[0])["served_from"]["fallback"] is None
        assert orjson.loads(answers[1])["items"]
        assert orjson.loads(answers[2])["results"][0]["status"] == "accepted"


def test_a_stopped_service_finishes_what_it_began(home: Path) -> None:
    """SIGTERM while events are being posted: whatever was acknowledged is stored, and the exit code is 0."""
    acknowledged: list[str] = []
    with serving(home) as server:
        ended = _post_until_refused(server, acknowledged)
        wait_until(lambda: len(acknowledged) > 20, what="posting")
        assert server.stop() == 0
        ended.wait(10)
        assert "Traceback" not in server.log.read_text()
    assert_stored(home, acknowledged)


def test_a_killed_service_loses_nothing_that_it_acknowledged(home: Path) -> None:
    """SIGKILL in the middle: every accepted event is in the store."""
    acknowledged: list[str] = []
    with serving(home) as server:
        ended = _post_until_refused(server, acknowledged)
        wait_until(lambda: len(acknowledged) > 20, what="posting")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        ended.wait(10)
    assert_stored(home, acknowledged)


def _post_until_refused(server: Server, acknowledged: list[str]) -> threading.Event:
    ended = threading.Event()

    def post_on() -> None:
        with httpx.Client() as client:
            try:
                for number in range(100_000):
                    event = {"event_id": f"p{number}", "customer_id": f"p{number}", "kind": "view", "item_id": "x"}
                    reply = client.post(f"{server.url}/v1/events", json={"events": [event]})
                    assert reply.status_code == 200
                    acknowledged.append(f"p{number}")
            except httpx.TransportError:
                ended.set()

    threading.Thread(target=post_on, daemon=True).start()
    return ended


def assert_stored(home: Path, customers: list[str]) -> None:
    """Each of these customers has a history."""
    with store_of(home) as store:
        assert [customer for customer in customers if not store.histories.version(customer)] == []


def test_serving_imports_nothing_of_training() -> None:
    """Neither the package nor what only it needs: starting is fast and the memory is for answers."""
    heavy = ("training", "implicit", "sklearn", "redis")
    code = f"import sys, serving.http.app; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
