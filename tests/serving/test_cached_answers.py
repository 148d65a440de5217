"""An answer from the cache is the answer that would have been computed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA
from recsys.stores.protocols import Store
from serving.http.asking import depth_for
from serving.http.parameters import MAX_LIMIT
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import item, purchase, store_of

CUSTOMER = st.sampled_from(["c1", "c2", "newcomer"])
LIMIT = st.sampled_from([1, 3, 20, 21, 60, 200])
ITEM = st.builds(item, st.integers(0, 1), st.integers(0, 29))
STEP = st.one_of(
    st.tuples(st.just("ask"), CUSTOMER, LIMIT),
    st.tuples(st.just("ask"), CUSTOMER, LIMIT),
    st.tuples(st.just("related"), ITEM, LIMIT),
    st.tuples(st.just("buy"), CUSTOMER, ITEM),
    st.tuples(st.just("sell out"), ITEM, st.booleans()),
    st.tuples(st.just("publish"), ITEM, st.integers(0, 3)),
    st.tuples(st.just("wait"), st.integers(1, 3), st.none()),
)


def test_a_list_is_ranked_with_spare_items_for_every_limit() -> None:
    """Never fewer than half as many more, and few distinct lengths, however many more an arrangement needs."""
    depths = [depth_for(limit) for limit in range(1, MAX_LIMIT + 1)]
    assert all(depth >= limit * 1.5 for limit, depth in enumerate(depths, start=1))
    assert len(set(depths)) == 4
    more = [[depth_for(limit, spare) for limit in range(1, MAX_LIMIT + 1)] for spare in (0, 1, 10, 200, 900)]
    assert more[0] == depths
    assert all(
        depth >= limit + spare
        for spare, own in zip((0, 1, 10, 200, 900), more, strict=True)
        for limit, depth in enumerate(own, start=1)
    )
    assert len({depth for own in more for depth in own}) == 6


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=3, max_size=14))
def test_whatever_happens_cached_and_computed_answers_agree(trained_shop: Path, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    """Purchases, sell-outs, dates and time in any order: a service with a cache and one without answer alike.

    Where nothing was lost since a list was ranked they agree to the last bit; a list that lost items keeps the order in
    which it was ranked, is as long, and shows nothing that may not be shown.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(shutil.copytree(trained_shop, Path(folder) / "shop"))
        clock = FakeClock()
        with (
            store_of(home) as store,
            Service(Settings(home=home), clock) as cached,
            Service(Settings(home=home, cache_size=0), clock) as fresh,
        ):
            lost = False
            for number, (what, first, second) in enumerate(steps):
                if what in ("ask", "related"):
                    route = "customers/{}/recommendations" if what == "ask" else "items/{}/related"
                    target = f"/v1/{route.format(first.replace('/', '%2F'))}?limit={second}"
                    # The third is a repetition of the second where nothing keeps it from being one.
                    for reply in [cached.get(target) for _ in range(3)]:
                        _assert_alike(reply, fresh.get(target), lost=lost)
                else:
                    lost |= _change(store, clock, number, what, first, second)


def _change(store: Store, clock: FakeClock, number: int, what: str, first: object, second: object) -> bool:
    """Makes one change; whether an item may have been lost by it."""
    if what == "buy":
        store.events.append([purchase(str(first), str(second), 90, number)])
        return False
    if what == "wait":
        clock.forward(float(str(first)))
        return True
    row: dict[str, object] = {"item_id": first}
    if what == "sell out":
        row["available"] = not second
    else:
        row["published"] = clock.ms + 1000 * int(str(second))
    store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))
    return True


def _assert_alike(cached: Reply, fresh: Reply, *, lost: bool) -> None:
    assert cached.status == fresh.status
    if cached.status != 200:
        return
    assert fresh.served_from["cache"]["status"] == "off"
    if not lost or cached.served_from["cache"]["status"] != "hit":
        assert cached.json()["items"] == fresh.json()["items"]
    assert len(cached.items) == len(fresh.items)
    assert cached.served_from["fallback"] == fresh.served_from["fallback"]
    assert (cached.served_from["short"] is None) == (fresh.served_from["short"] is None)


def test_nobody_without_a_history_takes_a_place_in_the_cache(service: Service) -> None:
    """All strangers share one list."""
    service.get("/v1/customers/stranger1/recommendations")
    for number in range(2, 6):
        reply = service.get(f"/v1/customers/stranger{number}/recommendations")
        assert reply.served_from["cache"]["status"] == "hit"


def test_what_had_expired_is_there_again_where_the_clock_is_set_back(
    home: Path, service: Service, clock: FakeClock
) -> None:
    """A list that was ranked in between has missed it, and is ranked anew."""
    target = "/v1/customers/c1/recommendations"
    first = service.get(f"{target}?limit=100").items[:20]
    with store_of(home) as store:
        row = {"item_id": first[0], "expires": clock.ms + 60_000}
        store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))
    clock.forward(60)
    assert first[0] not in service.get(target).items
    clock.forward(-1)
    assert service.get(target).items == first


def test_limits_that_are_close_share_a_list(service: Service) -> None:
    """Ten items are the first ten of twenty."""
    twenty = service.get("/v1/customers/c1/recommendations?limit=20")
    ten = service.get("/v1/customers/c1/recommendations?limit=10")
    assert ten.served_from["cache"]["status"] == "hit"
    assert ten.json()["items"] == twenty.json()["items"][:10]


def test_a_list_is_forgotten_after_its_time_to_live(home: Path, clock: FakeClock) -> None:
    """The backstop: even when nothing changed."""
    with Service(Settings(home=home, cache_ttl=60), clock) as service:
        target = "/v1/customers/c1/recommendations"
        service.get(target)
        clock.forward(59)
        assert service.get(target).served_from["cache"] == {"status": "hit", "age_s": 59.0, "trouble": None}
        clock.forward(1)
        assert service.get(target).served_from["cache"]["status"] == "miss"
