"""Every answer knows what was acknowledged before it was asked for; a store that is gone costs only what it must."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from recsys.bundle import BundleRepository, ModelBundle
from recsys.data.catalog import ITEM_SCHEMA, UNREAD
from recsys.data.events import Event, EventKind
from recsys.data.history import History
from recsys.data.vocabulary import Vocabulary
from recsys.errors import StoreUnavailableError
from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.protocols import Store
from serving.http.live import LiveStore
from serving.http.moves import moves_among
from serving.http.settings import Settings
from serving.http.store_handle import StoreHandle
from tests.serving.service import FakeClock, Service
from tests.serving.shop import DAY, START, item, items_frame, purchase, store_of

TARGET = "/v1/customers/c1/recommendations"


def test_what_another_process_stored_counts_in_the_next_answer(service: Service, home: Path) -> None:
    """Again and again: each answer leaves out what was bought just before."""
    with store_of(home) as store:
        for number in range(5):
            first = service.get(TARGET).items[0]
            store.events.append([purchase("c1", first, 50, number)])
            assert first not in service.get(TARGET).items


class Asked(list[str]):
    """A view of a shop's store that notes what it reads of histories."""

    def __init__(self, home: Path, clock: FakeClock) -> None:
        super().__init__()
        shop, asked = ShopFolder(home), self

        class Counting:
            def __init__(self, path: Path) -> None:
                self._store = open_store(path, create=False)
                self.catalog = self._store.catalog
                self.changes, self.secret, self.close = self._store.changes, self._store.secret, self._store.close
                self.histories, self.profiles = self, self._store.profiles

            def version(self, customer_id: str) -> int:
                asked.append("version")
                return self._store.histories.version(customer_id)

            def at_once(self, customer_id: str, limit: int, most: int) -> object:
                asked.append("history")
                return self._store.histories.at_once(customer_id, limit, most)

        handle = StoreHandle(shop.store, Counting, clock.clocks().monotonic)  # type: ignore[arg-type]
        self.live = LiveStore(handle, 500, 10)
        repository = BundleRepository(shop.models)
        self.bundle = repository.load(str(repository.current_id()))

    def of(self, bundle: ModelBundle) -> tuple[History, list[str]]:
        """The history of somebody, and what was asked for it."""
        self.clear()
        return self.live.history("c1", bundle).history, list(self)


def test_a_history_is_read_again_only_when_its_version_changed(home: Path, clock: FakeClock) -> None:
    """Unchanged store: not even the version is asked for. Other customers' events: only the version."""
    asked = Asked(home, clock)

    def asks() -> list[str]:
        return asked.of(asked.bundle)[1]

    with store_of(home) as store:
        assert asks() == ["history"]
        assert asks() == []
        store.events.append([purchase("c2", item(2, 1), 60)])
        assert asks() == ["version"]
        assert asks() == []
        store.events.append([purchase("c1", item(1, 1), 60)])
        assert asks() == ["version", "history"]
    asked.live.close()


def test_a_history_follows_from_one_bundle_to_the_next(home: Path, clock: FakeClock) -> None:
    """It is not read again, in the other's positions nevertheless, and what happens from then on counts; where nobody
    says how, or where something was on an item that the first did not know, the store is asked."""
    asked = Asked(home, clock)
    bundle = asked.bundle
    fewer = replace(
        bundle,
        bundle_id="fewer",
        items=Vocabulary.from_ids(bundle.items[place] for place in range(len(bundle.items)) if place % 3),
    )
    before, _ = asked.of(bundle)
    read, asks = asked.of(fewer)
    assert asks == ["history"]
    assert 0 < len(read) < len(before)
    asked.of(bundle)
    asked.live.moves = moves_among([bundle, fewer], {})
    moved, asks = asked.of(fewer)
    assert asks == []
    assert moved.item.tolist() == read.item.tolist()
    # There and back there are items that nobody knew on the way.
    back, asks = asked.of(bundle)
    assert asks == ["history"]
    assert back.item.tolist() == before.item.tolist()
    with store_of(home) as store:
        store.events.append([purchase("c1", fewer.items[0], 60)])
    after, asks = asked.of(fewer)
    assert asks == ["version", "history"]
    assert len(after) == len(read) + 1
    asked.live.close()


def test_copies_of_histories_are_bounded_and_strangers_take_no_place(home: Path, clock: FakeClock) -> None:
    """With room for one, asking for unknown customers does not push a known one out."""
    shop = ShopFolder(home)
    live = LiveStore(
        StoreHandle(shop.store, lambda path: open_store(path, read_only=True), clock.clocks().monotonic), 500, 1
    )
    repository = BundleRepository(shop.models)
    bundle = repository.load(str(repository.current_id()))
    known = live.history("c1", bundle).history
    for number in range(20):
        live.history(f"stranger{number}", bundle)
    assert live.history("c1", bundle).history is known
    live.history("c2", bundle)
    assert live.history("c1", bundle).history is not known
    live.close()


def test_an_item_that_is_sold_out_is_in_no_answer_from_then_on(service: Service, home: Path) -> None:
    """Availability is checked on every answer, also on one from the cache."""
    before = service.get(TARGET)
    with store_of(home) as store:
        store.catalog.put(items_frame(**{before.items[0]: False}))
    after = service.get(TARGET)
    assert after.served_from["cache"]["status"] == "hit"
    assert len(after.items) == len(before.items)
    assert after.items[:19] == before.items[1:]


def test_an_item_that_is_back_in_stock_is_in_the_next_answer(service: Service, home: Path) -> None:
    """A list that was ranked without it is ranked anew."""
    first = service.get(TARGET).items[0]
    with store_of(home) as store:
        store.catalog.put(items_frame(**{first: False}))
        without = service.get("/v1/customers/c1/recommendations?limit=60")
        assert first not in without.items
        store.catalog.put(items_frame(**{first: True}))
    again = service.get("/v1/customers/c1/recommendations?limit=60")
    assert again.items[0] == first
    assert again.served_from["cache"]["status"] == "recomputed"


def test_an_item_appears_at_its_date_and_goes_at_its_date(service: Service, home: Path, clock: FakeClock) -> None:
    """Dates pass without anybody writing to the store; lists in the cache follow."""
    dated = service.get(TARGET).items[0]
    row = {"item_id": dated, "published": clock.ms + 1_000, "expires": clock.ms + 2_000}
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))
    assert dated not in service.get(TARGET).items
    clock.forward(0.999)
    assert dated not in service.get(TARGET).items
    clock.forward(0.001)
    assert service.get(TARGET).items[0] == dated
    clock.forward(0.999)
    assert service.get(TARGET).items[0] == dated
    clock.forward(0.001)
    assert dated not in service.get(TARGET).items


def test_a_list_that_runs_short_is_ranked_anew(service: Service, home: Path) -> None:
    """When more than the spare items are sold out at once, the answer is still full."""
    limit = 20
    listed = service.get("/v1/customers/c1/recommendations?limit=50").items[:40]
    service.get(TARGET)
    with store_of(home) as store:
        store.catalog.put(items_frame(**dict.fromkeys(listed, False)))
    after = service.get(TARGET)
    assert after.served_from["cache"]["status"] == "recomputed"
    assert len(after.items) == limit
    assert not set(after.items) & set(listed)


def test_fewer_items_than_asked_for_come_with_the_cause(service: Service, home: Path) -> None:
    """Hit or miss, a short list says why."""
    everything = [item(shelf, place) for shelf in range(4) for place in range(30)]
    with store_of(home) as store:
        store.catalog.put(items_frame(**dict.fromkeys(everything[3:], False)))
    for status in ("miss", "hit"):
        reply = service.get("/v1/customers/stranger/recommendations")
        assert reply.served_from["cache"]["status"] == status
        assert sorted(reply.items) == everything[:3]
        assert "shown interest in: 3 (left out: 117 unavailable)" in reply.served_from["short"]
    assert service.get("/v1/customers/stranger/recommendations?limit=3").served_from["short"] is None


def break_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing can be read from or written to any store, and none can be opened."""

    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailableError("the disk is gone")

    for way in ("query", "state"):
        monkeypatch.setattr(f"recsys.stores.sqlite.database.Database.{way}", fail)


def test_answers_go_on_when_the_store_is_gone(service: Service, clock: FakeClock) -> None:
    """From the copy where there is one, from popular items elsewhere, marked; and all is well when it is back."""
    personal = service.get(TARGET).items
    with pytest.MonkeyPatch.context() as monkeypatch:
        break_store(monkeypatch)
        known = service.get(TARGET)
        assert (known.items, known.served_from["degraded"]) == (personal, "store_unavailable")
        assert known.served_from["fallback"] is None
        unread = service.get("/v1/customers/c2/recommendations")
        assert (len(unread.items), unread.served_from["degraded"]) == (20, "store_unavailable")
        assert unread.served_from["fallback"] == "history_unavailable"
        assert service.get("/v1/items/s1%2Fb02/related").served_from["degraded"] == "store_unavailable"
        assert service.get("/health/ready").status == 503
        assert service.get("/health/live").status == 200
        text = service.get("/metrics").body.decode()
        assert 'bookmatch_degraded_answers_total{cause="store_unavailable"} 3.0' in text
    clock.forward(2)
    assert service.get("/health/ready").status == 200
    back = service.get("/v1/customers/c2/recommendations")
    assert (back.served_from["degraded"], back.served_from["fallback"]) == (None, None)


def test_a_store_that_failed_is_left_alone_for_a_moment(home: Path, clock: FakeClock) -> None:
    """A dying disk answers slowly: one attempt per pause."""
    attempts = []

    def fail(path: Path) -> None:
        attempts.append(path)
        raise StoreUnavailableError("slow and dead")

    handle = StoreHandle(ShopFolder(home).store, fail, clock.clocks().monotonic, pause=1.0)  # type: ignore[arg-type]
    for _ in range(5):
        with pytest.raises(StoreUnavailableError, match="slow and dead"):
            handle.use(lambda store: store.changes())
    assert len(attempts) == 1
    clock.forward(1)
    with pytest.raises(StoreUnavailableError):
        handle.use(lambda store: store.changes())
    assert len(attempts) == 2


def test_a_store_that_is_put_in_place_of_another_is_read_at_once(service: Service, home: Path) -> None:
    """Its histories, not the old one's, although their versions are the same numbers."""
    path = ShopFolder(home).store
    other = home.parent / "other.db"
    store = open_store(other)
    store.events.append([purchase("c0", item(3, place), place) for place in range(10)])
    with store_of(home) as old:
        assert store.histories.version("c0") == old.histories.version("c0")
    store.close()
    target = "/v1/customers/c0/recommendations"
    assert service.get(target).items[0].startswith("s0/")
    for file in path.parent.glob("store.db*"):
        file.unlink()
    shutil.move(other, path)
    assert service.get(target).items[0].startswith("s3/")


def test_a_worker_that_starts_without_a_store_answers_popular_items(home: Path, clock: FakeClock) -> None:
    """Where no keys are asked for. It says that it is not ready; when the store is back it knows everybody again."""
    path = ShopFolder(home).store
    for file in path.parent.glob("store.db-*"):
        file.unlink()
    away = shutil.move(path, home.parent / "away.db")
    with Service(Settings(home=home, no_keys=True), clock) as service:
        reply = service.get(TARGET)
        assert (len(reply.items), reply.served_from["degraded"]) == (20, "store_unavailable")
        assert reply.json()["recommendation_id"] is None
        assert reply.served_from["cache"]["status"] == "off"
        assert "store.db" in service.get("/health/ready").json()["detail"]
        engine = service.runner.run(service.state.engines.current())[0]
        assert engine.catalog.version == UNREAD
        shutil.move(away, path)
        clock.forward(2)
        assert service.get("/health/ready").status == 200
        again = service.get(TARGET)
        assert again.served_from["fallback"] is None
        assert again.json()["recommendation_id"]


def test_impressions_do_not_cost_the_cache(service: Service) -> None:
    """What the shop showed is no part of the history: the list stays."""
    service.get(TARGET)
    shown = {"customer_id": "c1", "kind": "impression", "item_id": item(1, 3)}
    assert service.post_events(shown)[0]["status"] == "accepted"
    assert service.get(TARGET).served_from["cache"]["status"] == "hit"


def test_only_the_newest_events_count_up_to_the_limit(home: Path, clock: FakeClock) -> None:
    """With a history limit of 3, three books of another shelf move the whole list there."""
    with store_of(home) as store:
        store.events.append([purchase("c1", item(3, place), 60 + place) for place in (1, 3, 5)])
        store.events.append(
            [Event(event_id="old", customer_id="c1", kind=EventKind.VIEW, item_id=item(0, 1), timestamp=START - DAY)]
        )
    with Service(Settings(home=home, history_limit=3), clock) as service:
        assert all(name.startswith("s3/") for name in service.get(f"{TARGET}?limit=5").items)


def test_a_purchase_beyond_the_history_limit_stays_off_the_list(home: Path, clock: FakeClock) -> None:
    """However much a customer looks at afterwards, what they bought is not proposed to them again."""
    target = "/v1/customers/c1/recommendations?limit=5"
    with Service(Settings(home=home, history_limit=3), clock) as service:
        bought, viewed = service.get(target).items[:2]
        service.post_events({"customer_id": "c1", "kind": "purchase", "item_id": bought})
        for _ in range(12):
            clock.forward(60)
            service.post_events({"customer_id": "c1", "kind": "view", "item_id": viewed})
        assert bought not in service.get(target).items


@pytest.mark.parametrize("cache", ["none", "memory", "redis"])
def test_a_backup_in_the_store_s_place_gives_versions_out_again_and_nothing_older_is_shown(
    home: Path, clock: FakeClock, cache: str, request: pytest.FixtureRequest
) -> None:
    """The same version, another history: neither a copy nor a kept list from before is taken for it."""
    url = request.getfixturevalue("redis_server").url if cache == "redis" else None
    path = ShopFolder(home).store
    with Service(Settings(home=home, cache_size=0 if cache == "none" else 64, redis_url=url), clock) as service:
        first, second, *_ = service.get(TARGET).items
        with store_of(home) as store:
            store.events.append([purchase("c2", first, 50)])
        backup = path.with_name("backup.db")
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as copy:
            source.backup(copy)
        service.post_events({"customer_id": "c1", "kind": "not_interested", "item_id": first})
        assert first not in service.get(TARGET).items
        for log in path.parent.glob("store.db-*"):
            log.unlink()
        backup.replace(path)
        service.post_events({"customer_id": "c1", "kind": "not_interested", "item_id": second})
        after = service.get(TARGET).items
        assert first in after
        assert second not in after


def test_requests_that_came_in_together_look_once(home: Path, clock: FakeClock) -> None:
    """Tasks of one round of the event loop share a look; who comes in a later round sees what was stored before, and so
    does a task that asks again."""
    live = LiveStore(
        StoreHandle(ShopFolder(home).store, lambda path: open_store(path, create=False), clock.clocks().monotonic),
        500, 10,
    )  # fmt: skip
    looks: list[object] = []

    def look() -> object:
        looks.append(LiveStore.look(live))
        return looks[-1]

    live.look = look  # type: ignore[method-assign, assignment]

    async def asks() -> object:
        return live.look_together()

    async def rounds(store: Store) -> None:
        first = await asyncio.gather(*(asks() for _ in range(5)))
        assert len(looks) == 1
        assert first == looks * 5
        store.events.append([purchase("c1", item(1, 1), 60)])
        second = await asyncio.gather(asks(), asks())
        assert len(looks) == 2
        assert second[0] == second[1] != first[0]
        # One task, which stored something in between.
        third = live.look_together()
        store.events.append([purchase("c1", item(1, 2), 61)])
        assert live.look_together() != third

    with store_of(home) as store:
        asyncio.run(rounds(store))
    live.close()
