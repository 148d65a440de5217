"""The same events from every type of file, plain and compressed."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.events import EVENT_SCHEMA, EventKind
from tests.data.importers.importing_files import MAY, read

ID = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from("0/\"',;%"), min_size=1, max_size=12
).filter(lambda text: bool(text.strip()))
NUMBER = st.floats(0, 1e9, allow_nan=False) | st.sampled_from([0.1, 6.95, 1e-7])
EVENT = st.fixed_dictionaries(
    {
        "event_id": st.none() | ID,
        "customer_id": ID,
        "item_id": ID,
        "kind": st.sampled_from([str(kind) for kind in EventKind if kind is not EventKind.UNDO]),
        "timestamp": st.none() | st.integers(MAY - 10**12, MAY),
        "position": st.none() | st.integers(-5, 10**12),
        "quantity": NUMBER.filter(lambda number: number > 0),
        "price": st.none() | NUMBER,
        "currency": st.none() | st.just("EUR"),
        "rating": st.none() | st.floats(-1e6, 1e6),
        "session_id": st.none() | ID,
        "recommendation_id": st.none() | ID,
        "context": st.none() | st.just('{"a":[1,2],"b":"é"}'),
    }
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(EVENT, min_size=1, max_size=8))
def test_every_type_of_file_gives_the_same_events(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    """Any checked events, written as CSV, Parquet and JSON lines, plain and in gzip, come back equal, ids included."""
    folder = tmp_path_factory.mktemp("round")
    frame = pl.DataFrame(rows, schema=EVENT_SCHEMA)
    frame.write_parquet(folder / "made.parquet")
    csv = frame.write_csv().encode()
    lines = io.BytesIO()
    frame.write_ndjson(lines)
    contents = {
        "a.csv": csv,
        "b.parquet": (folder / "made.parquet").read_bytes(),
        "c.jsonl": lines.getvalue(),
        "d.csv.gz": gzip.compress(csv),
        "e.jsonl.gz": gzip.compress(lines.getvalue()),
        "f.csv": csv.replace(b"\n", b"\r\n") if b'"' not in csv else csv,
    }
    results = {name: read(folder, content, name, time_unit="ms") for name, content in contents.items()}
    first = results["a.csv"]
    for name, result in results.items():
        assert result.quarantine.bad.rows() == [], name
        assert result.quarantine.aside.rows() == [], name
        assert result.events.equals(first.events), name
    given_ids = [row["event_id"] for row in rows if row["event_id"] is not None]
    assert first.events.height == len(rows) - (len(given_ids) - len(set(given_ids)))
    assert first.events["event_id"].n_unique() == first.events.height
    kept = frame.filter(pl.col("event_id").is_null() | pl.col("event_id").is_first_distinct())
    assert first.events.drop("event_id").equals(kept.drop("event_id"))


def test_order_of_columns_does_not_matter(tmp_path: Path) -> None:
    """A file with its columns turned round gives the same ids; so does one without columns that hold nothing."""
    one = read(tmp_path, "customer_id,item_id,kind,price,rating\n1,2,view,5,\n")
    other = read(tmp_path, "price,kind,item_id,customer_id\n5.0,view,2,1\n")
    assert one.events.equals(other.events)
