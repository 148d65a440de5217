"""`GET /v1/popular`: what is popular, rising or new, under the catalogue of this moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA
from recsys.recommend import popular_lists
from recsys.recommend.popular_lists import Order
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Service
from tests.serving.shop import DAY, PER_SHELF, SHELVES, START, item, items_frame, shop_events, store_of, train_shop
from tests.serving.test_live_state import break_store


def put(home: Path, *rows: dict[str, object]) -> None:
    """Writes items, as another process would."""
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame(list(rows), schema=ITEM_SCHEMA))


def shelved() -> list[dict[str, object]]:
    """Every book with its shelf as the category."""
    return [
        {"item_id": item(shelf, place), "category": f"Shelf {shelf}"}
        for shelf in range(SHELVES)
        for place in range(PER_SHELF)
    ]


def test_items_are_counted_in_the_window(service: Service) -> None:
    """As a group-by of the shop's events counts them, whose newest is of day 9; each answer says how it was made."""
    for window, days in (("all", 10), ("3d", 3)):
        bought = [event.item_id for event in shop_events() if event.timestamp > START + (9 - days) * DAY]
        counts = pl.Series("item", bought).value_counts()
        reply = service.get(f"/v1/popular?window={window}&limit=200")
        assert {entry["item_id"]: entry["score"] for entry in reply.json()["items"]} == dict(counts.iter_rows())
        assert reply.served_from["sources"] == ["popular"]
        assert reply.served_from["masked"] == {"unavailable": 0, "excluded": 0}
        assert f": {len(counts)}" in reply.served_from["short"]
        assert reply.json()["recommendation_id"]


def test_a_list_is_ranked_once_and_kept(service: Service, clock: FakeClock) -> None:
    """A hit says its age and has the same items; another question is another list; a new bundle is a new list."""
    first = service.get("/v1/popular")
    clock.forward(5)
    again = service.get("/v1/popular")
    assert first.served_from["cache"]["status"] == "miss"
    assert again.served_from["cache"] == {"status": "hit", "age_s": 5.0, "trouble": None}
    assert again.json()["items"] == first.json()["items"]
    assert service.get("/v1/popular?order=new").served_from["cache"]["status"] == "miss"
    assert service.get("/v1/popular?window=3d").served_from["cache"]["status"] == "miss"
    train_shop(service.state.settings.home, seed=1)
    service.look_for_bundles()
    assert service.get("/v1/popular").served_from["cache"]["status"] == "miss"


def test_those_who_ask_at_once_share_one_ranking(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten answers, one list made."""
    made = []

    def counting(*asked: object) -> object:
        made.append(asked)
        return popular_lists.shop_list(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr("serving.http.shop_lists.shop_list", counting)

    async def at_once() -> None:
        replies = await asyncio.gather(*(service.asking("GET", "/v1/popular?order=new") for _ in range(10)))
        assert len({reply.json()["items"][0]["item_id"] for reply in replies}) == 1

    service.runner.run(at_once())
    assert len(made) == 1


def test_what_sells_out_is_gone_from_the_next_answer(service: Service, home: Path) -> None:
    """Although the list is kept; and it is back when it is back."""
    before = service.get("/v1/popular?limit=5").items
    put(home, {"item_id": before[0], "available": False})
    after = service.get("/v1/popular?limit=5")
    assert after.items[:4] == before[1:]
    assert after.served_from["cache"]["status"] == "hit"
    assert after.served_from["masked"]["unavailable"] == 1
    put(home, {"item_id": before[0], "available": True})
    assert service.get("/v1/popular?limit=5").items == before


def test_a_category_is_that_of_this_moment(service: Service, home: Path) -> None:
    """An item that is moved to another category is in its list next; one that is not there is told what there is."""
    put(home, *shelved())
    assert {name[:2] for name in service.get("/v1/popular?category=Shelf%202").items} == {"s2"}
    moved = service.get("/v1/popular?category=Shelf%201").items[0]
    put(home, {"item_id": moved, "category": "Shelf 2"})
    assert moved in service.get("/v1/popular?category=Shelf%202&limit=200").items
    assert moved not in service.get("/v1/popular?category=Shelf%201&limit=200").items
    refused = service.get("/v1/popular?category=shelf%201")
    (fault,) = refused.json()["errors"]
    assert (refused.status, fault["place"], fault["found"]) == (422, ["query", "category"], "'shelf 1'")
    assert "'Shelf 1'" in fault["expected"]


def test_a_newcomer_is_new_at_once(service: Service, home: Path, clock: FakeClock) -> None:
    """Although the models have never seen it; not before its date, not sold out, not excluded."""
    assert service.get("/v1/popular?order=new&window=9d").items
    put(home, {"item_id": "brand/new", "published": clock.ms + 1000, "category": "Shelf 9"})
    assert "brand/new" not in service.get("/v1/popular?order=new&limit=200").items
    clock.forward(1)
    reply = service.get("/v1/popular?order=new&window=3d")
    assert reply.items[0] == "brand/new"
    assert reply.json()["items"][0]["reason"]["code"] == "new"
    assert service.get("/v1/popular?order=new&category=Shelf%209").items == ["brand/new"]
    excluded = service.get("/v1/popular?order=new&exclude=brand%2Fnew")
    assert (excluded.items[0] != "brand/new", excluded.served_from["masked"]["excluded"]) == (True, 1)
    put(home, {"item_id": "brand/new", "available": False})
    assert "brand/new" not in service.get("/v1/popular?order=new&limit=200").items


def test_items_that_are_put_and_taken_off_over_http_follow_at_once(service: Service) -> None:
    """New when it is put, in its category, in another one when that changes, and gone when it is deleted."""

    def put_item(**fields: str) -> None:
        body = orjson.dumps(fields)
        assert service.ask("PUT", "/v1/items/quill", body, content_type="application/json").status in (200, 201)

    service.get("/v1/popular?order=new")
    put_item(category="Pens")
    assert service.get("/v1/popular?order=new&category=Pens").items == ["quill"]
    put_item(category="Feathers")
    assert service.get("/v1/popular?order=new&category=Feathers").items == ["quill"]
    assert service.get("/v1/popular?order=new&category=Pens").status == 422
    assert "quill" in service.get("/v1/popular?order=new&limit=200").items
    assert service.ask("DELETE", "/v1/items/quill").status in (200, 204)
    assert "quill" not in service.get("/v1/popular?order=new&limit=200").items
    assert service.get("/v1/popular?order=new&category=Feathers").status == 422


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("window=0d", "window"),
        ("window=366d", "window"),
        ("window=", "window"),
        ("window=30%0A", "window"),
        ("order=best", "order"),
        ("category=", "category"),
        ("category=" + "x" * 1001, "category"),
        ("category=nothing", "category"),
        ("limit=0", "limit"),
        ("exclude=%00", "exclude"),
        ("days=3", "days"),
        ("window=3d&window=4d", "window"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(shared_service: Service, query: str, place: str) -> None:
    """422; nothing is guessed."""
    reply = shared_service.get(f"/v1/popular?{query}")
    assert reply.status == 422
    assert [fault["place"] for fault in reply.json()["errors"]] == [["query", place]]


def test_answers_go_on_when_the_store_is_gone(home: Path, clock: FakeClock) -> None:
    """From the last catalogue, marked; only a category that was never looked up is refused, as 503."""
    put(home, *shelved())
    with Service(Settings(home=home), clock) as service, pytest.MonkeyPatch.context() as monkeypatch:
        break_store(monkeypatch)
        for target in ("/v1/popular", "/v1/popular?order=new"):
            reply = service.get(target)
            assert (reply.status, len(reply.items), reply.served_from["degraded"]) == (200, 20, "store_unavailable")
        assert service.get("/v1/popular?category=Shelf%201").status == 503
    with Service(Settings(home=home), clock) as service, pytest.MonkeyPatch.context() as monkeypatch:
        known = service.get("/v1/popular?category=Shelf%201").items
        break_store(monkeypatch)
        reply = service.get("/v1/popular?category=Shelf%201")
        assert (reply.items, reply.served_from["degraded"]) == (known, "store_unavailable")


def test_a_list_for_everybody_is_never_counted_as_personal(service: Service) -> None:
    """The metric has the order as the basis."""
    service.get("/v1/popular?order=rising&window=2d")
    text = service.get("/metrics").body.decode()
    assert 'bookmatch_answers_total{basis="rising",cache="miss",route="popular"} 1.0' in text
    assert 'route="popular"} 1.0' in text
    assert 'basis="personal"' not in text


HIDDEN = {item(0, 0), item(0, 2), item(1, 4)}


@pytest.fixture(scope="module")
def half_open(trained_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A shop with categories, a newcomer and some books sold out."""
    import shutil

    home = Path(shutil.copytree(trained_shop, tmp_path_factory.mktemp("half") / "shop"))
    put(home, *shelved(), {"item_id": "newcomer", "category": "Shelf 1", "published": START + 8 * DAY})
    with store_of(home) as store:
        store.catalog.put(items_frame(**dict.fromkeys(HIDDEN, False)))
    with Service(Settings(home=home), FakeClock()) as running:
        yield running


@settings(max_examples=60)
@given(
    order=st.sampled_from(list(Order)),
    window=st.just("all") | st.integers(1, 365).map("{}d".format),
    category=st.sampled_from([None, "Shelf 0", "Shelf 1"]),
    limit=st.integers(1, 200),
    exclude=st.frozensets(st.sampled_from([item(1, 5), item(0, 4), "newcomer", "unknown"])),
)
def test_what_holds_for_every_list(
    half_open: Service, order: Order, window: str, category: str | None, limit: int, exclude: frozenset[str]
) -> None:
    """No item twice, none that is masked, never more than asked, fewer only with a cause, scores descend, evidence sums
    to them, cached equals fresh."""
    query = [f"order={order}", f"window={window}", f"limit={limit}", *(f"exclude={quote(each)}" for each in exclude)]
    query += [f"category={quote(category)}"] if category else []
    target = f"/v1/popular?{'&'.join(query)}"
    reply = half_open.get(target)
    ids = reply.items
    assert len(set(ids)) == len(ids) <= limit
    assert not (HIDDEN | exclude) & set(ids)
    assert (reply.served_from["short"] is None) == (len(ids) == limit)
    scores = [entry["score"] for entry in reply.json()["items"]]
    assert scores == sorted(scores, reverse=True)
    for entry in reply.json()["items"]:
        assert entry["reason"]["code"] == order
        assert sum(part["share"] for part in entry["reason"]["evidence"]) == entry["score"]
    again = half_open.get(target)
    assert (again.json()["items"], again.served_from["cache"]["status"]) == (reply.json()["items"], "hit")
