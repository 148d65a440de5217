"""Large imports in the archive and live rows in the table are one history, whatever happens in between."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from recsys.data.events import Event, EventKind
from recsys.errors import StoreError, StoreUnavailableError
from recsys.stores import open_store
from recsys.stores.protocols import Ingested, Store
from recsys.stores.sqlite import archived, ingest
from recsys.stores.sqlite.store import SqliteStore
from tests.contracts.plain_store import PlainStore, event_frame, undo, view

CUSTOMERS = ("ann", "bob")
IDS = [f"e{number}" for number in range(10)]
LARGE = 4
WRITERS = Path(__file__).parent / "writers.py"

events = st.builds(
    lambda event_id, customer_id, kind, item_id, timestamp, target: (
        undo(event_id, target, customer_id)
        if kind is EventKind.UNDO
        else Event(event_id=event_id, customer_id=customer_id, kind=kind, item_id=item_id, timestamp=timestamp)
    ),
    st.sampled_from(IDS),
    st.sampled_from(CUSTOMERS),
    st.sampled_from([EventKind.VIEW, EventKind.VIEW, EventKind.PURCHASE, EventKind.IMPRESSION, EventKind.UNDO]),
    st.sampled_from(["i1", "i2"]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from(IDS),
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a store is, all of whose frames go to the archive."""
    monkeypatch.setattr(ingest, "ARCHIVED_ROWS", 1)
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """That store, empty."""
    with closing(open_store(path)) as store:
        assert isinstance(store, SqliteStore)
        yield store


def folders(path: Path) -> list[Path]:
    """What lies in the archive's folder."""
    return sorted(path.with_name("store.db-archive").glob("*"))


def items(store: Store, customer_id: str = "ann") -> list[str]:
    """The items of a history."""
    return [row.item_id for row in store.histories.get(customer_id, 99).rows]


class BothKinds(RuleBasedStateMachine):
    """Appends, small and large frames, in transactions that are kept or taken back, with a second reader."""

    @initialize(filtered=st.booleans(), rows=st.sampled_from([3, 1000]))
    def begin(self, filtered: bool, rows: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(ingest, "ARCHIVED_ROWS", LARGE)
        self.patch.setattr(archived, "PARTITION_ROWS", rows)
        self.patch.setattr(archived, "_FILTER_SHARE", 1_000_000 if filtered else 0)
        self.folder = Path(tempfile.mkdtemp())
        self.store, self.reader = (open_store(self.folder / "store.db") for _ in range(2))
        self.plain = PlainStore()

    def teardown(self) -> None:
        self.store.close()
        self.reader.close()
        shutil.rmtree(self.folder)
        self.patch.undo()

    def write(self, batch: list[Event], *, live: bool) -> None:
        expected = self.plain.append(batch)
        if live:
            assert self.store.events.append(batch) == expected
        else:
            told = self.store.events.ingest(event_frame(batch))
            assert (told.added, told.known) == (sum(expected), expected.count(False))

    @rule(batch=st.lists(events, max_size=9), live=st.booleans())
    def one(self, batch: list[Event], live: bool) -> None:
        self.write(batch, live=live)

    @rule(
        batches=st.lists(st.tuples(st.lists(events, max_size=9), st.booleans(), st.booleans()), max_size=4),
        kept=st.booleans(),
    )
    def several(self, batches: list[tuple[list[Event], bool, bool]], kept: bool) -> None:
        """One transaction with parts, each of which, and in the end all, may be taken back."""
        before = list(self.plain.events)
        try:
            with self.store.transaction():
                for batch, live, part_kept in batches:
                    inner = list(self.plain.events)
                    try:
                        with self.store.transaction():
                            self.write(batch, live=live)
                            if not part_kept:
                                raise InterruptedError
                    except InterruptedError:
                        self.plain.events = inner
                    self.agrees(self.store)
                if not kept:
                    raise InterruptedError
        except InterruptedError:
            self.plain.events = before

    def agrees(self, store: Store) -> None:
        for customer in CUSTOMERS:
            for limit in (1, 99):
                found = store.histories.get(customer, limit)
                assert (list(found.rows), set(found.earlier)) == self.plain.history(customer, limit)
            assert found.version == store.histories.version(customer)
            assert (found.version > 0) == bool(self.plain.behaviour(customer))
        assert store.events.read().events.height == sum(len(self.plain.history(c, 99)[0]) for c in CUSTOMERS)
        assert store.events.summary()["events"] == dict(Counter(str(event.kind) for event in self.plain.events))

    @invariant()
    def both_agree(self) -> None:
        if hasattr(self, "plain"):
            self.agrees(self.store)
            self.agrees(self.reader)


def test_any_order_of_writes_is_one_history() -> None:
    """Whatever goes where, is merged or taken back: every answer of writer and reader is that of a plain list."""
    run_state_machine_as_test(BothKinds, settings=settings(max_examples=40, stateful_step_count=8, deadline=None))


def test_an_archived_event_is_known_and_can_be_taken_back(store: SqliteStore) -> None:
    """Posting its id again changes nothing; an undo that comes later, live or by a file, hides it."""
    store.events.ingest(event_frame([view("a", "A"), view("b", "B"), view("c", "C")]))
    version = store.histories.version("ann")
    assert store.events.append([view("a", "other")]) == [False]
    assert store.histories.version("ann") == version
    store.events.append([undo("u", "a")])
    assert store.histories.version("ann") > version
    assert items(store) == ["B", "C"]
    store.events.ingest(event_frame([undo("v", "b"), view("d", "D")]))
    assert items(store) == ["C", "D"]
    assert store.events.read().events.height == 2


def test_what_one_import_brings_is_merged(store: SqliteStore, path: Path) -> None:
    """Many frames of one transaction become one partition; arrival is the order in which they came."""
    with store.transaction():
        for turn in range(5):
            store.events.ingest(event_frame([view(f"a{turn}", f"A{turn}"), view(f"b{turn}", f"B{turn}", "bob")]))
    assert len(folders(path)) == 1
    assert items(store) == [f"A{turn}" for turn in range(5)]
    assert items(store, "bob") == [f"B{turn}" for turn in range(5)]
    assert store.events.ingest(event_frame([view("a3"), view("new")])).known == 1
    assert len(folders(path)) == 2


@pytest.mark.parametrize("share", [0, 1_000_000], ids=["each partition", "set of hashes"])
def test_an_id_comes_once_however_it_is_looked_for(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, share: int
) -> None:
    """Whether ids are looked up one by one or in a set of all first: repeated in a frame, in another frame of the same
    transaction, live, in a part that was taken back and in a later transaction, each counts once."""
    monkeypatch.setattr(archived, "_FILTER_SHARE", share)
    store.events.append([view("live")])
    with store.transaction():
        assert store.events.ingest(event_frame([view("a"), view("b"), view("a"), view("live")])) == Ingested(2, 2)
        assert store.events.append([view("c")]) == [True]
        assert store.events.ingest(event_frame([view("b"), view("c"), view("d")])) == Ingested(1, 2)
        inner = store.transaction()
        inner.__enter__()
        assert store.events.ingest(event_frame([view("d"), view("e")])) == Ingested(1, 1)
        assert not inner.__exit__(InterruptedError, InterruptedError(), None)
        assert store.events.ingest(event_frame([view("d"), view("e")])) == Ingested(1, 1)
    assert store.events.ingest(event_frame([view(name) for name in "abcdef"])) == Ingested(1, 5)
    assert len(items(store)) == 7
    assert store.events.read().events.height == 7


@pytest.mark.parametrize("whole", [True, False], ids=["whole transaction", "part"])
def test_numbers_given_out_in_vain_are_given_again(store: SqliteStore, whole: bool) -> None:
    """Items and customers of what was taken back have no number: the next new one may get it, and they another."""

    def in_vain() -> None:
        with store.transaction():
            store.events.ingest(event_frame([view("a", "X", "zoe")]))
            raise InterruptedError

    def write() -> None:
        with pytest.raises(InterruptedError):
            in_vain()
        store.events.ingest(event_frame([view("b", "Y")]))
        store.events.append([view("c", "X"), view("d", "X", "zoe")])

    if whole:
        write()
    else:
        with store.transaction():
            write()
    assert items(store) == ["Y", "X"]
    assert items(store, "zoe") == ["X"]


def test_what_was_taken_back_is_no_part_and_goes(store: SqliteStore, path: Path) -> None:
    """A partition of a failed transaction is not read, its ids are new again, and the next import clears its folder."""

    def stopped() -> None:
        with store.transaction():
            store.events.ingest(event_frame([view("a")]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    left = folders(path)
    assert len(left) == 1
    assert items(store) == []
    assert store.events.append([view("a")]) == [True]
    store.events.ingest(event_frame([view("b")]))
    assert len(folders(path)) == 1
    assert folders(path) != left


def test_a_killed_import_leaves_the_store_as_it_was(store: SqliteStore, path: Path) -> None:
    """After kill -9 with a partition written and not committed, nothing of it counts and the same import goes in."""
    script = (
        "import sys, time; from pathlib import Path; from recsys.stores import open_store;"
        "from recsys.stores.sqlite import ingest; from tests.contracts.plain_store import event_frame, view;"
        "ingest.ARCHIVED_ROWS = 1; store = open_store(Path(sys.argv[1]));"
        "transaction = store.transaction(); transaction.__enter__();"
        "store.events.ingest(event_frame([view('a', 'A'), view('b', 'B')])); print('staged', flush=True);"
        "time.sleep(60)"
    )
    store.events.append([view("live", "L")])
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "staged\n"
        assert len(folders(path)) == 1
        assert items(store) == ["L"]
        process.send_signal(signal.SIGKILL)
    assert items(store) == ["L"]
    assert store.events.ingest(event_frame([view("a", "A"), view("b", "B")])).added == 2
    assert items(store) == ["L", "A", "B"]
    assert len(folders(path)) == 1


def test_other_handles_see_a_partition_when_it_is_committed(store: SqliteStore, path: Path) -> None:
    """A reader sees nothing before, everything after, and is told by `changes`."""
    with closing(open_store(path, read_only=True)) as reader:
        before = reader.changes()
        with store.transaction():
            store.events.ingest(event_frame([view("a", "A")]))
            assert items(reader) == []
        assert reader.changes() != before
        assert items(reader) == ["A"]
        assert reader.histories.version("ann") == store.histories.version("ann")


def test_a_missing_partition_is_told(store: SqliteStore, path: Path) -> None:
    """A store file without its archive refuses to answer: a history must not shrink in silence."""
    store.events.ingest(event_frame([view("a", "A")]))
    shutil.rmtree(path.with_name("store.db-archive"))
    with closing(open_store(path)) as other:
        for ask in (
            lambda: other.histories.get("ann", 5),
            lambda: other.histories.version("ann"),
            other.events.read,
            other.events.summary,
            lambda: other.events.append([view("b")]),
        ):
            with pytest.raises(StoreError, match="archive is damaged"):
                ask()


def test_an_archive_that_cannot_be_written_refuses_the_import(store: SqliteStore, path: Path) -> None:
    """A file in the folder's place: the write fails with what to do, nothing is stored, live events go on."""
    path.with_name("store.db-archive").write_text("")
    with pytest.raises(StoreUnavailableError, match=r"archive .*cannot be written.*nothing of this write"):
        store.events.ingest(event_frame([view("a", "A")]))
    assert store.events.append([view("a", "A")]) == [True]


def test_small_frames_stay_rows(tmp_path: Path) -> None:
    """Less than the stated number of rows makes no partition."""
    with closing(open_store(tmp_path / "store.db")) as store:
        store.events.ingest(event_frame([view(f"e{place}") for place in range(50)]))
    assert not (tmp_path / "store.db-archive").exists()


def test_every_event_of_a_partition_is_the_one_that_came(store: SqliteStore) -> None:
    """All that the importer may set comes back from the partition's rows, customers and items by their ids."""
    full = view("full", "book", timestamp=-5)._replace(
        position=3, quantity=2.5, price=9.99, currency="EUR", rating=4.5,
        session_id="s", recommendation_id="token", context='{"a": 1}',
    )  # fmt: skip
    store.events.ingest(event_frame([full, view("bare", "pen", "bob")]))
    with store._database.snapshot():
        (there,) = store.events._archive.partitions()
    rows = there.rows().sort("seq").to_dicts()
    names = store._database.query("SELECT item_id FROM items ORDER BY item")
    assert [names[row["item"] - 1][0] for row in rows] == ["book", "pen"]
    kept = ("event_id", "timestamp", "position", "quantity", "price", "currency", "rating", "session_id")
    kept += ("recommendation_id", "context")
    for row, event in zip(rows, (full, view("bare", "pen", "bob")), strict=True):
        assert {name: row[name] for name in kept} == {name: getattr(event, name) for name in kept}
