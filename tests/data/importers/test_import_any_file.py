"""Whatever a file holds, reading it gives rows that are accounted for, or one error of ours."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

from recsys.data.events import KIND_CODES, MAX_ID_LENGTH
from recsys.data.importers.formats import FORMATS
from recsys.data.importers.options import build_options
from recsys.data.importers.reading import ReadFile, read_file
from recsys.errors import BookmatchError
from tests.data.importers.importing_files import NOW, write

HEADERS = [
    "customer_id,item_id,kind,timestamp,quantity,price,rating,position,context",
    "item_id,title,price,available,published,attributes",
    *(",".join(names[0] for names in layout.columns.values()) for each in FORMATS.values() for layout in each.layouts),
]
TOKENS = ["1", "0", "-1", "x", "é", '"', '""', ",", "\n", "\r\n", "::", "\t", "|", "{", "}", "[", "]", "null", "nan",
          "1e400", "view", "2024-05-01T10:00:00Z", "12/1/2010 8:26", "1714564800", "\x00", "\\ud800", "C1", ":token",
          '{"a":1}', "true", " "]  # fmt: skip


def _accounted(path: Path, **options: str | None) -> None:
    """Reads the file; every row must be an event, repeated, bad or aside, and every event must be fit for a store."""
    try:
        result = read_file(path, build_options(now=NOW, **options))
    except BookmatchError:
        return
    _fit(result)
    if result.report.read_as.endswith("item_properties"):
        return
    described = result.items.height + result.customers.height if not result.events.height else 0
    left = result.report.rows - sum(result.report.bad.values()) - sum(result.report.aside.values()) - result.repeated
    if result.events.height:
        assert result.events.height == left
    else:
        assert described <= left


def _fit(result: ReadFile) -> None:
    events = result.events
    assert events.select("event_id", "customer_id", "kind", "quantity").null_count().sum_horizontal().item() == 0
    assert set(events["kind"]) <= {str(kind) for kind in KIND_CODES}
    assert events["event_id"].is_unique().all()
    assert (events["quantity"] > 0).all()
    assert all(events[name].drop_nulls().is_finite().all() for name in ("quantity", "price", "rating"))
    assert events["timestamp"].drop_nulls().is_between(0, NOW + 86_400_000).all()
    for name in ("customer_id", "item_id"):
        assert events[name].drop_nulls().str.len_chars().is_between(1, MAX_ID_LENGTH).all()
    assert result.items["item_id"].is_unique().all()
    assert result.customers["customer_id"].is_unique().all()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    header=st.sampled_from(HEADERS),
    body=st.lists(st.lists(st.sampled_from(TOKENS), max_size=6).map("".join), max_size=5).map("\n".join),
    format_=st.sampled_from([None, *FORMATS]),
    subject=st.sampled_from([None, "items", "customers"]),
    event=st.sampled_from([None, "view"]),
    name=st.sampled_from(["a.csv", "a.jsonl", "u.item", "u.data", "movies.dat", "a.inter"]),
    zone=st.sampled_from([None, "Europe/London"]),
)
def test_text_of_any_kind(
    tmp_path_factory: pytest.TempPathFactory,
    header: str,
    body: str,
    format_: str | None,
    subject: str | None,
    event: str | None,
    name: str,
    zone: str | None,
) -> None:
    """Odd text under every header and format."""
    path = write(tmp_path_factory.mktemp("any"), name, f"{header}\n{body}\n")
    if subject is not None:
        event = None
    _accounted(path, format=format_, subject=subject, event=event, timezone=zone)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), name=st.sampled_from(["a.csv", "a.jsonl", "a.parquet", "a.gz", "a.zip", "a"]))
def test_bytes_of_any_kind(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    """Bytes that are no table at all."""
    _accounted(write(tmp_path_factory.mktemp("any"), name, data))


OURS = ["customer_id", "item_id", "kind", "timestamp", "quantity", "price", "position", "context", "rating", "event_id"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    frame=dataframes(
        min_cols=10, max_cols=10, min_size=1, max_size=5, allow_null=True,
        allowed_dtypes=[pl.String, pl.Int64, pl.UInt64, pl.Float32, pl.Float64, pl.Boolean, pl.Date, pl.Time,
                        pl.Datetime, pl.Duration, pl.Binary, pl.List(pl.Int8), pl.Categorical, pl.Decimal(18, 3)],
    ),
    subject=st.sampled_from([None, "items", "customers"]),
)  # fmt: skip
def test_parquet_of_any_type(
    tmp_path_factory: pytest.TempPathFactory, frame: pl.DataFrame, subject: str | None
) -> None:
    """Columns of any type under our names."""
    path = tmp_path_factory.mktemp("any") / "a.parquet"
    names = {"items": ["item_id", "title", "price", "available", "published", "attributes", "a", "b", "c", "d"]}
    frame.rename(dict(zip(frame.columns, names.get(subject or "", OURS), strict=True))).write_parquet(path)
    _accounted(path, subject=subject, timezone="Europe/London")
