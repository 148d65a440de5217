"""Derived event ids: what they depend on, and what not."""

from __future__ import annotations

import base64
from hashlib import blake2b

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.events import EVENT_SCHEMA
from recsys.data.importers.event_ids import derive_event_ids

ROW = st.fixed_dictionaries(
    {
        "customer_id": st.sampled_from(["1", "01", "é"]),
        "kind": st.just("view"),
        "item_id": st.sampled_from(["1", "2", None]),
        "timestamp": st.none() | st.integers(0, 3),
        "quantity": st.sampled_from([1.0, 2.5]),
        "price": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    }
)


def _frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in EVENT_SCHEMA} for row in rows], schema=EVENT_SCHEMA)


def _slow_ids(rows: list[dict[str, object]]) -> list[str]:
    """The definition, row by row."""
    seen: dict[str, int] = {}
    ids = []
    for row in rows:
        parts = []
        for name, dtype in EVENT_SCHEMA.items():
            value = row.get(name)
            if name == "event_id":
                continue
            if value is not None and dtype == pl.Float64:
                value = np.float64(value + 0.0).view(np.int64)  # type: ignore[operator]
            parts.append("" if value is None else str(value))
        canonical = "\x1f".join(parts)
        number = seen[canonical] = seen.get(canonical, -1) + 1
        digest = blake2b(f"{canonical}\x1f{number}".encode(), digest_size=16).digest()
        ids.append("~" + base64.urlsafe_b64encode(digest).decode().rstrip("="))
    return ids


@given(st.lists(ROW, max_size=12))
def test_ids_are_those_of_the_definition(rows: list[dict[str, object]]) -> None:
    """The vectorised ids equal the ids computed row by row: 22 characters after a tilde, all different."""
    ids = derive_event_ids(_frame(rows)).to_list()
    assert ids == _slow_ids(rows)
    assert len(set(ids)) == len(rows)
    assert all(len(each) == 23 for each in ids)


@given(st.lists(ROW, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_ids_do_not_depend_on_the_order_of_different_rows(rows: list[dict[str, object]], random: object) -> None:
    """A file exported in another order has the same set of ids."""
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert set(derive_event_ids(_frame(rows))) == set(derive_event_ids(_frame(shuffled)))


def test_an_id_never_changes_between_versions() -> None:
    """This very id is in shops' stores: to change it is to import every file twice."""
    row = {"customer_id": "13085", "item_id": "85048", "kind": "purchase", "timestamp": 1259653500000}
    row |= {"quantity": 12.0, "price": 6.95, "currency": "GBP", "session_id": "489434"}
    assert derive_event_ids(_frame([row])).to_list() == ["~w8Wrp_1O58TjFVH7BLQNUA"]


def test_equal_numbers_have_equal_ids() -> None:
    """Minus zero is zero."""
    plus, minus = ({"customer_id": "1", "kind": "view", "price": price} for price in (0.0, -0.0))
    assert derive_event_ids(_frame([plus])).to_list() == derive_event_ids(_frame([minus])).to_list()
