"""Pages of the web: what browsers may ask, before and with the request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from recsys.access.keys import NewKey, Role
from recsys.data.events import EventKind
from serving.http.body import BROWSER_BYTES
from serving.http.settings import Settings
from tests.serving.keys import given_key
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import item, store_of
from tests.serving.test_requests import assert_problem

SHOP, OTHER, EVIL = "https://shop.example", "https://other.example", "https://evil.example"
EVENTS = "/v1/events"


@pytest.fixture
def web(home: Path) -> NewKey:
    """A key that stands in the shop's pages."""
    return given_key(home, Role.EVENTS, origins=(SHOP,))


@pytest.fixture
def keyed(home: Path, clock: FakeClock, web: NewKey) -> Iterator[Service]:
    """A service with keys for two sites."""
    given_key(home, Role.EVENTS, origins=(OTHER,))
    with Service(Settings(home=home), clock) as running:
        yield running


def preflight(service: Service, origin: str, target: str = EVENTS) -> Reply:
    """What a browser asks before it posts JSON with a header of its own."""
    return service.ask(
        "OPTIONS", target, origin=origin, access_control_request_method="POST",
        access_control_request_headers="authorization,content-type",
    )  # fmt: skip


def post(service: Service, key: NewKey, origin: str | None, *events: dict[str, object]) -> Reply:
    """What a page then sends."""
    headers = {"content_type": "application/json", "authorization": f"Bearer {key.text}"}
    if origin is not None:
        headers["origin"] = origin
    return service.ask("POST", EVENTS, orjson.dumps({"events": events}), **headers)


def view(kind: EventKind = EventKind.VIEW) -> dict[str, object]:
    """An event of a page."""
    return {"customer_id": "c1", "kind": kind, "item_id": item(1, 2)}


@pytest.mark.parametrize("origin", [SHOP, OTHER])
def test_a_preflight_of_a_known_origin_is_granted(keyed: Service, origin: str) -> None:
    """204 with all that the request will need; it carries no key, so any key's origin will do."""
    reply = preflight(keyed, origin)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == origin
    assert reply.headers["access-control-allow-methods"] == "POST"
    assert {"authorization", "content-type", "x-api-key"} <= set(
        reply.headers["access-control-allow-headers"].split(", ")
    )
    assert reply.headers["vary"] == "origin"


@pytest.mark.parametrize(("origin", "target"), [(EVIL, EVENTS), ("null", EVENTS), (SHOP, "/v1/popular"), (SHOP, "/x")])
def test_any_other_preflight_is_refused(keyed: Service, origin: str, target: str) -> None:
    """403 without a word that a browser would take for a grant."""
    reply = preflight(keyed, origin, target)
    assert_problem(reply, 403, "forbidden")
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_revoked_keys_origin_is_granted_no_more(keyed: Service, web: NewKey, home: Path) -> None:
    """From the next preflight on."""
    with store_of(home) as store:
        store.keys.revoke(web.kept.key_id, 1)
    assert preflight(keyed, SHOP).status == 403
    assert preflight(keyed, OTHER).status == 204


def test_a_page_of_the_keys_origin_writes(keyed: Service, web: NewKey) -> None:
    """And may read the answer, also one that refuses."""
    reply = post(keyed, web, SHOP, view())
    assert [result["status"] for result in reply.json()["results"]] == ["accepted"]
    refused = post(keyed, web, SHOP)
    assert refused.status == 422
    for each in (reply, refused):
        assert each.headers["access-control-allow-origin"] == SHOP
        assert "ratelimit" in each.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", [OTHER, EVIL, "null", None])
def test_the_key_of_a_page_works_nowhere_else(keyed: Service, web: NewKey, origin: str | None) -> None:
    """Not even on a site that has a key of its own, nor in a program."""
    reply = post(keyed, web, origin, view())
    assert_problem(reply, 403, "forbidden")
    assert "access-control-allow-origin" not in reply.headers


def test_no_other_key_works_in_a_page(keyed: Service, home: Path) -> None:
    """A key that leaked from a server is of no use to a page of another site; the page at /docs asks as itself."""
    for role in Role:
        key = given_key(home, role)
        for target in (EVENTS, "/v1/popular", "/v1/customers"):
            method = "POST" if target == EVENTS else "GET"
            assert_problem(keyed.ask(method, target, x_api_key=key.text, origin=SHOP), 403, "forbidden")
    admin = given_key(home, Role.ADMIN)
    assert keyed.ask("GET", "/v1/popular", x_api_key=admin.text, origin="http://127.0.0.1").status == 200


def test_without_keys_no_page_of_another_site_is_answered(service: Service) -> None:
    """This machine's programs may do everything, the pages in its browser may not."""
    assert_problem(service.ask("GET", "/v1/popular", origin=EVIL), 403, "forbidden")
    assert service.ask("GET", "/v1/popular", origin="http://127.0.0.1").status == 200


@pytest.mark.parametrize("kind", [EventKind.PURCHASE, EventKind.RETURN, EventKind.RATE, EventKind.UNDO])
def test_a_page_cannot_forge_what_is_dear(keyed: Service, web: NewKey, kind: EventKind) -> None:
    """Each event for itself, with the kinds that may be written; the others are stored."""
    dear = {**view(kind), "rating": 5} if kind is EventKind.RATE else view(kind)
    if kind is EventKind.UNDO:
        dear = {"customer_id": "c1", "kind": kind, "context": {"undoes": "x"}}
    first, second = post(keyed, web, SHOP, view(), dear).json()["results"]
    assert (first["status"], second["status"]) == ("accepted", "refused")
    (fault,) = second["error"]["errors"]
    assert fault["place"] == ["body", "events", 1, "kind"]
    assert "view" in fault["expected"]


def test_a_servers_key_writes_every_kind(keyed: Service, home: Path) -> None:
    """A key for events without origins is for the shop's own programs."""
    key = given_key(home, Role.EVENTS)
    assert post(keyed, key, None, view(EventKind.PURCHASE)).json()["results"][0]["status"] == "accepted"


def test_a_page_sends_little_at_a_time(keyed: Service, web: NewKey, home: Path) -> None:
    """413 for what a server may send."""
    large = {**view(), "context": {"page": "x" * BROWSER_BYTES}}
    assert_problem(post(keyed, web, SHOP, large), 413, "body-too-large")
    assert post(keyed, given_key(home, Role.EVENTS), None, large).status == 200
