"""What every event store does, sentence by sentence of `EventStore`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import EVENT_SCHEMA, EXPOSURE_KINDS, KINDS_WITHOUT_ITEM, Event, EventKind
from recsys.data.interactions import EventTable
from recsys.errors import InputError
from recsys.stores.protocols import Ingested, Store
from tests.contracts.plain_store import OpenStore, PlainStore, event_frame, history_row, undo, view

CUSTOMERS = ("ann", "bob", "0042")
EVENT_IDS = [f"e{number}" for number in range(12)]
KINDS = (EventKind.VIEW, EventKind.PURCHASE, EventKind.SEARCH, EventKind.IMPRESSION, EventKind.EMAIL_OPEN)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Events whose ids collide, half of them undos, so that chains and circles of undos are common."""
    event_id, customer_id = draw(st.sampled_from(EVENT_IDS)), draw(st.sampled_from(CUSTOMERS))
    if draw(st.booleans()):
        item_id = draw(st.sampled_from([None, "i1"]))
        return undo(event_id, draw(st.sampled_from(EVENT_IDS)), customer_id)._replace(item_id=item_id)
    kind = draw(st.sampled_from(KINDS))
    item_ids = ["i1", "i2", "i/3"] + ([None] if kind in KINDS_WITHOUT_ITEM else [])
    return Event(
        event_id=event_id,
        customer_id=customer_id,
        kind=kind,
        item_id=draw(st.sampled_from(item_ids)),
        timestamp=draw(st.sampled_from([None, 1, 2])),
        position=draw(st.sampled_from([None, 1, 2])),
        quantity=draw(st.sampled_from([1.0, 2.5])),
        rating=draw(st.sampled_from([None, 4.0])),
    )


writes = st.lists(
    st.tuples(st.booleans(), st.lists(events(), max_size=8), st.lists(st.sampled_from(CUSTOMERS), max_size=2)),
    min_size=1,
    max_size=4,
)
"""Whether live, the events, and whose histories are packed afterwards."""


def table_rows(table: EventTable) -> Counter[tuple[object, ...]]:
    """The events of a table with the ids written out."""
    return Counter(
        (table.customer_ids[customer], table.item_ids[item], *rest)
        for customer, item, *rest in table.events.iter_rows()
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(writes=writes, limit=st.integers(0, 5))
def test_store_agrees_with_the_obvious_one(
    fresh: Callable[[], AbstractContextManager[OpenStore]],
    writes: list[tuple[bool, list[Event], list[str]]],
    limit: int,
) -> None:
    """Whatever is appended, ingested and packed, answers, histories, versions and the table are those of a plain
    list."""
    plain = PlainStore()
    with fresh() as opened:
        store = opened()
        for live, batch, packed in writes:
            before = {customer: store.histories.version(customer) for customer in CUSTOMERS}
            behaviour = {customer: len(plain.behaviour(customer)) for customer in CUSTOMERS}
            expected = plain.append(batch)
            if live:
                assert store.events.append(batch) == expected
            else:
                assert store.events.ingest(event_frame(batch)) == Ingested(sum(expected), expected.count(False))
            for customer in CUSTOMERS:
                grew = len(plain.behaviour(customer)) > behaviour[customer]
                assert (store.histories.version(customer) > before[customer]) == grew
                assert (store.histories.version(customer) == before[customer]) != grew
            store.histories.pack(packed)
        for customer in CUSTOMERS:
            for wanted in (limit, 100):
                history = store.histories.get(customer, wanted)
                assert (list(history.rows), set(history.earlier)) == plain.history(customer, wanted)
                assert history.version == store.histories.version(customer)
                quick = store.histories.at_once(customer, wanted, 3)
                if quick is not None:
                    assert (list(quick.rows), set(quick.earlier)) == (list(history.rows), set(history.earlier))
                    assert quick.loose <= 3
            arrived = [history_row(each) for each in plain.behaviour(customer) if each.item_id is not None]
            own = [row for row in arrived if row.kind != EventKind.UNDO.code]
            recent = store.histories.recent(customer, 100, 3)
            assert not Counter(recent.rows) - Counter(own)
            if all(each.kind is not EventKind.UNDO for each in plain.behaviour(customer)):
                assert not Counter(own[-3:]) - Counter(recent.rows)
                everything = store.histories.recent(customer, 100, 100)
                assert list(everything.rows) == plain.history(customer, 100)[0]
        whole = Counter((customer, *row) for customer in CUSTOMERS for row in plain.history(customer, 100)[0])
        table = store.events.read()
        assert table_rows(table) == whole
        assert sorted(table.customer_ids) == sorted({event.customer_id for event in plain.events})
        assert sorted(table.item_ids) == sorted({event.item_id for event in plain.events if event.item_id})
        summary = store.events.summary()
        assert summary["events"] == dict(Counter(str(event.kind) for event in plain.events))
        assert (summary["customers"], summary["items"]) == (len(table.customer_ids), len(table.item_ids))
        times = [event.timestamp for event in plain.events if event.timestamp is not None]
        assert (summary["first"], summary["last"]) == (min(times, default=None), max(times, default=None))


def test_append_tells_new_events_from_known_ones(store: Store) -> None:
    """An event is new once: not when it was stored before, nor when it came before in the same call."""
    assert store.events.append([view("e1"), view("e2"), view("e1", item_id="other")]) == [True, True, False]
    assert store.events.append([view("e3"), view("e2")]) == [True, False]
    assert store.events.append([]) == []
    assert [row.item_id for row in store.histories.get("ann", 9).rows] == ["book", "book", "book"]


@pytest.mark.parametrize("live", [True, False])
def test_recent_is_what_is_packed_and_what_arrived_last(store: Store, *, live: bool) -> None:
    """Whether it came one by one or in a file."""

    def arrive(numbers: range) -> list[str]:
        batch = [view(f"e{number}", item_id=f"i{number}") for number in numbers]
        if live:
            store.events.append(batch)
        else:
            store.events.ingest(event_frame(batch))
        return [f"i{number}" for number in numbers]

    def recent() -> list[str]:
        return [row.item_id for row in store.histories.recent("ann", 100, 3).rows]

    first = arrive(range(10))
    assert recent() == first[-3:]
    store.histories.pack(["ann"])
    later = arrive(range(10, 17))
    assert recent() == first + later[-3:]
    assert list(store.histories.recent("nobody", 100, 3).rows) == []


def test_an_acknowledged_event_is_there_for_everybody(opened: OpenStore) -> None:
    """What append returned from is seen by another handle at once, and after a new start."""
    writer, reader = opened(), opened()
    writer.events.append([view("e1")])
    assert len(reader.histories.get("ann", 9).rows) == 1
    writer.close()
    assert len(opened().histories.get("ann", 9).rows) == 1


GOOD = view("good", timestamp=1)
BAD: dict[str, Event] = {
    "empty event_id": GOOD._replace(event_id=""),
    "overlong customer_id": GOOD._replace(customer_id="c" * 257),
    "empty item_id": GOOD._replace(item_id=""),
    "NUL in an id": GOOD._replace(customer_id="a\0b"),
    "NUL in a text": GOOD._replace(session_id="\0"),
    "no item": GOOD._replace(item_id=None),
    "infinite price": GOOD._replace(price=float("inf")),
    "quantity that is no number": GOOD._replace(quantity=float("nan")),
    "undo of nothing": GOOD._replace(kind=EventKind.UNDO),
    "undo in broken JSON": GOOD._replace(kind=EventKind.UNDO, context='{"undoes": '),
    "undo of a number": GOOD._replace(kind=EventKind.UNDO, context='{"undoes": 7}'),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_no_store_can_hold_is_refused_whole(store: Store, bad: Event) -> None:
    """One bad event refuses the whole call, in append and in ingest, and nothing of it is stored."""
    with pytest.raises(InputError):
        store.events.append([GOOD._replace(event_id="first"), bad])
    with pytest.raises(InputError):
        store.events.ingest(event_frame([GOOD._replace(event_id="first"), bad]))
    assert store.events.summary()["events"] == {}
    assert store.events.summary()["customers"] == 0


@pytest.mark.parametrize("timestamp", [2**63, -(2**63)])
def test_numbers_beyond_64_bits_are_refused(store: Store, timestamp: int) -> None:
    """A time that no database column holds is bad input, not a crash."""
    with pytest.raises(InputError, match="64 bits"):
        store.events.append([GOOD._replace(timestamp=timestamp)])
    assert store.events.append([GOOD._replace(timestamp=2**63 - 1, position=1 - 2**63)]) == [True]
    (row,) = store.histories.get("ann", 9).rows
    assert (row.timestamp, row.position) == (2**63 - 1, 1 - 2**63)


@pytest.mark.parametrize("field", ["event_id", "customer_id", "item_id", "context"])
def test_lone_surrogates_are_refused_and_never_found(store: Store, field: str) -> None:
    """A text that is not Unicode cannot be stored; asking for such an id finds nothing instead of failing."""
    with pytest.raises(InputError, match="surrogate"):
        store.events.append([GOOD._replace(**{field: "\ud800"})])
    assert store.histories.get("\ud800", 5).version == 0
    assert store.histories.version("\ud800") == 0
    assert store.histories.version("a\0") == 0


STRANGE_IDS = ["0042", "42", "42.0", "a/b", "a%2Fb", "../x", " ", "x ", "X", "x", "é", "e\u0301", "😀", "名前", "\n"]
STRANGE_IDS += ["'; DROP TABLE events; --", "\u202e", "\uffff", "NULL", "ß" * 256, "😀" * 256]


@pytest.mark.parametrize("live", [True, False], ids=["append", "ingest"])
def test_ids_stay_what_they_are(store: Store, live: bool) -> None:
    """Ids are opaque: leading zeros, case, spaces, normal forms and 256 characters of anything keep apart."""
    batch = [
        view(f"{identifier}!"[-256:], item_id=identifier, customer_id=identifier, timestamp=place)
        for place, identifier in enumerate(STRANGE_IDS)
    ]
    if live:
        assert all(store.events.append(batch))
    else:
        assert store.events.ingest(event_frame(batch)) == Ingested(len(batch), 0)
    for event in batch:
        assert list(store.histories.get(event.customer_id, 5).rows) == [history_row(event)]
    table = store.events.read()
    assert sorted(table.customer_ids) == sorted(table.item_ids) == sorted(STRANGE_IDS)


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=256),
        unique=True,
        max_size=5,
    )
)
def test_any_unicode_is_an_id(fresh: Callable[[], AbstractContextManager[OpenStore]], ids: list[str]) -> None:
    """Every text of 1 to 256 characters without NUL is an id that comes back as it went in."""
    with fresh() as opened:
        store = opened()
        store.events.append([view(identifier, identifier, identifier) for identifier in ids])
        assert store.events.append([view(identifier, "x", "x") for identifier in ids]) == [False] * len(ids)
        assert sorted(store.events.read().item_ids) == sorted(ids)
        for identifier in ids:
            assert [row.item_id for row in store.histories.get(identifier, 5).rows] == [identifier]


@pytest.mark.parametrize("kind", EventKind, ids=str)
def test_exposures_are_kept_beside_the_history(store: Store, kind: EventKind) -> None:
    """An exposure changes neither history nor version; every other kind changes the version."""
    store.events.append([view("e1")])
    before = store.histories.version("ann")
    context = '{"undoes": "nothing"}' if kind is EventKind.UNDO else None
    store.events.append([Event(event_id="e2", customer_id="ann", kind=kind, item_id="book", context=context)])
    grows = kind not in EXPOSURE_KINDS
    assert (store.histories.version("ann") > before) == grows
    assert len(store.histories.get("ann", 9).rows) == (2 if grows and kind is not EventKind.UNDO else 1)
    assert store.events.summary()["events"][str(kind)] >= 1


def test_unknown_customers_have_an_empty_history(store: Store) -> None:
    """Somebody never seen, or seen with exposures only, has version 0 and no rows."""
    store.events.append([Event(event_id="e1", customer_id="bob", kind=EventKind.IMPRESSION, item_id="book")])
    for customer in ("nobody", "bob", ""):
        assert store.histories.version(customer) == 0
        assert store.histories.get(customer, 9).version == 0
        assert list(store.histories.get(customer, 9).rows) == []


def test_history_is_newest_by_time_then_position_then_arrival(store: Store) -> None:
    """Unknown times are oldest, then unknown positions; among equals the one that arrived later is newer."""
    stored = [(5, None), (None, 3), (5, 2), (None, None), (5, 2), (1, 9), (-7, None)]
    store.events.append(
        [
            view(f"e{place}", f"i{place}")._replace(timestamp=timestamp, position=position)
            for place, (timestamp, position) in enumerate(stored)
        ]
    )
    ordered = ["i3", "i1", "i6", "i5", "i0", "i2", "i4"]
    for limit in range(len(ordered) + 2):
        rows = store.histories.get("ann", limit).rows
        assert [row.item_id for row in rows] == ordered[max(len(ordered) - limit, 0) :]


def test_limit_counts_events_that_are_handed_out(store: Store) -> None:
    """Searches, exposures, undone events and undos do not use up the limit; a negative one is refused."""
    store.events.append([view("e1", "kept", timestamp=1), view("e2", "undone", timestamp=2), undo("u", "e2")])
    store.events.append([Event(event_id="s", customer_id="ann", kind=EventKind.SEARCH, timestamp=3)])
    store.events.append([view("x")._replace(kind=EventKind.IMPRESSION, timestamp=4)])
    assert [row.item_id for row in store.histories.get("ann", 1).rows] == ["kept"]
    with pytest.raises(InputError, match="-1"):
        store.histories.get("ann", -1)


UNDOS: dict[str, tuple[list[Event], list[str]]] = {
    "an event": ([view("a", "A"), undo("u", "a")], []),
    "an event that arrives later": ([undo("u", "a"), view("a", "A")], []),
    "twice is once": ([view("a", "A"), undo("u", "a"), undo("v", "a"), undo("w", "v")], []),
    "an undo": ([view("a", "A"), undo("u", "a"), undo("v", "u")], ["A"]),
    "an undo that arrives later": ([view("a", "A"), undo("v", "u"), undo("u", "a")], ["A"]),
    "an undo of an undo": ([view("a", "A"), undo("u", "a"), undo("v", "u"), undo("w", "v")], []),
    "another customer's event": ([view("a", "A"), undo("u", "a", customer_id="bob")], ["A"]),
    "another customer's undo": ([view("a", "A"), undo("u", "a"), undo("v", "u", customer_id="bob")], []),
    "itself": ([view("a", "A"), undo("u", "u")], ["A"]),
    "nothing there": ([view("a", "A"), undo("u", "never")], ["A"]),
    "a circle, the newest counts": ([view("a", "A"), undo("u", "v"), undo("v", "u")], ["A"]),
    "an undo named by two": (
        [view("a", "A"), undo("u", "a"), undo("v", "u"), undo("w", "u"), undo("x", "v")],
        ["A"],
    ),
}


@pytest.mark.parametrize(("stored", "left"), UNDOS.values(), ids=UNDOS.keys())
def test_undo_takes_back(store: Store, stored: list[Event], left: list[str]) -> None:
    """An undo works on the same customer's events whichever came first, unless it is itself undone."""
    store.events.append(stored)
    assert [row.item_id for row in store.histories.get("ann", 9).rows] == left
    assert store.events.read().events.height == len(left)


def test_as_of_a_time_undos_of_later_take_nothing_back(store: Store) -> None:
    """Training on what was known then: an undo made then or later does not count, one of unknown time does."""
    store.events.append(
        [
            view("a", "A", timestamp=1),
            view("b", "B", timestamp=2),
            undo("u", "a")._replace(timestamp=5),
            undo("v", "b"),
            view("c", "C", timestamp=9),
        ]
    )
    for as_of, left in ((None, {"C"}), (5, {"A", "C"}), (6, {"C"})):
        table = store.events.read(as_of)
        assert {item for _, item, *_ in table_rows(table)} == left


def test_a_long_chain_of_undos_ends(store: Store) -> None:
    """Of n undos, each of the one before, the first counts when n is odd; thousands are no problem."""
    for n in (2_000, 2_001):
        customer = f"c{n}"
        chain = [undo(f"{n}-{i + 1}", f"{n}-{i}", customer) for i in range(n)]
        store.events.append([view(f"{n}-0", "A", customer), *chain])
        assert len(store.histories.get(customer, 9).rows) == (n + 1) % 2


def test_undo_works_in_a_long_history_with_a_small_limit(store: Store) -> None:
    """The newest few of many events are right also when some of them are undone."""
    many = [view(f"e{place}", f"i{place}", timestamp=place) for place in range(200)]
    store.events.append([*many, undo("u1", "e199"), undo("u2", "e197"), undo("u3", "e5")])
    history = store.histories.get("ann", 3)
    assert [row.item_id for row in history.rows] == ["i195", "i196", "i198"]
    older = {f"i{place}" for place in range(195)} - {"i5"}
    assert sorted(history.earlier) == sorted((item, EventKind.VIEW.code) for item in older)


def test_ingesting_again_changes_nothing(store: Store) -> None:
    """The same frame twice, or rows of known events with new customers and items, leave no trace."""
    batch = [view(f"e{place}", f"i{place}") for place in range(5)]
    frame = event_frame([*batch, batch[0]])
    assert store.events.ingest(frame) == Ingested(5, 1)
    version, table = store.histories.version("ann"), store.events.read()
    assert store.events.ingest(frame) == Ingested(0, 6)
    assert store.events.ingest(event_frame([view("e1", "new item", "new customer")])) == Ingested(0, 1)
    assert store.events.append([view("e1", "new item", "new customer")]) == [False]
    after = store.events.read()
    assert store.histories.version("ann") == version
    assert after.events.equals(table.events)
    assert after.customer_ids.to_list() == ["ann"]
    assert "new item" not in after.item_ids


def test_the_first_row_of_an_id_in_a_frame_counts(store: Store) -> None:
    """When a frame names an event twice, the earlier row is stored."""
    assert store.events.ingest(event_frame([view("e", "first"), view("e", "second")])) == Ingested(1, 1)
    assert [row.item_id for row in store.histories.get("ann", 9).rows] == ["first"]


def test_arrival_is_the_order_of_rows(store: Store) -> None:
    """Without times, rows of a frame and events of a call are as old as their place says."""
    store.events.ingest(event_frame([view("a", "i9"), view("b", "i1", "bob"), view("c", "i5")]))
    store.events.append([view("d", "i0"), view("e", "i7")])
    assert [row.item_id for row in store.histories.get("ann", 9).rows] == ["i9", "i5", "i0", "i7"]


def test_progress_ends_at_the_height_of_the_frame(store: Store) -> None:
    """Progress ascends, counts known rows as dealt with and ends with all; large frames tell more than once."""
    calls: list[int] = []
    large = pl.DataFrame(
        {
            "event_id": [f"e{place}" for place in range(45_000)],
            "customer_id": [f"c{place % 997}" for place in range(45_000)],
            "item_id": [f"i{place % 101}" for place in range(45_000)],
            "kind": "view",
            "quantity": 1.0,
        }
    )
    large = large.with_columns(pl.lit(None, dtype=EVENT_SCHEMA[c]).alias(c) for c in EVENT_SCHEMA if c not in large)
    large = large.select(list(EVENT_SCHEMA))
    assert store.events.ingest(large[:44_000], calls.append) == Ingested(44_000, 0)
    assert calls == sorted(set(calls))
    assert len(calls) > 1
    assert calls[-1] == 44_000
    calls.clear()
    assert store.events.ingest(large, calls.append) == Ingested(1_000, 44_000)
    assert calls[-1] == 45_000
    assert store.events.append([view("e44999")]) == [False]
    assert store.events.read().events.height == 45_000
    rows = store.histories.get("c3", 99).rows
    assert [row.item_id for row in rows] == [f"i{place % 101}" for place in range(3, 45_000, 997)]
    calls.clear()
    store.events.ingest(large[:0], calls.append)
    store.events.ingest(large[:7], calls.append)
    assert calls == [0, 7]


BAD_FRAMES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "a missing column": lambda frame: frame.drop("rating"),
    "a wrong type": lambda frame: frame.with_columns(pl.col("timestamp").cast(pl.Int32)),
    "no event_id": lambda frame: frame.with_columns(event_id=pl.lit(None, dtype=pl.String)),
    "no quantity": lambda frame: frame.with_columns(quantity=pl.lit(None, dtype=pl.Float64)),
    "an unknown kind": lambda frame: frame.with_columns(kind=pl.lit("stare")),
}


@pytest.mark.parametrize("spoil", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_frames_that_are_not_events_are_refused(store: Store, spoil: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """A frame that is not in EVENT_SCHEMA is bad input and leaves nothing."""
    with pytest.raises(InputError):
        store.events.ingest(spoil(event_frame([GOOD])))
    assert store.events.read().customer_ids.is_empty()


def test_the_table_knows_everybody(opened: OpenStore) -> None:
    """The table has the documented types and knows customers and items of the catalogue without events too."""
    store = opened()
    store.catalog.put(pl.DataFrame([{"item_id": "shelf warmer"}], schema=ITEM_SCHEMA))
    store.events.append([view("e1"), Event(event_id="m", customer_id="bob", kind=EventKind.EMAIL_SENT)])
    table = opened().events.read()
    assert dict(table.events.schema) == {
        "customer": pl.Int32(),
        "item": pl.Int32(),
        "kind": pl.Int8(),
        "timestamp": pl.Int64(),
        "position": pl.Int64(),
        "quantity": pl.Float32(),
        "rating": pl.Float32(),
    }
    assert sorted(table.item_ids) == ["book", "shelf warmer"]
    assert sorted(table.customer_ids) == ["ann", "bob"]
    assert table.events.select("timestamp", "position", "rating").row(0) == (None, None, None)


def test_an_empty_store_reads_as_empty(store: Store) -> None:
    """Nothing stored is an empty table of the same shape and counts of 0."""
    table = store.events.read()
    assert table.events.shape == (0, 7)
    assert table.events.schema["customer"] == pl.Int32
    assert store.events.summary() == {"customers": 0, "items": 0, "events": {}, "first": None, "last": None}
