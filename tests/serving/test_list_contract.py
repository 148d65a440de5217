"""What holds for every list, whatever is asked and whatever happened before, with no cache, with memory and with Redis.

A list that is asked for over HTTP has no item twice, nothing that may not be shown, never more than was asked for and
fewer only with a cause; it is the same when it is asked for again; the evidence of each item sums to its score; and the
three services, of which two keep lists, answer the same.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.http.settings import Settings
from tests.serving.redis_server import RedisServer
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import item

CUSTOMERS = ["c1", "c2", "c3", "newcomer"]
ITEMS = [item(shelf, place) for shelf in range(4) for place in range(30)]
LIMITS = st.sampled_from([1, 2, 20, 21, 60, 200])
EXCLUDED = st.lists(st.sampled_from([*ITEMS[:60], "unknown"]), max_size=4, unique=True)
FEEDBACK = ["purchase", "view", "add_to_cart", "own", "like", "not_interested", "ignore_for_recommendations", "return"]

EVENT = st.tuples(st.just("event"), st.sampled_from(CUSTOMERS), st.sampled_from(FEEDBACK), st.sampled_from(ITEMS[:60]))
RATE = st.tuples(st.just("rate"), st.sampled_from(CUSTOMERS), st.sampled_from(ITEMS[:60]), st.integers(1, 5))
STEP = st.one_of(
    EVENT,
    EVENT,
    RATE,
    st.tuples(st.just("undo"), st.integers(0, 9)),
    st.tuples(st.just("stock"), st.sampled_from(ITEMS[:60]), st.booleans()),
    st.tuples(st.just("take off"), st.sampled_from(ITEMS[:60])),
    st.tuples(st.just("switch"), st.sampled_from(CUSTOMERS), st.booleans()),
    st.tuples(st.just("merge"), st.sampled_from(CUSTOMERS[:3])),
    st.tuples(st.just("wait"), st.integers(1, 100_000)),
)
SURFACES: dict[str, Any] = {
    "recommendations": st.builds("/v1/customers/{}/recommendations".format, st.sampled_from(CUSTOMERS)),
    "related": st.builds(
        lambda identifier, relation: f"/v1/items/{identifier.replace('/', '%2F')}/related?relation={relation}",
        st.sampled_from(ITEMS[:60]),
        st.sampled_from(["similar", "bought_together", "after"]),
    ),
    "popular": st.builds(
        "/v1/popular?order={}&window={}".format,
        st.sampled_from(["popular", "rising", "new"]),
        st.sampled_from(["all", "3d", "30d", "365d"]),
    ),
    "buy-again": st.builds("/v1/customers/{}/buy-again".format, st.sampled_from(CUSTOMERS)),
    "recently-viewed": st.builds("/v1/customers/{}/recently-viewed".format, st.sampled_from(CUSTOMERS)),
}
"""The targets of each kind of list."""


@dataclass
class World:
    """Three services over one shop, and what the test knows of it."""

    clock: FakeClock
    services: dict[str, Service]
    hidden: set[str] = field(default_factory=set)
    posted: list[tuple[str, str]] = field(default_factory=list)
    lost: bool = False

    def send(self, method: str, target: str, body: object) -> Reply:
        """A write, to the service that keeps nothing."""
        reply = self.services["fresh"].ask(method, target, orjson.dumps(body), content_type="application/json")
        assert reply.status in (200, 201), reply.body
        return reply

    def event(self, customer: str, kind: str, **more: object) -> None:
        """One event."""
        identifier = f"e{len(self.posted)}"
        event = {"event_id": identifier, "customer_id": customer, "kind": kind, **more}
        (result,) = self.send("POST", "/v1/events", {"events": [event]}).json()["results"]
        assert result["status"] == "accepted", result
        self.posted.append((customer, identifier))

    def act(self, step: tuple[Any, ...]) -> None:
        """One thing that happens."""
        match step:
            case ("event", customer, kind, item_id):
                self.event(customer, kind, item_id=item_id)
            case ("rate", customer, item_id, rating):
                self.event(customer, "rate", item_id=item_id, rating=rating)
            case ("undo", number) if self.posted:
                customer, identifier = self.posted[number % len(self.posted)]
                self.event(customer, "undo", context={"undoes": identifier})
            case ("stock", item_id, available):
                self.send("PUT", f"/v1/items/{item_id.replace('/', '%2F')}", {"available": available})
                (self.hidden.discard if available else self.hidden.add)(item_id)
                self.lost = True
            case ("take off", item_id):
                self.services["fresh"].ask("DELETE", f"/v1/items/{item_id.replace('/', '%2F')}")
                self.hidden.add(item_id)
                self.lost = True
            case ("switch", customer, recommendations):
                self.send("PUT", f"/v1/customers/{customer}", {"recommendations": recommendations})
            case ("merge", customer):
                self.send("POST", f"/v1/customers/{customer}/merge", {"visitor_id": "newcomer"})
            case ("wait", seconds):
                self.clock.forward(seconds)


@contextmanager
def world(trained_shop: Path, redis: RedisServer) -> Iterator[World]:
    """A shop of its own, with nothing cached: copies of one store number their events alike."""
    redis.clear()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(shutil.copytree(trained_shop, Path(folder) / "shop"))
        clock = FakeClock()
        with (
            Service(Settings(home=home, cache_size=0), clock) as fresh,
            Service(Settings(home=home), clock) as memory,
            Service(Settings(home=home, redis_url=redis.url, redis_timeout_ms=2_000), clock) as shared,
        ):
            yield World(clock, {"fresh": fresh, "memory": memory, "redis": shared})


def check_list(reply: Reply, limit: int, excluded: list[str], hidden: set[str]) -> None:
    """What holds for one answer."""
    answer = reply.json()
    ids = reply.items
    assert len(set(ids)) == len(ids) <= limit
    assert not set(ids) & (set(excluded) | hidden)
    served = answer["served_from"]
    assert (served["short"] is None) == (len(ids) == limit)
    assert all(count >= 0 for count in served["masked"].values())
    assert answer["recommendation_id"]
    scores = [entry["score"] for entry in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    for entry, score in zip(answer["items"], scores, strict=True):
        evidence = entry["reason"]["evidence"]
        assert evidence
        assert sum(part["share"] for part in evidence) == pytest.approx(score, abs=1e-9)
        assert served["fallback"] is None or entry["reason"]["code"] != "history"


@pytest.mark.redis
@pytest.mark.parametrize("surface", SURFACES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_list_keeps_the_contract(
    trained_shop: Path, redis_server: RedisServer, surface: str, data: st.DataObject
) -> None:
    """After anything that may happen, in any order, on every kind of service."""
    with world(trained_shop, redis_server) as shop:
        for _ in range(data.draw(st.integers(1, 4))):
            for step in data.draw(st.lists(STEP, max_size=5)):
                shop.act(step)
            limit, excluded = data.draw(LIMITS), data.draw(EXCLUDED)
            path = data.draw(SURFACES[surface])
            parameters = [f"limit={limit}", *(f"exclude={each.replace('/', '%2F')}" for each in excluded)]
            target = path + ("&" if "?" in path else "?") + "&".join(parameters)
            answers = {}
            for name, service in shop.services.items():
                first, again = service.get(target), service.get(target)
                assert first.status == 200, first.body
                assert first.json()["items"] == again.json()["items"]
                check_list(first, limit, excluded, shop.hidden)
                answers[name] = first
            kept_longer = shop.lost and any(reply.served_from["cache"]["status"] == "hit" for reply in answers.values())
            for reply in answers.values():
                assert len(reply.items) == len(answers["fresh"].items)
                if not kept_longer:
                    assert reply.json()["items"] == answers["fresh"].json()["items"]
