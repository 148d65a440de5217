"""Forgetting, on the disk: no file keeps anything, whatever was written before, and whenever the process is killed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.data.profile import Consent
from recsys.errors import StoreUnavailableError
from recsys.outcomes.exposure import Exposure
from recsys.stores import open_store
from recsys.stores.protocols import Store
from recsys.stores.sqlite import archived, ingest, persons
from tests.contracts.plain_store import event_frame

SIGNS = ("Quixote-4711", "visitor-of-Quixote", "windmill", "quixote-session", "lost-address")
"""What only the forgotten person brought in."""


def own_event(number: int, customer: str = SIGNS[0]) -> Event:
    """An event whose every text tells of the person."""
    return Event(
        event_id=f"{customer}/{number}/windmill",
        customer_id=customer,
        kind=EventKind.SEARCH if number % 3 else EventKind.IMPRESSION,
        item_id="book",
        timestamp=number,
        session_id="quixote-session",
        context='{"query": "windmill"}',
    )


def other_event(number: int) -> Event:
    """Somebody else's."""
    return Event(
        event_id=f"other-{number}", customer_id=f"c{number % 97}", kind=EventKind.VIEW, item_id=f"i{number % 31}",
        session_id=f"s{number}",
    )  # fmt: skip


def fill(store: Store, rounds: int = 12) -> None:
    """A person among many, by every way of writing, so that pages are split and filled again around them."""
    for turn in range(rounds):
        crowd = [other_event(1_000 * turn + number) for number in range(300)]
        store.events.append([*crowd[:150], own_event(turn), *crowd[150:]])
        mixed = [own_event(100 + turn), own_event(200 + turn, SIGNS[1]), *(other_event(90_000 + turn * 50 + n) for n in range(50))]  # fmt: skip  # noqa: E501
        store.events.ingest(event_frame(mixed))
        store.histories.pack([SIGNS[0]])
    row = {"customer_id": SIGNS[0], "account_id": "lost-address", "attributes": '{"street": "lost-address"}'}
    store.customers.put(pl.DataFrame([row], schema=CUSTOMER_SCHEMA))
    store.profiles.put(SIGNS[0], [Consent("email", True, "windmill", 1)])
    store.exposures.record([Exposure("windmill", "bolder", each, 1) for each in SIGNS[:2]])
    store.profiles.merge(SIGNS[1], SIGNS[0], 2)


def signs_in(folder: Path) -> set[tuple[str, str]]:
    """Which file tells of the person, and how."""
    return {
        (sign, str(path.relative_to(folder)))
        for path in folder.rglob("*")
        if path.is_file()
        for sign in SIGNS
        if sign.encode() in path.read_bytes()
    }


@pytest.fixture(params=[True, False], ids=["archive", "rows"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the store lies; with frames in the archive, or in the table."""
    if request.param:
        monkeypatch.setattr(ingest, "ARCHIVED_ROWS", 0)
    return tmp_path / "store.db"


def test_no_file_keeps_anything(path: Path) -> None:
    """While the store is open, and while others have it open."""
    with closing(open_store(path)) as store, closing(open_store(path, read_only=True)) as reader:
        fill(store)
        assert {sign for sign, _ in signs_in(path.parent)} == set(SIGNS)
        before = reader.histories.version("c5")
        erased = store.persons.forget(SIGNS[0], 9)
        assert (erased.events, erased.exposures) == (36, 2)
        assert signs_in(path.parent) == set()
        assert len(reader.events.read().events) == 12 * (300 + 50)
        assert reader.histories.version("c5") == before
    assert signs_in(path.parent) == set()


def test_somebody_who_still_reads_keeps_old_pages_and_is_told_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receipt is refused while a reader keeps old pages; the person is gone all the same, and asking again ends
    it."""
    monkeypatch.setattr(persons, "READERS_SECONDS", 0.05)
    with closing(open_store(path, busy_seconds=0.05)) as store, closing(open_store(path, read_only=True)) as reader:
        fill(store, 2)
        with reader._database.snapshot():  # type: ignore[attr-defined]
            reader.histories.version("c5")
            with pytest.raises(StoreUnavailableError, match="still in use"):
                store.persons.forget(SIGNS[0], 9)
            assert not store.histories.get(SIGNS[0], 9).rows
        assert store.persons.forget(SIGNS[0], 10).at == 9
        assert signs_in(path.parent) == set()


KILLED = """
import os, sys
from pathlib import Path
from recsys.stores import open_store
from recsys.stores.sqlite import archived, persons
place = sys.argv[2]
def die(*_): os._exit(9)
if place == "before the archive":
    archived.Archive.erase = die
elif place == "while a partition is written":
    archived.partitions.seal = die
elif place == "before the log":
    from recsys.stores.sqlite.database import Database
    Database.empty_log = die
open_store(Path(sys.argv[1])).persons.forget("Quixote-4711", 9)
"""


@pytest.mark.parametrize("place", ["before the archive", "while a partition is written", "before the log"])
def test_killed_in_the_middle_asking_again_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Once the process died, nobody sees the person any more, and forgetting again removes what is left."""
    monkeypatch.setattr(ingest, "ARCHIVED_ROWS", 0)
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        fill(store, 2)
    died = subprocess.run([sys.executable, "-c", KILLED, str(path), place], check=False, capture_output=True)
    assert died.returncode == 9, died.stderr.decode()
    with closing(open_store(path)) as store:
        assert not store.histories.get(SIGNS[0], 9).rows
        assert store.persons.events(SIGNS[1]).is_empty()
        assert len(store.events.read().events) == 2 * (300 + 50)
        store.events.append([Event(event_id="n", customer_id="newcomer", kind=EventKind.VIEW, item_id="i")])
        assert len(store.histories.get("newcomer", 9).rows) == 1
        store.persons.forget(SIGNS[0], 10)
        assert signs_in(path.parent) == set()
        assert not list((path.parent / f"{path.name}-archive").glob(f"{archived._ERASING}*"))
