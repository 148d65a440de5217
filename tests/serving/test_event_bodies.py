"""Bodies posted to the events route: whatever they hold, an answer or a problem that says where."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from recsys.data.events import EventKind
from serving.http.event_input import Id, Refused, id_fault, parse_events
from tests.serving.service import Service
from tests.serving.test_events_route import VIEW, refused_places
from tests.serving.test_requests import assert_problem


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed-body"),
        (b"{", 400, "malformed-body"),
        (b"\xff", 400, "malformed-body"),
        (b'{"events": [NaN]}', 400, "malformed-body"),
        (b"[" * 100_000, 400, "malformed-body"),
        (b"[]", 422, "invalid-request"),
        (b'"events"', 422, "invalid-request"),
        (b"null", 422, "invalid-request"),
        (b"{}", 422, "invalid-request"),
        (b'{"events": []}', 422, "invalid-request"),
        (b'{"events": {}}', 422, "invalid-request"),
        (b'{"events": null}', 422, "invalid-request"),
        (orjson.dumps({"events": [VIEW], "dry_run": True}), 422, "invalid-request"),
        (orjson.dumps({"events": [VIEW] * 1001}), 422, "invalid-request"),
        (b" " * (2 * 1024 * 1024 + 1), 413, "body-too-large"),
    ],
)
def test_a_body_that_is_no_list_of_events_is_a_problem(service: Service, body: bytes, status: int, code: str) -> None:
    """4xx with the place of the fault; nothing is stored."""
    reply = service.post(body)
    assert_problem(reply, status, code)
    assert reply.json()["errors"]


def test_a_thousand_events_fit_in_one_request(service: Service) -> None:
    """The most that is allowed."""
    results = service.post_events(*[VIEW] * 1000)
    assert {result["status"] for result in results} == {"accepted"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "application/json; charset=latin-1"},
        {"content_type": "application/json", "content_encoding": "gzip"},
    ],
)
def test_a_body_of_another_type_is_refused(service: Service, headers: dict[str, str]) -> None:
    """415."""
    body = orjson.dumps({"events": [VIEW]})
    assert_problem(service.ask("POST", "/v1/events", body, **headers), 415, "unsupported-media-type")


def test_a_content_type_with_its_charset_is_fine(service: Service) -> None:
    """JSON in UTF-8, said in full."""
    body = orjson.dumps({"events": [VIEW]})
    reply = service.ask("POST", "/v1/events", body, content_type='Application/JSON; charset="UTF-8"')
    assert reply.status == 200


def test_a_body_announced_as_too_large_is_refused_before_it_is_read(service: Service) -> None:
    """413 by its Content-Length alone, however many digits that has."""
    for length in ("2097153", "9" * 5000):
        reply = service.ask("POST", "/v1/events", b"{}", content_type="application/json", content_length=length)
        assert_problem(reply, 413, "body-too-large")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["event_id", "customer_id", "kind", "item_id", "timestamp", "position", "quantity", "price", "currency"]
NEARLY = st.dictionaries(st.sampled_from([*FIELDS, "rating", "session_id", "context", "other"]), JSON, max_size=6)


@settings(deadline=None)
@given(event=NEARLY | JSON)
def test_any_json_in_place_of_an_event_has_a_result(shared_service: Service, event: object) -> None:
    """Never a 500: one result, and a refused event says where."""
    body = orjson.dumps({"events": [event]}, option=orjson.OPT_NON_STR_KEYS) if _encodable(event) else None
    if body is None:
        return
    reply = shared_service.post(body)
    assert reply.status == 200
    (result,) = reply.json()["results"]
    assert result["status"] in ("accepted", "duplicate", "refused")
    assert ("error" in result) == (result["status"] == "refused")


@settings(deadline=None)
@given(value=JSON, field=st.sampled_from([*FIELDS, "rating", "session_id", "recommendation_id", "context"]))
def test_a_good_event_with_one_strange_field_has_a_result(shared_service: Service, value: object, field: str) -> None:
    """Whatever stands in one field, the event is stored or that field is named."""
    event = VIEW | {"customer_id": "h", field: value}
    if not _encodable(event):
        return
    (result,) = shared_service.post_events(event)
    if result["status"] == "refused":
        assert {place[0] for place in refused_places(result)} == {field}


GOOD = st.fixed_dictionaries(
    {"customer_id": st.sampled_from(["c1", "é"]), "kind": st.sampled_from([*map(str, EventKind)])},
    optional={
        "event_id": st.sampled_from(["e", None]),
        "item_id": st.sampled_from(["i", None]),
        "timestamp": st.sampled_from([None, 5, 10**12, -1, 10**15, "2024-01-02T03:04:05Z", "1969-12-31T23:59:59Z"]),
        "position": st.sampled_from([None, -3]),
        "quantity": st.sampled_from([None, 2, 0.5]),
        "price": st.sampled_from([None, 0, 9.5]),
        "currency": st.sampled_from([None, "EUR"]),
        "rating": st.sampled_from([None, -1, 4.5]),
        "session_id": st.sampled_from([None, "s"]),
        "recommendation_id": st.sampled_from([None, "r"]),
        "context": st.sampled_from([None, {}, {"undoes": "e"}, {"a": [1, {"b": None}]}]),
    },
)
NOW = 1_760_000_000_000


@settings(deadline=None)
@given(entries=st.lists(GOOD | GOOD | NEARLY | JSON, min_size=1, max_size=4))
def test_events_are_read_together_as_each_by_itself(entries: list[object]) -> None:
    """Events that all fit are validated in one call; one that does not fit has each validated by itself: same results,
    same words."""
    together = parse_events({"events": entries}, NOW, lambda: "made")
    with_a_bad_one = parse_events({"events": [*entries, 7]}, NOW, lambda: "made")
    assert with_a_bad_one[:-1] == together
    assert isinstance(with_a_bad_one[-1], Refused)
    for index, (entry, found) in enumerate(zip(entries, together, strict=True)):
        (alone,) = parse_events({"events": [entry]}, NOW, lambda: "made")
        if isinstance(alone, Refused):
            moved = [replace(fault, place=("body", "events", index, *fault.place[3:])) for fault in alone.faults]
            alone = Refused(alone.identifier, tuple(moved))
        assert found == alone


def test_an_id_in_a_body_is_what_an_id_in_a_path_is() -> None:
    """Pydantic's compiled rule and ours agree on every character, on lengths and on blanks, in the same words."""
    everything = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    samples = [*everything, "", " \t", " \u3000\xa0", " a", "a ", " a b ", "x" * 256, "x" * 257, "€" * 256, "€" * 257]
    adapter = TypeAdapter(list[Id])
    fine = [text for text in samples if id_fault(text) is None]
    assert adapter.validate_python(fine) == fine
    assert {"a", " a b ", "€" * 256} <= set(fine)
    assert not {"", " ", " \t", " \u3000\xa0", "\n", "\x7f", "\x85", "x" * 257, "€" * 257} & set(fine)
    for text in set(samples) - set(fine):
        with pytest.raises(ValidationError) as refused:
            adapter.validate_python([text])
        assert [fault["msg"] for fault in refused.value.errors()] == [id_fault(text)]


@settings(deadline=None)
@given(body=st.binary(max_size=200))
def test_any_bytes_as_a_body_are_an_answer_or_a_problem(shared_service: Service, body: bytes) -> None:
    """Never a 500."""
    assert shared_service.post(body).status in (200, 400, 422)


def _encodable(value: object) -> bool:
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("context", "refused"),
    [
        ({"slot": 1, "propensity": 1}, []),
        ({"slot": 40, "propensity": 0.001, "page": "home"}, []),
        ({}, []),
        ({"slot": 0}, ["slot"]),
        ({"slot": 1.0}, ["slot"]),
        ({"slot": True}, ["slot"]),
        ({"slot": "1", "propensity": None}, ["slot", "propensity"]),
        ({"propensity": 0}, ["propensity"]),
        ({"propensity": 1.01}, ["propensity"]),
        ({"propensity": [0.5]}, ["propensity"]),
    ],
)
def test_an_impression_says_where_and_how_likely(context: dict[str, object], refused: list[str]) -> None:
    """Slot and propensity are checked, each for itself; other kinds may say what they like."""
    entry = {"customer_id": "ann", "kind": "impression", "item_id": "i", "context": context}
    told = parse_events({"events": [entry, entry | {"kind": "view"}]}, 10**12, lambda: "id")
    faults = told[0].faults if isinstance(told[0], Refused) else ()
    assert [fault.place for fault in faults] == [("body", "events", 0, "context", field) for field in refused]
    assert not isinstance(told[1], Refused)
