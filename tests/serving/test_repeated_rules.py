"""Answers of placements with rules that are put together from those of a moment ago: what the rules did holds until
anything that they look at turns, and what is explored is drawn anew from the same chances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import Event, EventKind
from serving.http.answering import Answerer
from serving.http.asking import Asked
from serving.http.exploring_lists import Made
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.shop import PER_SHELF, SHELVES, item, store_of
from tests.serving.test_repeated import publish, send, told, warmed, without_age

__all__ = ["told"]

TARGET = "/v1/customers/c1/recommendations?limit=10&placement=ruled"
NEW = [f"new/{number:02}" for number in range(6)]


def moment(clock: FakeClock, seconds: float) -> str:
    """A time from now as a file of placements writes it."""
    return datetime.fromtimestamp(clock.ms / 1000 + seconds, UTC).isoformat()


@contextmanager
def serving(home: Path, clock: FakeClock, rules: str, *, kept: bool = True) -> Iterator[Service]:
    """A service with one placement of these rules, that has read what became of items that were shown."""
    publish(home, f"[placements.ruled]\n{rules}\n", clock.ms)
    with Service(Settings(home=home, **({} if kept else {"cache_size": 0})), clock) as service:
        look(service)
        yield service


def look(service: Service) -> None:
    """Reads what became of items that were shown."""
    service.runner.run(service.state.answerer._explorer.look())


@pytest.fixture(autouse=True)
def furnished(home: Path, clock: FakeClock) -> None:
    """Everything has an author, a category and a price, and there are items that the models do not know."""
    rows = [
        {"item_id": item(shelf, place), "author": f"a{place // 3}", "category": f"k{shelf}", "price": float(place)}
        for shelf in range(SHELVES)
        for place in range(PER_SHELF)
    ]
    rows += [{"item_id": each, "category": "k1", "author": "a", "price": 5.0} for each in NEW]
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))


def put(home: Path, row: dict[str, object]) -> None:
    """What the shop says of one item."""
    with store_of(home) as store:
        store.catalog.put(pl.DataFrame([row], schema=ITEM_SCHEMA))


def post(service: Service, clock: FakeClock, kind: str, item_id: str, seconds: float = 0) -> None:
    """An event of the customer, from now."""
    at = clock.ms + int(1000 * seconds)
    service.post_events({"customer_id": "c1", "kind": kind, "item_id": item_id, "timestamp": at})


def anew(service: Service, home: Path, clock: FakeClock, told: list[str]) -> Reply:
    """The next answer, which is no repetition, and is that of a service that never gave one before."""
    told.clear()
    reply = service.get(TARGET)
    assert told, "the answer of before was repeated"
    with Service(Settings(home=home, cache_size=0), clock) as fresh:
        assert reply.items == fresh.get(TARGET).items
    return reply


RULES = [
    "minimum_relevance = 0.000001",
    'fallback = ["rising", "popular"]',
    "rotation = { after = 3, step = 5, days = 14 }",
    'diversity = [{ by = "author", at_most = 2 }]',
    'pins = [{ item = "s2/b02", slot = 2 }]',
    "filter = \"price < 26 AND NOT viewed_within('2d')\"",
    "boosts = [{ where = \"author = 'a2'\", factor = 3 }]",
]


@pytest.mark.parametrize("rules", [*RULES, "\n".join(RULES)], ids=[*(each.split()[0] for each in RULES), "all"])
def test_a_repetition_says_what_the_cache_says(home: Path, clock: FakeClock, told: list[str], rules: str) -> None:
    """Items in their order, what was done to them and the age; and it is what a fresh answer has."""
    with serving(home, clock, rules) as service:
        post(service, clock, "impression", item(1, 9))
        service.get(TARGET)
        first = service.get(TARGET)
        told.clear()
        clock.forward(7)
        second = service.get(TARGET)
        assert not told
        assert without_age(second) == without_age(first)
        assert second.served_from["cache"]["age_s"] == 7.0
        assert second.json()["recommendation_id"] != first.json()["recommendation_id"]
        anew_items = [first.items]
    with serving(home, clock, rules, kept=False) as fresh:
        assert [fresh.get(TARGET).items] == anew_items


def test_an_impression_counts_at_once(home: Path, clock: FakeClock, told: list[str]) -> None:
    """What was shown just now sinks in the next answer, by as many places as the rule says."""
    with serving(home, clock, "rotation = { after = 0, step = 3, days = 14 }") as service:
        before = warmed(service, told, TARGET).items
        post(service, clock, "impression", before[0])
        after = anew(service, home, clock, told).items
        assert after == [*before[1:4], before[0], *before[4:]]
        # Of other customers it matters nothing.
        warmed(service, told, TARGET)
        service.post_events({"customer_id": "c2", "kind": "impression", "item_id": before[1], "timestamp": clock.ms})
        assert service.get(TARGET).items == after
        assert not told


def test_an_impression_that_comes_while_an_answer_is_made_counts_in_the_next(
    home: Path, clock: FakeClock, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes before the request, when it has looked at the store already, and when the list is made:
    the answer is not known by what came after it."""
    with serving(home, clock, "rotation = { after = 0, step = 3, days = 14 }") as service:
        before = service.get(TARGET).items
        writes = iter([("c2", before[4]), ("c2", before[5]), ("c1", before[0])])

        def write() -> None:
            for customer, shown in writes:
                event = Event(f"{customer}|{shown}", customer, EventKind.IMPRESSION, shown, clock.ms)
                with store_of(home) as store:
                    store.events.append([event])
                return

        write()
        of_customer, made = Answerer._of_customer, Answerer._made

        async def of_customer_then_write(self: Answerer, *asked: Any) -> Asked:
            found = await of_customer(self, *asked)
            write()
            return found

        async def made_then_write(self: Answerer, asked: Asked) -> Made:
            found = await made(self, asked)
            write()
            return found

        monkeypatch.setattr(Answerer, "_of_customer", of_customer_then_write)
        monkeypatch.setattr(Answerer, "_made", made_then_write)
        assert service.get(TARGET).items == before
        assert service.get(TARGET).items == [*before[1:4], before[0], *before[4:]]


def test_an_impression_that_grows_old_ends_it(home: Path, clock: FakeClock, told: list[str]) -> None:
    """After so many days it does not count any more, to the millisecond; and again where the clock is set back."""
    with serving(home, clock, "rotation = { after = 0, step = 3, days = 1 }") as service:
        before = service.get(TARGET).items
        post(service, clock, "impression", before[0], seconds=60 - 86_400)
        assert warmed(service, told, TARGET).items != before
        clock.forward(60)
        assert service.get(TARGET).items != before
        assert not told
        clock.forward(0.001)
        assert anew(service, home, clock, told).items == before
        assert warmed(service, told, TARGET).items == before
        clock.forward(-0.001)
        assert anew(service, home, clock, told).items != before


@pytest.mark.parametrize(
    "rule",
    [
        'pins = [{{ item = "s2/b02", slot = 2, from = {soon} }}]',
        'pins = [{{ item = "s2/b02", slot = 2, until = {soon} }}]',
        "boosts = [{{ where = \"category = 'k2'\", factor = 50, from = {soon} }}]",
        "boosts = [{{ where = \"category = 'k2'\", factor = 50, until = {soon} }}]",
    ],
    ids=["pin starts", "pin ends", "boost starts", "boost ends"],
)
def test_a_date_of_a_rule_ends_it(home: Path, clock: FakeClock, told: list[str], rule: str) -> None:
    """From that moment on, not before, and not after the clock was set back."""
    with serving(home, clock, rule.format(soon=moment(clock, 60))) as service:
        before = warmed(service, told, TARGET).items
        clock.forward(59.999)
        assert service.get(TARGET).items == before
        assert not told
        clock.forward(0.001)
        after = anew(service, home, clock, told).items
        assert after != before
        assert warmed(service, told, TARGET).items == after
        clock.forward(-0.001)
        assert anew(service, home, clock, told).items == before


@pytest.mark.parametrize(
    "rule",
    [
        "filter = \"NOT viewed_within('1d')\"",
        "boosts = [{ where = \"viewed_within('1d')\", factor = 0.01 }]",
    ],
    ids=["filter", "boost"],
)
def test_what_a_rule_asks_of_a_history_ends_it(home: Path, clock: FakeClock, told: list[str], rule: str) -> None:
    """A view that was a day ago is none of the last day any more: nothing is written, and the list is another."""
    with serving(home, clock, rule) as service:
        first = service.get(TARGET).items[0]
        post(service, clock, "view", first, seconds=60 - 86_400)
        before = warmed(service, told, TARGET).items
        clock.forward(59)
        assert service.get(TARGET).items == before
        assert not told
        clock.forward(2)
        assert anew(service, home, clock, told).items != before


@pytest.mark.parametrize(
    "rule",
    ['filter = "price < customer.budget"', 'boosts = [{ where = "price < customer.budget", factor = 50 }]'],
    ids=["filter", "boost"],
)
def test_what_a_shop_knows_of_a_customer_counts_at_once(
    home: Path, clock: FakeClock, told: list[str], rule: str
) -> None:
    """It may change at any time: such lists are put together every time."""
    with serving(home, clock, rule) as service:
        send(service, "PUT", "/v1/customers/c1", {"attributes": {"budget": 20}})
        for _ in range(3):
            before = anew(service, home, clock, told).items
        send(service, "PUT", "/v1/customers/c1", {"attributes": {"budget": 9}})
        assert anew(service, home, clock, told).items != before


EXPLORES = "explore = { share = 0.5, cost = 0.5 }"
ALL = "\n".join([EXPLORES, RULES[2], RULES[3], RULES[4], RULES[6]])


def tried(reply: Reply) -> dict[int, str]:
    """What is explored, by slot."""
    items = reply.json()["items"]
    return {slot: each["item_id"] for slot, each in enumerate(items) if each["reason"]["code"] == "explore"}


@pytest.mark.parametrize("rules", [EXPLORES, ALL], ids=["alone", "with others"])
def test_what_is_explored_is_drawn_anew(
    home: Path, clock: FakeClock, told: list[str], rules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With each seed a repetition has the very items, propensities and counts that a fresh answer has."""
    with serving(home, clock, rules) as service, Service(Settings(home=home, cache_size=0), clock) as fresh:
        look(fresh)
        lists = set()
        for seed in range(30):
            for each in (service, fresh):
                monkeypatch.setattr(each.state.answerer, "_next_seed", lambda seed=seed: f"seed {seed}")
            repetition = warmed(service, told, TARGET) if seed == 0 else service.get(TARGET)
            said = repetition.served_from
            other = fresh.get(TARGET)
            assert repetition.json()["items"] == other.json()["items"]
            assert said["propensities"] == other.served_from["propensities"]
            assert said["placement"] == other.served_from["placement"]
            assert said["cache"]["status"] == "hit"
            tokens = service.state.answerer._signed_with()
            assert tokens is not None
            identity = tokens[1].verify(repetition.json()["recommendation_id"])
            assert identity is not None
            assert identity.seed == f"seed {seed}"
            assert len(tried(repetition)) == said["placement"]["moved"]["explore"]
            lists.add(tuple(repetition.items))
        assert len(lists) > 2
        # Each of the others was made by the service that keeps nothing.
        assert len(told) == 30


def test_repetitions_show_as_often_as_they_say(home: Path, clock: FakeClock, told: list[str]) -> None:
    """The frequency of what is explored is its propensity, slot by slot."""
    with serving(home, clock, EXPLORES) as service:
        warmed(service, told, TARGET)
        replies = [service.get(TARGET) for _ in range(400)]
        assert not told
    shown: Counter[tuple[int, str]] = Counter()
    likely: dict[tuple[int, str], float] = {}
    for reply in replies:
        for slot, (item_id, chance) in enumerate(zip(reply.items, reply.served_from["propensities"], strict=True)):
            shown[slot, item_id] += 1
            assert likely.setdefault((slot, item_id), chance) == chance
    assert any(item_id in NEW for _, item_id in shown)
    for what, count in shown.items():
        spread = (400 * likely[what] * (1 - likely[what])) ** 0.5
        assert abs(count - 400 * likely[what]) <= 4.5 * spread + 1


def test_a_pin_behind_the_end_of_a_list_is_not_explored(home: Path, clock: FakeClock, told: list[str]) -> None:
    """It stands last, whatever its slot is, in every draw."""
    pin = f'{EXPLORES}\nfallback = []\npins = [{{ item = "s2/b02", slot = 60 }}]'
    with serving(home, clock, pin) as service:
        replies = [service.get(TARGET.replace("limit=10", "limit=60")) for _ in range(60)]
        assert {len(each.items) for each in replies} < set(range(5, 60))
        assert {each.items[-1] for each in replies} == {"s2/b02"}
        assert len({tuple(each.items) for each in replies}) > 10


def test_newer_beliefs_end_it(home: Path, clock: FakeClock, told: list[str]) -> None:
    """What was read since may have made other chances; those of before are not kept in memory."""
    with serving(home, clock, EXPLORES) as service:
        warmed(service, told, TARGET)
        before = service.state.answerer._repeated.find(("c1", 10, "ruled"))
        assert before is not None
        assert before.trial is not None
        assert before.trial.followed() is not None
        look(service)
        assert before.trial.followed() is None
        told.clear()
        service.get(TARGET)
        assert told


def test_what_changed_since_it_was_believed_ends_it(
    home: Path, clock: FakeClock, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it cannot be read what became of newcomers, none is shown."""
    with serving(home, clock, EXPLORES) as service:
        warmed(service, told, TARGET)
        monkeypatch.setattr(service.state.live, "changed_items", lambda *_: None)
        assert not set(service.get(TARGET).items) & set(NEW)
        assert told


def test_a_newcomer_that_may_not_be_shown_any_more_ends_it(home: Path, clock: FakeClock, told: list[str]) -> None:
    """It expires by itself: nothing is written, and no draw has it from then on."""
    for each in NEW:
        put(home, {"item_id": each, "category": "k1", "author": "a", "expires": clock.ms + 60_000})
    with serving(home, clock, EXPLORES) as service:
        warmed(service, told, TARGET)
        clock.forward(59)
        assert any(set(service.get(TARGET).items) & set(NEW) for _ in range(40))
        assert not told
        clock.forward(1)
        assert not any(set(service.get(TARGET).items) & set(NEW) for _ in range(40))


def test_nothing_is_repeated_before_anything_was_believed(home: Path, clock: FakeClock, told: list[str]) -> None:
    """Such an answer says what it lacks, and has it as soon as it is there."""
    publish(home, f"[placements.ruled]\n{EXPLORES}\n", clock.ms)
    with Service(Settings(home=home), clock) as service:
        service.state.answerer._explorer._followed = None
        for number in range(1, 4):
            assert "has not been read yet" in service.get(TARGET).served_from["placement"]["trouble"]
            assert len(told) == number
        look(service)
        assert service.get(TARGET).served_from["placement"]["trouble"] is None


def test_the_age_is_that_of_the_list_in_the_cache(home: Path, clock: FakeClock, told: list[str]) -> None:
    """A list that was ranked anew meanwhile, for a question of nearly the same length, is younger than the answer."""
    with serving(home, clock, RULES[4]) as service:
        warmed(service, told, TARGET)
        service.state.answerer._cache.clear()
        clock.forward(5)
        service.get(TARGET.replace("limit=10", "limit=9"))
        assert service.get(TARGET).served_from["cache"] == {"status": "hit", "age_s": 0.0, "trouble": None}
        assert told


def test_what_expires_does_so_where_rules_are_known_already(home: Path, clock: FakeClock, told: list[str]) -> None:
    """What a filter comes to for a customer is kept with what it was made of: what may be shown at that moment."""
    with serving(home, clock, RULES[5], kept=False) as service:
        first = service.get(TARGET).items[0]
        put(home, {"item_id": first, "price": 1.0, "expires": clock.ms + 60_000})
        assert first in service.get(TARGET).items
        clock.forward(60)
        assert first not in service.get(TARGET).items
