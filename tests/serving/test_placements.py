"""`placement=` names the spot of a list; what a shop publishes is in force a moment later, or refused as a whole."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import structlog

from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from serving.http.settings import Settings
from serving.http.tokens import RecommendationTokens
from tests.serving.service import FakeClock, Reply, Service
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
    assert default.served_from["placement"] == {"name": "default", "version": 1}
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
