"""How events become tastes."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.data.history import History, StoredHistory
from recsys.data.interactions import Interactions
from recsys.data.packed import HistoryRow
from recsys.data.signals import EventWeights, KindWeight
from recsys.data.vocabulary import Vocabulary
from recsys.errors import InputError
from tests.worlds import DAY, START, event_frame, event_table

WEIGHTS = EventWeights(
    kinds={
        EventKind.PURCHASE: KindWeight(1.0, 10.0),
        EventKind.VIEW: KindWeight(0.25, 5.0),
        EventKind.ADD_TO_CART: KindWeight(0.5, None),
        EventKind.RATE: KindWeight(1.0, None),
    },
    half_life_steps=None,
    cap=2.0,
)
ITEMS = Vocabulary.from_ids(["a", "b", "c"])


def tastes(*rows: HistoryRow) -> dict[str, float]:
    """The strengths of a history by item id."""
    history = History.from_stored(StoredHistory.of(1, rows), ITEMS)
    items, strengths, _ = history.speakers(WEIGHTS)
    return {ITEMS[int(item)]: float(value) for item, value in zip(items, strengths, strict=True)}


def did(
    item: str,
    kind: EventKind,
    day: int | None = 0,
    *,
    quantity: float = 1.0,
    rating: float | None = None,
    position: int | None = None,
) -> HistoryRow:
    """One event."""
    return HistoryRow(item, kind.code, None if day is None else START + day * DAY, position, quantity, rating)


def test_a_purchase_fades_by_its_half_life_counted_from_the_newest_event() -> None:
    """After one half-life of 10 days a purchase is worth half, after two a quarter; the newest is worth all."""
    found = tastes(did("a", EventKind.PURCHASE, 0), did("b", EventKind.PURCHASE, 10), did("c", EventKind.PURCHASE, 20))
    assert found == pytest.approx({"a": 2.0**-2, "b": 2.0**-1, "c": 1.0})


def test_when_it_is_asked_does_not_matter() -> None:
    """The same events a thousand days later give the same strengths."""
    early = tastes(did("a", EventKind.PURCHASE, 0), did("b", EventKind.VIEW, 7))
    late = tastes(did("a", EventKind.PURCHASE, 1000), did("b", EventKind.VIEW, 1007))
    assert early == late


def test_events_on_one_item_add_up_to_the_cap() -> None:
    """Three fresh purchases are worth 2, the cap, not 3; a view and a cart are worth 0.25 + 0.5."""
    found = tastes(*[did("a", EventKind.PURCHASE)] * 3, did("b", EventKind.VIEW), did("b", EventKind.ADD_TO_CART))
    assert found == pytest.approx({"a": 2.0, "b": 0.75})


def test_where_only_an_order_is_known_steps_count() -> None:
    """With a half-life of one step, the last basket counts in full, the one before half, whatever their numbers are."""
    baskets = [("a", 3), ("a", 5), ("b", 3), ("c", 7), ("b", 7)]
    rows = [did(item, EventKind.VIEW, None, position=position) for item, position in baskets]
    history = History.from_stored(StoredHistory.of(1, rows), ITEMS)
    items, strengths, _ = history.speakers(replace(WEIGHTS, half_life_steps=1.0))
    assert items.tolist() == [ITEMS.position(item) for item in "abc"]
    assert strengths.tolist() == pytest.approx([0.5 * 2.0**-1, 0.5, 0.25])


def test_what_has_faded_to_nothing_says_nothing() -> None:
    """With a half-life of a quarter of a step, the item one step back still speaks, the one two steps back does not."""
    rows = [did(item, EventKind.PURCHASE, None, position=place) for place, item in enumerate("abc")]
    history = History.from_stored(StoredHistory.of(1, rows), ITEMS)
    items, strengths, _ = history.speakers(replace(WEIGHTS, half_life_steps=0.25))
    assert items.tolist() == [ITEMS.position("b"), ITEMS.position("c")]
    assert strengths.tolist() == pytest.approx([2.0**-4, 1.0])


def test_positions_may_be_as_far_apart_as_they_are_large() -> None:
    """Between the smallest and the largest position lies one step of the customer's order, like between any others."""
    ends = (("a", 1 - 2**63), ("b", 2**63 - 1))
    rows = [did(item, EventKind.PURCHASE, None, position=position) for item, position in ends]
    history = History.from_stored(StoredHistory.of(1, rows), ITEMS)
    assert history.speakers(replace(WEIGHTS, half_life_steps=1.0)).strengths.tolist() == [0.5, 1.0]


def test_where_nothing_is_known_nothing_fades() -> None:
    """Events without time and place all count in full."""
    assert tastes(did("a", EventKind.PURCHASE, None), did("b", EventKind.VIEW, None)) == {"a": 1.0, "b": 0.25}


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ([did("a", EventKind.PURCHASE, quantity=2), did("a", EventKind.RETURN, quantity=2)], {}),
        ([did("a", EventKind.PURCHASE, quantity=2), did("a", EventKind.RETURN)], {"a": 1.0}),
        ([did("a", EventKind.ADD_TO_CART), did("a", EventKind.REMOVE_FROM_CART)], {}),
        (
            [did("a", EventKind.VIEW), did("a", EventKind.ADD_TO_CART), did("a", EventKind.REMOVE_FROM_CART)],
            {"a": 0.25},
        ),
        ([did("a", EventKind.PURCHASE), did("a", EventKind.NOT_INTERESTED)], {}),
        (
            [did("a", EventKind.PURCHASE), did("a", EventKind.IGNORE_FOR_RECOMMENDATIONS), did("b", EventKind.VIEW)],
            {"b": 0.25},
        ),
    ],
    ids=["returned", "partly-returned", "out-of-the-cart", "looked-at-still", "refused", "a-gift"],
)
def test_what_was_taken_back_carries_no_taste(events: list[HistoryRow], left: dict[str, float]) -> None:
    """Returns, removals, refusals and gifts silence what they refer to and nothing else."""
    assert tastes(*events) == pytest.approx(left)


def test_a_rating_counts_by_its_place_on_the_scale() -> None:
    """On a scale of 1 to 5 a 5 counts in full, a 3 half, and a 1 says nothing good."""
    found = tastes(
        did("a", EventKind.RATE, rating=5), did("b", EventKind.RATE, rating=3), did("c", EventKind.RATE, rating=1)
    )
    assert found == pytest.approx({"a": 1.0, "b": 0.5})


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["u", "v", "w"]),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(list(EventKind)),
        st.one_of(st.none(), st.integers(0, 40)),
    ),
    min_size=1,
    max_size=40,
)


@given(EVENTS)
def test_training_and_serving_see_the_same_strengths(rows: list[tuple[str, str, EventKind, int | None]]) -> None:
    """A row of the training matrix is what the same customer's history gives when serving."""
    interactions = Interactions.from_events(event_table(event_frame(rows)))
    weights = replace(WEIGHTS, half_life_steps=3.0)
    matrix = interactions.strengths(weights)
    for customer in range(len(interactions.customers)):
        items, strengths, _ = interactions.history(customer).speakers(weights)
        row = matrix[[customer]]
        assert row.indices.tolist() == items.tolist()
        np.testing.assert_array_equal(row.data, strengths)


@given(EVENTS, st.randoms())
def test_interactions_do_not_depend_on_the_order_of_storage(
    rows: list[tuple[str, str, EventKind, int | None]], chance: random.Random
) -> None:
    """Shuffled events give the same arrays, byte for byte."""
    shuffled = list(rows)
    chance.shuffle(shuffled)
    one, other = (Interactions.from_events(event_table(event_frame(r))) for r in (rows, shuffled))
    for name in ("indptr", "item", "kind", "timestamp", "position", "quantity", "rating"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


def test_weights_survive_the_manifest() -> None:
    """What is written as JSON reads back equal."""
    assert EventWeights.from_json(WEIGHTS.to_json()) == WEIGHTS
    assert EventWeights.from_json(EventWeights().to_json()) == EventWeights()


def test_impossible_weights_are_refused() -> None:
    """A negative weight, a half-life of nothing and a cap of nothing say what is wrong."""
    with pytest.raises(InputError, match="weight of view is -1"):
        EventWeights(kinds={EventKind.VIEW: KindWeight(-1, None)})
    with pytest.raises(InputError, match="half-life of view is 0"):
        EventWeights(kinds={EventKind.VIEW: KindWeight(1, 0)})
    with pytest.raises(InputError, match="cap is 0"):
        EventWeights(cap=0)
    with pytest.raises(InputError, match="rating scale"):
        EventWeights(rating_scale=(1.0, float("inf")))


CANCELLABLE = (EventKind.VIEW, EventKind.PURCHASE, EventKind.RETURN, EventKind.ADD_TO_CART, EventKind.REMOVE_FROM_CART)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(CANCELLABLE)), min_size=1, max_size=12))
def test_the_strongest_kind_is_the_one_that_weighs_most(rows: list[tuple[str, EventKind]]) -> None:
    """Per item that carries taste, the kind of largest weight among those that happened and were not cancelled."""
    history = History.from_stored(StoredHistory.of(1, [did(item, kind) for item, kind in rows]), ITEMS)
    items, _, found = history.speakers(WEIGHTS)

    def speaks(item: str, kind: EventKind) -> bool:
        opposite = {EventKind.PURCHASE: EventKind.RETURN, EventKind.ADD_TO_CART: EventKind.REMOVE_FROM_CART}
        kept = rows.count((item, kind)) - (rows.count((item, opposite[kind])) if kind in opposite else 0)
        return kind in WEIGHTS.kinds and kept > 0

    spoken = {ITEMS[int(item)]: [kind for kind in CANCELLABLE if speaks(ITEMS[int(item)], kind)] for item in items}
    expected = [max(kinds, key=lambda kind: WEIGHTS.kinds[kind].weight) for kinds in spoken.values()]
    assert [KIND_BY_CODE[code] for code in found.tolist()] == expected


def test_what_was_cancelled_is_not_named_as_a_reason() -> None:
    """Who viewed and bought a book and sent it back has viewed it, as far as reasons go; so with the cart."""
    rows = [
        did("a", EventKind.VIEW, 0),
        did("a", EventKind.PURCHASE, 0),
        did("a", EventKind.RETURN, 1),
        did("b", EventKind.ADD_TO_CART, 0),
        did("b", EventKind.VIEW, 0),
        did("b", EventKind.REMOVE_FROM_CART, 1),
        did("c", EventKind.VIEW, 0),
        did("c", EventKind.PURCHASE, 0, quantity=2.0),
        did("c", EventKind.RETURN, 1),
    ]
    history = History.from_stored(StoredHistory.of(1, rows), ITEMS)
    kinds = [KIND_BY_CODE[code] for code in history.speakers(WEIGHTS).kinds.tolist()]
    assert kinds == [EventKind.VIEW, EventKind.VIEW, EventKind.PURCHASE]


@given(EVENTS)
def test_every_customer_s_clock_starts_at_zero_and_goes_on_by_one(
    rows: list[tuple[str, str, EventKind, int | None]],
) -> None:
    """The readings of a customer are 0, 1, 2 … without a gap, in the order in which their items were last touched."""
    interactions = Interactions.from_events(event_table(event_frame(rows)))
    tastes = interactions.tastes(WEIGHTS)
    for customer in range(len(interactions.customers)):
        own = slice(tastes.indptr[customer], tastes.indptr[customer + 1])
        history = interactions.history(customer)
        last = [history.timestamp[history.item == item].max() for item in tastes.item[own]]
        expected = [sorted(set(last)).index(time) for time in last]
        assert tastes.clock[own].tolist() == expected
