"""Answers that are put together from those of a moment ago: they say what an answer from the cache says, and never
outlive what they were made from."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import orjson
import polars as pl
import pytest

from recsys.data.catalog import ITEM_SCHEMA
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from serving.cache.memory import ENTRY_OVERHEAD
from serving.http import repeated
from serving.http.answering import Answerer
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import item, store_of, train_shop

TARGET = "/v1/customers/c1/recommendations?limit=20"
ANOTHER_POLICY = '[placements.default]\nminimum_relevance = 0.9\nfallback = ["popular"]\n'


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with every answer that is not the repetition of another."""
    whole: list[str] = []
    body = Answerer.body

    def noted(self: Answerer, asked: object, *rest: object) -> bytes:
        whole.append("told")
        return body(self, asked, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Answerer, "body", noted)
    return whole


def warmed(service: Service, told: list[str], target: str = TARGET) -> Reply:
    """The third answer of three, which is a repetition."""
    for _ in range(2):
        service.get(target)
    told.clear()
    third = service.get(target)
    assert not told, "the third answer was not a repetition"
    return third


def publish(home: Path, text: str, now: int) -> None:
    """Puts a file of placements in force."""
    PlacementRepository(ShopFolder(home).placements).publish(text, by="a test", why="to see", now=now)


def send(service: Service, method: str, target: str, body: object) -> None:
    """A change through the service."""
    reply = service.ask(method, target, orjson.dumps(body), content_type="application/json")
    assert reply.status == 200, reply.body


def without_age(reply: Reply) -> dict[str, object]:
    """What is said, without what differs between any two answers."""
    said = reply.json()
    assert said["served_from"]["cache"].pop("age_s") is not None
    assert said.pop("recommendation_id")
    return dict(said)


def test_a_repetition_says_what_the_cache_says(service: Service, clock: FakeClock, told: list[str]) -> None:
    """Items, what they were served from and the age; with a token of its own that names this very answer."""
    service.get(TARGET)
    first = service.get(TARGET)
    clock.forward(7)
    second = service.get(TARGET)
    assert len(told) == 2
    assert without_age(second) == without_age(first)
    assert second.served_from["cache"] == {"status": "hit", "age_s": 7.0, "trouble": None}
    tokens = service.state.answerer._signed_with()
    assert tokens is not None
    one, other = (tokens[1].verify(reply.json()["recommendation_id"]) for reply in (first, second))
    assert one is not None
    assert other is not None
    assert other == one._replace(seed=other.seed, time=clock.ms)
    assert other.seed != one.seed


def test_a_repetition_counts_like_any_answer(service: Service, told: list[str]) -> None:
    """In the metrics of lists, as what it is."""
    counted = service.state.metrics.answers.labels("recommendations", "personal", "hit")
    before = counted._value.get()
    warmed(service, told)
    assert counted._value.get() == before + 2


def buy(service: Service, home: Path, clock: FakeClock) -> None:
    service.post_events({"customer_id": "c1", "kind": "purchase", "item_id": item(1, 29), "timestamp": clock.ms})


def refuse(service: Service, home: Path, clock: FakeClock) -> None:
    first = service.get(TARGET).items[0]
    service.post_events({"customer_id": "c1", "kind": "not_interested", "item_id": first, "timestamp": clock.ms})


def switch_off(service: Service, home: Path, clock: FakeClock) -> None:
    send(service, "PUT", "/v1/customers/c1", {"recommendations": False})


def merge(service: Service, home: Path, clock: FakeClock) -> None:
    send(service, "POST", "/v1/customers/c2/merge", {"visitor_id": "c1"})


def forget(service: Service, home: Path, clock: FakeClock) -> None:
    assert service.ask("DELETE", "/v1/customers/c1").status == 200


def sell_out(service: Service, home: Path, clock: FakeClock) -> None:
    with store_of(home) as store:
        row = {"item_id": service.get(TARGET).items[0], "available": False}
        store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))


def publish_bundle(service: Service, home: Path, clock: FakeClock) -> None:
    train_shop(home, seed=5)
    service.look_for_bundles()


def publish_placements(service: Service, home: Path, clock: FakeClock) -> None:
    publish(home, ANOTHER_POLICY, clock.ms)
    service.look_for_bundles()


CHANGES = (buy, refuse, switch_off, merge, forget, sell_out, publish_bundle, publish_placements)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: str(change.__name__))
def test_nothing_is_repeated_once_something_happened(
    home: Path, clock: FakeClock, told: list[str], change: Callable[[Service, Path, FakeClock], None]
) -> None:
    """The next answer is the one of a service that never gave an answer before."""
    with Service(Settings(home=home), clock) as service:
        warmed(service, told)
        change(service, home, clock)
        told.clear()
        reply = service.get(TARGET)
        assert told, "the answer of before was repeated"
        with Service(Settings(home=home, cache_size=0), clock) as fresh:
            assert reply.items == fresh.get(TARGET).items
        again = [service.get(TARGET) for _ in range(3)]
        assert all(each.items == reply.items for each in again)


def test_a_date_that_passes_ends_it(home: Path, clock: FakeClock, told: list[str]) -> None:
    """An item expires by itself: nothing is written, and it is not shown all the same."""
    with Service(Settings(home=home), clock) as service:
        first = service.get(TARGET).items[0]
        with store_of(home) as store:
            row = {"item_id": first, "expires": clock.ms + 60_000}
            store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))
        told.clear()
        assert first in warmed(service, told).items
        clock.forward(59)
        assert first in service.get(TARGET).items
        assert not told
        clock.forward(1)
        assert first not in service.get(TARGET).items


def test_a_clock_that_is_set_back_ends_it(home: Path, clock: FakeClock, told: list[str]) -> None:
    """An item that appeared meanwhile is not there yet."""
    with Service(Settings(home=home), clock) as service:
        first = service.get(TARGET).items[0]
        with store_of(home) as store:
            row = {"item_id": first, "published": clock.ms}
            store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))
        told.clear()
        assert first in warmed(service, told).items
        clock.forward(-1)
        assert first not in service.get(TARGET).items


WINTER = """
[placements.plain]
[experiments.winter]
placement = "default"
holdout = 0.999
arms = {{ control = {{ placement = "default" }}, other = {{ placement = "plain" }} }}
starts = {starts}
"""


def test_the_start_of_an_experiment_is_not_missed(home: Path, clock: FakeClock) -> None:
    """One that has not begun has nobody in an arm yet; from its first moment on everybody is."""
    starts = datetime.fromtimestamp(clock.ms / 1000 + 60, UTC).isoformat()
    publish(home, WINTER.format(starts=starts), clock.ms)
    with Service(Settings(home=home), clock) as service:
        assert [service.get(TARGET).served_from["fallback"] for _ in range(3)] == [None] * 3
        clock.forward(60)
        assert service.get(TARGET).served_from["fallback"] == "holdout"


def test_an_experiment_that_was_published_is_not_missed(home: Path, clock: FakeClock, told: list[str]) -> None:
    """Even where no placement became another."""
    publish(home, "[placements.plain]", clock.ms)
    with Service(Settings(home=home), clock) as service:
        warmed(service, told)
        publish(home, WINTER.format(starts="2000-01-01T00:00:00Z"), clock.ms)
        service.look_for_bundles()
        assert service.get(TARGET).served_from["fallback"] == "holdout"


def test_what_may_be_old_is_not_repeated(service: Service, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A history that could not be read this time makes an answer that says so."""
    warmed(service, told)
    live, seen = service.state.live, service.state.live.history
    old = lambda *asked: replace(seen(*asked), degraded="store_unavailable")  # noqa: E731
    monkeypatch.setattr(live, "history", old)
    assert service.get(TARGET).served_from["degraded"] == "store_unavailable"


@pytest.mark.parametrize(
    "other", [{"engine": None}, {"person_id": "c2"}, {"history_version": -1}, {"profile_version": -1}]
)
def test_everything_it_was_made_from_is_compared(service: Service, other: dict[str, object]) -> None:
    """An answer for another person, say, is never repeated, although versions may agree by chance."""
    for _ in range(2):
        service.get(TARGET)
    answerer = service.state.answerer
    told = answerer._repeated.find(("c1", 20, "default"))
    assert told is not None
    moment = service.runner.run(answerer.moment())
    seen = service.state.live.history("c1", moment.engine.bundle, moment.stamp)
    assert told.holds(moment, seen)
    assert not told._replace(**other).holds(moment, seen)


def test_what_is_remembered_keeps_no_list_and_has_an_end(
    home: Path, clock: FakeClock, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that made room in the cache is gone; of answers the one that was given longest ago makes room."""
    monkeypatch.setattr(repeated, "MOST_BYTES", 3 * (repeated._SIZE + ENTRY_OVERHEAD) + 999)
    with Service(Settings(home=home), clock) as service:
        answerer = service.state.answerer
        for customer in range(6):
            for _ in range(3):
                service.get(f"/v1/customers/{quote(f'c{customer}')}/recommendations?limit=20")
        assert len(answerer._repeated._told) == 3
        assert answerer._repeated.find(("c2", 20, "default")) is None
        known = answerer._repeated.find(("c3", 20, "default"))
        assert known is not None
        assert known.ends() is not None
        answerer._cache.clear()
        gc.collect()
        assert known.ends() is None


def test_engines_of_before_are_let_go(service: Service, home: Path) -> None:
    """Every change of the catalogue makes another engine, with a catalogue of its own: answers that were given from
    one do not keep it in memory for as long as they are remembered."""
    answerer = service.state.answerer
    for customer in range(6):
        with store_of(home) as store:
            row = {"item_id": item(1, customer), "available": False}
            store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))
        for _ in range(3):
            service.get(f"/v1/customers/c{customer}/recommendations?limit=20")
    assert answerer._repeated._engine is service.state.engines.in_force
    kept = [answerer._repeated.find((f"c{customer}", 20, "default")) for customer in range(6)]
    assert [each is not None for each in kept] == [False] * 5 + [True]
