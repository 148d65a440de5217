"""Items are put, read and taken off over HTTP, and what is acknowledged holds for every later answer."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.shop import ShopFolder
from serving.http.item_input import MAX_ITEMS, ItemIn
from serving.http.settings import Settings
from tests.serving.redis_server import RedisServer
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import item, store_of, train_shop
from tests.serving.test_live_state import break_store
from tests.serving.test_requests import assert_problem

TARGET = "/v1/customers/c1/recommendations"
WHOLE = {
    "title": "Emma",
    "author": "Jane Austen",
    "category": "novels",
    "price": 9.5,
    "currency": "EUR",
    "available": True,
    "published": "2020-03-01T12:00:00Z",
    "expires": "2999-01-01T00:00:00.250Z",
    "attributes": {"pages": 474, "by": {"é": [1, None]}},
}


def path_of(item_id: str) -> str:
    """The path of one item."""
    return f"/v1/items/{quote(item_id, safe='')}"


def send(service: Service, method: str, path: str, body: object) -> Reply:
    """A request with a body of JSON."""
    return service.ask(method, path, orjson.dumps(body), content_type="application/json")


def put(service: Service, item_id: str, **row: object) -> Reply:
    """Puts one item."""
    return send(service, "PUT", path_of(item_id), row)


def get(service: Service, item_id: str) -> dict[str, Any]:
    """What is known of one item."""
    reply = service.get(path_of(item_id))
    assert reply.status == 200, reply.body
    return dict(reply.json())


def test_a_row_comes_back_as_it_was_put(service: Service) -> None:
    """New, then unchanged, then changed; what GET answers can be put again; what is left out is forgotten."""
    assert (put(service, "emma", **WHOLE).status, get(service, "emma")["row"]) == (201, WHOLE)
    assert put(service, "emma", **get(service, "emma")["row"]).json() == {"item_id": "emma", "status": "unchanged"}
    changed = put(service, "emma", title="Emma")
    assert (changed.status, changed.json()["status"]) == (200, "changed")
    assert get(service, "emma")["row"] == dict.fromkeys(WHOLE) | {"title": "Emma"}
    named = send(service, "PUT", "/v1/items/emma", {"item_id": "emma", "title": "Emma"})
    assert named.json()["status"] == "unchanged"


def test_an_item_that_the_models_do_not_know_is_stored_and_said_to_be_nowhere(service: Service) -> None:
    """Until models are trained with it."""
    put(service, "brand/new", title="New")
    found = get(service, "brand/new")
    assert (found["known_to_bundle"], found["showable"], found["hidden_because"]) == (False, False, "not_in_model")
    train_shop(service.state.settings.shop.home, seed=3)
    service.look_for_bundles()
    found = get(service, "brand/new")
    assert (found["known_to_bundle"], found["showable"], found["hidden_because"]) == (True, True, None)


def test_why_an_item_is_not_shown_is_told(service: Service, clock: FakeClock) -> None:
    """Not available, not yet, no longer; an item of which only events are known is shown without a row."""
    name = item(1, 3)
    assert (get(service, name)["row"], get(service, name)["showable"]) == (None, True)
    for row, why in (
        ({"available": False}, "unavailable"),
        ({"published": clock.ms + 1}, "not_yet_published"),
        ({"expires": clock.ms}, "expired"),
        ({"published": clock.ms, "expires": clock.ms + 1}, None),
    ):
        assert put(service, name, **row).status in (200, 201)
        found = get(service, name)
        assert (found["hidden_because"], found["showable"]) == (why, why is None)
        assert (found["detail"] is None) == (why is None)


def test_an_unknown_item_is_404(service: Service) -> None:
    """To GET and DELETE; and so is one that was removed."""
    for method in ("GET", "DELETE"):
        assert_problem(service.ask(method, "/v1/items/never"), 404, "unknown-item")
    name = item(1, 5)
    put(service, name, title="Five")
    assert service.ask("DELETE", path_of(name)).json() == {"item_id": name, "status": "removed"}
    for method in ("GET", "DELETE"):
        assert_problem(service.ask(method, path_of(name)), 404, "unknown-item")
    assert put(service, name, title="Five").json()["status"] == "created"


def test_a_shop_without_models_has_its_items(home: Path, clock: FakeClock) -> None:
    """Rows can be put and read before the first training."""
    shutil.rmtree(ShopFolder(home).models)
    with Service(Settings(home=home), clock) as service:
        put(service, "emma", title="Emma")
        found = get(service, "emma")
        assert (found["row"]["title"], found["bundle"], found["hidden_because"]) == ("Emma", None, "no_model")
        assert service.get("/v1/items/never").status == 404


def test_a_removed_item_is_in_no_answer_until_it_is_put_again(service: Service) -> None:
    """Also one that never had a row, which is what most models know; its events stay."""
    before = service.get(TARGET).items
    assert service.ask("DELETE", path_of(before[0])).status == 200
    assert service.get(TARGET).items[:19] == before[1:]
    service.post_events({"customer_id": "c2", "kind": "purchase", "item_id": before[0]})
    assert before[0] not in service.get(TARGET).items
    put(service, before[0], title="Back")
    assert service.get(TARGET).items == before


def test_the_entries_of_a_batch_are_taken_or_refused_each_for_itself(service: Service) -> None:
    """In their order, as if one was put after the other; what is wrong is told with its place."""
    put(service, "there", title="There")
    batch = [
        {"item_id": "new", "title": "New"},
        {"item_id": "there", "title": "There"},
        {"item_id": "bad", "price": -1, "colour": "red"},
        {"title": "nameless"},
        {"item_id": "new", "title": "Newer"},
        7,
    ]
    results = send(service, "PUT", "/v1/items", {"items": batch}).json()["results"]
    assert [entry["status"] for entry in results] == [
        "created",
        "unchanged",
        "refused",
        "refused",
        "changed",
        "refused",
    ]
    assert [entry["item_id"] for entry in results] == ["new", "there", "bad", None, "new", None]
    places = [tuple(error["place"]) for entry in results if "error" in entry for error in entry["error"]["errors"]]
    assert places == [
        ("body", "items", 2, "price"),
        ("body", "items", 2, "colour"),
        ("body", "items", 3, "item_id"),
        ("body", "items", 5),
    ]
    assert get(service, "new")["row"]["title"] == "Newer"
    asked = service.get("/v1/items?id=there&id=bad&id=new&id=there").json()
    assert ([entry["item_id"] for entry in asked["items"]], asked["unknown"]) == (["there", "new"], ["bad"])
    gone = send(service, "DELETE", "/v1/items", {"item_ids": ["new", "bad", "new", "", 3, "there"]}).json()["results"]
    assert [entry["status"] for entry in gone] == ["removed", "unknown", "unknown", "refused", "refused", "removed"]
    assert gone[4]["error"]["errors"][0]["place"] == ["body", "item_ids", 4]
    assert service.get("/v1/items?id=new").json() == {"items": [], "unknown": ["new"]}
    text = service.get("/metrics").body.decode()
    assert 'bookmatch_items_total{status="refused"} 5.0' in text
    assert 'bookmatch_items_total{status="removed"} 2.0' in text


def test_a_whole_batch_of_the_largest_size_is_one_change(service: Service) -> None:
    """A thousand items, with one version of the catalogue."""
    batch = [{"item_id": f"n{number}", "price": number / 100} for number in range(MAX_ITEMS)]
    with store_of(service.state.settings.shop.home) as store:
        version = store.catalog.version()
        results = send(service, "PUT", "/v1/items", {"items": batch}).json()["results"]
        assert {entry["status"] for entry in results} == {"created"}
        assert store.catalog.version() == version + 1
    assert_problem(send(service, "PUT", "/v1/items", {"items": [*batch, *batch]}), 422, "invalid-request")


BAD: list[tuple[object, str]] = [
    ([], "body"),
    ({"colour": "red"}, "body.colour"),
    ({"title": ""}, "body.title"),
    ({"title": "a\0"}, "body.title"),
    ({"title": "x" * 2_001}, "body.title"),
    ({"title": 3}, "body.title"),
    ({"price": -0.01}, "body.price"),
    ({"price": "9"}, "body.price"),
    ({"price": 1e300}, "body.price"),
    ({"currency": "EURO"}, "body.currency"),
    ({"available": 1}, "body.available"),
    ({"published": "2026-03-01"}, "body.published"),
    ({"published": 10**17}, "body.published"),
    ({"expires": "soon"}, "body.expires"),
    ({"published": 2_000_000_000, "expires": 2_000_000_000}, "body.expires"),
    ({"attributes": [1]}, "body.attributes"),
    ({"attributes": {"text": "x" * 100_000}}, "body.attributes"),
    ({"item_id": "another"}, "body.item_id"),
]


@pytest.mark.parametrize(("body", "place"), BAD)
def test_a_row_that_does_not_fit_is_refused_with_its_place(shared_service: Service, body: object, place: str) -> None:
    """422, and nothing is stored."""
    reply = send(shared_service, "PUT", "/v1/items/refused", body)
    assert_problem(reply, 422, "invalid-request")
    assert ".".join(map(str, reply.json()["errors"][0]["place"])) == place
    assert shared_service.get("/v1/items/refused").status == 404


@pytest.mark.parametrize("body", [{}, [], {"items": []}, {"items": 1}, {"items": [], "more": 1}, {"item_ids": [1]}])
def test_a_body_that_is_no_batch_is_refused(shared_service: Service, body: object) -> None:
    """422 as a whole."""
    assert_problem(send(shared_service, "PUT", "/v1/items", body), 422, "invalid-request")


def test_ids_to_read_are_checked_and_counted(shared_service: Service) -> None:
    """422 for none, for too many, and for what is no id."""
    for query in ("", "?id=", "?id=%00", "?" + "&".join(f"id={number}" for number in range(101)), "?item=x"):
        assert_problem(shared_service.get(f"/v1/items{query}"), 422, "invalid-request")


@settings(deadline=None)
@given(
    row=st.dictionaries(
        st.sampled_from(list(ItemIn.model_fields)),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**63 - 1)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(max_size=5)
            | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        ),
    )
)
def test_any_row_is_stored_as_it_is_or_refused(shared_service: Service, row: dict[str, Any]) -> None:
    """Never a 500; and what was stored can be read and put again without a change."""
    try:
        reply = send(shared_service, "PUT", "/v1/items/any", row)
    except UnicodeEncodeError:
        return  # JSON has no lone surrogates.
    assert reply.status in (200, 201, 422), reply.body
    if reply.status != 422:
        found = get(shared_service, "any")["row"]
        assert put(shared_service, "any", **found).json()["status"] == "unchanged"


def test_a_time_before_the_year_1_from_an_import_can_still_be_read(service: Service) -> None:
    """As whole milliseconds, which have no other text."""
    with store_of(service.state.settings.shop.home) as store:
        rows = [{"item_id": "old", "published": -(2**63) + 1, "expires": 2**63 - 1}]
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    row = get(service, "old")["row"]
    assert (row["published"], row["expires"]) == (-(2**63) + 1, 2**63 - 1)


def test_a_store_that_cannot_be_written_is_503_and_nothing_is_stored(service: Service, clock: FakeClock) -> None:
    """To PUT, DELETE and batches; and GET says that it cannot be read."""
    put(service, "emma", title="Emma")
    with pytest.MonkeyPatch.context() as monkeypatch:
        break_store(monkeypatch)
        for reply in (
            put(service, "emma", title="Changed"),
            service.ask("DELETE", "/v1/items/emma"),
            send(service, "PUT", "/v1/items", {"items": [{"item_id": "emma"}]}),
            send(service, "DELETE", "/v1/items", {"item_ids": ["emma"]}),
            service.get("/v1/items/emma"),
        ):
            assert_problem(reply, 503, "store-unavailable")
            assert reply.headers["retry-after"] == "1"
    clock.forward(2)
    assert get(service, "emma")["row"]["title"] == "Emma"


def test_the_wrong_method_names_every_right_one(service: Service) -> None:
    """405 with Allow, although each method is a route of its own."""
    for path in ("/v1/items/x", "/v1/items"):
        reply = service.ask("POST", path)
        assert_problem(reply, 405, "method-not-allowed")
        assert reply.headers["allow"] == "DELETE, GET, PUT"


NAME = st.builds(item, st.integers(0, 1), st.integers(0, 5))
MOVE = st.one_of(
    st.tuples(st.just("put"), NAME, st.sampled_from([True, False, None])),
    st.tuples(st.just("dates"), NAME, st.tuples(st.integers(-2, 2), st.integers(1, 3))),
    st.tuples(st.just("delete"), NAME, st.none()),
    st.tuples(st.just("wait"), st.none(), st.integers(1, 2)),
    st.tuples(st.just("ask"), NAME, st.sampled_from([5, 20, 120])),
)


@pytest.mark.redis
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(moves=st.lists(st.tuples(MOVE, st.integers(0, 1)), min_size=4, max_size=16))
def test_nothing_that_may_not_be_shown_is_ever_shown(
    trained_shop: Path, redis_server: RedisServer, moves: list[Any]
) -> None:
    """Whatever is put, removed and dated through two services with one Redis, each answer of either of them shows
    everything that may be shown and nothing else, from the cache or not."""
    redis_server.clear()
    everything = [item(shelf, place) for shelf in range(4) for place in range(30)]
    limits: dict[str, tuple[bool, int, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(shutil.copytree(trained_shop, Path(folder) / "shop"))
        clock, config = FakeClock(), Settings(home=home, redis_url=redis_server.url, redis_timeout_ms=1_000)
        with Service(config, clock) as one, Service(config, clock) as two:
            for (what, name, how), where in moves:
                service = (one, two)[where]
                if what == "put":
                    assert put(service, name, available=how).status in (200, 201)
                    limits[name] = (how is not False, -1, 2**62)
                elif what == "dates":
                    first, last = clock.ms + 1_000 * how[0], clock.ms + 1_000 * (how[0] + how[1])
                    assert put(service, name, published=first, expires=last).status in (200, 201)
                    limits[name] = (True, first, last)
                elif what == "delete":
                    service.ask("DELETE", path_of(name))
                    limits[name] = (False, -1, 2**62)
                elif what == "wait":
                    clock.forward(how)
                else:
                    wanted = {
                        name
                        for name in everything
                        for is_there, first, last in [limits.get(name, (True, -1, 2**62))]
                        if is_there and first <= clock.ms < last
                    }
                    shown = service.get(f"/v1/customers/stranger/recommendations?limit={how}").items
                    assert set(shown) <= wanted
                    assert len(shown) == min(how, len(wanted))
                    assert set(service.get(f"{path_of(name)}/related?limit={how}").items) <= wanted


@pytest.mark.redis
def test_an_item_that_was_off_between_two_looks_is_not_missing(home: Path, redis_server: RedisServer) -> None:
    """A worker that never saw an item go does not use the list that another worker ranked without it."""
    clock, config = FakeClock(), Settings(home=home, redis_url=redis_server.url, redis_timeout_ms=1_000)
    with Service(config, clock) as one, Service(config, clock) as two:
        before = two.get(TARGET).items
        two.runner.run(two.state.answerer.close())
        redis_server.clear()
        put(one, before[0], available=False)
        assert before[0] not in one.get(TARGET).items
        one.runner.run(one.state.answerer.close())
        put(one, before[0], available=True)
        after = two.get(TARGET)
        assert (after.items, after.served_from["cache"]["status"]) == (before, "recomputed")


def test_a_backup_put_in_the_store_s_place_is_read_whole(service: Service, home: Path, tmp_path: Path) -> None:
    """Its versions are counted from where it was made: what changed after that is not there any more."""
    path, name, other = ShopFolder(home).store, item(1, 3), item(1, 4)
    put(service, other, title="There")
    with store_of(home) as store:
        store.events.append([Event(event_id="flush", customer_id="c1", kind=EventKind.VIEW, item_id=name, timestamp=1)])
    backup = tmp_path / "backup"
    shutil.copytree(path.parent, backup, ignore=shutil.ignore_patterns("models"))
    put(service, name, available=False)
    assert get(service, name)["showable"] is False
    for file in path.parent.glob("store.db*"):
        file.unlink() if file.is_file() else shutil.rmtree(file)
    for file in backup.glob("store.db*"):
        shutil.move(file, path.parent / file.name)
    put(service, other, title="Again")
    assert get(service, name)["showable"] is True
