"""The application inside the test: no network, and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote

import orjson
from starlette.types import ASGIApp

from serving.http.app import create_app
from serving.http.request_layer import RequestLayer
from serving.http.settings import Settings
from serving.http.state import Clocks, ServiceState
from tests.serving.shop import DAY, START


@dataclass
class FakeClock:
    """All clocks, moved by hand: `ms` since 1970; every look at the work that was done finds `step` seconds more."""

    ms: int = START + 100 * DAY
    step: float = 0.0
    done: float = 0.0

    def clocks(self) -> Clocks:
        """As the service takes them."""
        return Clocks(now=lambda: self.ms, monotonic=lambda: self.ms / 1000, worked=self.worked)

    def worked(self) -> float:
        """Seconds of computing."""
        self.done += self.step
        return self.done

    def forward(self, seconds: float) -> None:
        """Lets time pass."""
        self.ms += int(seconds * 1000)


@dataclass(frozen=True)
class Reply:
    """What the application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return orjson.loads(self.body)

    @property
    def items(self) -> list[str]:
        """The ids of an answer's items."""
        return [entry["item_id"] for entry in self.json()["items"]]

    @property
    def served_from(self) -> dict[str, Any]:
        """How an answer came about."""
        return dict(self.json()["served_from"])


class Service:
    """The application with its lifespan, asked without a network, exactly as it is told: nothing rewrites paths."""

    def __init__(self, settings: Settings, clock: FakeClock) -> None:
        self.client = "127.0.0.1"
        """Whom the requests come from."""
        self.host = "127.0.0.1"
        """By which name they ask for this service."""
        self.runner = asyncio.Runner()
        self.app = create_app(settings, clock.clocks())
        self._lifespan = self.app.framework.router.lifespan_context(self.app.framework)

    def __enter__(self) -> Self:
        self.runner.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *failure: object) -> None:
        self.runner.run(self._lifespan.__aexit__(None, None, None))
        self.runner.close()

    @property
    def state(self) -> ServiceState:
        """What the service holds open."""
        state: ServiceState = self.app.framework.state.service
        return state

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
        """One request; `target` is the path and query as they would stand on the wire."""
        return self.runner.run(self.asking(method, target, body, **headers))

    def ask_framework(self, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
        """One request that no hot route answers."""
        layer = RequestLayer(self.app.framework, self.state.metrics, self.state.clocks.monotonic)
        return self.runner.run(self.asking(method, target, body, app=layer, **headers))

    def get(self, target: str) -> Reply:
        """A GET request."""
        return self.ask("GET", target)

    def post_events(self, *events: object) -> list[dict[str, Any]]:
        """Posts events and returns the results."""
        reply = self.post(orjson.dumps({"events": events}))
        assert reply.status == 200, reply.body
        results: list[dict[str, Any]] = reply.json()["results"]
        return results

    def post(self, body: bytes) -> Reply:
        """Posts a body of JSON to the events route."""
        return self.ask("POST", "/v1/events", body, content_type="application/json")

    def look_for_bundles(self) -> None:
        """What the background poll does."""
        self.runner.run(self.state.engines.look())

    async def asking(
        self, method: str, target: str, body: bytes = b"", app: ASGIApp | None = None, **headers: str
    ) -> Reply:
        """`ask` for those who are on the event loop already."""
        path, _, query = target.partition("?")
        raw_headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", self.host.encode()), *raw_headers],
            "client": (self.client, 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[MutableMapping[str, Any]] = []
        pieces = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return pieces.pop() if pieces else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await (app or self.app)(scope, receive, send)
        start = sent[0]
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return Reply(start["status"], {key.decode(): value.decode() for key, value in start["headers"]}, content)
