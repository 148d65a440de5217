"""What a customer did between the plan and the sending decides what is left of their mail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import orjson
import polars as pl
import pytest

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.data.history import HISTORY_LIMIT
from recsys.stores.ledger import LedgerEntry, Mailing, MailState, Move
from recsys.stores.protocols import Store
from serving.email.campaign import Restraint
from serving.email.planned import PlannedBlock, PlannedMail
from serving.email.rechecking import LateCause, Recheck, Suppression
from tests.serving.email.mailings import ITEM, NOW, mail, shop_of

DAY = 86_400_000
HAD = ("purchase", "own", "rate", "review")
LEFT_OUT = {
    "for_you": {*HAD, "return", "not_interested"},
    "looked_at": {*HAD, "return", "not_interested"},
    "left_in_cart": {"purchase", "own", "return", "not_interested", "remove_from_cart"},
    "buy_again": {"purchase", "return", "not_interested", "ignore_for_recommendations"},
    "again": {"purchase", "return", "not_interested"},
}
"""By what a block is, the kinds of events after which an item is not in it any more. `again` is a placement that may
show what was bought."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A shop with the book `b1`, which `ann` and `bob` may be written to about."""
    with closing(shop_of(tmp_path, ["ann", "bob"])) as opened:
        yield opened


def did(store: Store, kind: str, item_id: str, days: float = 0.5, customer_id: str = "ann") -> None:
    """Something that happened so many days ago."""
    at = int(NOW - days * DAY)
    rating = 4.0 if kind == "rate" else None
    event = Event(f"{customer_id} {kind} {item_id} {at}", customer_id, EventKind(kind), item_id, at, rating=rating)
    store.events.append([event])


def with_block(kind: str, because: str | None = None) -> PlannedMail:
    """Ann's mail with `b1` alone."""
    block = PlannedBlock(kind.replace("again_", "for_"), "Heading", (replace(ITEM, because=because),))
    return replace(mail("ann"), blocks=(block,), theme=f"{ITEM.title}, chosen for you")


def left(store: Store, wanted: PlannedMail, restraint: Restraint | None = None) -> list[str]:
    """The items that are sent of a mail."""
    (found,) = Recheck(store, "email", restraint or Restraint(), NOW)(store, [wanted], NOW)
    if found == Suppression(LateCause.NOTHING_LEFT):
        return []
    assert isinstance(found, PlannedMail)
    return [item.item_id for block in found.blocks for item in block.items]


@pytest.mark.parametrize("kind", [*sorted({kind for kinds in LEFT_OUT.values() for kind in kinds}), "view"])
@pytest.mark.parametrize("block", LEFT_OUT)
def test_what_was_said_of_an_item_since_counts(store: Store, block: str, kind: str) -> None:
    """Bought, owned, judged, given back, refused, taken out of the cart, or a gift: each kind of block leaves out what
    planning would leave out now; a look changes nothing."""
    planned = with_block("for_you" if block == "again" else block)
    planned = replace(planned, blocks=(replace(planned.blocks[0], again=block == "again"),))
    did(store, "add_to_cart", "b1", 3)
    assert left(store, planned) == ["b1"]
    did(store, kind, "b1")
    assert left(store, planned) == ([] if kind in LEFT_OUT[block] else ["b1"])


def test_what_was_bought_longer_ago_may_be_bought_again(store: Store) -> None:
    """Purchases count for as many days as the campaign says; what was had is in no other block however long ago."""
    did(store, "purchase", "b1", 20)
    for days, there in ((19, True), (21, False)):
        assert left(store, with_block("buy_again"), Restraint(bought_days=days)) == (["b1"] if there else [])
    assert left(store, with_block("for_you"), Restraint(bought_days=0)) == []


def test_what_happened_before_a_long_history_counts(store: Store) -> None:
    """A refusal is not forgotten because much happened after it."""
    did(store, "not_interested", "b1", 30)
    events = [Event(f"look {n}", "ann", EventKind.VIEW, "b2", NOW - DAY + n) for n in range(HISTORY_LIMIT + 5)]
    store.events.append(events)
    assert left(store, with_block("buy_again")) == []


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("days", [0.2, 90.0], ids=["visits", "late import"])
def test_much_that_arrived_since_hides_nothing(store: Store, days: float, is_packed: bool) -> None:
    """A purchase of yesterday counts whatever arrived after it: looks of today, or a file of what was long ago."""
    did(store, "view", "b2", 20)
    if is_packed:
        store.histories.pack(["ann"])
    did(store, "purchase", "b1", 1)
    first = int(NOW - days * DAY)
    store.events.append([Event(f"look {n}", "ann", EventKind.VIEW, "b2", first + n) for n in range(40)])
    assert left(store, with_block("buy_again")) == []


@pytest.mark.parametrize("kind", ["because_you_bought", "next_in_series"])
@pytest.mark.parametrize("said", ["return", "not_interested", "ignore_for_recommendations"])
def test_what_an_item_is_there_for_has_to_be_theirs(store: Store, kind: str, said: str) -> None:
    """'Because you bought it' of what they gave back, or gave away, is never said."""
    assert left(store, with_block(kind, "x")) == ["b1"]
    did(store, said, "x")
    assert left(store, with_block(kind, "x")) == []


@pytest.mark.parametrize(("heading", "theme"), [("Once more", "Once more"), ("", "Third")])
def test_a_theme_line_speaks_of_what_stands_first(store: Store, heading: str, theme: str) -> None:
    """Where that is gone, it gives way to the heading of what is there, or to its title where there is none."""
    second = PlannedBlock("buy_again", heading, (replace(ITEM, item_id="b3", title="Third"),))
    planned = with_block("for_you")
    planned = replace(planned, blocks=(*planned.blocks, second))
    assert _sent(store, planned).theme == planned.theme
    did(store, "not_interested", "b1")
    assert _sent(store, planned).theme == theme


def _sent(store: Store, planned: PlannedMail) -> PlannedMail:
    (found,) = Recheck(store, "email", Restraint(), NOW)(store, [planned], NOW)
    assert isinstance(found, PlannedMail)
    return found


def test_what_stood_in_a_mail_since_is_not_sent_again(store: Store) -> None:
    """Two plans of one day: what the first mail had the second has not, unless the campaign forgets last mails."""
    _was_mailed(store, "first", "ann", ["b1"])
    _was_mailed(store, "second", "ann", ["b2"])
    planned = replace(mail("ann"), blocks=mail("ann").blocks[:1])
    for last, there in ((0, ["b1", "b2"]), (1, ["b1"]), (2, [])):
        assert left(store, planned, Restraint(last_mails=last)) == there
    assert left(store, replace(planned, customer_id="bob")) == ["b1", "b2"]


def _was_mailed(store: Store, name: str, customer_id: str, items: list[str]) -> None:
    content = orjson.dumps([{"block": "for_you", "items": items}]).decode()
    at = NOW - 1_000 if name == "second" else NOW - 2_000
    store.ledger.begin(Mailing(name, name, "email", 1, 1), [LedgerEntry(customer_id, "", f"<{name}@x>", content)])
    for state in (MailState.SENDING, MailState.SENT):
        store.ledger.move(name, [Move(customer_id, state)], at)


def test_a_household_that_is_addressed_as_one_bought_and_read_as_one(store: Store) -> None:
    """What another member bought lately, or was mailed, is not sent to the one who is addressed."""
    rows = [
        {"customer_id": who, "account_id": "home", "attributes": f'{{"email": "{who}@example.com"}}'}
        for who in ("ann", "bob")
    ]
    store.customers.put(pl.DataFrame(rows, schema=CUSTOMER_SCHEMA))
    did(store, "purchase", "b1", customer_id="bob")
    _was_mailed(store, "first", "bob", ["b2"])
    planned = replace(mail("ann"), blocks=mail("ann").blocks[:1])
    assert left(store, planned) == ["b1", "b2"]
    assert left(store, planned, Restraint(one_per_account=True)) == []
    assert left(store, planned, Restraint(one_per_account=True, bought_days=0.1)) == ["b1"]


def test_what_expires_soon_or_is_not_out_yet_is_not_sent(store: Store) -> None:
    """The days that an item has to be there for count from the sending, not from the plan."""
    planned = replace(mail("ann"), blocks=mail("ann").blocks[:1])
    row = {"title": "Second", "price": None, "available": True}
    rows = [{"item_id": "b1", "expires": NOW + 6 * DAY, **row}, {"item_id": "b2", "published": NOW + 1, **row}]
    store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
    assert left(store, planned) == []
    assert left(store, planned, Restraint(expires_days=5)) == ["b1"]
