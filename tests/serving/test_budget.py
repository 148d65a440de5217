"""No history holds a worker up: lists that would be too much work are cut short, and say so."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from recsys.data.events import EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.packed import HistoryRow
from recsys.recommend import models as recommending
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Request
from serving.http import live
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Service
from tests.serving.shop import PER_SHELF, item


def test_an_answer_over_its_budget_is_of_popular_items_and_says_so(service: Service, clock: FakeClock) -> None:
    """In the answer, in the metrics; what the customer has stays away; nothing of it is kept, so the next answer, for
    which the work is done, is personal."""
    had = {item(1, step * 2 % PER_SHELF) for step in range(10)}
    clock.step = 0.06
    cut = service.get("/v1/customers/c1/recommendations?limit=40")
    assert cut.served_from["fallback"] == "over_budget"
    assert cut.served_from["cache"]["status"] == "off"
    assert {each["reason"]["code"] for each in cut.json()["items"]} == {"popular"}
    assert not set(cut.items) & had
    assert cut.served_from["masked"]["seen"] == len(had)
    assert 'basis="over_budget",cache="off",route="recommendations"' in service.get("/metrics").body.decode()
    clock.step = 0.0
    whole = service.get("/v1/customers/c1/recommendations?limit=40")
    assert whole.served_from["fallback"] is None
    assert whole.served_from["cache"]["status"] == "miss"


def test_what_is_in_the_cache_needs_no_work(service: Service, clock: FakeClock) -> None:
    """A hit is served whatever it would have cost."""
    fresh = service.get("/v1/customers/c2/recommendations").json()["items"]
    clock.step = 0.06
    assert service.get("/v1/customers/c2/recommendations").json()["items"] == fresh


@pytest.mark.parametrize(("budget", "fallback"), [(50, "over_budget"), (200, None)])
def test_reading_and_what_it_says_count_together(home: object, budget: int, fallback: str | None) -> None:
    """Twice 30 ms are over 50 ms and within 200 ms; of a session only what it says counts, which is within both."""
    clock = FakeClock(step=0.03)
    with Service(Settings(home=home, budget_ms=budget), clock) as service:  # type: ignore[arg-type]
        assert service.get("/v1/customers/c1/recommendations").served_from["fallback"] == fallback
        session = {"events": [{"item_id": item(1, 3)}]}
        answer = service.ask("POST", "/v1/recommendations", orjson.dumps(session), content_type="application/json")
        assert answer.served_from["fallback"] is None


def test_the_lists_of_a_page_have_one_budget(service: Service, clock: FakeClock) -> None:
    """The first ones are personal, those after it is spent are of popular items and say so; no item stands twice."""
    wanted = [{"name": f"list{place}", "type": "recommendations", "limit": 5} for place in range(6)]
    body = orjson.dumps({"customer_id": "c1", "lists": wanted})
    clock.step = 0.004
    page = service.ask("POST", "/v1/pages", body, content_type="application/json").json()["lists"]
    fallbacks = [each["served_from"]["fallback"] for each in page]
    assert fallbacks[0] is None
    assert fallbacks[-1] == "over_budget"
    assert fallbacks == sorted(fallbacks, key=lambda each: each is not None)
    shown = [each["item_id"] for part in page for each in part["items"]]
    assert len(shown) == len(set(shown)) == 30


def test_a_history_that_is_too_long_counts_by_its_newest_events(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was refused a moment ago stays away; the answer says that it may not know all, and is not kept."""
    monkeypatch.setattr(live, "MOST_AT_ONCE", 3)
    monkeypatch.setattr(service.state.live, "_pack", lambda _: None)
    first = service.get("/v1/customers/c3/recommendations?limit=5")
    refused = first.items[0]
    event = {"customer_id": "c3", "item_id": refused, "kind": "not_interested", "event_id": "r1"}
    service.ask("POST", "/v1/events", orjson.dumps({"events": [event]}), content_type="application/json")
    for _ in range(2):
        answer = service.get("/v1/customers/c3/recommendations?limit=5")
        assert refused not in answer.items
        assert answer.served_from["degraded"] == "history_too_long"
        assert answer.served_from["cache"]["status"] == "off"
        assert answer.served_from["fallback"] is None
    monkeypatch.undo()
    whole = service.get("/v1/customers/c3/recommendations?limit=5")
    assert (whole.served_from["degraded"], whole.served_from["cache"]["status"]) == (None, "miss")
    assert refused not in whole.items


def test_somebody_unknown_is_never_over_budget(service: Service, clock: FakeClock) -> None:
    """There is nothing to cut."""
    clock.step = 1.0
    assert service.get("/v1/customers/nobody/recommendations").served_from["fallback"] == "unknown_customer"


def test_only_the_loudest_items_speak(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long history as many as may; of equal ones the first in the models' order; all that was had stays away."""
    engine = service.state.engines.in_force
    names = [engine.bundle.items[place] for place in range(60)]
    rows = [
        HistoryRow(each, EventKind.PURCHASE.code, None, 0, 1.0 + (place in (7, 31)), None)
        for place, each in enumerate(names)
    ]
    history = History.from_stored(StoredHistory.of(1, rows), engine.bundle.items)
    whole = Recommender(engine.bundle).taste(history)
    monkeypatch.setattr(recommending, "MOST_SPEAKERS", 5)
    few = Recommender(engine.bundle)
    taste = few.taste(history)
    loudest = sorted(np.lexsort((whole.items, -whole.strengths))[:5].tolist())
    assert taste.items.tolist() == whole.items[loudest].tolist()
    assert taste.strengths.tolist() == whole.strengths[loudest].tolist()
    assert taste.seen.tolist() == whole.seen.tolist()
    answer = few.recommend(history, engine.catalog, Request(limit=50, now=service.state.clocks.now()))
    assert not {each.item_id for each in answer.items} & set(names)
