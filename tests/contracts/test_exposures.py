"""What every store does with exposures and with events of a period, sentence by sentence of the protocols."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.events import Event, EventKind
from recsys.errors import InputError
from recsys.outcomes.exposure import ANSWERS_SCHEMA, DAY_MS, EXPOSURE_SCHEMA, OUTCOME_SCHEMA, ArmAnswers, Exposure
from recsys.stores.protocols import Store
from recsys.stores.undo import Undo, undo_target, undone
from tests.contracts.plain_store import OpenStore, event_frame, undo, view
from tests.contracts.test_event_store import CUSTOMERS, events


def served(store: Store, experiment: str = "x") -> list[tuple[object, ...]]:
    """Who was served what, in a fixed order."""
    return sorted(store.exposures.served(experiment, 10 * DAY_MS).rows())


def test_the_first_of_each_day_is_kept(store: Store) -> None:
    """Whatever arrives first, of each customer, experiment and arm."""
    store.exposures.record([Exposure("x", "a", "ann", DAY_MS + 50), Exposure("x", "a", "ann", 2 * DAY_MS + 5)])
    store.exposures.record([Exposure("x", "a", "ann", DAY_MS + 10), Exposure("x", "a", "ann", DAY_MS + 90)])
    store.exposures.record([Exposure("x", "b", "ann", DAY_MS + 70), Exposure("y", "a", "ann", 7)])
    store.exposures.record([Exposure("x", "a", "bob", 3)])
    assert served(store) == [
        ("ann", "a", DAY_MS + 10, 2 * DAY_MS + 5, 2),
        ("ann", "b", DAY_MS + 70, DAY_MS + 70, 1),
        ("bob", "a", 3, 3, 1),
    ]
    assert store.exposures.served("x", DAY_MS + 49).filter(customer_id="ann").rows() == [
        ("ann", "a", DAY_MS + 10, DAY_MS + 10, 1)
    ]
    assert dict(store.exposures.served("nothing", 9).schema) == EXPOSURE_SCHEMA
    assert list(store.exposures.experiments()) == ["x", "y"]


def test_answers_add_up(store: Store) -> None:
    """By experiment, arm and day."""
    store.exposures.record([], [ArmAnswers("x", "a", 1, 3, 1, 0.5, 0.25), ArmAnswers("x", "a", 2, 1, 0, 1.0, 1.0)])
    store.exposures.record([], [ArmAnswers("x", "a", 1, 4, 0, 0.25, 0.5), ArmAnswers("y", "a", 1, 9, 9, 9.0, 9.0)])
    told = store.exposures.answered("x")
    assert dict(told.schema) == ANSWERS_SCHEMA
    assert told.rows() == [("a", 1, 7, 1, 0.75, 0.75), ("a", 2, 1, 0, 1.0, 1.0)]


def test_a_merged_visitor_keeps_what_they_were_served(store: Store) -> None:
    """Under the id of the customer they became; under either id the person is found."""
    store.exposures.record([Exposure("x", "a", "visitor", 5), Exposure("x", "b", "ann", 9)])
    store.profiles.merge("visitor", "ann", 20)
    assert served(store) == [("ann", "a", 5, 5, 1), ("ann", "b", 9, 9, 1)]
    expected = [Exposure("x", "a", "visitor", 5), Exposure("x", "b", "ann", 9)]
    assert list(store.exposures.of_person("ann")) == list(store.exposures.of_person("visitor")) == expected
    assert list(store.exposures.of_person("nobody")) == []


def test_who_is_forgotten_was_never_served(store: Store) -> None:
    """What was recorded goes, and what a worker had not written yet is left out, without harm to others."""
    store.exposures.record([Exposure("x", "a", each, 5) for each in ("ann", "visitor", "bob")])
    store.exposures.record([Exposure("x", "a", "ann", DAY_MS)])
    store.profiles.merge("visitor", "ann", 20)
    assert store.persons.forget("ann", 30).exposures == 3
    store.exposures.record([Exposure("x", "a", each, 2 * DAY_MS) for each in ("ann", "visitor", "zoe")])
    assert [row[0] for row in served(store)] == ["bob", "zoe"]
    assert list(store.exposures.of_person("ann")) == []


def test_an_id_that_cannot_be_kept_is_refused(store: Store) -> None:
    """Nothing of the batch is stored."""
    with pytest.raises(InputError):
        store.exposures.record([Exposure("x", "a", "ann", 5), Exposure("x", "a", "", 5)])
    assert served(store) == []


KINDS = (EventKind.PURCHASE, EventKind.IMPRESSION, EventKind.VIEW, EventKind.SEARCH)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batch=st.lists(events(), max_size=14),
    cut=st.integers(0, 14),
    merge=st.booleans(),
    since=st.integers(-3, 3),
    length=st.integers(0, 8),
)
def test_a_period_is_the_events_of_it(
    fresh: Callable[[], AbstractContextManager[OpenStore]],
    batch: list[Event],
    cut: int,
    merge: bool,
    since: int,
    length: int,
) -> None:
    """Against the plain rule: of these kinds, in time, not taken back by the same person, under the person's id."""
    first = list({event.event_id: event for event in reversed(batch)}.values())[::-1]
    with fresh() as opened:
        store = opened()
        store.events.ingest(event_frame(first[:cut]))
        store.events.append(first[cut:])
        if merge:
            store.profiles.merge(CUSTOMERS[0], CUSTOMERS[1], 1)
        found = store.events.period(KINDS, since, since + length)

    def person(event: Event) -> str:
        return CUSTOMERS[1] if merge and event.customer_id == CUSTOMERS[0] else event.customer_id

    gone: set[tuple[str, str]] = set()
    for customer in CUSTOMERS:
        said = [each for each in first if each.kind is EventKind.UNDO and person(each) == customer]
        pairs = [Undo(each.event_id, undo_target(each.context) or "") for each in said]
        gone |= {(customer, target) for target in undone(pairs)}
    expected = [
        tuple(
            {**event._asdict(), "customer_id": person(event), "kind": str(event.kind)}[name] for name in OUTCOME_SCHEMA
        )
        for event in first
        if event.kind in KINDS
        and event.timestamp is not None
        and since <= event.timestamp < since + length
        and (person(event), event.event_id) not in gone
    ]
    assert dict(found.schema) == OUTCOME_SCHEMA
    assert found.rows() == expected


def test_a_period_leaves_out_what_was_taken_back(store: Store) -> None:
    """Whether it lies in the archive or in the table, and nobody forgotten is in it."""
    store.events.ingest(event_frame([view("v1", timestamp=5), view("v2", timestamp=6), view("z", customer_id="zoe")]))
    store.events.append([undo("u", "v1"), view("v3", timestamp=7), view("late", timestamp=10)])
    store.persons.forget("zoe", 1)
    store.events.append([view("b", customer_id="visitor", timestamp=8)])
    store.profiles.merge("visitor", "ann", 2)
    found = store.events.period([EventKind.VIEW], 0, 10)
    assert found.select("customer_id", "timestamp").rows() == [("ann", 6), ("ann", 7), ("ann", 8)]
