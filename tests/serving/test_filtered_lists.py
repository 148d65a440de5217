"""filter= on every list: what it lets through now, however the list came about."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import orjson
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA
from recsys.recommend.masks import FILTERED
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from serving.http.settings import Settings
from tests.serving.redis_server import RedisServer
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import DAY, PER_SHELF, SHELVES, item, purchase, store_of

ITEMS = [item(shelf, place) for shelf in range(SHELVES) for place in range(PER_SHELF)]


def row(item_id: str, **changed: object) -> dict[str, object]:
    """A book: its stock is its place on the shelf."""
    shelf, place = int(item_id[1]), int(item_id[-2:])
    attributes = {"stock": place, "shelf": f"s{shelf}"}
    return {"item_id": item_id, "price": float(place), "attributes": json.dumps(attributes), **changed}


def stocked(item_id: str, stock: int) -> dict[str, object]:
    """The book with another stock."""
    return row(item_id, attributes=json.dumps({"stock": stock, "shelf": item_id[:2]}))


def put(home: Path, *rows: dict[str, object]) -> None:
    """Changes the catalogue as another process would."""
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))


@pytest.fixture
def home(trained_shop: Path, tmp_path: Path) -> Path:
    """A trained shop whose books have prices and a stock."""
    copy = Path(shutil.copytree(trained_shop, tmp_path / "shop"))
    put(copy, *map(row, ITEMS))
    return copy


@pytest.fixture
def service(home: Path, clock: FakeClock) -> Iterator[Service]:
    """A service over it."""
    with Service(Settings(home=home), clock) as running:
        yield running


def ask(service: Service, route: str, **query: object) -> Reply:
    """A GET with a query; `param_x` is `param.x`."""
    pairs = [(name.replace("_", ".", 1) if name.startswith("param_") else name, value) for name, value in query.items()]
    return service.get(f"/v1/{route}?{urlencode(pairs, doseq=True)}")


def post(service: Service, route: str, **body: object) -> Reply:
    """A POST with a body of JSON."""
    return service.ask("POST", f"/v1/{route}", orjson.dumps(body), content_type="application/json")


FOR_C1 = "customers/c1/recommendations"


def test_a_filtered_list_is_as_long_as_there_are_items(service: Service) -> None:
    """The filter is part of retrieval: what it keeps out leaves no gap, and what it lets through is ranked as ever."""
    all_of_them = ask(service, FOR_C1, limit=200).items
    for most in (5, 20):
        reply = ask(service, FOR_C1, limit=10, filter="stock <= :most", param_most=most)
        wanted = [item_id for item_id in all_of_them if int(item_id[-2:]) <= most]
        assert sorted(reply.items)[:3] != []
        assert set(reply.items) <= {item_id for item_id in ITEMS if int(item_id[-2:]) <= most}
        assert len(reply.items) == min(10, len(wanted))
        assert reply.served_from["masked"][FILTERED] == (PER_SHELF - most - 1) * SHELVES


def test_a_list_that_the_filter_leaves_short_says_so(service: Service) -> None:
    """How many it kept out stands in the answer."""
    reply = ask(service, FOR_C1, filter="stock = 7 AND shelf = 's2'")
    assert reply.items == [item(2, 7)]
    assert f"{SHELVES * PER_SHELF - 1} filtered" in reply.served_from["short"]


@pytest.mark.parametrize(
    ("route", "query"),
    [
        (FOR_C1, {}),
        ("customers/stranger/recommendations", {}),
        ("items/s1%2Fb05/related", {}),
        ("popular", {}),
        ("popular", {"order": "new"}),
        ("customers/c1/buy-again", {}),
        ("customers/c1/recently-viewed", {}),
    ],
)
def test_every_list_of_a_get_is_filtered(service: Service, route: str, query: dict[str, str]) -> None:
    """What the filter keeps out is in none of them, and counted in each."""
    reply = ask(service, route, limit=50, filter="stock IN :some", param_some=[4, 8, 12], **query)
    assert reply.status == 200, reply.body
    assert {int(item_id[-2:]) for item_id in reply.items} <= {4, 8, 12}
    assert FILTERED in reply.served_from["masked"]


def test_lists_of_a_body_are_filtered(service: Service) -> None:
    """A session's, a given one, and those of a page, each by its own filter."""
    filtered = {"filter": "stock < :most", "filter_parameters": {"most": 4}}
    session = post(service, "recommendations", events=[{"item_id": item(1, 9)}], limit=50, **filtered)
    ranked = post(service, "rank", customer_id="c1", item_ids=[item(1, 3), item(1, 5), item(2, 1)], **filtered)
    for reply in (session, ranked):
        assert reply.status == 200, reply.body
        assert reply.items
        assert all(int(item_id[-2:]) < 4 for item_id in reply.items)
    lists = [
        {"name": "a", "type": "recommendations", **filtered},
        {"name": "b", "type": "related", "item_id": item(1, 9), "filter": "stock > 20"},
        {"name": "c", "type": "popular", "filter": "bought()"},
        {"name": "d", "type": "recently_viewed", "filter": "stock < 0"},
        {"name": "e", "type": "recommendations"},
        {"name": "f", "type": "recommendations", "filter": "prise < 3"},
    ]
    a, b, c, _, e, f = post(service, "pages", customer_id="c1", lists=lists).json()["lists"]
    assert all(int(each["item_id"][-2:]) < 4 for each in a["items"])
    assert all(int(each["item_id"][-2:]) > 20 for each in b["items"])
    assert c["items"]
    assert {each["item_id"][:2] for each in c["items"]} == {"s1"}
    assert FILTERED not in e["served_from"]["masked"]
    assert f["problem"]["errors"][0]["place"] == ["body", "lists", 5, "filter"]


@pytest.mark.parametrize(
    ("query", "place", "said"),
    [
        ({"filter": "stock > 0 AND prise < 3"}, ["query", "filter"], "at character 15"),
        ({"filter": "stock < :most"}, ["query", "param.most"], "without a value"),
        ({"filter": "stock < :most", "param_most": "few"}, ["query", "param.most"], "'few'"),
        ({"filter": "stock < 1", "param_most": "3"}, ["query", "param.most"], "which is not in it"),
        ({"param_most": "3"}, ["query", "param.most"], "a parameter of no filter"),
        ({"filter": "gifts"}, ["query", "filter"], "which is not saved"),
        ({"filter": "stock <"}, ["query", "filter"], "at character 8"),
        ({"filter": ""}, ["query", "filter"], "''"),
    ],
)
def test_a_filter_that_does_not_fit_is_a_problem_with_its_place(
    service: Service, query: dict[str, str], place: list[str], said: str
) -> None:
    """The parameter of the request, the character and the name."""
    reply = ask(service, FOR_C1, **query)
    assert reply.status == 422
    (error,) = reply.json()["errors"]
    assert error["place"] == place
    assert said in error["found"]


def test_faults_of_a_body_have_the_place_of_the_parameter(service: Service) -> None:
    """As they stand in it."""
    reply = post(service, "recommendations", filter="stock < :most", filter_parameters={"most": "few"})
    assert reply.json()["errors"][0]["place"] == ["body", "filter_parameters", "most"]
    reply = post(service, "recommendations", filter_parameters={"most": 1})
    assert reply.json()["errors"][0]["found"] == "parameters of no filter"


SAVED = """
[filters]
gifts = "stock < :most"
[placements.default]
[placements.home]
filter = "stock > 4"
"""


def publish(service: Service, home: Path, text: str) -> None:
    """Puts a file of placements in force."""
    repository = PlacementRepository(ShopFolder(home).placements)
    repository.publish(text, by="a test", why="to see", now=0)
    service.look_for_bundles()


def test_a_saved_filter_is_asked_for_by_its_name(service: Service, home: Path) -> None:
    """As the file of placements that is in force says it; a name that it does not have is an error that says which
    there are."""
    publish(service, home, SAVED)
    reply = ask(service, FOR_C1, filter="gifts", param_most=3)
    assert reply.items
    assert all(int(item_id[-2:]) < 3 for item_id in reply.items)
    (error,) = ask(service, FOR_C1, filter="gift").json()["errors"]
    assert "gifts" in error["expected"]


def test_a_filter_holds_beside_that_of_the_placement(service: Service, home: Path) -> None:
    """Items have to pass both, also where the two are longer than one may be; errors are about what was asked."""
    publish(service, home, SAVED)
    long = " OR ".join(["stock < 9"] * 99)
    for text in ("stock < 9", long):
        for _ in range(2):
            reply = ask(service, FOR_C1, placement="home", filter=text, limit=50)
            assert {int(item_id[-2:]) for item_id in reply.items} <= {5, 6, 7, 8}
            assert reply.items
            assert reply.served_from["masked"][FILTERED] == (PER_SHELF - 4) * SHELVES
    assert reply.served_from["cache"]["status"] == "hit"
    assert {int(each[-2:]) for each in ask(service, FOR_C1, placement="home", limit=100).items} - {5, 6, 7, 8}
    (error,) = ask(service, FOR_C1, placement="home", filter="prise > 1").json()["errors"]
    assert "at character 1" in error["found"]


def test_what_a_customer_is_counts_from_the_moment_it_is_put(service: Service) -> None:
    """Nothing of the history changed, and the list that was kept is another customer's question now."""

    def is_put(stock: int) -> None:
        body = orjson.dumps({"attributes": {"least": stock}})
        assert service.ask("PUT", "/v1/customers/c1", body, content_type="application/json").status in (200, 201)

    query = {"filter": "stock = customer.least", "limit": 50}
    assert ask(service, FOR_C1, **query).items == []
    for stock in (3, 4, 3):
        is_put(stock)
        found = ask(service, FOR_C1, **query).items
        assert found
        assert {int(item_id[-2:]) for item_id in found} == {stock}
    assert ask(service, FOR_C1, **query).served_from["cache"]["status"] == "hit"


def test_a_kept_list_is_a_hit_until_its_attributes_change(service: Service, home: Path) -> None:
    """Another attribute's change leaves it; a loss takes items off; a gain ranks it anew."""
    query = {"filter": "stock >= 20", "limit": 10}
    first = ask(service, FOR_C1, **query)
    assert ask(service, FOR_C1, **query).served_from["cache"]["status"] == "hit"
    put(home, row(item(1, 1), price=99.0))
    assert ask(service, FOR_C1, **query).served_from["cache"]["status"] == "hit"
    put(home, stocked(first.items[0], 0))
    less = ask(service, FOR_C1, **query)
    assert less.served_from["cache"]["status"] == "hit"
    assert less.items[:9] == first.items[1:]
    put(home, stocked(first.items[0], 25))
    again = ask(service, FOR_C1, **query)
    assert again.served_from["cache"]["status"] == "recomputed"
    assert again.items == first.items


def test_a_window_opens_a_list_when_it_ends(service: Service, clock: FakeClock) -> None:
    """What was looked at is shown again a day later, in the list of a service that kept the one before."""
    query = {"filter": "NOT viewed_within('1d')", "limit": 10}
    seen = ask(service, FOR_C1, **query).items[0]
    service.post_events({"event_id": "v", "customer_id": "c1", "item_id": seen, "kind": "view", "timestamp": clock.ms})
    assert seen not in ask(service, FOR_C1, **query).items
    clock.forward(60)
    kept = ask(service, FOR_C1, **query)
    assert kept.served_from["cache"]["status"] == "hit"
    assert seen not in kept.items
    clock.forward(DAY / 1000)
    assert seen in ask(service, FOR_C1, **query).items


def test_workers_that_share_a_cache_share_filtered_lists(
    home: Path, clock: FakeClock, redis_server: RedisServer
) -> None:
    """And what one of them kept is checked by the other."""
    shared = Settings(home=home, redis_url=redis_server.url)
    query = {"filter": "stock >= 20", "limit": 10}
    with Service(shared, clock) as one, Service(shared, clock) as other:
        first = ask(one, FOR_C1, **query)
        one.runner.run(one.state.answerer.close())
        assert ask(other, FOR_C1, **query).items == first.items
        put(home, stocked(first.items[0], 0))
        for service in (one, other):
            assert first.items[0] not in ask(service, FOR_C1, **query).items


FILTERS = ["stock > 3 AND price < 20", "NOT bought_within('5d') AND stock > 0", "published IS NULL OR published < now",
           "stock < customer.least OR shelf = 's0'"]  # fmt: skip
STEP = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(["c1", "c2", "stranger"]), st.sampled_from(FILTERS)),
    st.tuples(st.just("ask"), st.sampled_from(["c1", "c2", "stranger"]), st.sampled_from(FILTERS)),
    st.tuples(st.just("related"), st.builds(item, st.integers(0, 1), st.integers(0, 9)), st.sampled_from(FILTERS)),
    st.tuples(st.just("stock"), st.builds(item, st.integers(0, 1), st.integers(0, 9)), st.integers(0, 9)),
    st.tuples(st.just("publish"), st.builds(item, st.integers(0, 1), st.integers(0, 9)), st.integers(0, 3)),
    st.tuples(st.just("buy"), st.sampled_from(["c1", "c2"]), st.builds(item, st.integers(0, 1), st.integers(0, 9))),
    st.tuples(st.just("wait"), st.integers(1, 3), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([3 * 86_400, 6 * 86_400]), st.none()),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=4, max_size=14))
def test_whatever_changes_kept_and_computed_lists_agree(trained_shop: Path, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    """Stocks, dates, purchases and time in any order: with a cache and without the same items pass, and as many."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(shutil.copytree(trained_shop, Path(folder) / "shop"))
        put(home, *map(row, ITEMS))
        clock = FakeClock()
        with (
            Service(Settings(home=home, cache_ttl=10**8), clock) as cached,
            Service(Settings(home=home, cache_size=0), clock) as fresh,
        ):
            for number, (what, first, second) in enumerate(steps):
                if what in ("ask", "related"):
                    route = (
                        f"customers/{first}/recommendations"
                        if what == "ask"
                        else f"items/{first[:2]}%2F{first[3:]}/related"
                    )
                    replies = [ask(each, route, limit=60, filter=second) for each in (cached, fresh)]
                    assert [reply.status for reply in replies] == [200, 200]
                    assert replies[0].items == replies[1].items
                elif what == "wait":
                    clock.forward(first)
                elif what == "buy":
                    with store_of(home) as store:
                        store.events.append([purchase(first, second, (clock.ms - 1_700_000_000_000) // DAY, number)])
                elif what == "stock":
                    put(home, stocked(first, second))
                else:
                    put(home, row(first, published=clock.ms + 1000 * second))
