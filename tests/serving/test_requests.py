"""What holds for every request: parameters, problem documents, ids, HEAD, metrics."""

from __future__ import annotations

import gc
import inspect
import re
import sys
from collections.abc import Iterator

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.http import app
from serving.http.problems import TITLES
from serving.http.routes import ROUTERS
from serving.http.schemas import AnswerOut
from tests.serving.service import Reply, Service

PROBLEM_MEMBERS = {"type", "title", "status", "detail", "instance", "errors"}


def assert_problem(reply: Reply, status: int, code: str) -> None:
    """The reply is a whole problem document of this status and type."""
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    document = reply.json()
    assert set(document) == PROBLEM_MEMBERS
    assert document["status"] == status
    assert document["type"] == f"urn:bookmatch:problem:{code}"
    assert document["title"] == TITLES[code]
    assert document["detail"]
    assert document["instance"] == f"urn:bookmatch:request:{reply.headers['x-request-id']}"


def test_a_path_that_leads_nowhere_is_a_problem(service: Service) -> None:
    """404."""
    assert_problem(service.get("/v2/customers"), 404, "no-such-route")


def test_a_trailing_slash_is_another_path(service: Service) -> None:
    """No redirect."""
    assert_problem(service.get("/v1/items/s1%2Fb02/related/"), 404, "no-such-route")


def test_the_wrong_method_is_a_problem_that_names_the_right_one(service: Service) -> None:
    """405 with Allow."""
    reply = service.get("/v1/events")
    assert_problem(reply, 405, "method-not-allowed")
    assert reply.headers["allow"] == "POST"


def test_an_unknown_parameter_is_refused_on_every_route(service: Service) -> None:
    """422, and the place is named."""
    for target in ("/v1/customers/c1/recommendations", "/v1/items/s1%2Fb02/related", "/health/live", "/metrics"):
        reply = service.get(f"{target}?limitt=3")
        assert_problem(reply, 422, "invalid-request")
        assert reply.json()["errors"][0]["place"] == ["query", "limitt"]
    posted = service.ask("POST", "/v1/events?dry=1", b'{"events": []}', content_type="application/json")
    assert_problem(posted, 422, "invalid-request")


def test_a_repeated_parameter_is_refused(service: Service) -> None:
    """422: which of the two was meant is not guessed."""
    reply = service.get("/v1/customers/c1/recommendations?limit=3&limit=4")
    assert_problem(reply, 422, "invalid-request")
    assert reply.json()["errors"] == [{"place": ["query", "limit"], "found": "2 values", "expected": "one value"}]


@pytest.mark.parametrize("text", ["0", "201", "-1", "", "3.0", "+3", " 3", "1_0", "three", "٣", "9" * 5000, "null"])
def test_a_limit_outside_its_range_is_refused(service: Service, text: str) -> None:
    """422 for anything but a whole number from 1 to 200, in plain digits."""
    reply = service.get(f"/v1/customers/c1/recommendations?limit={text}".replace(" ", "%20").replace("+", "%2B"))
    assert_problem(reply, 422, "invalid-request")
    assert reply.json()["errors"][0]["place"] == ["query", "limit"]


@settings(deadline=None)
@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=40))
def test_any_query_is_an_answer_or_a_problem(shared_service: Service, query: str) -> None:
    """Never a 500."""
    assert shared_service.get(f"/v1/customers/c1/recommendations?{query}").status in (200, 422)


def test_the_limit_is_20_unless_told_otherwise(service: Service) -> None:
    """As many as asked for, up to 200 where there are so many."""
    assert len(service.get("/v1/customers/c1/recommendations").items) == 20
    assert len(service.get("/v1/customers/c1/recommendations?limit=1").items) == 1
    assert len(service.get("/v1/customers/c1/recommendations?limit=77").items) == 77


def test_an_unknown_item_is_a_problem(service: Service) -> None:
    """404 that says which."""
    reply = service.get("/v1/items/never%2Fheard/related")
    assert_problem(reply, 404, "unknown-item")
    assert "'never/heard'" in reply.json()["detail"]


def test_an_unknown_customer_gets_popular_items_and_is_told(service: Service) -> None:
    """A list like any other, with its fallback named."""
    reply = service.get("/v1/customers/who/recommendations")
    assert len(reply.items) == 20
    assert reply.served_from["fallback"] == "unknown_customer"
    assert {entry["reason"]["code"] for entry in reply.json()["items"]} == {"popular"}


def test_a_known_customer_gets_a_personal_list(service: Service) -> None:
    """Customers keep to one shelf, and so does the head of their list; nothing bought is in it."""
    reply = service.get("/v1/customers/c1/recommendations?limit=5")
    assert reply.served_from["fallback"] is None
    assert all(name.startswith("s1/") for name in reply.items)


def test_head_is_answered_like_get_without_a_body(service: Service) -> None:
    """Status and length of GET, no body."""
    target = "/v1/items/s1%2Fb02/related"
    head, get = service.ask("HEAD", target), service.get(target)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert service.ask("HEAD", "/nowhere").status == 404


def test_a_sane_request_id_is_kept_and_another_one_replaced(service: Service) -> None:
    """X-Request-ID comes back, unless it could break a log line."""
    assert service.ask("GET", "/health/live", x_request_id="abc-1").headers["x-request-id"] == "abc-1"
    for insane in ("", "a b", "x" * 65, 'a"'):
        given_back = service.ask("GET", "/health/live", x_request_id=insane).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", given_back)


def test_a_fault_of_the_service_is_a_problem_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """500, without telling the client what went wrong inside."""

    async def fail(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(type(service.state.answerer), "plain_recommendations", fail)
    reply = service.get("/v1/customers/c1/recommendations")
    assert_problem(reply, 500, "internal-error")
    assert b"inside" not in reply.body


def test_requests_are_counted_by_route_and_never_by_id(service: Service) -> None:
    """Labels are route templates: a thousand ids are one series."""
    for number in range(30):
        service.get(f"/v1/customers/x{number}/recommendations")
        service.get(f"/nowhere/{number}")
    text = service.get("/metrics").body.decode()
    route = "/v1/customers/{id}/recommendations"
    assert f'bookmatch_http_requests_total{{method="GET",route="{route}",status="200"}} 30.0' in text
    assert 'bookmatch_http_requests_total{method="GET",route="unmatched",status="404"} 30.0' in text
    assert 'bookmatch_answers_total{basis="unknown_customer",cache="hit",route="recommendations"} 29.0' in text


def test_the_api_describes_itself(service: Service) -> None:
    """OpenAPI names every route, the limit's range, the body of events and the problem document."""
    document = service.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/recommendations",
        "/v1/customers/{id}/recommendations",
        "/v1/items/{id}/related",
        "/v1/customers",
        "/v1/customers/{id}",
        "/v1/customers/{id}/export",
        "/v1/customers/{id}/merge",
        "/v1/rank",
        "/v1/pages",
        "/v1/items/{id}/audience",
        "/v1/popular",
        "/v1/email/unsubscribe/{token}",
        "/v1/customers/{id}/buy-again",
        "/v1/customers/{id}/recently-viewed",
        "/v1/events",
        "/v1/items",
        "/v1/items/{id}",
        "/health/live",
        "/health/ready",
        "/metrics",
    }
    parameters = document["paths"]["/v1/items/{id}/related"]["get"]["parameters"]
    named = [(entry["name"], entry["in"]) for entry in parameters]
    assert named == [(name, "query") for name in ("limit", "relation", "exclude", "filter")] + [("id", "path")]
    assert parameters[0]["schema"]["maximum"] == 200
    assert "ProblemOut" in document["components"]["schemas"]
    body = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["events"]["maxItems"] == 1000
    references = set(re.findall(r'"#/components/schemas/(\w+)"', service.get("/openapi.json").body.decode()))
    assert references <= set(document["components"]["schemas"])


def test_examples_of_lists_in_the_description_have_the_described_shape(service: Service) -> None:
    """Every example of an answer fits the schema beside it."""
    found = 0
    for path in service.get("/openapi.json").json()["paths"].values():
        for operation in path.values():
            content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
            if "example" in content and content["schema"]["$ref"].endswith("/AnswerOut"):
                AnswerOut.model_validate(content["example"])
                found += 1
    assert found >= 3


def test_the_page_of_docs_needs_no_other_server(service: Service) -> None:
    """Every script, style and picture of /docs, and the description it shows, come from the service itself."""
    page = service.get("/docs")
    assert page.status == 200
    text = page.body.decode()
    addresses = [*re.findall(r'(?:src|href)="([^"]*)"', text), *re.findall(r"url: '([^']*)'", text)]
    assert len(addresses) >= 4
    for address in addresses:
        assert address.startswith("/"), address
        assert service.get(address).status == 200, address
    assert '"validatorUrl": null' in text
    assert not re.findall(r"https?://", text)


def test_no_request_is_handed_to_another_thread_before_its_route() -> None:
    """The framework runs plain functions in a pool of threads; under load each such hop costs milliseconds."""

    def calls(dependant: Dependant) -> Iterator[object]:
        yield dependant.call
        for part in dependant.dependencies:
            yield from calls(part)

    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    found = [call for route in routes for call in calls(route.dependant)]
    assert len(found) > len(routes)
    assert [call for call in found if not inspect.iscoroutinefunction(call)] == []


def test_a_process_that_serves_spares_its_answers_from_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads take turns ten times as often as usual, and what was imported is not searched for garbage."""
    switch = sys.getswitchinterval()
    monkeypatch.setattr(app, "configure_logging", lambda *_: None)
    try:
        app.create_app_from_environment()
        assert sys.getswitchinterval() < switch / 5
        assert gc.get_freeze_count() > 10_000
    finally:
        sys.setswitchinterval(switch)
        gc.unfreeze()
