"""The route that is answered before the framework says what the framework says."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.http.tokens import AnswerIdentity, RecommendationTokens
from tests.serving.service import Service

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
