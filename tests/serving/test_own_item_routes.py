"""`GET /v1/customers/{id}/buy-again` and `…/recently-viewed`: a customer's own items, as of this moment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import Event, EventKind
from serving.http.settings import Settings
from tests.serving.processes import serving
from tests.serving.service import FakeClock, Service
from tests.serving.shop import DAY, PER_SHELF, START, item, items_frame, purchase, store_of, train_shop
from tests.serving.test_live_state import break_store

VIEWED = "/v1/customers/c1/recently-viewed"
AGAIN = "/v1/customers/c1/buy-again"
STAPLE = "tea"


LAST_TEA = {"timestamp": START + 30 * DAY}
"""When the newest tea was bought; whoever comes back much later has gone without it."""


def view(item_id: str, kind: str = "view", customer: str = "c1") -> dict[str, Any]:
    """A look as a storefront posts it."""
    return {"customer_id": customer, "kind": kind, "item_id": item_id}


@pytest.fixture(scope="session")
def shop_with_tea(trained_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The books' shop, in which everybody buys tea every three days."""
    home = Path(shutil.copytree(trained_shop, tmp_path_factory.mktemp("tea") / "shop"))
    with store_of(home) as store:
        store.events.append([purchase(f"c{n}", STAPLE, day) for n in range(12) for day in range(n % 3, 30, 3)])
    train_shop(home)
    return home


@pytest.fixture
def tea_home(shop_with_tea: Path, tmp_path: Path) -> Path:
    """Such a shop of the test's own."""
    return Path(shutil.copytree(shop_with_tea, tmp_path / "tea"))


@pytest.fixture
def tea(tea_home: Path, clock: FakeClock) -> Iterator[Service]:
    """The service over it."""
    with Service(Settings(home=tea_home), clock) as running:
        yield running


def test_the_last_click_is_first_in_the_next_answer(service: Service, clock: FakeClock) -> None:
    """And gone from it when it is bought or refused; a purchase from before does not count."""
    for place in (3, 4, 5):
        clock.forward(1)
        service.post_events(view(item(2, place), "click" if place % 2 else "add_to_cart"))
        assert service.get(VIEWED).items[0] == item(2, place)
    assert service.get(VIEWED).items == [item(2, 5), item(2, 4), item(2, 3)]
    clock.forward(1)
    service.post_events(view(item(2, 5), "purchase"), view(item(2, 4), "not_interested"))
    reply = service.get(VIEWED)
    assert reply.items == [item(2, 3)]
    assert reply.served_from["masked"] == {"unavailable": 0, "refused": 1, "bought": 1, "excluded": 0}
    assert reply.json()["items"][0]["score"] == pytest.approx(1 / 3, abs=1e-5)
    assert reply.served_from["cache"]["status"] == "off"
    clock.forward(1)
    service.post_events(view(item(2, 5)))
    assert service.get(VIEWED).items == [item(2, 5), item(2, 3)]


def test_an_undone_look_was_none(service: Service) -> None:
    """`undo` takes it off the list."""
    service.post_events(view(item(2, 5)) | {"event_id": "look"})
    assert service.get(VIEWED).items == [item(2, 5)]
    service.post_events({"customer_id": "c1", "kind": "undo", "context": {"undoes": "look"}})
    assert service.get(VIEWED).items == []


def test_what_may_not_be_shown_is_left_out_of_both(tea: Service, tea_home: Path) -> None:
    """Sold out or excluded; it is back when it is back."""
    tea.post_events(view(item(2, 5)) | LAST_TEA, view(item(2, 6)) | LAST_TEA)
    for target, name in ((VIEWED, item(2, 6)), (AGAIN, STAPLE)):
        before = tea.get(target).items
        assert name in before
        assert name not in tea.get(f"{target}?exclude={name.replace('/', '%2F')}").items
        with store_of(tea_home) as store:
            store.catalog.put(items_frame(**{name: False}))
            reply = tea.get(target)
            assert name not in reply.items
            assert reply.served_from["masked"]["unavailable"] == 1
            store.catalog.put(items_frame(**{name: True}))
        assert tea.get(target).items == before


def test_only_what_comes_back_is_listed_to_buy_again(tea: Service) -> None:
    """Tea, and none of the ten books that nobody bought twice; returned or refused it is no more."""
    reply = tea.get(AGAIN)
    assert reply.items == [STAPLE]
    (entry,) = reply.json()["items"]
    assert entry["reason"] == {
        "code": "bought_before",
        "evidence": [{"item_id": STAPLE, "kind": "purchase", "share": entry["score"]}],
    }
    assert 0.5 < entry["score"] <= 1
    assert reply.served_from["masked"]["unlikely"] == 10
    assert "10 unlikely" in reply.served_from["short"]
    tea.post_events(view(STAPLE, "not_interested"))
    assert tea.get(AGAIN).served_from["masked"]["refused"] == 1
    assert tea.get(AGAIN).items == []


def test_the_clock_on_the_wall_does_not_change_what_is_bought_again(tea: Service, clock: FakeClock) -> None:
    """Ages count from the newest event: years later the answer is the same."""
    before = tea.get(AGAIN).json()["items"]
    clock.forward(1000 * DAY / 1000)
    assert tea.get(AGAIN).json()["items"] == before


def test_a_shop_without_repeats_has_an_empty_list_with_the_cause(service: Service) -> None:
    """Never an error."""
    reply = service.get(AGAIN)
    assert (reply.status, reply.items, reply.served_from["fallback"]) == (200, [], None)
    assert "10 unlikely" in reply.served_from["short"]


@pytest.mark.parametrize("target", [VIEWED, AGAIN])
def test_of_somebody_unknown_nothing_is_said(service: Service, target: str) -> None:
    """An empty list, and why."""
    reply = service.get(target.replace("c1", "nobody"))
    assert (reply.status, reply.items, reply.served_from["fallback"]) == (200, [], "unknown_customer")
    assert reply.served_from["short"]


@pytest.mark.parametrize("target", [VIEWED, AGAIN])
def test_recommendations_that_are_switched_off_are_off(tea: Service, tea_home: Path, target: str) -> None:
    """An empty list from the next answer on, and why; on again it is as before."""
    tea.post_events(view(item(2, 5)) | LAST_TEA)
    before = tea.get(target).json()["items"]
    assert before
    with store_of(tea_home) as store:
        store.profiles.put("c1", recommendations=False)
        reply = tea.get(target)
        assert (reply.items, reply.served_from["fallback"]) == ([], "recommendations_off")
        assert "switched" in reply.served_from["short"]
        store.profiles.put("c1", recommendations=True)
    assert tea.get(target).json()["items"] == before


def test_without_the_store_the_copy_of_the_history_answers(tea: Service) -> None:
    """Marked as degraded; of those whose history is not there nothing is said, and why."""
    tea.post_events(view(item(2, 5)) | LAST_TEA)
    with pytest.MonkeyPatch.context() as monkeypatch:
        known = {target: tea.get(target).items for target in (VIEWED, AGAIN)}
        break_store(monkeypatch)
        for target, items in known.items():
            reply = tea.get(target)
            assert (reply.items, reply.served_from["degraded"]) == (items, "store_unavailable")
            unread = tea.get(target.replace("c1", "c2"))
            assert (unread.items, unread.served_from["fallback"]) == ([], "history_unavailable")
            assert "cannot be read" in unread.served_from["short"]


def test_only_the_newest_events_are_looked_at(home: Path, clock: FakeClock) -> None:
    """Looks beyond the history limit are not listed; a refusal from then still counts."""
    looks = [(EventKind.NOT_INTERESTED, 1, 0), *((EventKind.VIEW, place, place) for place in range(1, 9))]
    with store_of(home) as store:
        store.events.append(
            [
                Event(
                    event_id=f"look {place} {kind}",
                    customer_id="reader",
                    kind=kind,
                    item_id=item(3, 8 if kind is EventKind.NOT_INTERESTED else place),
                    timestamp=START + 50 * DAY + second * 1000,
                )
                for kind, place, second in looks
            ]
        )
    with Service(Settings(home=home, history_limit=3), clock) as service:
        reply = service.get("/v1/customers/reader/recently-viewed")
        assert reply.items == [item(3, 7), item(3, 6)]
        assert reply.served_from["masked"]["refused"] == 1


def test_a_click_on_one_server_is_first_on_the_other(home: Path) -> None:
    """Two processes, one store: the next answer of either has it."""
    with serving(home) as one, serving(home) as two:
        for number in range(6):
            writer, reader = (one, two) if number % 2 else (two, one)
            posted = httpx.post(f"{writer.url}/v1/events", json={"events": [view(item(2, number))]})
            assert posted.json()["results"][0]["status"] == "accepted"
            for server in (reader, writer):
                items = httpx.get(f"{server.url}{VIEWED}").json()["items"]
                assert [entry["item_id"] for entry in items] == [item(2, place) for place in range(number, -1, -1)]


KINDS = ["view", "click", "add_to_cart", "purchase", "return", "not_interested", "own", "like"]
CUSTOMERS = iter(range(10**6))


@settings(max_examples=40)
@given(
    events=st.lists(
        st.tuples(st.sampled_from(KINDS), st.sampled_from([item(0, n) for n in range(6)] + [STAPLE, "?"])), max_size=20
    ),
    limit=st.integers(1, 10),
    exclude=st.sampled_from([None, STAPLE, "?"]),
)
def test_what_holds_for_every_list(
    tea_for_all: Service, events: list[tuple[str, str]], limit: int, exclude: str | None
) -> None:
    """After any events: no item twice, none that was refused, excluded or that the customer had nothing to do with,
    never more than asked, fewer only with a cause, scores descend, evidence sums to them; asked again, the same."""
    customer = f"p{next(CUSTOMERS)}"
    posted = [
        view(name, kind, customer) | {"timestamp": START + 40 * DAY + second * 1000}
        for second, (kind, name) in enumerate(events)
    ]
    if posted:
        assert all(result["status"] == "accepted" for result in tea_for_all.post_events(*posted))
    refused = {name for kind, name in events if kind == "not_interested"}
    for surface in ("recently-viewed", "buy-again"):
        query = f"?limit={limit}" + (f"&exclude={exclude.replace('?', '%3F')}" if exclude else "")
        reply = tea_for_all.get(f"/v1/customers/{customer}/{surface}{query}")
        ids = reply.items
        assert len(set(ids)) == len(ids) <= limit
        assert set(ids) <= {name for _, name in events} - refused - {exclude, item(0, 3), "?"}
        assert (reply.served_from["short"] is None) == (len(ids) == limit)
        scores = [entry["score"] for entry in reply.json()["items"]]
        assert scores == sorted(scores, reverse=True)
        for entry in reply.json()["items"]:
            assert [(part["item_id"], part["share"]) for part in entry["reason"]["evidence"]] == [
                (entry["item_id"], entry["score"])
            ]
        assert tea_for_all.get(f"/v1/customers/{customer}/{surface}{query}").json()["items"] == reply.json()["items"]


@pytest.fixture(scope="module")
def tea_for_all(shop_with_tea: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all examples, which use customers of their own; one book is sold out."""
    home = Path(shutil.copytree(shop_with_tea, tmp_path_factory.mktemp("all") / "shop"))
    with store_of(home) as store:
        row = {"item_id": item(0, 3), "available": False}
        store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))
    assert PER_SHELF > 6
    with Service(Settings(home=home), FakeClock()) as running:
        yield running
