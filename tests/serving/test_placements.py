"""`placement=` names the spot of a list; what a shop publishes is in force a moment later, or refused as a whole."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import polars as pl
import pytest
import structlog

from recsys.customers import CustomerRules
from recsys.customers.kept import kept_of, refresh
from recsys.customers.rules import SegmentRules
from recsys.data.catalog import ITEM_SCHEMA
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from serving.http.settings import Settings
from serving.http.tokens import RecommendationTokens
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import CUSTOMERS, DAY, START, item, purchase, store_of
from tests.serving.test_bundles import learn_something_new

TARGET = "/v1/customers/c1/recommendations"
HOME = """
[placements.home]
sources = ["als"]
fallback = ["rising", "popular"]

[placements.again]
repeat = "allowed"
"""


def publish(home: Path, text: str, now: int = 0) -> int:
    """Puts a file of placements in force."""
    repository = PlacementRepository(ShopFolder(home).placements)
    return repository.publish(text, by="a test", why="to see", now=now).number


@pytest.fixture
def placed(home: Path, clock: FakeClock) -> Iterator[Service]:
    """A service with two spots."""
    publish(home, HOME)
    with Service(Settings(home=home), clock) as service:
        yield service


def post(service: Service, target: str, body: object) -> Reply:
    """A question in a body."""
    return service.ask("POST", target, orjson.dumps(body), content_type="application/json")


def test_every_way_to_ask_takes_a_placement(placed: Service) -> None:
    """The answer names it and its version, the token too; the default is the default."""
    session = {"events": [{"item_id": "s1/b02"}]}
    page = {"customer_id": "c1", "lists": [{"name": "x", "type": "recommendations", "placement": "home"}]}
    home = [
        placed.get(f"{TARGET}?placement=home"),
        placed.get(f"{TARGET}?placement=home&limit=5"),
        placed.get(f"{TARGET}?limit=5&placement=home"),
        placed.get(f"{TARGET}?exclude=x&placement=home"),
        post(placed, "/v1/recommendations", session | {"placement": "home"}),
        post(placed, "/v1/rank", session | {"item_ids": ["s1/b02", "s1/b04"], "placement": "home"}),
    ]
    secret = placed.state.live.secret
    assert secret is not None
    answers = [*(reply.json() for reply in home), post(placed, "/v1/pages", page).json()["lists"][0]]
    for answer in answers:
        assert answer["served_from"]["placement"]["name"] == "home"
        assert answer["served_from"]["sources"][0] == "als"
        assert answer["served_from"]["relevance"] is None
        token = RecommendationTokens(secret).verify(answer["recommendation_id"])
        assert token is not None
        assert token.placement == "home"
    assert [len(reply.items) for reply in home[1:3]] == [5, 5]
    default = placed.get(TARGET)
    assert default.served_from["placement"] == {"name": "default", "version": 1, "moved": {}, "trouble": None}
    assert placed.get(f"{TARGET}?placement=default").items == default.items
    assert placed.get("/v1/popular").served_from["placement"] is None


def test_placements_mask_what_they_say(placed: Service) -> None:
    """What was bought is shown again where the spot says so, and keeps out of the others; each list is kept apart."""
    bought = {f"s1/b{step * 2:02}" for step in range(10)}
    for _ in range(2):
        assert bought & set(placed.get(f"{TARGET}?placement=again&limit=100").items)
        assert not bought & set(placed.get(f"{TARGET}?limit=100").items)
    assert placed.get(f"{TARGET}?placement=again&limit=100").served_from["cache"]["status"] == "hit"


def test_an_unknown_placement_is_refused_with_those_there_are(placed: Service) -> None:
    """Wherever it is named, with its place; on a page the other lists stand."""
    for reply, place in (
        (placed.get(f"{TARGET}?placement=hom"), ["query", "placement"]),
        (placed.get(f"{TARGET}?placement=HOME!"), ["query", "placement"]),
        (post(placed, "/v1/recommendations", {"placement": "hom"}), ["body", "placement"]),
        (post(placed, "/v1/rank", {"item_ids": ["s1/b02"], "placement": "hom"}), ["body", "placement"]),
    ):
        assert reply.status == 422
        (fault,) = reply.json()["errors"]
        assert fault["place"] == place
        assert fault["expected"] == "one of again, default, home"
    lists = [{"name": "a", "type": "recommendations", "placement": "hom"}, {"name": "b", "type": "popular"}]
    first, second = post(placed, "/v1/pages", {"lists": lists}).json()["lists"]
    assert first["problem"]["errors"][0]["place"] == ["body", "lists", 0, "placement"]
    assert second["items"]


def test_what_is_published_is_in_force_after_the_next_look(placed: Service, home: Path) -> None:
    """Another version of a spot makes other lists; those of spots that stayed the same are still kept."""
    before, again = placed.get(f"{TARGET}?placement=home"), placed.get(f"{TARGET}?placement=again")
    publish(home, HOME.replace('["als"]', '["item_item"]'))
    assert placed.get(f"{TARGET}?placement=home").served_from["cache"]["status"] == "hit"
    placed.look_for_bundles()
    after = placed.get(f"{TARGET}?placement=home")
    assert after.served_from["sources"][0] == "item_item"
    assert after.served_from["cache"]["status"] == "miss"
    assert after.served_from["placement"]["version"] != before.served_from["placement"]["version"]
    kept = placed.get(f"{TARGET}?placement=again")
    assert (kept.items, kept.served_from["cache"]["status"]) == (again.items, "hit")
    PlacementRepository(ShopFolder(home).placements).roll_back(by="a test", why="to see", now=0)
    placed.look_for_bundles()
    back = placed.get(f"{TARGET}?placement=home")
    assert (back.items, back.served_from["cache"]["status"]) == (before.items, "hit")
    assert "bookmatch_placements_version 3.0" in placed.get("/metrics").body.decode()


def test_a_version_that_cannot_be_used_is_refused_and_the_old_one_stays(
    placed: Service, home: Path, clock: FakeClock
) -> None:
    """Logged and counted once, and readiness says so; in force when it is whole again."""
    before = placed.get(f"{TARGET}?placement=home")
    number = publish(home, HOME.replace('["als"]', '["item_item"]'))
    file = ShopFolder(home).placements / str(number) / "placements.toml"
    content = file.read_bytes()
    file.write_bytes(content + b"#")
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            placed.look_for_bundles()
    assert [entry["version"] for entry in logs if entry["event"] == "placements refused"] == [number]
    assert 'bookmatch_placement_loads_total{result="refused"} 1.0' in placed.get("/metrics").body.decode()
    ready = placed.get("/health/ready")
    assert ready.status == 200
    assert "SHA-256" in ready.json()["trouble"][0]
    assert placed.get(f"{TARGET}?placement=home").items == before.items
    file.write_bytes(content)
    clock.forward(31)
    placed.look_for_bundles()
    assert placed.get(f"{TARGET}?placement=home").served_from["sources"][0] == "item_item"
    assert placed.get("/health/ready").json()["trouble"] == []
    (ShopFolder(home).placements / "current").write_text("not a number")
    with structlog.testing.capture_logs() as logs:
        placed.look_for_bundles()
        placed.look_for_bundles()
    assert len([entry for entry in logs if entry["event"] == "placements refused"]) == 1
    assert placed.get(f"{TARGET}?placement=home").status == 200


def test_a_placement_asks_for_a_customers_segment(placed: Service, home: Path, clock: FakeClock) -> None:
    """Once facts are kept, as of the next answer: lists of champions alone, under a filter that says so, and what a
    later refresh finds counts at once."""
    publish(home, HOME + "[placements.best]\nfilter = \"customer.segment = 'champion'\"\n")
    placed.look_for_bundles()
    target = "/v1/customers/{}/recommendations?placement=best"
    everybody = [f"c{n}" for n in range(CUSTOMERS)]
    assert not any(placed.get(target.format(each)).items for each in everybody)
    bought = {f"c{n}": 3 + n for n in range(0, CUSTOMERS, 4)}
    rules = CustomerRules(segments=SegmentRules(new_days=1, active_days=30, lost_days=60, loyal_purchases=2))
    with store_of(home) as store:
        store.events.append([purchase(who, item(0, 0), 10 + n, 1) for who, many in bought.items() for n in range(many)])
        refresh(store, START + 70 * DAY, rules)
        champions = {each for each in everybody if kept_of(store, each)["segment"] == "champion"}
    assert 0 < len(champions) < CUSTOMERS
    assert {each for each in everybody if placed.get(target.format(each)).items} == champions
    told = placed.get(f"/v1/customers/{min(champions)}").json()["facts"]
    assert told["segment"] == "champion"
    with store_of(home) as store:
        refresh(store, START + 400 * DAY, rules)
    assert not any(placed.get(target.format(each)).items for each in everybody)


def test_a_new_bundle_answers_under_the_placements_in_force(placed: Service, home: Path) -> None:
    """Every spot is there from the first request on."""
    bundle = learn_something_new(home, 3)
    placed.look_for_bundles()
    reply = placed.get(f"{TARGET}?placement=home")
    assert (reply.served_from["bundle"], reply.served_from["placement"]["name"]) == (bundle, "home")


def test_publishing_again_and_again_under_load_fails_no_request(home: Path, clock: FakeClock) -> None:
    """While placements change every moment, every answer is whole and made by a version that was published."""
    texts = [HOME.replace('["als"]', f'["{source}"]') for source in ("als", "item_item", "content")]
    publish(home, texts[0])
    done = threading.Event()

    def keep_publishing() -> None:
        for number in range(40):
            publish(home, texts[number % 3])
        done.set()

    async def load(service: Service) -> list[Reply]:
        replies = []
        while not done.is_set():
            target = f"/v1/customers/c{len(replies) % 40}/recommendations?placement="
            replies += await asyncio.gather(*(service.asking("GET", target + name) for name in ("home", "again") * 4))
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.2)
        return [*replies, await service.asking("GET", f"{TARGET}?placement=home")]

    with Service(Settings(home=home, bundle_poll=0.01), clock) as service:
        publisher = threading.Thread(target=keep_publishing)
        publisher.start()
        replies = service.runner.run(load(service))
        publisher.join()
    assert {reply.status for reply in replies} == {200}
    assert all(reply.items for reply in replies)
    versions = {reply.served_from["placement"]["version"] for reply in replies}
    assert 2 < len(versions) <= 4
    assert replies[-1].served_from["sources"][0] == "als"


RULES = """
[placements.diverse]
diversity = [{ by = "author", at_most = 2 }]

[placements.rotated]
rotation = { after = 1, step = 4, days = 7 }

[placements.pinned]
pins = [
    { item = "s2/b05", slot = 2, from = 2024-02-22T00:00:00Z, until = 2024-02-23T00:00:00Z },
    { item = "s1/b05", slot = 1 },
]

[placements.cheap]
filter = "price < 10"
pins = [{ item = "s3/b01", slot = 1 }]

[placements.unseen]
filter = "NOT viewed_within('2d')"

[placements.boosted]
boosts = [{ where = "author = 'a3'", factor = 50, from = 2024-02-22T00:00:00Z, until = 2024-02-23T00:00:00Z }]
"""
FEBRUARY_22 = 1_708_560_000_000


@pytest.fixture
def ruled(home: Path, clock: FakeClock) -> Iterator[Service]:
    """A shop of authors and prices, some hours before the dates of its rules."""
    rows = [
        {"item_id": item(shelf, place), "author": f"a{place // 5}", "price": float(place)}
        for shelf in range(4)
        for place in range(30)
    ]
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    clock.ms = FEBRUARY_22 - 3_600_000
    publish(home, RULES, clock.ms)
    with Service(Settings(home=home), clock) as service:
        yield service


def ask(service: Service, placement: str, customer: str = "c1", limit: int = 20) -> Reply:
    """A list of a placement."""
    reply = service.get(f"/v1/customers/{customer}/recommendations?placement={placement}&limit={limit}")
    assert reply.status == 200, reply.body
    return reply


def author(item_id: str) -> str:
    """As the catalogue says."""
    return f"a{int(item_id[-2:]) // 5}"


def test_no_more_than_so_many_of_one_author(ruled: Service) -> None:
    """The list is as long as there are authors for it, and ranked anew where its beginning does not have enough."""
    whole = ask(ruled, "default", limit=200).items
    for limit, size in ((4, 4), (10, 10), (12, 12), (20, 12)):
        reply = ask(ruled, "diverse", limit=limit)
        found = Counter(map(author, reply.items))
        assert len(reply.items) == size
        assert max(found.values()) <= 2
        assert (reply.served_from["short"] is None) == (size == limit)
        if size < limit:
            assert "2 agree in author" in reply.served_from["short"]
        obvious = [each for place, each in enumerate(whole) if [*map(author, whole[:place])].count(author(each)) < 2]
        assert reply.items == obvious[:limit]
    assert ask(ruled, "diverse", limit=10).served_from["placement"]["moved"]["diversity"] > 0


def test_what_was_shown_and_not_clicked_sinks_at_once(ruled: Service, clock: FakeClock) -> None:
    """The next answer knows an impression, whether the list is kept or not; a click brings the item back."""
    before = ask(ruled, "rotated").items
    first = before[0]

    def see(kind: str, event_id: str, customer: str = "c1") -> None:
        ruled.post_events({"customer_id": customer, "kind": kind, "item_id": first, "event_id": event_id})

    see("impression", "i1")
    assert ask(ruled, "rotated").items == before
    see("impression", "i2")
    once = ask(ruled, "rotated")
    assert once.served_from["cache"]["status"] == "hit"
    assert once.items.index(first) == 4
    assert once.served_from["placement"]["moved"] == {"rotation": 1}
    assert sorted(once.items) == sorted(before)
    see("impression", "i3")
    assert ask(ruled, "rotated").items.index(first) == 8
    assert ask(ruled, "default").items == before
    assert ask(ruled, "rotated", "c5").items == ask(ruled, "default", "c5").items
    clock.forward(8 * 86_400)
    assert ask(ruled, "rotated").items == before
    for number in range(3):
        see("impression", f"j{number}", "newcomer")
    assert first in ask(ruled, "default", "newcomer", 200).items
    sunk = ask(ruled, "rotated", "newcomer", 200).items.index(first)
    assert sunk == ask(ruled, "default", "newcomer", 200).items.index(first) + 8


def test_pins_begin_and_end_by_their_dates(ruled: Service, clock: FakeClock) -> None:
    """At that very moment, also where the list is kept; their reason says what they are."""
    default = ask(ruled, "default").items
    assert "s2/b05" not in default
    expected = {0: ["s1/b05"], 3_600_000: ["s1/b05", "s2/b05"], 86_400_000 + 3_600_000: ["s1/b05"]}
    started = clock.ms
    for later, pins in expected.items():
        clock.ms = started + later - 1
        ask(ruled, "pinned")
        clock.ms = started + later
        reply = ask(ruled, "pinned")
        codes = [entry["reason"]["code"] for entry in reply.json()["items"]]
        assert [each for each, code in zip(reply.items, codes, strict=True) if code == "pinned"] == pins
        assert reply.items[: len(pins)] == pins
        assert reply.items[len(pins) :] == [each for each in default if each not in pins][: 20 - len(pins)]
    ruled.post_events({"customer_id": "c1", "kind": "purchase", "item_id": "s1/b05"})
    assert "s1/b05" not in ask(ruled, "pinned").items
    excluded = ruled.get("/v1/customers/c2/recommendations?placement=pinned&exclude=s1%2Fb05")
    assert "s1/b05" not in excluded.items


def test_a_filter_holds_from_the_moment_an_item_is_changed(ruled: Service, home: Path) -> None:
    """What comes to pass is there, what passes no more is not, kept or not; pins pass it too; the answer counts."""
    reply = ask(ruled, "cheap", limit=100)
    assert {each[-2:] for each in reply.items} <= {f"{place:02}" for place in range(10)}
    assert reply.served_from["masked"]["filtered"] == 80
    assert reply.items[0] == "s3/b01"
    assert ask(ruled, "cheap", limit=100).served_from["cache"]["status"] == "hit"
    dear = reply.items[1]
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame([{"item_id": dear, "price": 99.0}], schema=ITEM_SCHEMA))
    fewer = ask(ruled, "cheap", limit=100)
    assert fewer.items == [each for each in reply.items if each != dear]
    assert "s1/b13" not in fewer.items
    assert [ask(ruled, "cheap", limit=2).served_from["cache"]["status"] for _ in range(2)][1] == "hit"
    with store_of(home) as store:
        rows = [
            {"item_id": dear, "price": 5.0},
            {"item_id": "s3/b01", "price": 50.0},
            {"item_id": "s1/b13", "price": 1.0},
        ]
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    assert ask(ruled, "cheap", limit=2).served_from["cache"]["status"] == "recomputed"
    after = ask(ruled, "cheap", limit=100)
    assert after.served_from["cache"]["status"] == "recomputed"
    assert set(after.items) == set(reply.items) - {"s3/b01"} | {"s1/b13"}


def test_a_filter_of_the_history_holds_for_one_customer_and_until_its_time_is_over(
    ruled: Service, clock: FakeClock
) -> None:
    """What was looked at is out at once and counted, for nobody else, and back two days later."""
    before = ask(ruled, "unseen", limit=100)
    looked_at = before.items[0]
    ruled.post_events({"customer_id": "c1", "kind": "view", "item_id": looked_at})
    for _ in range(2):
        reply = ask(ruled, "unseen", limit=100)
        assert looked_at not in reply.items
        assert reply.served_from["masked"]["filtered"] == before.served_from["masked"]["filtered"] + 1
        assert reply.served_from["masked"]["seen"] == before.served_from["masked"]["seen"]
    assert looked_at in ask(ruled, "unseen", "c5", 100).items
    clock.forward(2 * 86_400 + 1)
    assert looked_at in ask(ruled, "unseen", limit=100).items


def test_a_boost_holds_between_its_dates(ruled: Service, clock: FakeClock) -> None:
    """The moment it starts the favoured come first, the moment it ends they do not, kept or not."""
    started, default = clock.ms, ask(ruled, "default").items
    assert ask(ruled, "boosted").items == default
    for later, status in ((3_600_000, "miss"), (3_600_001, "hit"), (86_400_000 + 3_599_999, "miss")):
        clock.ms = started + later
        reply = ask(ruled, "boosted")
        assert reply.served_from["cache"]["status"] == status
        favoured = [author(each) == "a3" for each in reply.items]
        assert favoured[0]
        assert favoured == sorted(favoured, reverse=True)
        for entry in reply.json()["items"]:
            assert sum(part["share"] for part in entry["reason"]["evidence"]) == pytest.approx(entry["score"], abs=1e-9)
    clock.ms = started + 86_400_000 + 3_600_000
    assert ask(ruled, "boosted").items == default


def test_rules_that_do_not_fit_the_catalogue_are_refused_or_shut(ruled: Service, home: Path) -> None:
    """A new version with a filter on a column that is not there is refused; when the column goes away while a version
    is in force its filter lets nothing through, and the answer says why."""
    publish(home, RULES + '\n[placements.wrong]\nfilter = "pages > 3"\n')
    ruled.look_for_bundles()
    assert "pages" in ruled.get("/health/ready").json()["trouble"][0]
    assert ruled.get(f"{TARGET}?placement=wrong").status == 422
    with store_of(home) as store:
        row = {"item_id": "s1/b05", "attributes": '{"pages": 100}'}
        store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))
    ask(ruled, "default")
    publish(home, RULES + '\n[placements.wrong]\nfilter = "pages > 3"\n')
    ruled.look_for_bundles()
    assert ask(ruled, "wrong").items == ["s1/b05"]
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame([{"item_id": "s1/b05"}], schema=ITEM_SCHEMA))
    reply = ask(ruled, "wrong")
    assert reply.items == []
    assert "pages" in reply.served_from["placement"]["trouble"]
    assert reply.served_from["masked"]["filtered"] > 100
