"""The routes that are answered before the framework say what the framework says."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.events import EventKind
from serving.http.tokens import AnswerIdentity, RecommendationTokens
from tests.serving.service import Reply, Service

BORDERS = ["", "limit=1", "limit=20", "limit=200", "limit=201", "limit=0", "limit=020", "limit=1&limit=2"]
QUERIES = st.one_of(
    st.sampled_from(BORDERS),
    st.from_regex(r"\A[a-z]{1,5}=[0-9a-z]{0,4}\Z"),
)
CUSTOMERS = st.one_of(
    st.sampled_from(["c1", "nobody", "a/b", "%", " ", "", "..", "x" * 600, "tab\t", "ü"]),
    st.text(st.characters(codec="utf-8"), max_size=6),
)


def comparable(reply: Any) -> object:
    """Status and what is said, without what differs between any two answers."""
    said = reply.json()
    if reply.status == 200:
        return 200, said["items"], {key: value for key, value in said["served_from"].items() if key != "cache"}
    return reply.status, {key: value for key, value in said.items() if key != "instance"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(CUSTOMERS, QUERIES, st.sampled_from(["GET", "HEAD", "POST"]))
def test_both_ways_give_the_same(shared_service: Service, customer: str, query: str, method: str) -> None:
    """Whatever the customer, the parameters and the method: status, items, problem; and the same headers' names."""
    target = f"/v1/customers/{quote(customer, safe='')}/recommendations" + (f"?{query}" if query else "")
    hot = shared_service.ask(method, target)
    framework = shared_service.ask_framework(method, target)
    assert set(hot.headers) == set(framework.headers)
    assert hot.status == framework.status
    if method != "HEAD":
        assert comparable(hot) == comparable(framework)


SOME = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10), st.sampled_from(["c1", "", "2026-03-01T12:00:00Z", "EUR"])
)
FIELDS = st.fixed_dictionaries(
    {"customer_id": st.sampled_from(["c1", "", 5]), "kind": st.sampled_from([*EventKind, "dance"])},
    optional={
        **dict.fromkeys(("item_id", "timestamp", "position", "quantity", "price", "currency", "rating", "more"), SOME),
        "context": st.one_of(SOME, st.just({"undoes": "e"}), st.just({"slot": 0, "propensity": 0.5})),
    },
)
BODIES = st.one_of(
    st.lists(FIELDS, max_size=4).map(lambda events: orjson.dumps({"events": events})),
    st.sampled_from([b"", b"[]", b"{", b'{"events": 3}', b'{"events": [], "more": 1}', b"x" * 2_000_000]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(
    BODIES,
    st.sampled_from(["", "?", "?x=1"]),
    st.sampled_from(["POST", "POST", "PUT", "GET"]),
    st.sampled_from(["application/json", "application/json", "text/plain"]),
)
def test_both_ways_take_the_same_events(service: Service, body: bytes, query: str, method: str, kind: str) -> None:
    """Whatever the body, its type, the parameters and the method: what is accepted, each refusal, the problem; and the
    same headers' names. Ids that the service made are unlike."""
    target = f"/v1/events{query}"
    hot = service.ask(method, target, body, content_type=kind)
    framework = service.ask_framework(method, target, body, content_type=kind)
    assert set(hot.headers) == set(framework.headers)
    assert hot.status == framework.status

    def said(reply: Reply) -> object:
        results = reply.json().get("results")
        if results is None:
            return comparable(reply)
        return [{key: value for key, value in result.items() if key != "event_id"} for result in results]

    assert said(hot) == said(framework)


@pytest.mark.parametrize("query", BORDERS)
def test_both_ways_draw_the_same_borders(shared_service: Service, query: str) -> None:
    """The first limit that is too large is refused by either."""
    target = f"/v1/customers/c00/recommendations?{query}"
    assert comparable(shared_service.get(target)) == comparable(shared_service.ask_framework("GET", target))


def test_the_token_is_the_librarys() -> None:
    """What is signed here verifies there, and another secret's does not."""
    tokens, identity = (
        RecommendationTokens(b"s" * 32),
        AnswerIdentity("bundle", "default", "", "n-_1", 1_700_000_000_000),
    )
    token = tokens.sign(identity)
    assert tokens.verify(token) == identity
    assert RecommendationTokens(b"t" * 32).verify(token) is None
    assert tokens.verify(token[:-1] + ("A" if token[-1] != "A" else "B")) is None
