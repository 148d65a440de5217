"""One line for every act over HTTP, stored with the act, and nobody in it who was forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from recsys.access.audit import Act, AuditLine, customer_mark
from recsys.access.keys import NewKey, Role
from recsys.errors import StoreUnavailableError
from serving.http.settings import Settings
from tests.serving.keys import given_key
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import purchase, store_of

PERSON = "Zarathustra"


@pytest.fixture
def admin(home: Path) -> NewKey:
    """The key of whoever looks after the shop."""
    return given_key(home, Role.ADMIN)


@pytest.fixture
def keyed(home: Path, clock: FakeClock, admin: NewKey) -> Iterator[Service]:
    """A service that asks for keys."""
    with Service(Settings(home=home), clock) as running:
        yield running


def lines(home: Path) -> list[AuditLine]:
    """The whole audit."""
    with store_of(home) as store:
        return list(store.audit.read())


def act(service: Service, key: NewKey, method: str, target: str, body: object = None, request_id: str = "r1") -> Reply:
    """Something that an admin does."""
    return service.ask(
        method, target, orjson.dumps(body), content_type="application/json", x_api_key=key.text, x_request_id=request_id
    )


ACTS = [
    ("PUT", "/v1/items/new", {"title": "N"}, Act.ITEMS_PUT, ["new"], 1, "created 1"),
    ("PUT", "/v1/items", {"items": [{"item_id": "a"}, {"item_id": "b"}, {"price": 1}]}, Act.ITEMS_PUT, ["a", "b"], 2,
     "created 2"),
    ("DELETE", "/v1/items/s0%2Fb00", None, Act.ITEMS_REMOVED, ["s0/b00"], 1, "removed 1"),
    ("DELETE", "/v1/items", {"item_ids": ["s0/b00", "who"]}, Act.ITEMS_REMOVED, ["s0/b00", "who"], 2,
     "removed 1, unknown 1"),
    ("PUT", "/v1/customers/ada", {"recommendations": False}, Act.CUSTOMERS_PUT, ["#ada"], 1, "added 1"),
    ("PUT", "/v1/customers", {"customers": [{"customer_id": "ada"}, {}]}, Act.CUSTOMERS_PUT, ["#ada"], 1,
     "added 1, refused 1"),
    ("GET", "/v1/customers/c1/export", None, Act.CUSTOMER_EXPORTED, ["#c1"], 1, "done"),
    ("POST", "/v1/customers/c1/merge", {"visitor_id": "v1"}, Act.CUSTOMER_MERGED, ["#c1", "#v1"], 2, "merged"),
    ("DELETE", "/v1/customers/c1", None, Act.CUSTOMER_FORGOTTEN, ["#c1"], 1, "done"),
    ("DELETE", "/v1/customers", {"customer_ids": ["c2", "nobody"]}, Act.CUSTOMER_FORGOTTEN, ["#c2"], 1, "done"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "body", "what", "on", "number", "result"), ACTS)
def test_an_act_leaves_one_line(
    keyed: Service, admin: NewKey, home: Path, clock: FakeClock, method: str, target: str, body: object, what: Act,
    on: list[str], number: int, result: str,
) -> None:  # fmt: skip
    """Who, what, on which, when, in which request, with which result; customers (#) by their mark."""
    assert act(keyed, admin, method, target, body).status in (200, 201)
    with store_of(home) as store:
        subjects = tuple(customer_mark(store, each[1:]) if each[0] == "#" else each for each in on)
    assert lines(home) == [AuditLine(clock.ms, f"key:{admin.kept.key_id}", what, subjects, number, result, "r1")]


def test_what_only_reads_or_was_refused_leaves_none(keyed: Service, admin: NewKey, home: Path) -> None:
    """Nor does what storefronts and events do."""
    for method, target, body in (
        ("GET", "/v1/customers/c1", None),
        ("GET", "/v1/items/s0%2Fb00", None),
        ("GET", "/v1/customers/nobody/export", None),
        ("DELETE", "/v1/customers/nobody", None),
        ("PUT", "/v1/items/x", {"colour": "red"}),
        ("POST", "/v1/events", {"events": [{"customer_id": "c1", "kind": "view", "item_id": "s0/b00"}]}),
    ):
        act(keyed, admin, method, target, body)
    act(keyed, given_key(home, Role.STOREFRONT), "DELETE", "/v1/customers/c1")
    assert lines(home) == []


def test_without_keys_nobody_is_named(service: Service, home: Path) -> None:
    """The act is there all the same."""
    service.ask("DELETE", "/v1/items/s0%2Fb00")
    assert [line.actor for line in lines(home)] == ["nobody"]


def test_nothing_is_done_without_its_line(
    keyed: Service, admin: NewKey, home: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the line cannot be written the item stays, and nothing is handed over."""

    def broken(*_: object) -> None:
        raise StoreUnavailableError("the disk is full")

    monkeypatch.setattr("serving.http.auditing.audit", broken)
    assert act(keyed, admin, "DELETE", "/v1/items/s0%2Fb00").status == 503
    assert act(keyed, admin, "GET", "/v1/customers/c1/export").status == 503
    monkeypatch.undo()
    clock.forward(2)
    assert act(keyed, admin, "GET", "/v1/items/s0%2Fb00").json()["item_id"] == "s0/b00"
    assert lines(home) == []


def test_whoever_was_forgotten_is_in_no_file(home: Path, clock: FakeClock, admin: NewKey) -> None:
    """After every act on a person, in requests whose own ids name them, only marks are left in the audit."""
    with store_of(home) as store:
        store.events.append([purchase(PERSON, "s0/b00", 1)])
    with Service(Settings(home=home), clock) as service:
        for method, target, body in (
            ("PUT", f"/v1/customers/{PERSON}", {"recommendations": True}),
            ("PUT", "/v1/customers", {"customers": [{"customer_id": PERSON}]}),
            ("GET", f"/v1/customers/{PERSON}/export", None),
            ("POST", f"/v1/customers/{PERSON}/merge", {"visitor_id": f"{PERSON}-visitor"}),
            ("DELETE", f"/v1/customers/{PERSON}", None),
            ("DELETE", "/v1/customers", {"customer_ids": [PERSON]}),
        ):
            assert act(service, admin, method, target, body, request_id=f"about-{PERSON}").status == 200
    found = [path for path in home.rglob("*") if path.is_file() and PERSON.encode() in path.read_bytes()]
    assert found == []
    audit = lines(home)
    assert len(audit) == 6
    with store_of(home) as store:
        mark = customer_mark(store, PERSON)
    assert [line for line in audit if mark not in line.subjects or line.request_id is not None] == []
