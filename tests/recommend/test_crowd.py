"""What many customers' mails are filled with is what each customer alone would be answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.bundle import ModelBundle
from recsys.data.catalog import ITEM_SCHEMA, Catalog
from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.data.history import History
from recsys.data.interactions import Interactions
from recsys.data.item_table import ItemTable
from recsys.data.shown import Shown
from recsys.data.vocabulary import Vocabulary
from recsys.models.relevance import Relevance
from recsys.recommend.audience import audience
from recsys.recommend.crowd import Crowd, Picks, chosen, new, own
from recsys.recommend.crowd.crowd import UNWANTED, barred_pairs
from recsys.recommend.crowd.picks import HISTORY, REASONS
from recsys.recommend.crowd.spots import Spot, is_plain, placed_for_you
from recsys.recommend.filters import AskerFacts
from recsys.recommend.kernel import UNITS
from recsys.recommend.own_items import buy_again
from recsys.recommend.placed import placed
from recsys.recommend.placement import DEFAULT_PLACEMENT, Boost, Diversity, Fallback, Pin, Placement, Rotation
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Request
from tests.worlds import DAY, START, event_frame, event_table, published

ITEMS = 40
CUSTOMERS = 60
LAST = 100
NOW = START + (LAST + 1) * DAY
KINDS = [
    EventKind.PURCHASE, EventKind.VIEW, EventKind.ADD_TO_CART, EventKind.REMOVE_FROM_CART, EventKind.RETURN,
    EventKind.NOT_INTERESTED, EventKind.OWN, EventKind.IGNORE_FOR_RECOMMENDATIONS,
]  # fmt: skip
NOT_THEIRS = {EventKind.RETURN, EventKind.NOT_INTERESTED, EventKind.IGNORE_FOR_RECOMMENDATIONS}
HIDDEN = DEFAULT_PLACEMENT.mask_kinds
HAD = sorted(DEFAULT_PLACEMENT.mask_kinds)


@dataclass(frozen=True)
class World:
    """A random shop, and its customers one by one and all at once."""

    bundle: ModelBundle
    recommender: Recommender
    catalog: Catalog
    items: list[dict[str, object]]
    crowd: Crowd

    def history(self, row: int) -> History:
        """One customer's."""
        return replace(self.crowd.interactions.history(row), version=1)

    def events(self, row: int) -> list[tuple[EventKind, int, int]]:
        """Kind, item and time of each event of a customer, in order."""
        past = self.history(row)
        codes, items, times = past.kind.tolist(), past.item.tolist(), past.timestamp.tolist()
        return [(KIND_BY_CODE[code], item, at) for code, item, at in zip(codes, items, times, strict=True)]

    def may(self, row: int, item: int, *, again: bool = False) -> bool:
        """Whether an item may stand in a customer's mail."""
        did = {kind for kind, each, _ in self.events(row) if each == item}
        recent = any(
            kind is EventKind.PURCHASE and at >= NOW - 10 * DAY for kind, each, at in self.events(row) if each == item
        )
        refused = bool(did & set(UNWANTED)) or recent
        return bool(self.crowd.allowed[item]) and not refused and (again or not did & set(HAD))


def described(number: int) -> dict[str, object]:
    """A row of the catalogue: four authors, three categories, series of five volumes; every ninth is sold out."""
    series = {"series": f"s{number % 4}", "volume": number // 4 + 1} if number < 20 else {}
    return {
        "item_id": f"i{number:02}",
        "title": f"title {number}",
        "author": f"author {number % 4}",
        "category": f"c{number % 3}",
        "available": number % 9 != 8,
        "published": START + number * 2 * DAY,
        "attributes": orjson.dumps(series).decode(),
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Sixty customers, the last of whom did nothing that the models know."""
    rng = np.random.default_rng(5)
    rows = [
        (f"u{customer:02}", f"i{int(item):02}", KINDS[int(kind)], int(day))
        for customer in range(CUSTOMERS - 1)
        for item, kind, day in zip(
            rng.zipf(1.3, customer % 17) % ITEMS,
            rng.choice(len(KINDS), customer % 17, p=[0.36, 0.28, 0.12, 0.04, 0.04, 0.05, 0.05, 0.06]),
            rng.integers(0, LAST, customer % 17),
            strict=True,
        )
    ]
    items = [described(number) for number in range(ITEMS)]
    catalogue = pl.DataFrame(items, schema=ITEM_SCHEMA)
    frame = event_frame(rows)
    bundle = published(tmp_path_factory.mktemp("models"), frame, None, catalogue)
    curve = (np.array([0.0, 0.5, 1.0, 2.0]), np.array([0.01, 0.02, 0.05, 0.2]))
    relevance = Relevance.of_curves((EventKind.PURCHASE,), 30, (3,), (curve, curve, curve, curve))
    bundle = replace(bundle, relevance=relevance)
    catalog = Catalog.from_items(catalogue, bundle.items)
    customers = Vocabulary.from_ids([f"u{customer:02}" for customer in range(CUSTOMERS)])
    interactions = Interactions.from_events(event_table(frame)).over(bundle.items).of_customers(customers)
    recommender = Recommender(bundle)
    allowed = catalog.showable(NOW)
    barred = barred_pairs(interactions, ITEMS, NOW - 10 * DAY, np.zeros(0, dtype=np.int64))
    table = ItemTable.from_items(catalogue, bundle.items)
    crowd = Crowd(recommender, interactions, catalog, table, NOW, allowed, barred, threads=2)
    return World(bundle, recommender, catalog, items, crowd)


def of(picks: Picks, row: int) -> list[int]:
    """A customer's items, in their order."""
    return picks.item[picks.row == row].tolist()


def test_customers_are_found_by_their_ids(world: World) -> None:
    """Those who are not known have no events, the others theirs, whoever is asked about."""
    some = world.crowd.interactions.of_customers(Vocabulary.from_ids(["a", "u03", "u05", "zz"]))
    assert [len(some.history(row)) for row in range(4)] == [0, len(world.history(3)), len(world.history(5)), 0]
    assert some.history(2).timestamp.tolist() == world.history(5).timestamp.tolist()


def test_what_happens_later_is_not_known_yet(world: World) -> None:
    """`until` keeps what happened by then, in order, for everybody."""
    early = world.crowd.interactions.until(START + 40 * DAY)
    for row in range(CUSTOMERS):
        expected = [at for _, _, at in world.events(row) if at <= START + 40 * DAY]
        assert early.history(row).timestamp.tolist() == expected


def test_for_you_is_what_the_recommender_says(world: World) -> None:
    """Items, relevance, reasons and the evidence that counts most are those of `Recommender.recommend`."""
    picks, ids = new.for_you(world.crowd, 8), world.bundle.items
    for row in range(CUSTOMERS):
        barred = [key % ITEMS for key in world.crowd.barred.tolist() if key // ITEMS == row]
        request = Request(limit=8, now=NOW, exclude=frozenset(ids[item] for item in barred))
        answer = world.recommender.recommend(world.history(row), world.catalog, request)
        mine = picks.those(picks.row == row)
        assert [ids[item] for item in mine.item.tolist()] == [each.item_id for each in answer.items]
        for place, each in enumerate(answer.items):
            assert float(mine.relevance[place]) == pytest.approx(each.relevance, abs=1 / UNITS)
            assert REASONS[int(mine.reason[place])] == each.reason.code
            first = each.reason.evidence[0]
            if mine.reason[place] == HISTORY and first.item_id is not None:
                assert ids[int(mine.because[place])] == first.item_id
                assert KIND_BY_CODE[int(mine.did[place])] == first.kind


def test_buy_again_is_what_its_list_says(world: World) -> None:
    """Items and probabilities are those of the customer's own list, without what may not be mailed."""
    picks, found = own.buy_again(world.crowd), 0
    for row in range(CUSTOMERS):
        answer = buy_again(world.bundle, world.history(row), world.catalog, Request(limit=ITEMS, now=NOW))
        expected = [
            (world.bundle.items.position(each.item_id), each.score)
            for each in answer.items
            if world.may(row, world.bundle.items.position(each.item_id), again=True)
        ]
        mine = picks.those(picks.row == row)
        assert mine.item.tolist() == [item for item, _ in expected]
        assert mine.relevance.tolist() == pytest.approx([score for _, score in expected], abs=1e-6)
        found += len(expected)
    assert found


def test_what_is_left_in_the_cart(world: World) -> None:
    """What was put in lately and neither taken out nor bought later, the last first."""
    picks, found = own.left_in_cart(world.crowd, 60), 0
    for row in range(CUSTOMERS):
        last: dict[int, tuple[EventKind, int, int]] = {}
        for number, (kind, item, at) in enumerate(world.events(row)):
            if kind in {EventKind.ADD_TO_CART, EventKind.REMOVE_FROM_CART, EventKind.PURCHASE, EventKind.OWN}:
                last[item] = (kind, at, number)
        there = [
            (-number, item)
            for item, (kind, at, number) in last.items()
            if kind is EventKind.ADD_TO_CART and at >= NOW - 60 * DAY and world.may(row, item, again=True)
        ]
        assert of(picks, row) == [item for _, item in sorted(there)]
        found += len(there)
    assert found


@pytest.mark.parametrize("times", [1, 2])
def test_what_was_looked_at(world: World, times: int) -> None:
    """What was looked at so often lately and never had, the last first."""
    picks, found = own.looked_at(world.crowd, times, 80), 0
    for row in range(CUSTOMERS):
        looks = [
            (number, item)
            for number, (kind, item, at) in enumerate(world.events(row))
            if kind is EventKind.VIEW and at >= NOW - 80 * DAY
        ]
        often = [item for item, count in Counter(item for _, item in looks).items() if count >= times]
        last = {item: number for number, item in looks}
        expected = sorted((each for each in often if world.may(row, each)), key=lambda item: -last[item])
        assert of(picks, row) == expected
        found += len(expected)
    assert found


def test_the_next_of_a_series(world: World) -> None:
    """The volume after the furthest that was had and kept of each series, the series last read first."""
    picks, found = own.next_in_series(world.crowd), 0
    for row in range(CUSTOMERS):
        furthest: dict[int, int] = {}
        newest: dict[int, int] = {}
        events = world.events(row)
        not_theirs = {item for kind, item, _ in events if kind in NOT_THEIRS}
        for number, (kind, item, _) in enumerate(events):
            if kind in {EventKind.PURCHASE, EventKind.OWN} and item < 20 and item not in not_theirs:
                furthest[item % 4] = max(furthest.get(item % 4, 0), item)
                newest[item % 4] = number
        order = sorted(furthest, key=lambda series: -newest[series])
        following = [furthest[series] + 4 for series in order if furthest[series] + 4 < 20]
        assert of(picks, row) == [item for item in following if world.may(row, item)]
        found += len(following)
    assert found


def test_what_goes_with_the_last_purchase(world: World) -> None:
    """Everything is there because of the last thing that was bought and kept, and for nobody else, in the order of
    `Recommender.related`."""
    picks, ids = new.because_you_bought(world.crowd, 5, 70), world.bundle.items
    for row in range(CUSTOMERS):
        back = {item for kind, item, _ in world.events(row) if kind in NOT_THEIRS}
        bought = [
            item
            for kind, item, at in world.events(row)
            if kind is EventKind.PURCHASE and at >= NOW - 70 * DAY and item not in back
        ]
        mine = picks.those(picks.row == row)
        if not bought:
            assert not len(mine.item)
            continue
        answer = world.recommender.related(ids[bought[-1]], world.catalog, Request(limit=5 + new.SPARE, now=NOW))
        related = [ids.position(each.item_id) for each in answer.items]
        assert mine.item.tolist() == [item for item in related if world.may(row, item)]
        assert set(mine.because.tolist()) <= {bought[-1]}


def test_new_books_of_known_authors(world: World) -> None:
    """Only new items, only by authors of whom the history speaks, in the recommender's order."""
    picks, ids = new.new_from_authors(world.crowd, 60), world.bundle.items
    found = 0
    for row in range(CUSTOMERS):
        speaks = world.recommender.taste(world.history(row)).items
        authors = {int(item) % 4 for item in speaks}
        fits = [
            item
            for item in range(ITEMS)
            if item % 4 in authors and START + item * 2 * DAY >= NOW - 60 * DAY and world.may(row, item)
        ]
        among = Request(limit=ITEMS, now=NOW, among=frozenset(ids[item] for item in fits))
        ranked = world.recommender.rank(world.history(row), world.catalog, among).tolist() if fits else []
        assert of(picks, row) == ranked
        for item, because in zip(of(picks, row), picks.because[picks.row == row].tolist(), strict=True):
            assert because % 4 == item % 4
        found += len(fits)
    assert found


def test_what_is_popular_near_their_taste(world: World) -> None:
    """All of one category, the most popular first, without what they had; nothing for those without taste."""
    picks = new.popular_near_taste(world.crowd, 6)
    count = world.bundle.popularity.score
    for row in range(CUSTOMERS):
        mine = of(picks, row)
        assert len({item % 3 for item in mine}) <= 1
        assert all(world.may(row, item) for item in mine)
        assert [count[item] for item in mine] == sorted((count[item] for item in mine), reverse=True)
        taste = world.recommender.taste(world.history(row))
        if not len(taste.items):
            assert not mine
            continue
        sums = Counter[int]()
        for item, strength in zip(taste.items.tolist(), taste.strengths.tolist(), strict=True):
            sums[item % 3] += strength
        if mine:
            assert sums[mine[0] % 3] == pytest.approx(max(sums.values()), rel=1e-4)


def test_who_would_want_an_item(world: World) -> None:
    """The customers and scores of the audience that is found one by one."""
    people = [(str(row), world.history(row)) for row in range(CUSTOMERS)]
    expected = audience(world.recommender, world.catalog, "i01", people, NOW)
    rows, scores = new.would_want(world.crowd, "i01")
    assert expected
    assert dict(zip(rows.tolist(), scores.tolist(), strict=True)) == {
        int(each.customer_id): each.score for each in expected
    }


lists = st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=12), min_size=1, max_size=4)


@given(lists, st.lists(st.integers(1, 3), min_size=4, max_size=4))
def test_no_item_twice_and_the_first_block_has_it(
    blocks: Sequence[Sequence[tuple[int, int]]], limits: list[int]
) -> None:
    """Every block shows the best of its own list that no block before it shows the same customer."""
    used: dict[int, set[int]] = {}
    expected = []
    for pairs, limit in zip(blocks, limits, strict=False):
        shown: list[tuple[int, int]] = []
        for row in range(5):
            mine = used.setdefault(row, set())
            own_items = [item for each, item in pairs if each == row]
            free = [item for item in dict.fromkeys(own_items) if item not in mine][:limit]
            mine.update(free)
            shown += [(row, item) for item in free]
        expected.append(shown)
    picks = [
        Picks.of(np.array([row for row, _ in ordered]), np.array([item for _, item in ordered]), HISTORY)
        for ordered in (sorted(pairs, key=lambda pair: pair[0]) for pairs in blocks)
    ]
    found = chosen([(each, limit) for each, limit in zip(picks, limits, strict=False)], 7)
    assert [list(zip(each.row.tolist(), each.item.tolist(), strict=True)) for each in found] == expected


@pytest.mark.parametrize("customers", [[], ["nobody"], ["nobody", "u59"]])
def test_nobody_has_nothing_but_what_is_for_all(world: World, customers: list[str]) -> None:
    """Customers without a history, or none at all, and a catalogue without attributes: no list fails."""
    own_events = world.crowd.interactions.of_customers(Vocabulary.from_ids(customers))
    table = ItemTable.unread(ITEMS)
    for crowd in (
        replace(world.crowd, interactions=own_events, barred=np.zeros(0, dtype=np.int64)),
        replace(world.crowd, interactions=own_events, barred=np.zeros(0, dtype=np.int64), table=table),
        replace(world.crowd, table=table),
    ):
        few = (
            own.left_in_cart(crowd, 30), own.looked_at(crowd, 1, 30), own.buy_again(crowd), own.next_in_series(crowd),
            new.because_you_bought(crowd, 3, 30), new.new_from_authors(crowd, 60), new.popular_near_taste(crowd, 3),
        )  # fmt: skip
        if crowd.interactions is own_events:
            assert [len(picks.row) for picks in few] == [0] * len(few)
        assert set(new.for_you(crowd, 3).row.tolist()) == set(range(len(crowd)))
        assert new.would_want(crowd, "i01")[0].tolist() == [] or len(crowd) > 2
        first, _ = chosen([(few[0], 2), (few[1], 2)], ITEMS)
        assert len(first.row) <= 2 * len(crowd)


RULES = {
    "a filter on the customer": Placement(name="p", mask_kinds=HIDDEN, where="category = customer.shelf"),
    "one of each author": Placement(name="p", mask_kinds=HIDDEN, diversity=(Diversity(by="author", at_most=1),)),
    "pins": Placement(name="p", mask_kinds=HIDDEN, pins=(Pin(item_id="i07", slot=2), Pin(item_id="i03", slot=3))),
    "boosts": Placement(name="p", mask_kinds=HIDDEN, boosts=(Boost(where="category = 'c1'", factor=50.0),)),
    "rotation": Placement(name="p", mask_kinds=HIDDEN, rotation=Rotation(after=0, step=3, days=30)),
    "again": Placement(name="p", mask_kinds=frozenset(UNWANTED), weights=(("repeat", 1.0), ("popular", 0.1))),
    "what is new fills up": Placement(name="p", mask_kinds=HIDDEN, fallback=(Fallback.NEW, Fallback.RISING)),
    "nothing fills up": Placement(name="p", mask_kinds=HIDDEN, fallback=()),
}


@pytest.mark.parametrize("rules", RULES)
def test_a_placement_lists_for_many_what_it_shows_each(world: World, rules: str) -> None:
    """Items, relevance and what speaks for them are those of `placed`, without what may not be mailed."""
    recommender, ids = world.recommender.at(RULES[rules]), world.bundle.items
    shown = Shown(np.array([4, 4, 7], dtype=np.int32), np.full(3, NOW - DAY))

    def attributes(customer_id: str) -> dict[str, object]:
        return {"shelf": f"c{int(customer_id[1:]) % 3}"}

    crowd = world.crowd.narrowed(np.arange(ITEMS) != 5)
    picks, plain = placed_for_you(crowd, Spot(recommender, attributes, lambda _: shown), 6), new.for_you(crowd, 6)
    for row in range(CUSTOMERS):
        barred = [key % ITEMS for key in crowd.barred.tolist() if key // ITEMS == row]
        request = Request(limit=6, now=NOW, exclude=frozenset(ids[item] for item in [5, *barred]))
        asker = AskerFacts(world.history(row), attributes(f"u{row:02}"))
        answer = placed(recommender, asker, world.catalog, crowd.table, request, shown).answer
        mine = picks.those(picks.row == row)
        assert [ids[item] for item in mine.item.tolist()] == [each.item_id for each in answer.items]
        assert 5 not in mine.item
        for place, each in enumerate(answer.items):
            first = each.reason.evidence[0]
            assert float(mine.relevance[place]) == pytest.approx(each.relevance or np.nan, abs=1 / UNITS, nan_ok=True)
            assert (ids[int(mine.because[place])] if mine.because[place] >= 0 else None) == first.item_id
            assert mine.did[place] == (0 if first.item_id is None else EventKind(first.kind).code)
            if each.reason.code in REASONS:
                assert REASONS[int(mine.reason[place])] == each.reason.code
    assert picks.item.tolist() != plain.item.tolist()


def test_only_a_placement_without_rules_is_plain() -> None:
    """Whatever it is called; then the quick list of many customers is its list."""
    assert is_plain(replace(DEFAULT_PLACEMENT, name="home", version=7))
    assert not any(map(is_plain, RULES.values()))
