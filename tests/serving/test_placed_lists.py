"""What holds for every list of a placement that has every rule, whatever happened before, kept or not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA
from tests.serving.redis_server import RedisServer
from tests.serving.service import Reply
from tests.serving.shop import DAY, START, item, store_of
from tests.serving.test_list_contract import CUSTOMERS, EXCLUDED, ITEMS, STEP, World, world
from tests.serving.test_placements import publish

NOW = START + 100 * DAY
EVERY = f"""
sources = {{ item_item = 1.0, als = 0.5, content = 0.1, popular = 0.2 }}
fallback = ["rising", "new", "popular"]
filter = "cheap"
diversity = [{{ by = "author", at_most = 3 }}]
rotation = {{ after = 0, step = 2, days = 14 }}
pins = [
    {{ item = "{item(1, 3)}", slot = 2 }},
    {{ item = "{item(2, 1)}", slot = 5, from = 2024-02-23T00:00:00Z }},
    {{ item = "{item(0, 29)}", slot = 1 }},
]
boosts = [
    {{ where = "author = 'a2'", factor = 3 }},
    {{ where = "price > 20", factor = 0.25, from = 2024-02-22T12:00:00Z, until = 2024-02-24T00:00:00Z }},
]
"""
RULES = f"""
[filters]
cheap = "price < 26 AND NOT viewed_within('2d')"
[placements.every]
{EVERY}
[placements.tries]
explore = {{ share = 0.5, cost = 0.5 }}
{EVERY}
"""
SEEN = st.tuples(st.just("event"), st.sampled_from(CUSTOMERS), st.just("impression"), st.sampled_from(ITEMS[:60]))
PRICED = st.tuples(st.just("price"), st.sampled_from(ITEMS[:60]), st.sampled_from([1.0, 25.0, 26.0, 90.0]))
LIMITS = st.sampled_from([1, 2, 7, 20, 21, 60])


def row(item_id: str, price: float, *, available: bool = True) -> dict[str, Any]:
    """What the shop says of a book."""
    return {"item_id": item_id, "author": f"a{int(item_id[-2:]) // 4}", "price": price, "available": available}


def check(reply: Reply, limit: int, hidden: set[str], prices: dict[str, float]) -> None:
    """What holds for one answer."""
    assert reply.status == 200, reply.body
    answer, ids = reply.json(), reply.items
    assert len(set(ids)) == len(ids) <= limit
    assert not set(ids) & hidden
    assert all(prices.get(each, 99.0) < 26 for each in ids)
    served = answer["served_from"]
    assert (served["short"] is None) == (len(ids) == limit)
    assert served["placement"]["trouble"] is None
    assert all(count >= 0 for count in (*served["masked"].values(), *served["placement"]["moved"].values()))
    authors = Counter(int(each[-2:]) // 4 for each in ids)
    assert max(authors.values(), default=0) <= 3
    tried = [place for place, entry in enumerate(answer["items"]) if entry["reason"]["code"] == "explore"]
    assert len(tried) == served["placement"]["moved"].get("explore", 0) <= -(-limit // 2)
    likely = served["propensities"]
    assert likely is None or (len(likely) == len(ids) and all(0 < each <= 1 for each in likely))
    for entry in answer["items"]:
        shares = sum(part["share"] for part in entry["reason"]["evidence"])
        assert shares == pytest.approx(entry["score"], abs=1e-9)
        assert entry["relevance"] is None
        assert (entry["reason"]["code"] == "pinned") <= (entry["item_id"] in (item(1, 3), item(2, 1), item(0, 29)))


def told_of(reply: Reply) -> tuple[object, ...]:
    """What an answer says of its items and their order."""
    served = reply.served_from
    return reply.json()["items"], served["placement"], served["propensities"]


def happen(shop: World, step: tuple[Any, ...], prices: dict[str, float]) -> None:
    """One thing; a change of a book says its author and price as well."""
    match step:
        case ("stock" | "price", item_id, value):
            if step[0] == "price":
                prices[item_id] = value
            available = item_id not in shop.hidden if step[0] == "price" else bool(value)
            body = {
                key: said
                for key, said in row(item_id, prices[item_id], available=available).items()
                if key != "item_id"
            }
            shop.send("PUT", f"/v1/items/{item_id.replace('/', '%2F')}", body)
            (shop.hidden.discard if available else shop.hidden.add)(item_id)
            shop.lost = True
        case _:
            shop.act(step)


@pytest.mark.redis
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_list_of_a_placement_keeps_the_contract(
    trained_shop: Path, redis_server: RedisServer, data: st.DataObject
) -> None:
    """No item twice, nothing that a rule keeps out or that its customer refused, as many as asked for or a cause,
    shares that sum to the score; the same again, and the same from memory, from Redis and made anew; with the same seed
    where slots are explored."""
    prices = {each: float(place % 30) for place, each in enumerate(ITEMS)}
    with world(trained_shop, redis_server) as shop:
        home = next(iter(shop.services.values())).state.settings.home
        with store_of(home) as store:
            store.catalog.put(pl.DataFrame([row(each, price) for each, price in prices.items()], schema=ITEM_SCHEMA))
        publish(home, RULES, NOW)
        for service in shop.services.values():
            service.look_for_bundles()
        for _ in range(data.draw(st.integers(1, 4))):
            for step in data.draw(st.lists(st.one_of(STEP, SEEN, SEEN, PRICED), max_size=6)):
                happen(shop, step, prices)
            limit, excluded = data.draw(LIMITS), data.draw(st.one_of(st.just([]), EXCLUDED))
            excluding = "".join(f"&exclude={each.replace('/', '%2F')}" for each in excluded)
            customer, placement = data.draw(st.sampled_from(CUSTOMERS)), data.draw(st.sampled_from(["every", "tries"]))
            target = f"/v1/customers/{customer}/recommendations?placement={placement}"
            hidden, seed = set(excluded) | shop.hidden | shop.refused_by(customer), str(data.draw(st.integers(0, 99)))
            answers = []
            for service in shop.services.values():
                answerer = service.state.answerer
                answerer._next_seed = lambda seed=seed: seed
                service.runner.run(answerer._explorer.look())
                # The third answer in a row may be a repetition, which is made otherwise.
                first, *again = (service.get(f"{target}&limit={limit}{excluding}") for _ in range(3))
                check(first, limit, hidden, prices)
                assert all(told_of(each) == told_of(first) for each in again)
                answers.append(first)
            assert len({len(reply.items) for reply in answers}) == 1
            if not (shop.lost and any(reply.served_from["cache"]["status"] == "hit" for reply in answers)):
                assert all(reply.json()["items"] == answers[0].json()["items"] for reply in answers)
