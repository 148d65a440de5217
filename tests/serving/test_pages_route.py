"""`POST /v1/pages`: several lists, no item twice."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving.service import Reply, Service
from tests.serving.shop import CUSTOMERS, PER_SHELF, SHELVES, START, item

ITEMS = [item(shelf, place) for shelf in range(SHELVES) for place in range(PER_SHELF)]
KINDS = {
    "recommendations": st.fixed_dictionaries({}),
    "related": st.fixed_dictionaries(
        {"item_id": st.sampled_from([*ITEMS, "unknown"])},
        optional={"relation": st.sampled_from(["similar", "bought_together", "after"])},
    ),
}
KINDS |= {
    "popular": st.fixed_dictionaries(
        {}, optional={"window": st.sampled_from(["all", "30d"]), "order": st.sampled_from(["popular", "rising", "new"])}
    ),
    "buy_again": st.fixed_dictionaries({}),
    "recently_viewed": st.fixed_dictionaries({}),
}
LISTS = st.lists(
    st.one_of(
        [
            st.tuples(st.just(kind), own, st.integers(1, 40)).map(
                lambda each: {"type": each[0], "limit": each[2]} | each[1]
            )
            for kind, own in KINDS.items()
        ]
    ),
    min_size=1,
    max_size=6,
).map(lambda lists: [each | {"name": f"list {place}"} for place, each in enumerate(lists)])
ASKERS = st.one_of(
    st.just({}),
    st.integers(0, CUSTOMERS + 2).map(lambda number: {"customer_id": f"c{number}"}),
    st.lists(st.sampled_from(ITEMS), max_size=5).map(lambda ids: {"events": [{"item_id": each} for each in ids]}),
)


def ask(service: Service, body: object, path: str = "/v1/pages") -> Reply:
    """Posts a body of JSON."""
    return service.ask("POST", path, orjson.dumps(body), content_type="application/json")


def listed(entry: dict[str, Any]) -> list[str]:
    """The ids of one list of a page."""
    return [each["item_id"] for each in entry.get("items", [])]


def test_lists_are_filled_in_their_order(service: Service) -> None:
    """The first list is the one that its own route gives; the second goes on where it ended."""
    lists = [{"name": name, "type": "recommendations", "limit": 4} for name in ("top", "more")]
    whole = service.get("/v1/customers/c1/recommendations?limit=8").json()["items"]
    top, more = ask(service, {"customer_id": "c1", "lists": lists}).json()["lists"]
    assert (top["name"], more["name"]) == ("top", "more")
    assert [*top["items"], *more["items"]] == whole
    assert [entry["served_from"]["masked"]["on_page"] for entry in (top, more)] == [0, 4]
    assert more["served_from"]["masked"]["excluded"] == 0
    assert top["recommendation_id"] != more["recommendation_id"]


def test_masks_are_counted_apart(service: Service) -> None:
    """What is excluded by the request, what is on the page already, and what the customer has, each for itself."""
    first, second = service.get("/v1/customers/c1/recommendations?limit=2").items
    body = {
        "customer_id": "c1",
        "exclude": [second, "unknown"],
        "lists": [
            {"name": "goes with", "type": "related", "item_id": first, "limit": 25},
            {"name": "for you", "type": "recommendations", "limit": 3},
        ],
    }
    related, recommended = ask(service, body).json()["lists"]
    assert related["served_from"]["masked"]["excluded"] == 1
    shown = set(listed(related))
    masked = recommended["served_from"]["masked"]
    bought = {item(1, step * 2 % PER_SHELF) for step in range(10)}
    assert masked["excluded"] == 1
    assert masked["on_page"] == len(shown - bought)
    assert not (shown | {second}) & set(listed(recommended))


def test_a_list_that_cannot_be_made_has_its_problem_in_its_place(service: Service) -> None:
    """The others stand as if it were not there, and the problem is the one that its own route gives."""
    good = [{"name": name, "type": "recommendations", "limit": 3} for name in ("a", "b")]
    bad = {"name": "bad", "type": "related", "item_id": "no such item"}
    page = ask(service, {"customer_id": "c2", "lists": [good[0], bad, good[1]]})
    assert page.status == 200
    first, broken, last = page.json()["lists"]
    without = ask(service, {"customer_id": "c2", "lists": good}).json()["lists"]
    assert [listed(first), listed(last)] == [listed(each) for each in without]
    assert set(broken) == {"name", "problem"}
    alone = service.get("/v1/items/no such item/related").json()
    assert {**broken["problem"], "instance": None} == {**alone, "instance": None}
    assert broken["problem"]["instance"] == f"urn:bookmatch:request:{page.headers['x-request-id']}"


def test_a_category_that_is_not_there_is_a_fault_in_the_body(service: Service) -> None:
    """At its place on the page; on its own route it is one in the query."""
    lists = [{"name": name, "type": "popular"} for name in ("a", "b")]
    page = ask(service, {"lists": [lists[0], lists[1] | {"category": "no such"}]}).json()
    assert page["lists"][1]["problem"]["errors"][0]["place"] == ["body", "lists", 1, "category"]
    alone = service.get("/v1/popular?category=no such").json()
    assert alone["errors"][0]["place"] == ["query", "category"]


def test_an_event_counts_on_the_next_page(service: Service) -> None:
    """In every list of it, as in any answer."""
    body = {"customer_id": "c0", "lists": [{"name": "for you", "type": "recommendations", "limit": 5}]}
    top = listed(ask(service, body).json()["lists"][0])[0]
    event = {"customer_id": "c0", "kind": "not_interested", "item_id": top, "timestamp": START}
    assert service.post_events(event)[0]["status"] == "accepted"
    assert top not in listed(ask(service, body).json()["lists"][0])


@settings(deadline=None, max_examples=60)
@given(ASKERS, LISTS, st.lists(st.sampled_from([*ITEMS[:40], "unknown"]), max_size=20))
def test_what_holds_for_every_page(
    shared_service: Service, asker: dict[str, Any], lists: list[dict[str, Any]], exclude: list[str]
) -> None:
    """No item twice, none excluded, never more than asked, fewer only with a cause, shares that sum to the score; asked
    again, from the cache or not, the same page."""
    body = asker | {"lists": lists, "exclude": exclude}
    answer = ask(shared_service, body)
    assert answer.status == 200
    page = answer.json()["lists"]
    assert [entry["name"] for entry in page] == [wanted["name"] for wanted in lists]
    everything = [each for entry in page for each in listed(entry)]
    assert len(everything) == len(set(everything))
    assert not set(everything) & set(exclude)
    for entry, wanted in zip(page, lists, strict=True):
        if "problem" in entry:
            assert wanted["item_id"] == "unknown"
            continue
        assert len(entry["items"]) <= wanted["limit"]
        assert (entry["served_from"]["short"] is None) == (len(entry["items"]) == wanted["limit"])
        for each in entry["items"]:
            assert sum(part["share"] for part in each["reason"]["evidence"]) == pytest.approx(each["score"], abs=1e-9)
    again = ask(shared_service, body).json()["lists"]
    assert [entry.get("items") for entry in again] == [entry.get("items") for entry in page]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ([], ["body"]),
        ({}, ["body", "lists"]),
        ({"lists": []}, ["body", "lists"]),
        ({"lists": [1]}, ["body", "lists", 0]),
        ({"lists": [{"name": "a"}]}, ["body", "lists", 0, "type"]),
        ({"lists": [{"name": "a", "type": "magic"}]}, ["body", "lists", 0, "type"]),
        ({"lists": [{"name": "a", "type": 3}]}, ["body", "lists", 0, "type"]),
        ({"lists": [{"name": "a", "type": "related"}]}, ["body", "lists", 0, "item_id"]),
        ({"lists": [{"type": "recommendations"}]}, ["body", "lists", 0, "name"]),
        ({"lists": [{"name": "a", "type": "recommendations", "limit": 0}]}, ["body", "lists", 0, "limit"]),
        ({"lists": [{"name": "a", "type": "recommendations", "item_id": "x"}]}, ["body", "lists", 0, "item_id"]),
        ({"lists": [{"name": f"{n}", "type": "recommendations"} for n in range(21)]}, ["body", "lists"]),
        ({"customer_id": "", "lists": [{"name": "a", "type": "recommendations"}]}, ["body", "customer_id"]),
        ({"customer_id": "c", "events": [], "lists": [{"name": "a", "type": "recommendations"}]}, ["body", "events"]),
        ({"events": [{}], "lists": [{"name": "a", "type": "recommendations"}]}, ["body", "events", 0, "item_id"]),
        ({"exclude": ["\x00"], "lists": [{"name": "a", "type": "recommendations"}]}, ["body", "exclude", 0]),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(shared_service: Service, body: object, place: list[object]) -> None:
    """A problem document for the whole page, never half of one."""
    reply = ask(shared_service, body)
    assert reply.status == 422
    assert [fault["place"] for fault in reply.json()["errors"]] == [place]


def test_two_lists_of_one_name_are_refused(shared_service: Service) -> None:
    """At both places."""
    reply = ask(shared_service, {"lists": [{"name": "a", "type": "recommendations"}] * 2})
    assert [fault["place"] for fault in reply.json()["errors"]] == [["body", "lists", n, "name"] for n in range(2)]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "type", "limit"]), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["/v1/pages", "/v1/rank"]),
    st.dictionaries(
        st.sampled_from(["lists", "item_ids", "exclude", "customer_id", "events", "limit", "else"]),
        JSON | st.lists(st.fixed_dictionaries({"name": JSON, "type": JSON | st.just("related")}), max_size=2),
    ),
)
def test_no_body_is_a_fault_of_the_service(shared_service: Service, path: str, body: dict[str, Any]) -> None:
    """Whatever stands in it, the answer is a list or a problem document that names a place in the body."""
    reply = ask(shared_service, body, path)
    assert reply.status in (200, 422)
    if reply.status == 422:
        for fault in reply.json()["errors"]:
            assert fault["place"][0] == "body"
            assert fault["expected"]
