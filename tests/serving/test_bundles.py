"""A published bundle is in use within moments, without a failed request; a bad one never is."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import polars as pl
import pytest
import structlog

from recsys.bundle import BundleRepository
from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.item_table import MOST_ATTRIBUTES
from recsys.data.vocabulary import Vocabulary
from recsys.shop import ShopFolder
from serving.http.catalog_reading import ReadCatalog, read_catalog
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import item, items_frame, purchase, store_of, train_shop
from tests.serving.test_repeated import publish

TARGET = "/v1/customers/c1/recommendations"


def learn_something_new(home: Path, number: int) -> str:
    """Another event, another bundle."""
    with store_of(home) as store:
        store.events.append([purchase(f"extra{number}", item(number % 4, place), place) for place in (0, 2, 4)])
    return train_shop(home)


def reading_waits(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Every change is read in a thread from now on. The first reading says that it has read, and waits until it may
    hand over."""
    started, release = threading.Event(), threading.Event()

    def read_slowly(path: Path, items: Vocabulary, known: ReadCatalog, new: Collection[str] = ()) -> ReadCatalog:
        catalog = read_catalog(path, items, known, new)
        if not started.is_set():
            started.set()
            release.wait(10)
        return catalog

    monkeypatch.setattr("serving.http.engine.FEW_CHANGES", 0)
    monkeypatch.setattr("serving.http.engine.read_catalog", read_slowly)
    return started, release


def test_a_published_bundle_answers_after_the_next_look(service: Service, home: Path) -> None:
    """The answer names it; a rollback works the same way."""
    before = service.get(TARGET).served_from["bundle"]
    after = learn_something_new(home, 0)
    service.look_for_bundles()
    reply = service.get(TARGET)
    assert after != before
    assert (reply.served_from["bundle"], reply.served_from["cache"]["status"]) == (after, "miss")
    BundleRepository(ShopFolder(home).models).rollback(0)
    service.look_for_bundles()
    assert service.get(TARGET).served_from["bundle"] == before


def test_an_item_that_only_the_new_bundle_knows_is_known_after_the_swap(service: Service, home: Path) -> None:
    """Positions change with the vocabulary: availability and histories follow."""
    with store_of(home) as store:
        store.events.append([purchase(f"n{n}", name, n) for n in range(6) for name in ("a-new-book", item(1, 2))])
        store.catalog.put(items_frame(**{item(1, 4): False}))
    assert service.get("/v1/items/a-new-book/related").status == 404
    assert service.get(TARGET).status == 200
    train_shop(home)
    service.look_for_bundles()
    assert service.get("/v1/items/a-new-book/related").items[0] == item(1, 2)
    listed = service.get("/v1/customers/c1/recommendations?limit=100").items
    assert item(1, 4) not in listed
    bought = {item(1, (step * 2) % 30) for step in range(10)}
    assert not bought & set(listed)


def test_a_damaged_bundle_is_refused_and_the_old_one_stays(service: Service, home: Path, clock: FakeClock) -> None:
    """Logged and counted once, not at every look; taken into use when it is whole again."""
    before = service.get(TARGET)
    after = learn_something_new(home, 1)
    array = next((ShopFolder(home).models / after / "arrays").glob("*.npy"))
    content = array.read_bytes()
    array.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            service.look_for_bundles()
    assert [entry["bundle"] for entry in logs if entry["event"] == "bundle refused"] == [after]
    assert 'bookmatch_bundle_loads_total{result="refused"} 1.0' in service.get("/metrics").body.decode()
    reply = service.get(TARGET)
    assert reply.served_from["bundle"] == before.served_from["bundle"]
    assert service.get("/health/ready").status == 200
    array.write_bytes(content)
    clock.forward(31)
    service.look_for_bundles()
    assert service.get(TARGET).served_from["bundle"] == after


def test_an_unreadable_list_of_publications_changes_nothing(service: Service, home: Path) -> None:
    """What answered goes on answering."""
    (ShopFolder(home).models / "current").write_text("{")
    service.look_for_bundles()
    assert service.get(TARGET).status == 200


def test_until_a_bundle_is_published_the_service_says_what_is_missing(home: Path, clock: FakeClock) -> None:
    """503 with the remedy on answers and on readiness; then it serves, without a restart."""
    models = ShopFolder(home).models
    models.rename(home / "away")
    with Service(Settings(home=home), clock) as service:
        for target in (TARGET, "/v1/items/x/related", "/health/ready"):
            reply = service.get(target)
            assert (reply.status, reply.json()["type"]) == (503, "urn:bookmatch:problem:not-ready")
            assert "bookmatch train" in reply.json()["detail"]
        assert service.get("/health/live").status == 200
        assert service.post_events({"customer_id": "c", "kind": "view", "item_id": "x"})[0]["status"] == "accepted"
        (home / "away").rename(models)
        service.look_for_bundles()
        assert service.get("/health/ready").status == 200
        assert service.get(TARGET).status == 200


def test_a_bundle_waits_while_the_catalogue_cannot_be_read(
    service: Service, home: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that is sold out may slip in with new models."""
    before = service.get(TARGET).served_from["bundle"]
    learn_something_new(home, 2)
    path = ShopFolder(home).store
    path.rename(home / "away.db")
    service.look_for_bundles()
    assert service.get(TARGET).served_from["bundle"] == before
    (home / "away.db").rename(path)


def test_a_bundle_that_is_swapped_in_while_the_catalogue_is_read_gets_its_own(
    service: Service, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalogue under way is in the old bundle's positions: it must not meet the new bundle's items."""
    started, release = reading_waits(monkeypatch)
    sold_out = item(1, 6)
    with store_of(home) as store:
        store.events.append([purchase(f"n{n}", name, n) for n in range(6) for name in ("0-first", item(1, 2))])

    async def scenario() -> list[Reply]:
        asked = [asyncio.create_task(service.asking("GET", TARGET)) for _ in range(3)]
        await asyncio.to_thread(started.wait)
        await service.state.engines.look()
        asked.append(asyncio.create_task(service.asking("GET", TARGET)))
        with store_of(home) as store:
            store.catalog.put(items_frame(**{item(1, 8): False}))
        asked.append(asyncio.create_task(service.asking("GET", TARGET)))
        await asyncio.sleep(0.05)
        release.set()
        return await asyncio.gather(*asked)

    train_shop(home)
    with store_of(home) as store:
        store.catalog.put(items_frame(**{sold_out: False}))
    replies = service.runner.run(scenario())
    assert {reply.status for reply in replies} == {200}
    engine, _ = service.runner.run(service.state.engines.current())
    hidden = [engine.bundle.items[int(place)] for place in np.flatnonzero(~engine.catalog.available)]
    assert "0-first" in engine.bundle.items
    assert hidden == [sold_out, item(1, 8)]


def test_attributes_stay_that_are_asked_for_while_the_catalogue_is_read_without_them(
    service: Service, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Placements with a filter come into force while a reading from before is under way: it takes nothing back."""
    started, release = reading_waits(monkeypatch)

    def sell_out(item_id: str) -> None:
        with store_of(home) as store:
            store.catalog.put(items_frame(**{item_id: False}))

    async def scenario() -> list[Reply]:
        left = asyncio.create_task(service.asking("GET", TARGET))
        await asyncio.to_thread(started.wait)
        left.cancel()
        publish(home, '[placements.default]\nfilter = "author IS NULL"\n', service.state.clocks.now())
        await service.state.engines.look()
        sell_out(item(1, 8))
        asked = asyncio.create_task(service.asking("GET", TARGET))
        await asyncio.sleep(0.05)
        release.set()
        return [await asked, await service.asking("GET", TARGET)]

    sell_out(item(1, 6))
    replies = service.runner.run(scenario())
    assert [reply.status for reply in replies] == [200, 200]
    assert all(reply.items for reply in replies)
    engine = service.state.engines.in_force
    assert engine is not None
    assert engine.table is not None


@pytest.mark.parametrize("tabled", [False, True])
def test_what_the_catalogue_says_of_new_items_comes_with_their_bundle(
    service: Service, home: Path, *, tabled: bool
) -> None:
    """Of items that the bundle before did not have, written before it was loaded, as of all others: by what changed,
    or read whole where filters came to be asked for meanwhile."""
    wanted = {"filter": "author = 'Ann'", "limit": 60}
    service.get(TARGET)
    if tabled:
        assert service.get(f"{TARGET}?{urlencode({'filter': 'price IS NULL'})}").status == 200
    with store_of(home) as store:
        names = ("0-first", "0-second", item(1, 2))
        store.events.append([purchase(f"n{n}", name, n) for n in range(6) for name in names])
        rows = [{"item_id": "0-first", "available": False}, {"item_id": "0-second", "author": "Ann"}]
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
        store.catalog.put(items_frame(**{item(1, 6): False}))
        service.get(TARGET)
        learn_something_new(home, 2)
        store.catalog.put(pl.DataFrame([{"item_id": item(1, 3), "author": "Ann"}], schema=ITEM_SCHEMA))
    service.look_for_bundles()
    answer = service.get(f"{TARGET}?{urlencode(wanted)}")
    engine, _ = service.runner.run(service.state.engines.current())
    assert "0-first" in engine.bundle.items
    assert sorted(answer.items) == ["0-second", item(1, 3)]
    everything = service.get(f"{TARGET}?limit=200").items
    assert not {"0-first", item(1, 6)} & set(everything)


def test_an_attribute_that_had_no_room_is_there_with_the_next_bundle(service: Service, home: Path) -> None:
    """A table holds so many attributes. What it had to leave out is read with a bundle under which there is room."""
    full = json.dumps({f"a{number:03}": 1 for number in range(MOST_ATTRIBUTES)})
    rows = [{"item_id": item(1, 3), "attributes": full}, {"item_id": item(1, 5), "attributes": '{"late": 1}'}]
    late = f"{TARGET}?{urlencode({'filter': 'late = 1'})}"
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
        assert service.get(late).status == 422
        store.catalog.put(pl.DataFrame(rows[:1], schema=ITEM_SCHEMA).with_columns(attributes=pl.lit("{}")))
    learn_something_new(home, 2)
    service.look_for_bundles()
    assert service.get(late).items == [item(1, 5)]


def test_a_bundle_that_was_replaced_is_let_go(service: Service, home: Path) -> None:
    """Though the history of somebody who asked it, and did not come back, is still there for the next."""
    service.get(TARGET)
    engine = service.state.engines.in_force
    assert engine is not None
    items, engine = weakref.ref(engine.bundle.items), None
    learn_something_new(home, 2)
    service.look_for_bundles()
    service.get("/v1/customers/c2/recommendations")
    gc.collect()
    assert service.state.live.copies == 2
    assert items() is None


def test_publishing_again_and_again_under_load_fails_no_request(home: Path, clock: FakeClock) -> None:
    """While bundles change every moment, every answer is whole and comes from a bundle that was published."""
    published: list[str] = [str(BundleRepository(ShopFolder(home).models).current_id())]
    done = threading.Event()

    def publish() -> None:
        published.extend(learn_something_new(home, number) for number in range(8))
        done.set()

    async def load(service: Service) -> list[Reply]:
        replies = []
        while not done.is_set():
            targets = [f"/v1/customers/c{len(replies) % 40}/recommendations", "/v1/items/s1%2Fb02/related"]
            replies += await asyncio.gather(*(service.asking("GET", target) for target in targets * 5))
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.3)
        return [*replies, await service.asking("GET", TARGET)]

    with Service(Settings(home=home, bundle_poll=0.01), clock) as service:
        publisher = threading.Thread(target=publish)
        publisher.start()
        replies = service.runner.run(load(service))
        publisher.join()
    assert {reply.status for reply in replies} == {200}
    assert all(reply.items for reply in replies)
    answered = {reply.served_from["bundle"] for reply in replies}
    assert answered <= set(published)
    assert len(answered) > 2
    assert replies[-1].served_from["bundle"] == published[-1]
