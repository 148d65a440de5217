"""Slots that a placement gives to new items: in the answer, in its token and beside every other rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.profile import Consent
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import PER_SHELF, SHELVES, item, store_of
from tests.serving.test_placements import publish

NEW = [f"new/{number:02}" for number in range(12)]
AUTHORS = {item(shelf, place): f"a{place // 3}" for shelf in range(SHELVES) for place in range(PER_SHELF)}
RULES = """
[placements.home]
explore = { share = 0.3, cost = 0.5 }
[placements.strict]
explore = { share = 0.3, cost = 0.5 }
filter = "price < 10"
[placements.mixed]
explore = { share = 0.5, cost = 0.5 }
diversity = [{ by = "author", at_most = 2 }]
pins = [{ item = "s1/b02", slot = 1 }]
"""
TARGET = "/v1/customers/fresh/recommendations?limit=10"


@pytest.fixture
def exploring(home: Path, clock: FakeClock) -> Iterator[Service]:
    """A service with items that came after training, all looked at once."""
    rows = [{"item_id": each, "category": "shelf", "author": "a", "price": 5.0} for each in NEW]
    rows += [{"item_id": each, "author": author, "price": 99.0} for each, author in AUTHORS.items()]
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    publish(home, RULES)
    with Service(Settings(home=home), clock) as service:
        service.runner.run(service.state.answerer._explorer.look())
        yield service


def many(service: Service, target: str, times: int = 40) -> list[Reply]:
    """The same question, again and again."""
    return [service.get(target) for _ in range(times)]


def explored(reply: Reply) -> dict[int, str]:
    """The explored items by their slots."""
    items = reply.json()["items"]
    return {slot: each["item_id"] for slot, each in enumerate(items) if each["reason"]["code"] == "explore"}


def test_new_items_get_slots_and_the_answer_says_how_likely(exploring: Service) -> None:
    """As often as it says: the frequency of what was shown is the propensity, slot by slot."""
    replies = many(exploring, f"{TARGET}&placement=home", 300)
    plain = exploring.get(TARGET)
    assert explored(plain) == {}
    assert plain.served_from["propensities"] is None
    seen = [each for reply in replies for each in explored(reply).values()]
    assert set(seen) & set(NEW)
    total = 0.0
    for reply in replies:
        served = reply.served_from
        own = explored(reply)
        assert served["placement"]["moved"]["explore"] == len(own) <= 3
        assert len(served["propensities"]) == len(reply.items) == 10
        assert all(0 < each <= 1 for each in served["propensities"])
        assert len(set(reply.items)) == 10
        assert all(each == plain.items[slot] for slot, each in enumerate(reply.items) if slot not in own)
        total += sum(1 / served["propensities"][slot] for slot in own)
    # Σ 1/p over what was shown is, on average, how many pairs of slot and item were possible.
    assert total / len(replies) == pytest.approx(
        len({(s, e) for r in replies for s, e in explored(r).items()}), rel=0.5
    )


def test_what_is_explored_keeps_every_other_rule(exploring: Service) -> None:
    """Filters, excluded items and pins; newcomers that a filter was not asked about are left out."""
    assert all(explored(each) == {} for each in many(exploring, f"{TARGET}&placement=strict"))
    unwanted = "&".join(f"exclude={each}" for each in NEW[:10])
    seen = {e for reply in many(exploring, f"{TARGET}&placement=home&{unwanted}") for e in explored(reply).values()}
    assert not seen & set(NEW[:10])
    tried = 0
    for reply in many(exploring, f"{TARGET}&placement=mixed"):
        assert reply.items[0] == item(1, 2)
        own = explored(reply)
        assert 0 not in own
        assert not set(own.values()) & set(NEW)
        tried += len(own)
        authors = Counter(AUTHORS[each] for slot, each in enumerate(reply.items) if slot not in own)
        assert all(authors[AUTHORS[each]] < 2 for each in own.values())
    assert tried


@pytest.mark.parametrize("many_changes", [False, True])
def test_a_newcomer_that_is_sold_out_is_not_tried(exploring: Service, home: Path, many_changes: bool) -> None:
    """From the moment on at which its row changes, whenever what became of items is read again; so one that is gone."""
    target = f"{TARGET}&placement=home"
    assert {e for reply in many(exploring, target) for e in explored(reply).values()} & set(NEW)
    rows = [{"item_id": each, "available": False} for each in NEW[:11]]
    rows += [{"item_id": f"x{number}", "available": False} for number in range(2_000 if many_changes else 0)]
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
        store.catalog.remove([NEW[11]])
    assert not {e for reply in many(exploring, target) for e in explored(reply).values()} & set(NEW)


def test_a_newcomer_that_was_refused_stays_away(exploring: Service) -> None:
    """Also one that the models do not know: then none is proposed until they do."""
    event = {"customer_id": "fresh", "item_id": NEW[0], "kind": "not_interested", "event_id": "no"}
    exploring.ask("POST", "/v1/events", orjson.dumps({"events": [event]}), content_type="application/json")
    assert all(not set(explored(each).values()) & set(NEW) for each in many(exploring, f"{TARGET}&placement=home"))


def test_a_page_shows_no_explored_item_twice(exploring: Service) -> None:
    """Lists know of each other's, whether the models know them or not."""
    lists = [{"name": name, "type": "recommendations", "limit": 8, "placement": "home"} for name in ("top", "more")]
    body = orjson.dumps({"customer_id": "fresh", "lists": lists})
    for _ in range(20):
        page: list[dict[str, Any]] = exploring.ask("POST", "/v1/pages", body, content_type="application/json").json()[
            "lists"
        ]
        shown = [each["item_id"] for part in page for each in part["items"]]
        assert len(set(shown)) == len(shown) == 16


def test_who_wants_no_recommendations_explores_nothing(exploring: Service, home: Path) -> None:
    """Nor does anybody before what was shown has been read: then the answer says so."""
    with store_of(home) as store:
        store.profiles.put("fresh", [Consent("email", True, "form", 1)], recommendations=False)
    assert all(explored(each) == {} for each in many(exploring, f"{TARGET}&placement=home"))
    exploring.state.answerer._explorer._followed = None
    served = exploring.get("/v1/customers/other/recommendations?placement=home").served_from
    assert "has not been read yet" in served["placement"]["trouble"]
    assert served["propensities"] is None


def test_the_same_seed_gives_the_same_list(exploring: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token has the seed, and an answer made from it again is the same."""
    monkeypatch.setattr(exploring.state.answerer, "_next_seed", lambda: "one-seed")
    first, second = many(exploring, f"{TARGET}&placement=home", 2)
    assert (first.items, first.served_from["propensities"]) == (second.items, second.served_from["propensities"])
