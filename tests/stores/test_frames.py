"""A frame read without a store is what a store makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.events import Event, EventKind
from recsys.data.interactions import Interactions
from recsys.stores import open_store
from recsys.stores.frames import behaviour, event_table
from tests.contracts.plain_store import PlainStore, event_frame, undo

KINDS = st.sampled_from([EventKind.VIEW, EventKind.PURCHASE, EventKind.IMPRESSION, EventKind.UNDO])


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events of two customers, with exposures, and undos of anything, other undos and nothing included."""
    events = []
    for number in range(draw(st.integers(1, 12))):
        customer = draw(st.sampled_from(["ann", "bob"]))
        kind = draw(KINDS)
        if kind is EventKind.UNDO:
            events.append(undo(f"e{number}", f"e{draw(st.integers(0, 12))}", customer))
        else:
            item = draw(st.sampled_from(["a", "b", "c"]))
            time = draw(st.none() | st.integers(0, 5))
            events.append(Event(event_id=f"e{number}", customer_id=customer, kind=kind, item_id=item, timestamp=time))
    return events


@settings(max_examples=150, deadline=None)
@given(histories())
def test_behaviour_is_what_the_plain_store_keeps(events: list[Event]) -> None:
    """Exposures, undos and what they took back are gone, whichever came first; the rest keeps its order."""
    plain = PlainStore()
    plain.append(events)
    expected = {name: plain.undone(name) for name in ("ann", "bob")}
    kept = [
        event.event_id
        for event in events
        if not event.kind.is_exposure
        and event.kind is not EventKind.UNDO
        and event.event_id not in expected[event.customer_id]
    ]
    assert behaviour(event_frame(events))["event_id"].to_list() == kept


def test_the_same_interactions_as_through_a_store(tmp_path: Path) -> None:
    """Importing a frame and reading it back gives the arrays that the frame gives directly."""
    frame = event_frame(
        [
            Event(event_id="1", customer_id="ü", kind=EventKind.PURCHASE, item_id="007", timestamp=5, quantity=2.0),
            Event(event_id="2", customer_id="z", kind=EventKind.RATE, item_id="é", position=1, rating=3.5),
            Event(event_id="3", customer_id="ü", kind=EventKind.VIEW, item_id="é", timestamp=4),
            undo("4", "3", "ü"),
            Event(event_id="5", customer_id="z", kind=EventKind.SEARCH, timestamp=9),
        ]
    )
    store = open_store(tmp_path / "store.db")
    store.events.ingest(frame)
    through = Interactions.from_events(store.events.read())
    store.close()
    direct = Interactions.from_events(event_table(behaviour(frame)))
    assert (list(direct.customers), list(direct.items)) == (list(through.customers), list(through.items))
    for name in ("indptr", "item", "kind", "timestamp", "position", "quantity", "rating"):
        np.testing.assert_array_equal(getattr(direct, name), getattr(through, name), err_msg=name)


def test_further_items_are_known_without_events() -> None:
    """An item that is only named has a position and no event; one that has events is there once."""
    frame = event_frame([Event(event_id="1", customer_id="c", kind=EventKind.VIEW, item_id="b")])
    table = event_table(behaviour(frame), pl.Series(["a", "b", "c"]))
    assert list(Interactions.from_events(table).items) == ["a", "b", "c"]
