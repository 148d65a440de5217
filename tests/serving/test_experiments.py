"""Experiments in the service: who is served what, what the token says, and what is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
import polars as pl
import pytest

from recsys.bundle import BundleRepository
from recsys.data.catalog import ITEM_SCHEMA
from recsys.experiments import Experiment
from recsys.experiments.assignment import drawn
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from serving.http.settings import Settings
from serving.http.tokens import RecommendationTokens
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import CUSTOMERS, DAY, item, purchase, store_of, train_shop
from tests.serving.test_placements import post, publish

FILE = """
[placements.home]
[placements.again]
repeat = "allowed"

[experiments.winter]
placement = "home"
holdout = 0.2
arms = {{ control = {{ placement = "home" }}, again = {{ {again} }} }}
ends = 2023-11-25
"""
"""Ends eleven days after the shop's first event."""

OVER = 12


@pytest.fixture
def running(home: Path, clock: FakeClock) -> Iterator[Service]:
    """A service with an experiment at `home`."""
    publish(home, FILE.format(again='placement = "again"'))
    clock.ms -= (100 - OVER + 2) * DAY
    with Service(Settings(home=home), clock) as service:
        yield service


def experiment_of(home: Path) -> Experiment:
    """The one of the file in force."""
    (experiment,) = PlacementRepository(ShopFolder(home).placements).current().experiments
    return experiment


def arm_of(service: Service, reply: Reply) -> str:
    """What the answer's token says."""
    secret = service.state.live.secret
    assert secret is not None
    identity = RecommendationTokens(secret).verify(reply.json()["recommendation_id"])
    assert identity is not None
    return identity.arm


def written(service: Service, home: Path) -> dict[str, tuple[str, int]]:
    """Arm and days of everybody who was served one, once all is written."""
    service.runner.run(service.state.exposures.write())
    with store_of(home) as store:
        return {row[0]: (row[1], row[4]) for row in store.exposures.served("winter", 2**60).rows()}


def test_everybody_is_served_their_arm(running: Service, home: Path) -> None:
    """By every way to ask for the placement; the token and the store say which, whoever answers."""
    experiment = experiment_of(home)
    expected = {f"c{n}": drawn(experiment, f"c{n}").name for n in range(CUSTOMERS)}
    assert set(expected.values()) == {"control", "again", "holdout"}
    names = {"control": "home", "again": "again", "holdout": "home"}
    for customer, arm in expected.items():
        target = f"/v1/customers/{customer}/recommendations?placement=home"
        page = {"customer_id": customer, "lists": [{"name": "x", "type": "recommendations", "placement": "home"}]}
        ranking = {"customer_id": customer, "item_ids": [item(0, 1), item(1, 1)], "placement": "home"}
        replies = [
            running.get(target),
            running.get(target),
            running.ask_framework("GET", target),
            post(running, "/v1/rank", ranking),
        ]
        answers = [reply.json() for reply in replies] + [post(running, "/v1/pages", page).json()["lists"][0]]
        for answer in answers:
            assert answer["served_from"]["placement"]["name"] == names[arm]
            assert (answer["served_from"]["fallback"] == "holdout") == (arm == "holdout")
        assert {arm_of(running, reply) for reply in replies} == {f"winter/{arm}"}
    assert written(running, home) == {customer: (arm, 1) for customer, arm in expected.items()}
    with store_of(home) as store:
        told = store.exposures.answered("winter")
    assert sum(told["answers"]) == 5 * CUSTOMERS


def test_the_holdout_gets_nothing_personal(running: Service, home: Path) -> None:
    """Customers with different tastes get what is popular, without what they had."""
    experiment = experiment_of(home)
    held = [f"c{n}" for n in range(CUSTOMERS) if drawn(experiment, f"c{n}").is_holdout]
    shelves = set()
    for customer in held:
        reply = running.get(f"/v1/customers/{customer}/recommendations?placement=home&limit=20")
        with store_of(home) as store:
            had = {row.item_id for row in store.histories.get(customer, 99).rows}
        assert not had & set(reply.items)
        shelves |= {found.split("/")[0] for found in reply.items}
        assert all(entry["reason"]["code"] == "popular" for entry in reply.json()["items"])
    assert len(shelves) > 1


def ruled(rule: str) -> str:
    """The file with a rule of `home`."""
    return FILE.format(again='placement = "again"').replace("[placements.again]", f"{rule}\n[placements.again]")


@pytest.mark.parametrize("off", [False, True])
def test_boosts_are_not_personal_where_nothing_is(home: Path, clock: FakeClock, off: bool) -> None:
    """What the shop knows of somebody in the holdout, or who wants no recommendations, moves nothing on their list."""
    boosts = "boosts = [{ where = 'category = customer.likes', factor = 100 }]"
    publish(home, ruled(boosts))
    clock.ms -= (100 - OVER + 2) * DAY
    held = [f"new{n}" for n in range(200) if drawn(experiment_of(home), f"new{n}").is_holdout][:2]
    told, other = ("off1", "off2") if off else held
    with store_of(home) as store:
        rows = [{"item_id": item(shelf, 1), "category": f"shelf {shelf}"} for shelf in range(4)]
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    with Service(Settings(home=home), clock) as service:
        for customer, says in ((told, {"attributes": {"likes": "shelf 3"}}), (other, {})):
            body = says | ({"recommendations": False} if off else {})
            target = f"/v1/customers/{customer}"
            assert service.ask("PUT", target, orjson.dumps(body), content_type="application/json").status == 201
        lists = [service.get(f"/v1/customers/{each}/recommendations?placement=home&limit=5") for each in (told, other)]
    assert lists[0].served_from["fallback"] == ("recommendations_off" if off else "holdout")
    assert lists[0].items == lists[1].items


def test_the_holdout_is_not_rotated(home: Path, clock: FakeClock) -> None:
    """What was shown to somebody, and clicked or not, moves nothing either: else what they clicked would sink."""
    rotation = "rotation = { after = 0, step = 50, days = 14 }"
    publish(home, ruled(rotation))
    clock.ms -= (100 - OVER + 2) * DAY
    held = next(f"c{n}" for n in range(CUSTOMERS) if drawn(experiment_of(home), f"c{n}").is_holdout)
    with Service(Settings(home=home), clock) as service:
        target = f"/v1/customers/{held}/recommendations?placement=home&limit=5"
        before = service.get(target)
        assert before.served_from["fallback"] == "holdout"
        for kind in ("impression", "click"):
            event = {"event_id": kind, "customer_id": held, "kind": kind, "item_id": before.items[0]}
            assert post(service, "/v1/events", {"events": [event]}).status == 200
        assert service.get(target).items == before.items


def test_an_arm_whose_placement_is_not_there_yet_is_served_to_nobody(running: Service, home: Path) -> None:
    """While the store does not answer a list may be made by placements of before: then it is nobody's arm."""
    engines = running.state.engines
    placements = engines.policies.in_force.placements
    assert engines.in_force is not None
    engines._engine = engines.in_force.under({name: placements[name] for name in ("default", "home")})
    customer = next(f"c{n}" for n in range(CUSTOMERS) if drawn(experiment_of(home), f"c{n}").name == "again")
    reply = running.get(f"/v1/customers/{customer}/recommendations?placement=home")
    assert (reply.status, arm_of(running, reply)) == (200, "")


def test_once_it_is_over_nobody_is_in_it(running: Service, home: Path, clock: FakeClock) -> None:
    """At the moment that the file says, also for lists that were kept."""
    experiment = experiment_of(home)
    customers = [f"c{n}" for n in range(CUSTOMERS)]
    assert experiment.ends is not None
    clock.ms = experiment.ends - 1_000
    for customer in customers:
        running.get(f"/v1/customers/{customer}/recommendations?placement=home")
    clock.ms = experiment.ends
    for customer in customers:
        reply = running.get(f"/v1/customers/{customer}/recommendations?placement=home")
        assert reply.served_from["fallback"] is None
        assert reply.served_from["placement"]["name"] == "home"
        assert arm_of(running, reply) == ""
    assert {days for _, days in written(running, home).values()} == {1}


def test_who_is_in_no_arm(running: Service, home: Path) -> None:
    """Other placements, sessions without an id, and who wants no recommendations."""
    off = orjson.dumps({"recommendations": False})
    assert running.ask("PUT", "/v1/customers/c3", off, content_type="application/json").status == 200
    session = {"events": [{"item_id": item(0, 2)}], "placement": "home"}
    replies = [
        running.get("/v1/customers/c1/recommendations"),
        running.get("/v1/customers/c1/recommendations?placement=again"),
        running.get("/v1/customers/c3/recommendations?placement=home"),
        post(running, "/v1/recommendations", session),
    ]
    assert [arm_of(running, reply) for reply in replies] == [""] * 4
    assert written(running, home) == {}


def test_a_visitor_who_logs_in_is_served_the_customer_s_arm(running: Service, home: Path) -> None:
    """Under either id, from the merge on; what was served before stays what it was."""
    experiment = experiment_of(home)
    visitor = next(
        f"v{n}" for n in range(99) if drawn(experiment, f"v{n}").name not in (drawn(experiment, "c1").name, "holdout")
    )
    before = arm_of(running, running.get(f"/v1/customers/{visitor}/recommendations?placement=home"))
    running.runner.run(running.state.exposures.write())
    body = orjson.dumps({"visitor_id": visitor})
    assert running.ask("POST", "/v1/customers/c1/merge", body, content_type="application/json").status == 200
    for customer in (visitor, "c1"):
        reply = running.get(f"/v1/customers/{customer}/recommendations?placement=home")
        assert arm_of(running, reply) == f"winter/{drawn(experiment, 'c1').name}" != before
    running.runner.run(running.state.exposures.write())
    with store_of(home) as store:
        arms = [exposure.arm for exposure in store.exposures.of_person("c1")]
    assert sorted(f"winter/{arm}" for arm in arms) == sorted([before, f"winter/{drawn(experiment, 'c1').name}"])


def test_stopping_writes_what_was_noted(home: Path, clock: FakeClock) -> None:
    """A worker that is stopped in the ordinary way loses nothing."""
    publish(home, FILE.format(again='placement = "again"'))
    clock.ms -= (100 - OVER + 2) * DAY
    with Service(Settings(home=home), clock) as service:
        service.get("/v1/customers/c1/recommendations?placement=home")
    with store_of(home) as store:
        assert store.exposures.served("winter", 2**60)["customer_id"].to_list() == ["c1"]


@pytest.fixture
def two_bundles(home: Path, clock: FakeClock) -> tuple[str, str]:
    """A shop with two bundles, of which the first is in force, and an experiment with the second."""
    repository = BundleRepository(ShopFolder(home).models)
    first = repository.current_id()
    with store_of(home) as store:
        store.events.append([purchase(f"c{n}", "brand-new", 11) for n in range(0, CUSTOMERS, 4)])
    second = train_shop(home, seed=1)
    assert first is not None
    repository.promote(first, clock.ms)
    publish(home, FILE.format(again=f'bundle = "{second}"'))
    clock.ms -= (100 - OVER + 2) * DAY
    return first, second


def test_an_arm_of_another_bundle(home: Path, clock: FakeClock, two_bundles: tuple[str, str]) -> None:
    """Its customers are answered by that bundle under the catalogue of the moment, all others by the one in force; it
    is let go of when the experiment is over."""
    first, second = two_bundles
    with Service(Settings(home=home), clock) as service:
        experiment = experiment_of(home)
        for n in range(CUSTOMERS):
            arm = drawn(experiment, f"c{n}").name
            page = {"customer_id": f"c{n}", "lists": [{"name": "x", "type": "recommendations", "placement": "home"}]}
            reply = service.get(f"/v1/customers/c{n}/recommendations?placement=home")
            assert reply.served_from["bundle"] == (second if arm == "again" else first)
            assert reply.served_from["degraded"] is None
            listed = post(service, "/v1/pages", page).json()["lists"][0]
            assert [entry["item_id"] for entry in listed["items"]] == reply.items[: len(listed["items"])]
        sold_out = service.get("/v1/customers/c1/recommendations?placement=home").items[0]
        body = orjson.dumps({"available": False})
        assert (
            service.ask(
                "PUT", f"/v1/items/{sold_out.replace('/', '%2F')}", body, content_type="application/json"
            ).status
            < 300
        )
        for n in range(CUSTOMERS):
            assert sold_out not in service.get(f"/v1/customers/c{n}/recommendations?placement=home").items
        assert experiment.ends is not None
        clock.ms = experiment.ends
        service.look_for_bundles()
        assert not service.state.engines.others
        assert service.get("/v1/customers/c1/recommendations?placement=home").served_from["bundle"] == first


def test_an_arm_whose_bundle_is_damaged_is_served_to_nobody(
    home: Path, clock: FakeClock, two_bundles: tuple[str, str]
) -> None:
    """Its customers get what everybody gets and are not counted; the metrics tell of it."""
    first, second = two_bundles
    shutil.rmtree(ShopFolder(home).models / second)
    with Service(Settings(home=home), clock) as service:
        experiment = experiment_of(home)
        for n in range(CUSTOMERS):
            reply = service.get(f"/v1/customers/c{n}/recommendations?placement=home")
            assert reply.served_from["bundle"] == first
            assert (arm_of(service, reply) == "") == (drawn(experiment, f"c{n}").name == "again")
        assert 'bookmatch_bundle_loads_total{result="refused"} 1.0' in service.get("/metrics").body.decode()
        assert {arm for arm, _ in written(service, home).values()} == {"control", "holdout"}
