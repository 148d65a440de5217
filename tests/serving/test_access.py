"""Who may ask for what: each role on each route, how keys come, and when they end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

from recsys.access.keys import NewKey, Role
from serving.http.permissions import PLACES, place_of
from serving.http.routes import ROUTERS
from serving.http.settings import Settings
from tests.serving.keys import given_key
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import store_of
from tests.serving.test_requests import assert_problem

LIST = "/v1/customers/c1/recommendations"
STRANGER = "203.0.113.7"
OPERATIONS = [
    (method, route.path) for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)
    for method in sorted(route.methods)
]  # fmt: skip
ONLY_ADMIN = {
    ("GET", "/v1/items/{id}/audience"), ("PUT", "/v1/items/{id}"), ("DELETE", "/v1/items/{id}"), ("PUT", "/v1/items"),
    ("DELETE", "/v1/items"), ("GET", "/v1/customers/{id}"), ("PUT", "/v1/customers/{id}"),
    ("DELETE", "/v1/customers/{id}"), ("GET", "/v1/customers"), ("PUT", "/v1/customers"), ("DELETE", "/v1/customers"),
    ("GET", "/v1/customers/{id}/export"), ("POST", "/v1/customers/{id}/merge"), ("GET", "/metrics"),
}  # fmt: skip
"""Written down a second time on purpose: what changes customers or items, or tells of customers."""


@pytest.fixture
def keys(home: Path) -> dict[Role, NewKey]:
    """One key of each role."""
    return {role: given_key(home, role) for role in Role}


@pytest.fixture
def keyed(home: Path, clock: FakeClock, keys: dict[Role, NewKey]) -> Iterator[Service]:
    """A service that asks for keys, and whose requests come from elsewhere."""
    with Service(Settings(home=home), clock) as running:
        running.client = STRANGER
        yield running


def bearer(key: NewKey) -> str:
    """As the header says it."""
    return f"Bearer {key.text}"


def test_every_route_is_in_the_table() -> None:
    """A new one must say who may use it; the table has none that is gone."""
    assert {(method, place.path) for place in PLACES for method in place.roles if not _of_docs(place.path)} == set(
        OPERATIONS
    )


def test_every_path_of_the_framework_is_in_the_table(service: Service) -> None:
    """Those of the page at /docs too."""
    for route in service.app.framework.routes:
        if isinstance(route, Route):
            place = place_of(re.sub(r"{\w+}", "x", route.path))
            assert place is not None
            assert place.path == route.path
        elif isinstance(route, Mount):
            assert place_of(f"{route.path}/swagger-ui.css") is not None


def _of_docs(path: str) -> bool:
    return path.startswith(("/docs", "/openapi"))


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[" ".join(each) for each in OPERATIONS])
def test_each_role_opens_what_it_is_for(keyed: Service, keys: dict[Role, NewKey], method: str, path: str) -> None:
    """And nothing else; without a key or with another's nothing is open, but for /health."""
    target = path.replace("{id}", "x")
    if path.startswith("/v1/email/unsubscribe"):
        assert keyed.ask(method, target.replace("{token}", "x")).status == 404
        return
    if path.startswith("/health"):
        assert keyed.ask(method, target).status == 200
        return
    assert_problem(keyed.ask(method, target), 401, "unauthorized")
    for role, key in keys.items():
        reply = keyed.ask(method, target, authorization=bearer(key))
        allowed = role is Role.ADMIN or (
            (method, path) not in ONLY_ADMIN and (role is Role.EVENTS) == (path == "/v1/events")
        )
        assert (reply.status not in (401, 403)) == allowed, (role, reply.body)
        if not allowed:
            assert_problem(reply, 403, "forbidden")
            assert role in reply.json()["detail"]


def test_every_operation_says_how_it_is_opened(service: Service) -> None:
    """In /openapi.json: both ways to send a key, the roles, and the answers to a request that is not let in."""
    document = service.get("/openapi.json").json()
    schemes = set(document["components"]["securitySchemes"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = place_of(path)
            assert place is not None
            wanted = [{name: []} for name in ("bearer", "key")] + ([{}] if place.area else [])
            assert operation["security"] == wanted
            assert schemes == {"bearer", "key"}
            assert f"Roles: {', '.join(sorted(place.roles[method.upper()]))}." in operation["description"]
            assert {"401", "403", "429"} <= set(operation["responses"])


@pytest.mark.parametrize("header", ["authorization", "x_api_key"])
def test_a_key_comes_in_either_header(keyed: Service, keys: dict[Role, NewKey], header: str) -> None:
    """As a bearer token, whatever the case of that word, or alone."""
    text = keys[Role.STOREFRONT].text
    value = f"bearer {text}" if header == "authorization" else text
    assert keyed.ask("GET", LIST, **{header: value}).status == 200


def test_a_refusal_says_what_to_do(keyed: Service) -> None:
    """401 names the scheme; a wrong key is told from none."""
    none = keyed.get(LIST)
    assert none.headers["www-authenticate"] == 'Bearer realm="bookmatch"'
    assert "bookmatch keys create" in none.json()["detail"]
    wrong = keyed.ask("GET", LIST, authorization="Bearer bm_store_aaaaaaaa_" + "a" * 32)
    assert_problem(wrong, 401, "unauthorized")
    assert wrong.headers["www-authenticate"].endswith('error="invalid_token"')
    basic = keyed.ask("GET", LIST, authorization="Basic YTpi")
    assert basic.headers["www-authenticate"] == none.headers["www-authenticate"]


def test_a_key_in_the_query_is_refused_with_advice(keyed: Service, keys: dict[Role, NewKey]) -> None:
    """Even beside a good header, and the answer does not repeat it."""
    text = keys[Role.STOREFRONT].text
    reply = keyed.ask("GET", f"{LIST}?api_key={text}", x_api_key=text)
    assert_problem(reply, 400, "key-in-query")
    assert text not in reply.body.decode()
    assert "bookmatch keys rotate" in reply.json()["detail"]


def test_head_is_asked_for_a_key_like_get(keyed: Service, keys: dict[Role, NewKey]) -> None:
    """No way around."""
    assert keyed.ask("HEAD", LIST).status == 401
    assert keyed.ask("HEAD", LIST, authorization=bearer(keys[Role.STOREFRONT])).status == 200


async def new_route() -> dict[str, str]:
    """Somebody added it and forgot the table."""
    return {}


def test_what_is_not_in_the_table_is_for_admins(keyed: Service, keys: dict[Role, NewKey]) -> None:
    """Paths and methods that nobody wrote down are not there for others; an admin hears what routing says."""
    good, admin = bearer(keys[Role.STOREFRONT]), bearer(keys[Role.ADMIN])
    for method, target in (("GET", "/v1/new"), ("PATCH", "/v1/popular")):
        keyed.app.framework.add_api_route(target, new_route, methods=[method])
        assert keyed.ask(method, target, authorization=admin).status == 200
        assert keyed.ask(method, target, authorization=good).status in (404, 405)
    for method, target, status in (("GET", "/v1/secrets", 404), ("PATCH", "/v1/items/x", 405)):
        for role in (Role.STOREFRONT, Role.ADMIN):
            assert keyed.ask(method, target, authorization=bearer(keys[role])).status == status
    assert keyed.ask("GET", "/v1/customers/x%2Fexport", authorization=good).status == 403


def test_a_revoked_key_is_refused_by_the_next_request(keyed: Service, keys: dict[Role, NewKey], home: Path) -> None:
    """Revoked in the store by somebody else; the others stay."""
    storefront = keys[Role.STOREFRONT]
    assert keyed.ask("GET", LIST, authorization=bearer(storefront)).status == 200
    with store_of(home) as store:
        store.keys.revoke(storefront.kept.key_id, 1)
    refused = keyed.ask("GET", LIST, authorization=bearer(storefront))
    assert_problem(refused, 401, "unauthorized")
    assert "revoked" in refused.json()["detail"]
    assert keyed.ask("GET", LIST, authorization=bearer(keys[Role.ADMIN])).status == 200


def test_a_new_key_is_known_to_the_next_request(keyed: Service, home: Path) -> None:
    """Without a restart."""
    assert keyed.ask("GET", LIST, authorization=bearer(given_key(home, Role.STOREFRONT))).status == 200


def test_a_key_ends_when_it_expires(keyed: Service, home: Path, clock: FakeClock) -> None:
    """To the millisecond of the service's clock, and nothing need be written for it."""
    key = given_key(home, Role.STOREFRONT, expires=clock.ms + 1)
    assert keyed.ask("GET", LIST, authorization=bearer(key)).status == 200
    clock.ms += 1
    assert "expired" in keyed.ask("GET", LIST, authorization=bearer(key)).json()["detail"]


def test_ending_the_last_key_opens_nothing(home: Path, clock: FakeClock) -> None:
    """A shop that had keys once asks for one, from this machine too."""
    key = given_key(home, Role.ADMIN)
    with Service(Settings(home=home), clock) as service:
        with store_of(home) as store:
            store.keys.revoke(key.kept.key_id, 1)
        assert service.get(LIST).status == 401


def test_the_last_known_keys_hold_while_the_store_is_gone(keyed: Service, keys: dict[Role, NewKey], home: Path) -> None:
    """Known ones open, others do not."""
    good = bearer(keys[Role.STOREFRONT])
    assert keyed.ask("GET", LIST, authorization=good).status == 200
    (home / "store.db").rename(home / "away.db")
    reply = keyed.ask("GET", LIST, authorization=good)
    assert (reply.status, reply.served_from["degraded"]) == (200, "store_unavailable")
    assert keyed.get(LIST).status == 401


def test_without_ever_seeing_the_store_nobody_is_let_in(home: Path, clock: FakeClock) -> None:
    """503 and not an open door: which keys there are is not known."""
    (home / "store.db").rename(home / "away.db")
    with Service(Settings(home=home), clock) as service:
        assert_problem(service.get(LIST), 503, "store-unavailable")
        assert service.get("/health/live").status == 200
        (home / "away.db").rename(home / "store.db")
        clock.forward(2)
        assert service.get(LIST).status == 200


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        (STRANGER, {}),
        ("127.0.0.1", {"x_forwarded_for": STRANGER}),
        ("127.0.0.1", {"forwarded": f"for={STRANGER}"}),
        ("::ffff:203.0.113.7", {}),
    ],
)
def test_without_any_key_only_this_machine_is_answered(service: Service, client: str, headers: dict[str, str]) -> None:
    """Others are told that there is none yet; what a proxy of this machine passes on is others'."""
    assert service.get(LIST).status == 200
    service.client = client
    refused = service.ask("GET", LIST, **headers)
    assert_problem(refused, 401, "unauthorized")
    assert "no key yet" in refused.json()["detail"]
    assert service.ask("GET", "/metrics", **headers).status == 401
    assert service.ask("GET", "/docs", **headers).status == 401


def test_a_name_of_the_web_that_points_here_is_not_this_machine(service: Service) -> None:
    """A page may make its own name point to 127.0.0.1 and read what it asks (DNS rebinding)."""
    service.host = "evil.example:8000"
    assert service.get(LIST).status == 401
    service.host = "localhost:8000"
    assert service.get(LIST).status == 200


def test_no_keys_means_that_none_is_asked_for(home: Path, clock: FakeClock, keys: dict[Role, NewKey]) -> None:
    """From anywhere, whether or not there are keys."""
    with Service(Settings(home=home, no_keys=True), clock) as service:
        service.client = STRANGER
        assert service.get(LIST).status == 200
        assert service.get("/metrics").status == 200


def test_areas_are_open_to_everybody_where_the_setting_says_so(home: Path, clock: FakeClock) -> None:
    """Each by itself."""
    given_key(home, Role.ADMIN)
    with Service(Settings(home=home, public=frozenset({"metrics"})), clock) as service:
        service.client = STRANGER
        assert [service.get(target).status for target in ("/metrics", "/health/live", "/docs")] == [200, 401, 401]


def test_strangers_hear_that_it_is_not_ready_but_not_why(home: Path, clock: FakeClock) -> None:
    """Reasons name files."""
    (home / "store.db").rename(home / "away.db")
    with Service(Settings(home=home), clock) as service:
        assert "store.db" in service.get("/health/ready").json()["detail"]
        service.client = STRANGER
        reply = service.get("/health/ready")
        assert reply.status == 503
        assert "store.db" not in reply.json()["detail"]


def test_refusals_are_counted_by_cause_and_path(keyed: Service, keys: dict[Role, NewKey]) -> None:
    """Under the path that was asked for."""
    keyed.get(LIST)
    keyed.ask("GET", "/v1/customers/x", authorization=bearer(keys[Role.STOREFRONT]))
    text = keyed.ask("GET", "/metrics", authorization=bearer(keys[Role.ADMIN])).body.decode()
    assert 'bookmatch_refused_requests_total{cause="no_key"} 1.0' in text
    assert 'bookmatch_refused_requests_total{cause="role"} 1.0' in text
    assert 'route="/v1/customers/{id}",status="403"} 1.0' in text


def test_a_storefront_reads_items_and_lists(keyed: Service, keys: dict[Role, NewKey]) -> None:
    """The bodies are those that everybody got before there were keys."""
    good = bearer(keys[Role.STOREFRONT])
    page = orjson.dumps({"lists": [{"name": "p", "kind": "popular"}]})

    def ask(method: str, target: str, body: bytes = b"") -> Reply:
        return keyed.ask(method, target, body, authorization=good, content_type="application/json")

    assert len(ask("GET", LIST).items) == 20
    assert len(ask("GET", "/v1/popular").items) == 20
    assert ask("GET", "/v1/items?id=s0%2Fb00").json()["items"][0]["item_id"] == "s0/b00"
    assert ask("POST", "/v1/pages", page).status in (200, 422)
