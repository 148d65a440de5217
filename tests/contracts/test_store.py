"""What holds for every store as a whole, sentence by sentence of `Store`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import polars as pl
import pytest

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.errors import InputError, StoreError, StoreUnavailableError
from recsys.stores.protocols import Ingested, Store
from tests.contracts.plain_store import OpenStore, event_frame, view

ITEM = pl.DataFrame([{"item_id": "book", "title": "A title"}], schema=ITEM_SCHEMA)
CUSTOMER = pl.DataFrame([{"customer_id": "ann"}], schema=CUSTOMER_SCHEMA)


class Interruption(BaseException):
    """Stands for Ctrl-C."""


def contents(store: Store) -> tuple[int, int, int]:
    """How many events, items and customers are stored."""
    events = sum(store.events.summary()["events"].values())
    return events, store.catalog.read().height, store.customers.read().height


def write_everything(store: Store) -> None:
    """One row into each part, by every way there is."""
    store.catalog.put(ITEM)
    store.customers.put(CUSTOMER)
    store.events.ingest(event_frame([view("ingested")]))
    store.events.append([view("appended")])


def test_a_transaction_is_stored_together(opened: OpenStore) -> None:
    """Others see nothing of a transaction before it ends and all of it after."""
    store, other = opened(), opened()
    with store.transaction():
        write_everything(store)
        assert contents(store) == (2, 1, 1)
        assert contents(other) == (0, 0, 0)
    assert contents(other) == (2, 1, 1)


@pytest.mark.parametrize("error", [ValueError, Interruption])
def test_a_transaction_that_raises_leaves_nothing(opened: OpenStore, error: type[BaseException]) -> None:
    """Whatever ends the block early, Ctrl-C included, nothing of it is stored and the store works on."""
    store, other = opened(), opened()
    version = store.catalog.version()

    def stop() -> None:
        with store.transaction():
            write_everything(store)
            raise error

    with pytest.raises(error):
        stop()
    assert contents(store) == contents(other) == (0, 0, 0)
    assert store.catalog.version() == version
    write_everything(other)
    assert store.events.append([view("after")]) == [True]
    assert contents(store) == (3, 1, 1)


def test_an_inner_block_that_raises_takes_back_its_own(store: Store) -> None:
    """The outer block goes on without what the inner one wrote."""

    def inner() -> None:
        with store.transaction():
            write_everything(store)
            raise ValueError

    with store.transaction():
        store.events.append([view("before")])
        with pytest.raises(ValueError, match=r"^$"):
            inner()
        with pytest.raises(InputError):
            store.events.append([view("good"), view("")])
        with store.transaction(), store.transaction():
            store.events.append([view("after")])
    assert contents(store) == (2, 0, 0)
    assert store.events.append([view("before"), view("after"), view("good")]) == [False, False, True]


def test_inner_blocks_are_lost_with_the_outer_one(store: Store) -> None:
    """A finished inner block is stored only when the outer one is."""

    def outer() -> None:
        with store.transaction():
            with store.transaction():
                write_everything(store)
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        outer()
    assert contents(store) == (0, 0, 0)


def test_an_interrupted_ingest_leaves_nothing(store: Store) -> None:
    """Ctrl-C while rows are written takes all of them back; the frame can be ingested afterwards."""
    frame = event_frame([view(f"e{place}") for place in range(50)])

    def stop(_: int) -> None:
        raise Interruption

    with pytest.raises(Interruption):
        store.events.ingest(frame, stop)
    assert contents(store) == (0, 0, 0)
    assert store.events.ingest(frame) == Ingested(50, 0)


def test_a_second_writer_waits_and_then_fails_loudly(opened: OpenStore) -> None:
    """While a transaction is open other writes wait; in vain is StoreUnavailableError and stores nothing."""
    store, other = opened(), opened()
    with store.transaction():
        store.events.append([view("mine")])
        with pytest.raises(StoreUnavailableError, match=r"another process.*To do: try again"):
            other.events.append([view("theirs")])
        assert contents(other) == (0, 0, 0)
    assert other.events.append([view("theirs"), view("mine")]) == [True, False]


def test_changes_differs_after_any_write(opened: OpenStore) -> None:
    """Every write, by this store or another, gives a number not seen before; without one it stays."""
    store, other = opened(), opened()
    seen = [store.changes()]

    def expect(changed: bool) -> None:
        number = store.changes()
        assert (number not in seen) == changed
        assert store.changes() == number
        seen.append(number)

    for writer in (store, other, other, store):
        writer.events.append([view(f"e{len(seen)}")])
        expect(changed=True)
    for writer in (store, other):
        writer.catalog.put(ITEM.with_columns(title=pl.lit(f"{len(seen)}")))
        expect(changed=True)
        writer.customers.put(CUSTOMER.with_columns(account_id=pl.lit(f"{len(seen)}")))
        expect(changed=True)
        writer.events.ingest(event_frame([view(f"f{len(seen)}")]))
        expect(changed=True)
    store.histories.get("ann", 5)
    store.events.read()
    store.histories.version("ann")
    other.events.summary()
    expect(changed=False)
    with other.transaction():
        other.events.append([view("not yet")])
        expect(changed=False)
    expect(changed=True)


def test_what_was_read_is_true_while_changes_stays(opened: OpenStore) -> None:
    """Reading, then finding the number unchanged, means that the version read is the current one."""
    store, other = opened(), opened()
    for place in range(20):
        number, version = store.changes(), store.histories.version("ann")
        assert store.changes() == number
        other.events.append([view(f"e{place}")])
        assert store.changes() != number
        assert store.histories.version("ann") > version


def test_the_secret_is_made_once(fresh: Callable[[], AbstractContextManager[OpenStore]], opened: OpenStore) -> None:
    """32 bytes, the same in every handle and after a new start, another in another store."""
    first = opened()
    secret = first.secret()
    assert len(secret) == 32
    assert opened().secret() == secret
    first.close()
    assert opened().secret() == secret
    with fresh() as another:
        assert another().secret() != secret


def test_close_takes_back_what_is_open(opened: OpenStore) -> None:
    """Closing inside a transaction stores nothing of it; closing twice is fine; using it then is a StoreError."""
    store = opened()

    def close_inside() -> None:
        with store.transaction():
            store.events.append([view("e1")])
            store.close()

    with pytest.raises(StoreError):
        close_inside()
    store.close()
    with pytest.raises(StoreError):
        store.histories.version("ann")
    with pytest.raises(StoreError):
        store.events.append([view("e1")])
    assert contents(opened()) == (0, 0, 0)


def test_threads_may_hand_a_store_to_one_another(store: Store) -> None:
    """A store opened in one thread is used in another, one at a time."""
    threads: set[int] = set()

    def write(place: int) -> list[bool]:
        threads.add(threading.get_ident())
        return store.events.append([view(f"e{place}")])

    for place in range(3):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(write, place).result() == [True]
    assert threading.get_ident() not in threads
    assert len(store.histories.get("ann", 9).rows) == 3


def test_read_is_one_state_while_others_write(opened: OpenStore) -> None:
    """Each event names an item of its own, so a table with fewer items than events would be of two states."""
    store, stop = opened(), threading.Event()

    def write() -> int:
        writer, place = opened(), 0
        while place < 2 or not stop.is_set():
            batch = [view(f"{place}-{i}", f"i{place}-{i}", f"c{place}-{i}") for i in range(3)]
            writer.events.append(batch)
            place += 1
        return 3 * place

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        try:
            for _ in range(60):
                table = store.events.read()
                assert len(table.events) == len(table.item_ids) == len(table.customer_ids)
                assert len(table.events) % 3 == 0
                counts = store.events.summary()
                assert counts["customers"] == counts["items"] == sum(counts["events"].values())
        finally:
            stop.set()
    assert len(store.events.read().events) == written.result() > 3
