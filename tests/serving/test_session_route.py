"""Lists for a session or a cart, and lists without some items."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving.service import Reply, Service
from tests.serving.shop import DAY, PER_SHELF, SHELVES, START, item

ITEMS = [item(shelf, place) for shelf in range(SHELVES) for place in range(PER_SHELF)]
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"item_id": st.sampled_from([*ITEMS, "not in the shop"])},
        optional={
            "kind": st.sampled_from(["view", "purchase", "add_to_cart", "not_interested", "like", "rate"]),
            "timestamp": st.integers(START, START + DAY),
            "quantity": st.sampled_from([1.0, 3.0]),
            "rating": st.sampled_from([1.0, 5.0]),
        },
    ),
    max_size=12,
)


def ask(service: Service, body: object) -> Reply:
    """Posts a session."""
    return service.ask("POST", "/v1/recommendations", orjson.dumps(body), content_type="application/json")


def test_a_session_gets_what_a_customer_with_that_history_gets(service: Service) -> None:
    """The same items with the same reasons, and nothing of it is stored."""
    bought = [item(1, place) for place in (3, 5, 8)]
    days = range(3)
    event = {"kind": "purchase", "customer_id": "new"}
    past = [event | {"item_id": each, "timestamp": START + day * DAY} for each, day in zip(bought, days, strict=True)]
    session = [{key: value for key, value in each.items() if key != "customer_id"} for each in past]
    answer = ask(service, {"events": session, "limit": 7})
    assert all(result["status"] == "accepted" for result in service.post_events(*past))
    known = service.get("/v1/customers/new/recommendations?limit=7")
    assert answer.json()["items"] == known.json()["items"]
    assert {each["item_id"][:2] for each in answer.json()["items"]} == {"s1"}
    assert answer.served_from["cache"]["status"] == "off"
    assert service.get("/v1/customers/session/recommendations").served_from["fallback"] == "unknown_customer"


def test_without_times_the_order_of_the_list_counts(service: Service) -> None:
    """The last of two interests speaks louder; turned round, the other."""
    first, last = {"item_id": item(0, 4)}, {"item_id": item(2, 4)}
    shelves = [
        [each["item_id"][:2] for each in ask(service, {"events": events, "limit": 1}).json()["items"]]
        for events in ([first, last], [last, first])
    ]
    assert shelves == [["s2"], ["s0"]]


def test_an_empty_session_gets_what_is_popular(service: Service) -> None:
    """And is told so; so does a session of nothing that the models know."""
    popular = service.get("/v1/customers/nobody/recommendations?limit=20").json()["items"]
    for body, fallback in (({}, "unknown_customer"), ({"events": [{"item_id": "?"}]}, "no_usable_history")):
        answer = ask(service, body)
        assert answer.json()["items"] == popular
        assert answer.served_from["fallback"] == fallback


@settings(deadline=None, max_examples=60)
@given(EVENTS, st.integers(1, 30), st.lists(st.sampled_from([*ITEMS[:40], "unknown"]), max_size=30))
def test_what_holds_for_every_session(
    shared_service: Service, events: list[dict[str, Any]], limit: int, exclude: list[str]
) -> None:
    """No id twice, never more than asked, nothing masked or excluded, shares that sum to the score; always the same."""
    body = {"events": events, "limit": limit, "exclude": exclude}
    answer = ask(shared_service, body)
    assert answer.status == 200
    items = answer.json()["items"]
    listed = [each["item_id"] for each in items]
    assert len(listed) == len(set(listed)) <= limit
    had = {each["item_id"] for each in events if each.get("kind") in ("purchase", "not_interested", "rate")}
    assert not set(listed) & (set(exclude) | had)
    assert (answer.served_from["short"] is None) == (len(listed) == limit)
    for each in items:
        assert sum(part["share"] for part in each["reason"]["evidence"]) == pytest.approx(each["score"], abs=1e-9)
    assert ask(shared_service, body).json()["items"] == items


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ([], ["body"]),
        ({"event": []}, ["body", "event"]),
        ({"limit": 0}, ["body", "limit"]),
        ({"limit": 201}, ["body", "limit"]),
        ({"limit": "5"}, ["body", "limit"]),
        ({"events": [{}]}, ["body", "events", 0, "item_id"]),
        ({"events": [{"item_id": "a", "customer_id": "c"}]}, ["body", "events", 0, "customer_id"]),
        ({"events": [{"item_id": "a"}, {"item_id": "b", "kind": "search"}]}, ["body", "events", 1, "kind"]),
        ({"events": [{"item_id": "a", "kind": "dance"}]}, ["body", "events", 0, "kind"]),
        ({"events": [{"item_id": "a", "timestamp": -5}]}, ["body", "events", 0, "timestamp"]),
        ({"events": [{"item_id": "a", "quantity": 0}]}, ["body", "events", 0, "quantity"]),
        ({"events": [{"item_id": "a"}] * 501}, ["body", "events"]),
        ({"exclude": ["a\x00"]}, ["body", "exclude", 0]),
        ({"exclude": ["a"] * 1001}, ["body", "exclude"]),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(shared_service: Service, body: object, place: list[object]) -> None:
    """A problem document, never a list."""
    reply = ask(shared_service, body)
    assert reply.status == 422
    assert [fault["place"] for fault in reply.json()["errors"]] == [place]


def test_lists_without_some_items_close_up(service: Service) -> None:
    """Excluded items are left out and counted, the others move up, and nothing of it is kept or found in the cache."""
    for path in ("/v1/customers/c00/recommendations", f"/v1/items/{item(1, 3).replace('/', '%2F')}/related"):
        whole = service.get(f"{path}?limit=6")
        ids = [each["item_id"] for each in whole.json()["items"]]
        query = "&".join(f"exclude={each.replace('/', '%2F')}" for each in (ids[0], ids[2], "unknown"))
        rest = service.get(f"{path}?limit=4&{query}")
        assert [each["item_id"] for each in rest.json()["items"]] == [ids[1], *ids[3:6]]
        assert rest.served_from["masked"]["excluded"] == 2
        assert rest.served_from["cache"]["status"] == "off"
        again = service.get(f"{path}?limit=6")
        assert [each["item_id"] for each in again.json()["items"]] == ids
        assert again.served_from["cache"]["status"] == "hit"


@pytest.mark.parametrize("query", ["exclude=", "exclude=%00", "&".join(["exclude=a"] * 201)])
def test_exclusions_that_do_not_fit_are_refused(shared_service: Service, query: str) -> None:
    """422 with the parameter as the place."""
    reply = shared_service.get(f"/v1/customers/c00/recommendations?{query}")
    assert reply.status == 422
    assert {tuple(fault["place"]) for fault in reply.json()["errors"]} == {("query", "exclude")}
