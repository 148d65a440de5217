"""What holds for every list, whatever is asked and whatever happened before, with no cache, with memory and with Redis.

A list that is asked for over HTTP has no item twice, nothing that may not be shown or that its customer refused, never
more than was asked for and fewer only with a cause; it is the same when it is asked for again; the evidence of each
item sums to its score; and the three services, of which two keep lists, answer the same. No page has an item twice.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

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
CUSTOMER = st.sampled_from(CUSTOMERS)
WINDOWS = st.sampled_from(["all", "3d", "30d", "365d"])
RELATIONS = st.sampled_from(["similar", "bought_together", "after"])
SESSION = st.lists(st.fixed_dictionaries({"item_id": st.sampled_from([*ITEMS[:60], "unknown"])}), max_size=4)
GIVEN = st.lists(st.sampled_from([*ITEMS, "unknown"]), min_size=1, max_size=40)


@dataclass(frozen=True)
class Question:
    """One question: a target, and a body where it is posted; `customer` is whose refusals hold for it."""

    target: str
    body: dict[str, Any] | None = None
    customer: str | None = None

    def put(self, service: Service, limit: int, excluded: list[str]) -> Reply:
        """Asks it."""
        if self.body is None:
            parameters = [f"limit={limit}", *(f"exclude={quote(each, safe='')}" for each in excluded)]
            return service.get(self.target + ("&" if "?" in self.target else "?") + "&".join(parameters))
        limits = {} if "lists" in self.body else {"limit": limit}
        body = orjson.dumps({**self.body, **limits, "exclude": excluded})
        return service.ask("POST", self.target, body, content_type="application/json")


def _page(customer: str, kinds: list[dict[str, Any]], limit: int) -> Question:
    lists = [{"name": f"{place}", "limit": limit, **kind} for place, kind in enumerate(kinds)]
    return Question("/v1/pages", {"customer_id": customer, "lists": lists}, customer)


ON_PAGES = st.one_of(
    st.just({"type": "recommendations"}),
    st.just({"type": "buy_again"}),
    st.builds(lambda item_id: {"type": "related", "item_id": item_id}, st.sampled_from(ITEMS[:60])),
    st.builds(lambda window: {"type": "popular", "window": window}, WINDOWS),
)
SURFACES: dict[str, Any] = {
    "recommendations": st.builds(lambda who: Question(f"/v1/customers/{who}/recommendations", customer=who), CUSTOMER),
    "related": st.builds(
        lambda item_id, relation: Question(f"/v1/items/{quote(item_id, safe='')}/related?relation={relation}"),
        st.sampled_from(ITEMS[:60]),
        RELATIONS,
    ),
    "popular": st.builds(
        lambda order, window: Question(f"/v1/popular?order={order}&window={window}"),
        st.sampled_from(["popular", "rising", "new"]),
        WINDOWS,
    ),
    "buy-again": st.builds(lambda who: Question(f"/v1/customers/{who}/buy-again", customer=who), CUSTOMER),
    "recently-viewed": st.builds(lambda who: Question(f"/v1/customers/{who}/recently-viewed"), CUSTOMER),
    "session": st.builds(lambda events: Question("/v1/recommendations", {"events": events}), SESSION),
    "rank": st.builds(
        lambda who, given: Question("/v1/rank", {"customer_id": who, "item_ids": given}, who), CUSTOMER, GIVEN
    ),
    "pages": st.builds(_page, CUSTOMER, st.lists(ON_PAGES, min_size=1, max_size=4), LIMITS),
}
"""The questions for each kind of list."""


@dataclass
class World:
    """Three services over one shop, and what the test knows of it."""

    clock: FakeClock
    services: dict[str, Service]
    hidden: set[str] = field(default_factory=set)
    posted: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    visitor: str | None = None
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
        if kind == "not_interested":
            self.refused[identifier] = (customer, str(more["item_id"]))

    def refused_by(self, customer: str | None) -> set[str]:
        """What a customer said no to, under whichever of their ids, and did not take back."""
        if customer is None:
            return set()
        person = self.visitor if customer == "newcomer" and self.visitor else customer
        ids = {person, "newcomer"} if person == self.visitor else {person}
        return {item_id for who, item_id in self.refused.values() if who in ids}

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
                self.refused.pop(identifier, None)
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
            case ("merge", customer) if self.visitor in (None, customer):
                self.visitor = customer
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


def check_lists(shop: World, asked: Question, reply: Reply, limit: int, excluded: list[str]) -> None:
    """What holds for one answer, of one list or a page of them."""
    kept_out = set(excluded) | shop.hidden | shop.refused_by(asked.customer)
    answer = reply.json()
    if "lists" not in answer:
        check_list(answer, limit, kept_out, given="item_ids" in (asked.body or {}))
        return
    assert asked.body is not None
    lists = answer["lists"]
    assert [each["name"] for each in lists] == [each["name"] for each in asked.body["lists"]]
    everywhere = [entry["item_id"] for each in lists for entry in each["items"]]
    assert len(set(everywhere)) == len(everywhere)
    # What others like is also for whoever does not.
    for each, wanted in zip(lists, asked.body["lists"], strict=True):
        own = kept_out if wanted["type"] in ("recommendations", "buy_again") else set(excluded) | shop.hidden
        check_list(each, wanted["limit"], own)


def check_list(answer: dict[str, Any], limit: int, kept_out: set[str], *, given: bool = False) -> None:
    """What holds for one list; in one whose items were `given`, those that nothing speaks for are last."""
    ids = [entry["item_id"] for entry in answer["items"]]
    assert len(set(ids)) == len(ids) <= limit
    assert not set(ids) & kept_out
    served = answer["served_from"]
    assert (served["short"] is None) == (len(ids) == limit)
    assert all(count >= 0 for count in served["masked"].values())
    assert answer["recommendation_id"]
    scores = [entry["score"] for entry in answer["items"]]
    personal = [score for entry, score in zip(answer["items"], scores, strict=True) if not given or spoken_for(entry)]
    assert personal == sorted(personal, reverse=True)
    for entry, score in zip(answer["items"], scores, strict=True):
        evidence = entry["reason"]["evidence"]
        assert evidence
        assert sum(part["share"] for part in evidence) == pytest.approx(score, abs=1e-9)
        assert served["fallback"] is None or entry["reason"]["code"] != "history"


def spoken_for(entry: dict[str, Any]) -> bool:
    """Whether the customer's history speaks for an item."""
    return bool(entry["reason"]["code"] == "history")


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
            limit, excluded, asked = data.draw(LIMITS), data.draw(EXCLUDED), data.draw(SURFACES[surface])
            answers = {}
            for name, service in shop.services.items():
                # The third answer in a row may be a repetition, which is made otherwise.
                first, *again = (asked.put(service, limit, excluded) for _ in range(3))
                assert first.status == 200, first.body
                assert all(listed(each) == listed(first) for each in again)
                check_lists(shop, asked, first, limit, excluded)
                answers[name] = first
            kept_longer = shop.lost and any(b'"status":"hit"' in reply.body for reply in answers.values())
            for reply in answers.values():
                if not kept_longer:
                    assert listed(reply) == listed(answers["fresh"])
                assert [len(each) for each in listed(reply)] == [len(each) for each in listed(answers["fresh"])]


def listed(reply: Reply) -> list[list[object]]:
    """The items of every list of an answer."""
    answer = reply.json()
    return [each["items"] for each in answer.get("lists", [answer])]
