"""Customers over HTTP: what they say counts at once, under every id of theirs, and what is forgotten is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from recsys.shop import ShopFolder
from tests.serving.processes import serving
from tests.serving.redis_server import RedisServer
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import START, item, store_of

ADA = "/v1/customers/ada"


def send(service: Service, method: str, target: str, body: object) -> Reply:
    """A request with a JSON body."""
    return service.ask(method, target, orjson.dumps(body), content_type="application/json")


def listed(service: Service, customer: str) -> Reply:
    """A customer's list."""
    return service.get(f"/v1/customers/{customer}/recommendations")


def test_what_is_put_is_told_again(service: Service, clock: FakeClock) -> None:
    """Attributes are replaced; consents and the switch change only where they are given; equal again is unchanged."""
    said = {"granted": True, "source": "checkout", "stated_at": "2026-03-01T12:00:00Z"}
    clock.ms = 1_790_000_000_000
    body = {"account_id": "home", "attributes": {"city": "Bath"}, "consents": {"email": said}}
    first = send(service, "PUT", ADA, body)
    assert (first.status, first.json()) == (201, {"customer_id": "ada", "status": "added"})
    assert send(service, "PUT", ADA, body).json()["status"] == "unchanged"
    assert send(service, "PUT", ADA, {"attributes": {"city": "York"}, "recommendations": False}).status == 200
    told = service.get(ADA).json()
    assert (told["account_id"], told["attributes"], told["recommendations"]) == (None, {"city": "York"}, False)
    assert told["consents"] == {"email": said | {"stated_at": "2026-03-01T12:00:00.000Z"}}


def test_what_is_known_comes_with_why(service: Service) -> None:
    """The items that speak for others, the strongest first, and because of what; what is counted is what was done."""
    told = service.get("/v1/customers/c1").json()
    assert told["events"] == {"purchase": 10}
    strengths = [entry["strength"] for entry in told["taste"]]
    assert strengths == sorted(strengths, reverse=True)
    assert {entry["kind"] for entry in told["taste"]} == {"purchase"}
    assert {entry["item_id"][:2] for entry in told["taste"]} == {"s1"}
    assert told["not_shown_again"] == 10
    assert told["first"] == "2023-11-14T22:13:20.000Z"
    both = service.get("/v1/customers?id=c1&id=nobody").json()["customers"]
    assert both == [told, None]


def test_switched_off_is_not_personal_and_switched_on_again_is(service: Service) -> None:
    """The next answer has nothing of the history, says so, and the switch brings everything back."""
    before = listed(service, "c1")
    assert send(service, "PUT", "/v1/customers/c1", {"recommendations": False}).status == 200
    off = listed(service, "c1")
    assert off.served_from["fallback"] == "recommendations_off"
    assert off.items == listed(service, "nobody at all".replace(" ", "%20")).items
    send(service, "PUT", "/v1/customers/c1", {"recommendations": True})
    assert listed(service, "c1").items == before.items


@pytest.mark.parametrize("kind", ["not_interested", "own"])
def test_switched_off_what_was_said_of_items_still_counts(service: Service, kind: str) -> None:
    """Before and after the switch, in every list of theirs; what they bought or looked at does not, nor theirs for
    others."""
    popular = listed(service, "nobody").items
    service.post_events({"customer_id": "c1", "kind": kind, "item_id": popular[0]})
    send(service, "PUT", "/v1/customers/c1", {"recommendations": False})
    assert listed(service, "c1").items[:5] == popular[1:6]
    service.post_events({"customer_id": "c1", "kind": kind, "item_id": popular[1]})
    service.post_events({"customer_id": "c1", "kind": "purchase", "item_id": popular[2]})
    off = listed(service, "c1")
    assert off.items[:5] == popular[2:7]
    assert off.served_from["fallback"] == "recommendations_off"
    page = {"customer_id": "c1", "lists": [{"name": "a", "type": "recommendations", "limit": 5}]}
    (on_page,) = send(service, "POST", "/v1/pages", page).json()["lists"]
    assert [entry["item_id"] for entry in on_page["items"]] == popular[2:7]
    ranked = send(service, "POST", "/v1/rank", {"customer_id": "c1", "item_ids": popular[:4]})
    assert ranked.items == popular[2:4]
    assert listed(service, "nobody").items == popular


def test_a_visitor_who_logs_in_keeps_what_they_did(service: Service) -> None:
    """From the login on either id has one list, made from what both did; a refusal made as a visitor stays."""
    before = listed(service, "c1").items
    for name in before[:2]:
        service.post_events({"customer_id": "visitor", "kind": "not_interested", "item_id": name})
    assert send(service, "POST", "/v1/customers/c1/merge", {"visitor_id": "visitor"}).json() == {
        "customer_id": "c1", "visitor_id": "visitor", "status": "merged",
    }  # fmt: skip
    after = listed(service, "c1")
    assert not set(before[:2]) & set(after.items)
    assert listed(service, "visitor").json()["items"] == after.json()["items"]
    again = send(service, "POST", "/v1/customers/c1/merge", {"visitor_id": "visitor"})
    assert again.json()["status"] == "already_merged"
    service.post_events({"customer_id": "visitor", "kind": "purchase", "item_id": after.items[0]})
    assert after.items[0] not in listed(service, "c1").items
    assert service.get("/v1/customers/visitor").json()["customer_id"] == "c1"
    assert service.get("/v1/customers/c1").json()["visitors"] == ["visitor"]


def test_an_export_has_every_event_as_it_was_posted(service: Service) -> None:
    """Nothing is left out and nothing is added: posted again, each is a duplicate."""
    posted = {
        "event_id": "e", "customer_id": "ada", "kind": "purchase", "item_id": item(1, 1), "quantity": 2.0,
        "price": 9.5, "currency": "EUR", "context": {"shelf": [1, "a"]}, "timestamp": "2023-11-15T00:00:00.000Z",
    }  # fmt: skip
    service.post_events(posted, {"customer_id": "ada", "kind": "impression", "item_id": item(1, 2)})
    send(service, "PUT", ADA, {"consents": {"email": {"granted": False, "source": "form"}}})
    told = service.get(f"{ADA}/export").json()
    assert told["events"][0] == posted
    assert [event["kind"] for event in told["events"]] == ["purchase", "impression"]
    assert [statement["purpose"] for statement in told["consents"]] == ["email"]
    assert {result["status"] for result in service.post_events(*told["events"])} == {"duplicate"}


def test_many_at_once_each_for_itself(service: Service) -> None:
    """One that does not fit, or is forgotten, is refused; the others are stored; results come in order."""
    service.post_events({"customer_id": "gone", "kind": "view", "item_id": item(1, 1)})
    assert service.ask("DELETE", "/v1/customers/gone").status == 200
    entries: list[object] = [
        {"customer_id": "a", "attributes": {"x": 1}},
        {"customer_id": "b", "colour": "red"},
        {"customer_id": "gone"},
        7,
        {"attributes": {}},
    ]
    results = send(service, "PUT", "/v1/customers", {"customers": entries}).json()["results"]
    assert [result["status"] for result in results] == ["added", "refused", "refused", "refused", "refused"]
    assert results[1]["error"]["errors"][0]["place"] == ["body", "customers", 1, "colour"]
    assert "forgotten" in results[2]["error"]["detail"]
    assert results[2]["error"]["errors"][0]["place"] == ["body", "customers", 2, "customer_id"]
    assert service.get("/v1/customers/a").json()["attributes"] == {"x": 1}
    receipts = send(service, "DELETE", "/v1/customers", {"customer_ids": ["a", "nobody"]}).json()["receipts"]
    assert receipts[0]["customer_ids"] == ["a"]
    assert receipts[1] is None


BAD: list[tuple[str, str, object, list[str | int]]] = [
    ("PUT", ADA, [], ["body"]),
    ("PUT", ADA, {"city": "Bath"}, ["body", "city"]),
    ("PUT", ADA, {"attributes": "Bath"}, ["body", "attributes"]),
    ("PUT", ADA, {"attributes": {"a": "b" * 100_000}}, ["body", "attributes"]),
    ("PUT", ADA, {"account_id": ""}, ["body", "account_id"]),
    ("PUT", ADA, {"recommendations": "no"}, ["body", "recommendations"]),
    ("PUT", ADA, {"consents": {"E Mail": {"granted": True, "source": "x"}}}, ["body", "consents", "E Mail", "[key]"]),
    ("PUT", ADA, {"consents": {"email": {"granted": True}}}, ["body", "consents", "email", "source"]),
    ("PUT", ADA, {"consents": {"email": {"granted": "yes", "source": "x"}}}, ["body", "consents", "email", "granted"]),
    (
        "PUT", ADA, {"consents": {"email": {"granted": True, "source": "x", "stated_at": "2999-01-01T00:00:00Z"}}},
        ["body", "consents", "email", "stated_at"],
    ),
    ("POST", f"{ADA}/merge", {}, ["body", "visitor_id"]),
    ("POST", f"{ADA}/merge", {"visitor_id": "\u0000"}, ["body", "visitor_id"]),
    ("PUT", "/v1/customers", {"customers": []}, ["body", "customers"]),
    ("PUT", "/v1/customers", {"people": []}, ["body", "people"]),
    ("DELETE", "/v1/customers", {"customer_ids": ["a", 7]}, ["body", "customer_ids", 1]),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "body", "place"), BAD, ids=lambda value: str(value)[:60])
def test_what_does_not_fit_is_told_with_its_place(
    service: Service, method: str, target: str, body: object, place: list[str | int]
) -> None:
    """422, where it is, and nothing is stored."""
    reply = send(service, method, target, body)
    assert reply.status == 422, reply.body
    assert reply.json()["errors"][0]["place"] == place
    assert service.get(ADA).status == 404


def test_forgetting_is_at_once_whole_and_for_good(service: Service, home: Path) -> None:
    """No answer, no file and no later write has the person any more; the receipt says what was removed."""
    quarantine = ShopFolder(home).quarantine
    quarantine.mkdir()
    refused = quarantine / "import-1.bad.csv"
    refused.write_text('line,cause,field,found,expected,row\n1,x,y,z,w,"Zarathustra,i1"\n2,x,y,z,w,Zarathustra2\n')
    service.post_events(*({"customer_id": "Zarathustra", "kind": "purchase", "item_id": item(2, n)} for n in range(3)))
    send(service, "PUT", "/v1/customers/Zarathustra", {"attributes": {"cave": "Zarathustra"}})
    assert listed(service, "Zarathustra").served_from["fallback"] is None
    assert signs(home)
    reply = service.ask("DELETE", "/v1/customers/Zarathustra")
    assert reply.status == 200
    receipt = reply.json()
    assert receipt["removed"] == {
        "events": 3, "rows": 1, "consents": 0, "exposures": 0, "quarantined_rows": 1, "cached_lists": 0,
    }  # fmt: skip
    assert listed(service, "Zarathustra").served_from["fallback"] == "unknown_customer"
    assert [service.get(f"/v1/customers/Zarathustra{rest}").status for rest in ("", "/export")] == [409, 409]
    event = {"customer_id": "Zarathustra", "kind": "view", "item_id": item(2, 1)}
    _, result = service.post_events(event | {"customer_id": "a"}, event)
    assert result["status"] == "refused"
    assert result["error"]["errors"][0]["place"] == ["body", "events", 1, "customer_id"]
    assert send(service, "PUT", "/v1/customers/Zarathustra", {}).status == 409
    again = service.ask("DELETE", "/v1/customers/Zarathustra").json()
    assert (again["forgotten_at"], again["receipt"]) == (receipt["forgotten_at"], receipt["receipt"])
    assert signs(home) == set()
    assert "Zarathustra2" in refused.read_text()
    assert service.ask("DELETE", "/v1/customers/nobody").status == 404


def signs(home: Path) -> set[str]:
    """The files below a folder that name the forgotten person."""
    return {
        path.name
        for path in home.rglob("*")
        if path.is_file() and b"Zarathustra" in path.read_bytes().replace(b"Zarathustra2", b"")
    }


@pytest.mark.redis
def test_forgetting_reaches_every_worker_redis_and_the_logs(home: Path, redis_server: RedisServer) -> None:
    """Two processes with one store and one Redis: after the receipt neither has anything, nor Redis, nor any log."""
    redis = {"BOOKMATCH_REDIS_URL": redis_server.url, "BOOKMATCH_LOG_LEVEL": "debug"}
    with serving(home, **redis) as one, serving(home, **redis) as other:
        event = {"customer_id": "Zarathustra", "kind": "purchase", "item_id": item(2, 1)}
        path = "/v1/customers/Zarathustra/recommendations"
        assert httpx.post(f"{one.url}/v1/events", json={"events": [event]}).status_code == 200
        for server in (one, other, one, other):
            assert httpx.get(server.url + path).json()["served_from"]["fallback"] is None
        receipt = httpx.delete(f"{one.url}/v1/customers/Zarathustra").json()
        assert receipt["removed"]["cached_lists"] > 0
        for server in (other, one):
            assert httpx.get(server.url + path).json()["served_from"]["fallback"] == "unknown_customer"
            assert "Zarathustra" not in server.log.read_text()
        answers: list[Any] = [httpx.delete(f"{other.url}/v1/customers/Zarathustra").json()["removed"]]
        assert answers[0]["cached_lists"] == 0
    assert signs(home) == set()


def test_what_a_customer_says_counts_in_another_process_at_once(home: Path) -> None:
    """The switch, a merge and a consent, said to one worker, count in the next answer of the other."""
    with serving(home) as one, serving(home) as other:
        path = "/v1/customers/c1/recommendations"
        before = httpx.get(other.url + path).json()
        httpx.put(f"{one.url}/v1/customers/c1", json={"recommendations": False})
        assert httpx.get(other.url + path).json()["served_from"]["fallback"] == "recommendations_off"
        httpx.put(f"{one.url}/v1/customers/c1", json={"recommendations": True})
        assert httpx.get(other.url + path).json()["items"] == before["items"]
        first = before["items"][0]["item_id"]
        event = {"customer_id": "v", "kind": "own", "item_id": first, "timestamp": START // 1000}
        httpx.post(f"{one.url}/v1/events", json={"events": [event]})
        httpx.post(f"{one.url}/v1/customers/c1/merge", json={"visitor_id": "v"})
        after = httpx.get(other.url + path).json()
        assert first not in [entry["item_id"] for entry in after["items"]]


def test_a_list_that_is_sent_again_brings_no_refusal_to_nothing(service: Service) -> None:
    """A yes without its time is refused after a no, for one customer and for many; one with a later time counts, and
    one with an earlier time does not."""
    yes: dict[str, Any] = {"granted": True, "source": "the nightly list"}
    send(service, "PUT", ADA, {"consents": {"email": {"granted": False, "source": "unsubscribe link"}}})
    assert send(service, "PUT", ADA, {"consents": {"email": yes}}).status == 422
    both = {
        "customers": [
            {"customer_id": "ada", "consents": {"email": yes}},
            {"customer_id": "b", "consents": {"email": yes}},
        ]
    }
    results = send(service, "PUT", "/v1/customers", both).json()["results"]
    assert [result["status"] for result in results] == ["refused", "added"]
    assert "stated_at" in results[0]["error"]["detail"]
    old = yes | {"stated_at": "2020-01-01T00:00:00Z"}
    assert send(service, "PUT", ADA, {"consents": {"email": old}}).status == 200
    with store_of(service.state.settings.home) as store:
        assert not store.profiles.get("ada").allows("email")
