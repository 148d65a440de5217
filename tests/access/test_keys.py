"""Keys, origins, rates and marks of customers as values."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.access.audit import customer_mark
from recsys.access.keys import BROWSER_KINDS, BROWSER_RATE, KEY, NewKey, Role, wanted_key
from recsys.access.origins import parse_origin
from recsys.access.rates import Rate
from recsys.data.events import EventKind
from recsys.errors import InputError
from recsys.stores import open_store

SECRET_BITS = 160


@pytest.mark.parametrize("role", Role)
def test_a_key_says_what_it_is_and_is_kept_as_a_hash(role: Role) -> None:
    """Its text has a prefix for the role, its id, and 160 random bits; what is kept is SHA-256 of that text."""
    new = NewKey.like(wanted_key(role, "shop", 5))
    found = KEY.fullmatch(new.text)
    assert found is not None
    assert found[1] == new.kept.key_id
    assert len(new.text.rpartition("_")[2]) * 5 == SECRET_BITS
    assert new.kept.digest == hashlib.sha256(new.text.encode()).digest()
    assert new.text.rpartition("_")[2] not in repr(new.kept)


def test_no_two_keys_are_the_same() -> None:
    """Neither their ids nor what they are known by."""
    keys = [NewKey.like(wanted_key(Role.ADMIN, "a", 0)) for _ in range(200)]
    assert len({key.text for key in keys}) == len({key.kept.key_id for key in keys}) == len(keys)


def test_a_key_is_valid_until_it_expires_or_is_revoked() -> None:
    """To the millisecond."""
    key = wanted_key(Role.ADMIN, "a", 0, expires=10)
    assert key.is_valid(9)
    assert not key.is_valid(10)
    assert not NewKey.like(key).kept.is_valid(11)


def test_a_key_for_pages_may_forge_nothing_dear() -> None:
    """Unless told otherwise it writes no purchases, returns, ratings or subscriptions, and each address has a limit."""
    key = wanted_key(Role.EVENTS, "web", 0, origins=("https://shop.example",))
    dear = {EventKind.PURCHASE, EventKind.RETURN, EventKind.RATE, EventKind.REVIEW, EventKind.OWN, EventKind.UNDO}
    assert set(key.kinds) == set(BROWSER_KINDS)
    assert not dear & set(key.kinds)
    assert not [kind for kind in key.kinds if "mail" in kind or "subscribe" in kind]
    assert key.rate == BROWSER_RATE
    told = wanted_key(Role.EVENTS, "web", 0, origins=("https://a.example",), kinds=(EventKind.VIEW,), rate=Rate(1, 1))
    assert (told.kinds, told.rate) == ((EventKind.VIEW,), Rate(1, 1))


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://Shop.Example:443/", "https://shop.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(text: str, origin: str) -> None:
    """Lower case, without the usual port and without a path."""
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text", ["*", "https://*", "https://*.shop.example", "null", "shop.example", "ftp://a", "https://a/b", "https://u@a",
             "https://a:x", "https://a?b", "https://", "https://bücher.example", "https://a b"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text: str) -> None:
    """Wildcards and `null` above all."""
    with pytest.raises(InputError, match=r"no origin of web pages.*--origin"):
        parse_origin(text)


@given(st.integers(1, 999_999_999), st.sampled_from("smhd"))
def test_a_rate_reads_as_it_is_written(quota: int, unit: str) -> None:
    """Text to rate and back."""
    assert str(Rate.parse(f"{quota}/{unit}")) == f"{quota}/{unit}"


@pytest.mark.parametrize("text", ["", "5", "0/s", "-1/s", "1.5/s", "5/w", "5 / s", "9999999999/s", "٣/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """With what a rate looks like."""
    with pytest.raises(InputError, match="such as 50/s"):
        Rate.parse(text)


def test_a_customers_mark_tells_only_who_knows_the_id(tmp_path: Path) -> None:
    """The same for the same id in one store, another in another, and never the id."""
    stores = [open_store(tmp_path / name / "store.db") for name in ("a", "b")]
    first, second = (customer_mark(store, "ann@example.org") for store in stores)
    assert first == customer_mark(stores[0], "ann@example.org") != second
    assert customer_mark(stores[0], "bob") != first
    assert "ann" not in first
    for store in stores:
        store.close()
