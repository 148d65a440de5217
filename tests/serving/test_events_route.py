"""Posting events: what is accepted, what is refused and why, and that it is on the disk."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest

from recsys.data.events import KINDS_WITHOUT_ITEM, EventKind
from recsys.errors import StoreUnavailableError
from serving.http.event_input import EventIn
from tests.serving.service import FakeClock, Service
from tests.serving.shop import DAY, START, item, store_of
from tests.serving.test_requests import assert_problem

VIEW = {"customer_id": "c1", "kind": "view", "item_id": item(1, 2)}


def refused_places(result: dict[str, Any]) -> list[list[str | int]]:
    """Where the faults of a refused event are, below the event."""
    assert result["status"] == "refused", result
    assert result["error"]["detail"]
    return [fault["place"][3:] for fault in result["error"]["errors"]]


def test_an_event_counts_in_the_next_answer(service: Service) -> None:
    """The purchase of the first item takes it off the list, at once."""
    target = "/v1/customers/c1/recommendations"
    before = service.get(target).items
    result = service.post_events({"customer_id": "c1", "kind": "purchase", "item_id": before[0]})
    assert result[0]["status"] == "accepted"
    after = service.get(target)
    assert before[0] not in after.items
    assert after.served_from["cache"]["status"] == "miss"


def test_a_newcomers_first_event_makes_the_list_personal(service: Service) -> None:
    """From popular items to the shelf of the first book."""
    target = "/v1/customers/new/recommendations?limit=5"
    assert service.get(target).served_from["fallback"] == "unknown_customer"
    service.post_events({"customer_id": "new", "kind": "purchase", "item_id": item(2, 4)})
    reply = service.get(target)
    assert reply.served_from["fallback"] is None
    assert all(name.startswith("s2/") for name in reply.items)


def test_what_is_acknowledged_is_in_the_store_with_every_field(service: Service, home: Path) -> None:
    """Another process reads what was posted, context and all."""
    event = VIEW | {
        "event_id": "e/1",
        "kind": "rate",
        "timestamp": "2024-01-02T03:04:05.678+01:00",
        "position": 7,
        "quantity": 2,
        "price": 9.5,
        "currency": "EUR",
        "rating": 4,
        "session_id": "s",
        "recommendation_id": "r",
        "context": {"page": "home", "depth": [1, {"x": None}]},
    }
    assert service.post_events(event) == [{"event_id": "e/1", "status": "accepted"}]
    with store_of(home) as store:
        newest = store.histories.get("c1", 1).rows[0]
    assert newest.item_id == item(1, 2)
    assert newest.kind == EventKind.RATE.code
    assert newest.timestamp == 1_704_161_045_678
    assert (newest.position, newest.quantity, newest.rating) == (7, 2.0, 4.0)


def test_each_event_has_its_own_result_in_order(service: Service) -> None:
    """Accepted, duplicate of one before, duplicate within the request, refused: side by side."""
    one, two = VIEW | {"event_id": "one"}, VIEW | {"event_id": "two"}
    service.post_events(one)
    results = service.post_events(two, one, two, VIEW | {"kind": "glance"}, VIEW)
    assert [result["status"] for result in results] == ["accepted", "duplicate", "duplicate", "refused", "accepted"]
    assert [result["event_id"] for result in results[:4]] == ["two", "one", "two", None]


def test_an_event_without_an_id_gets_one_that_sorts_by_time(service: Service, clock: FakeClock) -> None:
    """UUIDs of version 7; sending the same event twice without an id stores two."""
    first = service.post_events(VIEW)[0]["event_id"]
    clock.forward(1)
    second = service.post_events(VIEW)[0]["event_id"]
    assert uuid.UUID(first).version == 7
    assert uuid.UUID(first).variant == uuid.RFC_4122
    assert first < second


@pytest.mark.parametrize(
    ("given_time", "stored"),
    [
        (None, START + 100 * DAY),
        (0, 0),
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000_123, 1_700_000_000_123),
        (99_999_999_999, None),
        ("1970-01-01T00:00:00Z", 0),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
        ("2023-11-14 22:13:20.5Z", 1_700_000_000_500),
        ("2023-11-14T22:13:20", None),
        ("2023-11-14", None),
        ("yesterday", None),
        (1_700_000_000.5, None),
        (True, None),
        (-1, None),
        ("1969-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        (10**18, None),
    ],
)
def test_a_time_is_read_exactly_or_refused(
    service: Service, home: Path, given_time: object, stored: int | None
) -> None:
    """Zone needed; seconds and milliseconds told apart; absent is now; nothing before 1970."""
    result = service.post_events(VIEW | {"customer_id": "t", "timestamp": given_time})[0]
    if stored is None:
        assert refused_places(result) == [["timestamp"]]
        return
    assert result["status"] == "accepted"
    with store_of(home) as store:
        assert [row.timestamp for row in store.histories.get("t", 9).rows] == [stored]


def test_a_clock_may_be_five_minutes_ahead_and_no_more(service: Service, clock: FakeClock) -> None:
    """At 5 minutes accepted, a millisecond later refused."""
    limit = clock.ms + 5 * 60 * 1000
    assert service.post_events(VIEW | {"timestamp": limit})[0]["status"] == "accepted"
    assert refused_places(service.post_events(VIEW | {"timestamp": limit + 1})[0]) == [["timestamp"]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_id", ""),
        ("event_id", 7),
        ("event_id", "a\nb"),
        ("customer_id", "x" * 257),
        ("customer_id", None),
        ("item_id", "\0"),
        ("kind", "glance"),
        ("kind", 1),
        ("kind", ["view"]),
        ("position", 1.5),
        ("position", 2**63),
        ("quantity", 0),
        ("quantity", "1"),
        ("quantity", True),
        ("price", -0.01),
        ("currency", "euro"),
        ("rating", "5"),
        ("rating", 1e39),
        ("quantity", 1.1e15),
        ("session_id", ""),
        ("recommendation_id", "r" * 1025),
        ("context", "{}"),
        ("context", [1]),
        ("colour", "red"),
        ("x" * 500, 1),
    ],
)
def test_a_field_that_does_not_fit_refuses_its_event_and_no_other(service: Service, field: str, value: object) -> None:
    """The refusal names the field; the event beside it is stored."""
    bad, good = service.post_events(VIEW | {field: value}, VIEW)
    assert [place[0] for place in refused_places(bad)] == [field if len(field) <= 80 else f"{field[:80]}…"]
    assert good["status"] == "accepted"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("currency", "euro", "three letters"), ("recommendation_id", "a b", "printable ASCII")],
)
def test_a_refusal_says_in_words_what_was_expected(service: Service, field: str, value: str, expected: str) -> None:
    """A pattern is no help to whoever reads the answer."""
    (fault,) = service.post_events(VIEW | {field: value})[0]["error"]["errors"]
    assert fault["found"] == repr(value)
    assert expected in fault["expected"]


def test_null_is_the_same_as_absent(service: Service) -> None:
    """In every field that may be absent."""
    optional = [name for name in EventIn.model_fields if name not in VIEW]
    (result,) = service.post_events(VIEW | dict.fromkeys(optional))
    assert result["status"] == "accepted", result


def test_all_faults_of_an_event_are_told_at_once(service: Service) -> None:
    """Not one per attempt."""
    assert refused_places(service.post_events({"kind": "no", "foo": 1})[0]) == [["customer_id"], ["kind"], ["foo"]]
    assert refused_places(service.post_events("view")[0]) == [[]]


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_is_accepted_and_needs_an_item_or_not(service: Service, kind: EventKind) -> None:
    """Without item_id only searches, undos, e-mail and (un)subscribing are stored."""
    event: dict[str, object] = {"customer_id": "k", "kind": kind}
    if kind is EventKind.UNDO:
        event["context"] = {"undoes": "something"}
    with_item, without = service.post_events(event | {"item_id": item(0, 1)}, event)
    assert with_item["status"] == "accepted"
    if kind in KINDS_WITHOUT_ITEM:
        assert without["status"] == "accepted"
    else:
        assert refused_places(without) == [["item_id"]]


@pytest.mark.parametrize("context", [None, {}, {"undoes": 3}, {"undoes": ""}])
def test_an_undo_names_the_event_that_it_takes_back(service: Service, context: object) -> None:
    """Without it there is nothing to undo."""
    result = service.post_events({"customer_id": "c1", "kind": "undo", "context": context})[0]
    assert refused_places(result) == [["context"]]


def test_undoing_an_event_brings_the_list_back(service: Service) -> None:
    """A purchase and its undo leave the items of the list as they were."""
    target = "/v1/customers/c1/recommendations"
    before = service.get(target).items
    bought = service.post_events({"customer_id": "c1", "kind": "purchase", "item_id": before[0]})[0]["event_id"]
    assert service.get(target).items != before
    service.post_events({"customer_id": "c1", "kind": "undo", "context": {"undoes": bought}})
    assert service.get(target).items == before


def test_a_context_is_at_most_32_levels_deep(service: Service) -> None:
    """32 levels are stored, 33 refused."""

    def nested(levels: int) -> object:
        return {"x": nested(levels - 1)} if levels else 1

    assert service.post_events(VIEW | {"context": nested(32)})[0]["status"] == "accepted"
    assert refused_places(service.post_events(VIEW | {"context": nested(33)})[0]) == [["context"]]


def test_nothing_is_stored_when_the_store_cannot_write(
    service: Service, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, told to come back, and none of the request's events is there."""
    with store_of(home) as blocking:
        before = blocking.histories.version("c1")
        monkeypatch.setattr(
            type(blocking.events), "append", lambda *_: (_ for _ in ()).throw(StoreUnavailableError("disk full"))
        )
        reply = service.post(orjson.dumps({"events": [VIEW, VIEW]}))
        assert_problem(reply, 503, "store-unavailable")
        assert reply.headers["retry-after"] == "1"
        assert blocking.histories.version("c1") == before
    assert b'bookmatch_store_failures_total{operation="write"} 1.0' in service.get("/metrics").body


def test_results_are_counted(service: Service) -> None:
    """By what became of each event."""
    service.post_events(VIEW | {"event_id": "x"}, VIEW | {"event_id": "x"}, {})
    text = service.get("/metrics").body.decode()
    for status in ("accepted", "duplicate", "refused"):
        assert f'bookmatch_events_total{{status="{status}"}} 1.0' in text
