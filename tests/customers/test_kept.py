"""Facts that are kept: as attributes, as of a moment, and gone with the customer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from recsys.customers import CustomerRules, facts
from recsys.customers.attributes import attributes_of
from recsys.customers.forgetting import forget
from recsys.customers.kept import AS_OF as AS_OF_NAME
from recsys.customers.kept import KEPT_NAMES, kept_of, refresh, refreshed_as_of
from recsys.customers.rules import Tier
from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.protocols import Store
from tests.customers.shops import AS_OF, ago

RULES = CustomerRules(tiers=(Tier(name="gold", spent=15),))


def purchase(event_id: str, customer: str, days: float, price: float = 10.0) -> Event:
    """One purchase so many days ago."""
    return Event(event_id, customer, EventKind.PURCHASE, "book", ago(days), price=price, currency="EUR")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two who share an account, and one who says their tier is another."""
    store = open_store(ShopFolder(tmp_path).store)
    store.events.append(
        [
            purchase("1", "ann", 50),
            purchase("2", "ann", 5),
            purchase("3", "bob", 9, 4.0),
            purchase("4", "cid", 200),
            purchase("5", "zoe", -3),
        ]
    )
    rows = [
        {"customer_id": "ann", "account_id": "home", "attributes": None},
        {"customer_id": "bob", "account_id": "home", "attributes": '{"tier": "friend", "budget": 9}'},
    ]
    store.customers.put(pl.DataFrame(rows, schema=CUSTOMER_SCHEMA))
    yield store
    store.close()


def test_facts_become_attributes(store: Store) -> None:
    """With the moment that they hold as of; those of the account beside one's own."""
    done = refresh(store, AS_OF, RULES)
    assert (done.kept, refreshed_as_of(store)) == (3, AS_OF)
    ann = attributes_of(store, "ann")
    assert set(ann) <= {*KEPT_NAMES, "account_id"}
    told = {name: ann[name] for name in ("tier", "frequency", "monetary", "segment", "account_id")}
    assert told == {"tier": "gold", "frequency": 2, "monetary": 20.0, "segment": "promising", "account_id": "home"}
    assert (ann["account_members"], ann["account_monetary"], ann["account_tier"]) == (2, 24.0, "gold")
    assert ann[AS_OF_NAME] == "2026-07-01T00:00:00.000Z"
    # What is not known is not there, and of somebody met later nothing is kept.
    assert "lifetime_value" not in ann
    assert attributes_of(store, "zoe") == {}
    assert "account_members" not in attributes_of(store, "cid")


def test_what_the_shop_says_itself_counts(store: Store) -> None:
    """A filter that asked for its own `tier` still does; how many it concerns is told."""
    done = refresh(store, AS_OF, RULES)
    bob = attributes_of(store, "bob")
    assert (bob["tier"], bob["budget"], bob["frequency"]) == ("friend", 9, 1)
    assert dict(done.shadowed) == {"tier": 1}
    assert kept_of(store, "bob").get("tier") is None


def test_a_forgotten_customer_is_gone_from_them(store: Store, tmp_path: Path) -> None:
    """From what is kept at once, and from what is computed next."""
    refresh(store, AS_OF, RULES)
    forget(ShopFolder(tmp_path), store, "ann", AS_OF)
    assert kept_of(store, "ann") == {}
    assert refresh(store, AS_OF, RULES).kept == 2
    assert facts(store, AS_OF, RULES)["customer_id"].to_list() == ["bob", "cid"]


def test_merging_is_the_union_of_events(store: Store) -> None:
    """A visitor who turns out to be a customer: as if that customer had done everything."""
    store.events.append([purchase("6", "visitor", 20, 7.0), purchase("7", "plain", 20, 7.0)])
    store.events.append([purchase("8", "plain", 200)])
    store.profiles.merge("visitor", "cid", AS_OF)
    table = facts(store, AS_OF, RULES)
    assert table["customer_id"].to_list() == ["ann", "bob", "cid", "plain"]
    cid, plain = table.drop("customer_id").rows()[2:]
    assert cid == plain
    refresh(store, AS_OF, RULES)
    assert kept_of(store, "visitor") == kept_of(store, "cid") != {}


def test_what_was_taken_back_is_no_purchase(store: Store) -> None:
    """An undone purchase was never made."""
    undo = Event("u", "ann", EventKind.UNDO, timestamp=AS_OF, context='{"undoes": "2"}')
    store.events.append([undo])
    assert facts(store, AS_OF).row(0, named=True)["recency_days"] == 50
