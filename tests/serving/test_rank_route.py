"""`POST /v1/rank`: a given list in the order of whoever asks."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.recommend.placement import DEFAULT_PLACEMENT
from tests.serving.service import Reply, Service
from tests.serving.shop import CUSTOMERS, PER_SHELF, SHELVES, item, items_frame, store_of

ITEMS = [item(shelf, place) for shelf in range(SHELVES) for place in range(PER_SHELF)]


def ask(service: Service, body: object) -> Reply:
    """Posts a list."""
    return service.ask("POST", "/v1/rank", orjson.dumps(body), content_type="application/json")


def test_all_items_are_ranked_as_in_a_list_of_their_own(service: Service) -> None:
    """What is recommended comes first, in the same order, with the same scores and reasons; duplicates count once."""
    recommended = service.get("/v1/customers/c3/recommendations?limit=5").json()["items"]
    answer = ask(service, {"customer_id": "c3", "item_ids": ITEMS[::-1] + ITEMS, "limit": 5})
    assert answer.json()["items"] == recommended
    assert answer.served_from["short"] is None
    assert answer.served_from["cache"]["status"] == "off"


def test_what_may_not_be_listed_is_left_out_and_counted(service: Service) -> None:
    """Each for one cause: unknown, sold out, had, excluded."""
    best, second, third = service.get("/v1/customers/c3/recommendations?limit=3").items
    with store_of(service.state.settings.home) as store:
        store.catalog.put(items_frame(**{second: False}))
    ids = ["no such item", item(0, 2), third, second, best, item(3, 0)]
    answer = ask(service, {"customer_id": "c3", "item_ids": ids, "exclude": [third]})
    assert answer.items == [best, item(0, 2)]
    assert answer.served_from["masked"] == {"unknown": 1, "unavailable": 1, "seen": 1, "excluded": 1}
    assert answer.served_from["short"] is not None


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, CUSTOMERS + 1),
    st.lists(st.sampled_from([*ITEMS, "unknown"]), min_size=1, max_size=60),
    st.booleans(),
)
def test_the_answer_is_a_permutation_of_what_may_be_shown(
    shared_service: Service, number: int, ids: list[str], as_session: bool
) -> None:
    """Every given item that is known and not had is there once, in one order whichever they came in; reasons sum to
    the scores, which descend; whoever brings the same history in a session gets the same."""
    customer = f"c{number}"
    past = shared_service.state.live.history(customer, engine_of(shared_service).bundle).history
    had = {engine_of(shared_service).bundle.items[int(place)] for place in past.items_of(DEFAULT_PLACEMENT.mask_kinds)}
    asker: dict[str, Any] = {"customer_id": customer}
    if as_session and len(past):
        rows = zip(past.item.tolist(), past.timestamp.tolist(), strict=True)
        names = engine_of(shared_service).bundle.items
        asker = {"events": [{"item_id": names[i], "kind": "purchase", "timestamp": t} for i, t in rows]}
    answer = ask(shared_service, asker | {"item_ids": ids})
    assert answer.status == 200
    items = answer.json()["items"]
    listed = [each["item_id"] for each in items]
    assert sorted(listed) == sorted(set(ids) - had - {"unknown"})
    assert sum(answer.served_from["masked"].values()) == len(set(ids)) - len(listed)
    scores = [each["score"] for each in items]
    assert scores == sorted(scores, reverse=True)
    for each in items:
        assert sum(part["share"] for part in each["reason"]["evidence"]) == pytest.approx(each["score"], abs=1e-9)
    assert ask(shared_service, {"customer_id": customer, "item_ids": ids[::-1]}).json()["items"] == items


def engine_of(service: Service) -> Any:
    """What answers."""
    return service.state.engines.in_force


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("a", ["body"]),
        ({"customer_id": "c"}, ["body", "item_ids"]),
        ({"item_ids": []}, ["body", "item_ids"]),
        ({"item_ids": ["a"] * 1001}, ["body", "item_ids"]),
        ({"item_ids": ["a", 3]}, ["body", "item_ids", 1]),
        ({"item_ids": ["a"], "limit": 0}, ["body", "limit"]),
        ({"item_ids": ["a"], "limit": None, "items": []}, ["body", "items"]),
        ({"item_ids": ["a"], "customer_id": "c", "events": []}, ["body", "events"]),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(shared_service: Service, body: object, place: list[object]) -> None:
    """A problem document, never a list."""
    reply = ask(shared_service, body)
    assert reply.status == 422
    assert [fault["place"] for fault in reply.json()["errors"]] == [place]
