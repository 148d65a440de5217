"""The archive's files: nothing of an event is lost in them, and an id is found by its own bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import StoreError
from recsys.stores.archive import event_ids, partition
from recsys.stores.archive.columns import Column
from recsys.stores.archive.event_ids import HashSet, IdColumn
from recsys.stores.archive.partition import ROWS, Partition

FULL = {
    "customer": 3, "exposure": 0, "seq": 11, "item": 7, "kind": 5, "event_id": "é/1", "timestamp": -(2**63),
    "position": 2**63 - 1, "quantity": -0.0, "price": 0.1, "currency": "EUR", "rating": 5e-324, "session_id": "",
    "recommendation_id": "token", "context": '{"a": "ü"}',
}  # fmt: skip
BARE = dict.fromkeys(ROWS) | {"customer": 3, "exposure": 1, "seq": 9, "kind": 16, "event_id": "x", "quantity": 1.0}

columns = st.integers(1, 30).flatmap(
    lambda size: st.lists(st.sampled_from([None, 0.0, -0.0, 1.0, 1.0, 1.0, 2.5]), min_size=size, max_size=size)
)


def written(folder: Path, *rows: dict[str, object]) -> Partition:
    """A partition of these rows."""
    return Partition.open(folder, partition.write(folder, pl.DataFrame(list(rows), schema=ROWS)))


@pytest.mark.parametrize("rows", [[FULL], [BARE], [FULL, BARE], [FULL, BARE, BARE | {"customer": 9, "seq": 10}]])
def test_every_field_comes_back(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    """The largest, smallest, emptiest and missing values of all fifteen columns are those that were written."""
    found = written(tmp_path / "p", *rows).rows()
    assert dict(found.schema) == ROWS
    assert [{**row, "quantity": str(row["quantity"])} for row in found.to_dicts()] == [
        {**row, "quantity": str(row["quantity"])} for row in rows
    ]


@settings(deadline=None)
@given(values=columns, data=st.data())
def test_a_column_is_the_same_in_every_form(
    tmp_path_factory: pytest.TempPathFactory, values: list[float | None], data: st.DataObject
) -> None:
    """However many rows share a value or have none, any part of the column is what was written, bit for bit."""
    folder = tmp_path_factory.mktemp("column")
    missing = np.array([value is None for value in values])
    numbers = np.array([0.0 if value is None else value for value in values])
    column = Column.open(folder, "c", Column.write(folder, "c", numbers, missing if missing.any() else None))
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    part, absent = column.part(start, stop)
    gone = np.zeros(stop - start, dtype=bool) if absent is None else absent
    found = [None if gone[place] else str(part[place]) for place in range(stop - start)]
    assert found == [None if value is None else str(value) for value in values[start:stop]]


def test_what_most_rows_share_takes_no_room(tmp_path: Path) -> None:
    """A column that is nothing or one value everywhere has no file; one with an exception has a row in its file."""
    rows = [BARE | {"seq": place, "event_id": str(place)} for place in range(100)]
    files = written(tmp_path / "p", *rows).details["files"]
    assert not [name for name in files if name.startswith(("position", "quantity", "rating", "timestamp"))]
    rows[7] = rows[7] | {"rating": 4.0}
    assert written(tmp_path / "q", *rows).numbers["rating"].values is not None
    assert len(np.load(tmp_path / "q" / "rating.npy")) == 1


def test_customers_are_one_piece_each(tmp_path: Path) -> None:
    """Behaviour comes before exposures, and somebody who is not here has nothing."""
    there = written(
        tmp_path / "p",
        FULL | {"customer": 2, "seq": 4},
        FULL | {"customer": 2, "seq": 8},
        BARE | {"customer": 2, "seq": 5},
        BARE | {"customer": 5, "seq": 6},
    )
    assert there.seq_of(there.behaviour_of(2)).tolist() == [4, 8]
    for nobody in (1, 3, 5, 6):
        own = there.behaviour_of(nobody)
        assert own.start == own.stop
    assert there.customer_of(np.array([0, 2, 3])).tolist() == [2, 2, 5]


@pytest.mark.parametrize("damage", ["gone", "shorter", "longer"])
def test_a_damaged_partition_is_refused(tmp_path: Path, damage: str) -> None:
    """A file that is missing or of another size is named, with what to do; nobody's history silently shrinks."""
    folder = tmp_path / "p"
    details = written(folder, FULL).details
    path = folder / "item.npy"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if damage == "shorter" else path.read_bytes() + b"x")
    with pytest.raises(StoreError, match=r"item\.npy .*To do: bring the folder back"):
        Partition.open(folder, details)


@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), max_size=9))
def test_ids_come_back(ids: list[str]) -> None:
    """Any ids are the same after they were bytes, over any number of parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_ids, "_IDS_AT_ONCE", 2)
        column = IdColumn.of(ids)
        assert column.texts(0, len(ids)).to_list() == ids
        assert len(column.text) == sum(len(each.encode()) + 1 for each in ids)


def test_the_hash_is_murmur_and_never_another() -> None:
    """The hashes in archives on disk must be found again by every later version."""
    found = IdColumn.of(["a", "event", "eightby.", "nine bytes", "~q0eZ8bV3gq3dJxwqk1pTZA"]).hashes().tolist()
    assert found == [
        plain_murmur(text.encode()) for text in ("a", "event", "eightby.", "nine bytes", "~q0eZ8bV3gq3dJxwqk1pTZA")
    ]
    assert found[0] == 0x071717D2D36B6B11


def plain_murmur(data: bytes) -> int:
    """MurmurHash64A as its author writes it, seed 0."""
    m, mask = 0xC6A4A7935BD1E995, 2**64 - 1
    h = len(data) * m & mask
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        k = int.from_bytes(data[at : at + 8], "little") * m & mask
        k = (k ^ k >> 47) * m & mask
        h = (h ^ k) * m & mask
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 47) * m & mask
    return h ^ h >> 47


def test_equal_hashes_are_told_apart() -> None:
    """Ids whose hashes are the same are found by their bytes, and one that is not there is not."""
    ids, wanted = IdColumn.of(["aa", "ab", "b", "abc"]), IdColumn.of(["ab", "abd", "b", "abc", "a"])
    same = np.full(4, 7, dtype=np.uint64)
    rows = event_ids.find(wanted, np.full(5, 7, dtype=np.uint64), ids, same, np.arange(4, dtype=np.uint32))
    assert rows.tolist() == [1, -1, 2, 3, -1]


def test_a_set_of_hashes_grows() -> None:
    """What was added is there, 0 included, nothing else is, and repetition does not count."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(1, 2**63, 200_000).astype(np.uint64) * np.uint64(2)
    seen = HashSet()
    for part in np.array_split(hashes, 7):
        seen.add(part)
    seen.add(hashes[:1000])
    assert seen.has(hashes).all()
    assert not seen.has(hashes + np.uint64(1)).any()
    assert len(seen) == len(np.unique(hashes))
    zero = np.zeros(1, dtype=np.uint64)
    assert not seen.has(zero).any()
    seen.add(zero)
    assert seen.has(zero).all()


@settings(deadline=None)
@given(ids=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), max_size=6))
def test_a_list_of_ids_is_the_column_of_them(ids: list[str]) -> None:
    """Few ids take a shorter way than a column's, to the same bytes and places."""
    listed, column = IdColumn.of(ids), IdColumn.of(pl.Series(ids, dtype=pl.String))
    assert listed.text.tobytes() == column.text.tobytes()
    np.testing.assert_array_equal(listed.offsets, column.offsets)
