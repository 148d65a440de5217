"""`GET /v1/items/{id}/audience`: which consenting customers would want an item."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.history import HISTORY_LIMIT, History
from recsys.data.profile import Consent
from recsys.recommend.types import Request
from serving.http import audiences
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Service
from tests.serving.shop import CUSTOMERS, PER_SHELF, SHELVES, item, items_frame, store_of

ITEMS = [item(shelf, place) for shelf in range(SHELVES) for place in range(PER_SHELF)]


def consents(home: Path) -> None:
    """Of every seven customers one said no, one took it back, one switched recommendations off, the others said yes."""
    with store_of(home) as store:
        for number in range(CUSTOMERS):
            customer, kind = f"c{number}", number % 7
            said = [Consent("email", kind != 0, "checkout", 10)]
            said += [Consent("email", False, "letter", 20)] if kind == 1 else []
            store.profiles.put(customer, said, recommendations=False if kind == 2 else None)
        store.profiles.put("nothing known", [Consent("email", True, "counter", 1)])


@pytest.fixture(scope="module")
def asked(trained_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service over customers who said this and that."""
    home = Path(shutil.copytree(trained_shop, tmp_path_factory.mktemp("audience") / "shop"))
    consents(home)
    with Service(Settings(home=home), FakeClock()) as running:
        yield running


def target(item_id: str, query: str) -> str:
    """The route of an item."""
    return f"/v1/items/{quote(item_id, safe='')}/audience?{query}"


def most_wanted(service: Service) -> str:
    """The book of one shelf with the largest audience."""
    found = {
        each: service.get(target(each, "purpose=email")).json()["found"] for each in ITEMS[PER_SHELF : 2 * PER_SHELF]
    }
    return max(found, key=lambda each: found[each])


def brute_force(service: Service, item_id: str) -> list[tuple[str, float]]:
    """Everybody's own list of this one item, where something of the history names it by neighbours."""
    engine = service.state.engines.in_force
    bundle, found = engine.bundle, []
    position = bundle.items.position(item_id)
    lists = (bundle.item_item, bundle.rp3beta, bundle.content.neighbours)
    weights = [bundle.manifest.blend.counts(name) for name in ("item_item", "rp3beta", "content")]
    with store_of(service.state.settings.home) as store:
        for customer in (f"c{number}" for number in range(CUSTOMERS)):
            profile = store.profiles.get(customer)
            if not profile.allows("email") or not profile.recommendations:
                continue
            history = History.from_stored(store.histories.get(customer, HISTORY_LIMIT), bundle.items)
            named = any(
                position in each.row(own)[0]
                for own in engine.recommender.taste(history).items.tolist()
                for each, counts in zip(lists, weights, strict=True)
                if counts
            )
            request = Request(limit=1, now=service.state.clocks.now(), among=frozenset({item_id}))
            answer = engine.recommender.recommend(history, engine.catalog, request)
            if named and answer.items and answer.items[0].reason.code == "history":
                found.append((customer, answer.items[0].score))
    return sorted(found, key=lambda each: (-each[1], each[0]))


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(ITEMS))
def test_it_is_everybody_s_own_list_of_the_item(asked: Service, item_id: str) -> None:
    """The same customers with the same scores as asking for each; nobody without a consent, nobody who has it; each
    with a reason from their own history whose shares sum to the score."""
    answer = asked.get(target(item_id, "purpose=email&limit=1000"))
    assert answer.status == 200
    body = answer.json()
    assert [(each["customer_id"], each["score"]) for each in body["customers"]] == brute_force(asked, item_id)
    assert body["found"] == len(body["customers"])
    # The sixth part of the customers said no, took it back or want no recommendations; one is there without events.
    willing = [number for number in range(CUSTOMERS) if number % 7 > 2]
    assert body["looked_at"] == body["consenting"] == len(willing) + 1
    assert body["next"] is None
    for each in body["customers"]:
        assert int(each["customer_id"][1:]) in willing
        assert sum(part["share"] for part in each["reason"]["evidence"]) == pytest.approx(each["score"], abs=1e-9)


def test_readers_of_the_shelf_are_the_audience(asked: Service) -> None:
    """Of a book of one shelf those who read that shelf and do not have it."""
    best = asked.get("/v1/customers/c3/recommendations?limit=1").items[0]
    answer = asked.get(target(best, "purpose=email")).json()
    assert "c3" in {each["customer_id"] for each in answer["customers"]}
    assert {int(each["customer_id"][1:]) % SHELVES for each in answer["customers"]} == {3}


def test_a_purpose_nobody_agreed_to_has_no_audience(asked: Service) -> None:
    """Unknown is no."""
    answer = asked.get(target(item(1, 3), "purpose=post")).json()
    assert (answer["customers"], answer["consenting"], answer["looked_at"], answer["next"]) == ([], 0, 0, None)


def test_the_cursor_goes_through_everybody_once(asked: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that look at few customers each find together what one call finds."""
    whole = asked.get(target(item(1, 3), "purpose=email&limit=1000")).json()
    monkeypatch.setattr(audiences, "MAX_LOOKED_AT", 4)
    found, looked_at, after = [], 0, ""
    while True:
        part = asked.get(target(item(1, 3), f"purpose=email&limit=1000{after}")).json()
        assert part["looked_at"] <= 4
        found += part["customers"]
        looked_at += part["looked_at"]
        if part["next"] is None:
            break
        after = f"&after={quote(part['next'], safe='')}"
    assert looked_at == whole["consenting"]
    assert sorted(found, key=lambda each: (-each["score"], each["customer_id"])) == whole["customers"]


def test_the_limit_cuts_the_list_and_says_so(asked: Service) -> None:
    """The best of all that were found."""
    wanted = most_wanted(asked)
    whole = asked.get(target(wanted, "purpose=email&limit=1000")).json()
    two = asked.get(target(wanted, "purpose=email&limit=2")).json()
    assert len(whole["customers"]) > 2
    assert two["customers"] == whole["customers"][:2]
    assert two["found"] == whole["found"]


def test_an_excluded_customer_is_not_listed(asked: Service) -> None:
    """The others stand as they were."""
    wanted = most_wanted(asked)
    whole = asked.get(target(wanted, "purpose=email&limit=1000")).json()
    first, *others = whole["customers"]
    rest = asked.get(target(wanted, f"purpose=email&limit=1000&exclude={first['customer_id']}&exclude=nobody")).json()
    assert rest["customers"] == others
    assert (rest["found"], rest["looked_at"]) == (whole["found"] - 1, whole["looked_at"] - 1)


def test_a_customer_is_excluded_under_every_id(service: Service) -> None:
    """As the visitor that they were, too."""
    consents(service.state.settings.home)
    wanted = most_wanted(service)
    path = target(wanted, "purpose=email&limit=1000")
    first, *others = [each["customer_id"] for each in service.get(path).json()["customers"]]
    with store_of(service.state.settings.home) as store:
        store.profiles.merge("cookie", first, 100)
    found = service.get(f"{path}&exclude=cookie").json()["customers"]
    assert [each["customer_id"] for each in found] == others


def test_the_cursor_goes_on_when_a_whole_turn_is_excluded(asked: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody was looked at, and `next` says where the others are."""
    monkeypatch.setattr(audiences, "MAX_LOOKED_AT", 1)
    turn = asked.get(target(item(1, 3), "purpose=email")).json()["next"]
    spared = asked.get(target(item(1, 3), f"purpose=email&exclude={quote(turn, safe='')}")).json()
    assert (spared["customers"], spared["looked_at"], spared["next"]) == ([], 0, turn)


def test_who_buys_it_or_withdraws_leaves_the_audience_at_once(service: Service) -> None:
    """In the next answer; so does everybody when the item sells out."""
    consents(service.state.settings.home)
    wanted = most_wanted(service)
    path = target(wanted, "purpose=email&limit=1000")
    first, second, *others = [each["customer_id"] for each in service.get(path).json()["customers"]]
    service.post_events({"customer_id": first, "kind": "not_interested", "item_id": wanted})
    with store_of(service.state.settings.home) as store:
        store.profiles.put(second, [Consent("email", False, "letter", 99)])
    assert [each["customer_id"] for each in service.get(path).json()["customers"]] == others
    with store_of(service.state.settings.home) as store:
        store.catalog.put(items_frame(**{wanted: False}))
    assert service.get(path).json()["customers"] == []


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("", "purpose"),
        ("purpose=", "purpose"),
        ("purpose=E-Mail!", "purpose"),
        ("purpose=email&limit=0", "limit"),
        ("purpose=email&limit=1001", "limit"),
        ("purpose=email&after=%00", "after"),
        ("purpose=email&exclude=%00", "exclude"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(asked: Service, query: str, place: str) -> None:
    """422."""
    reply = asked.get(target(item(1, 3), query))
    assert reply.status == 422
    assert [fault["place"] for fault in reply.json()["errors"]] == [["query", place]]


def test_an_unknown_item_is_404(asked: Service) -> None:
    """As on its other routes, whoever consented."""
    assert asked.get(target("no such item", "purpose=email")).status == 404
    assert asked.get(target("no such item", "purpose=post")).status == 404
