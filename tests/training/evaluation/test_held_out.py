"""What may be listed and what has to be foreseen, rule by rule."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.data.events import EventKind
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import InputError
from tests.training.evaluation.divided_worlds import BUY, CART, VIEW, rules, timed
from training.evaluation.held_out import HeldOut, Repeats, Rules, hold_out
from training.evaluation.protocols import Part

NO_ITEMS = pl.Series("item_id", [], dtype=pl.String)
TRAIN = timed(
    [
        ("u", "bought", BUY, 1),
        ("u", "seen", VIEW, 2),
        ("u", "carted", CART, 3),
        ("v", "other", BUY, 1),
        ("w", "w", VIEW, 1),
    ]
)
WANTED = [("u", "bought"), ("u", "seen"), ("u", "carted"), ("u", "other"), ("u", "unheard-of"), ("x", "bought")]


def held(rule: Rules, wanted: list[tuple[str, str]] | None = None, items: pl.Series = NO_ITEMS) -> HeldOut:
    """The world above under a rule."""
    frame = pl.DataFrame(wanted or WANTED, schema={"customer_id": pl.String, "item_id": pl.String}, orient="row")
    return hold_out(Part(TRAIN, frame, None), rule, items)


def named(held_out: HeldOut, rows: sparse.csr_matrix) -> dict[str, set[str]]:
    """A matrix of scored customers × items by names; customers without an item are left out."""
    items = list(held_out.training.items)
    customers = held_out.customer_ids.to_list()
    return {
        customer: {items[item] for item in rows[place].indices}
        for place, customer in enumerate(customers)
        if rows[place].nnz
    }


def relevant(held_out: HeldOut) -> dict[str, set[str]]:
    """What each customer wants, of the items that can be listed."""
    own = held_out.relevant
    shape = (len(own), len(held_out.training.items))
    return named(held_out, sparse.csr_matrix((np.ones(len(own.item)), own.item, own.indptr), shape=shape))


def test_excluding_takes_what_the_customer_has_from_test_and_candidates() -> None:
    """By default a customer has what they bought: it is neither wanted nor listed; what they viewed is both."""
    found = held(rules())
    assert relevant(found) == {"u": {"seen", "carted", "other"}, "x": {"bought"}}
    assert named(found, found.masked) == {"u": {"bought"}}


def test_masking_more_kinds_excludes_more() -> None:
    """With views and carts masked the customer has those, too."""
    found = held(rules(mask=[BUY, VIEW, CART]))
    assert relevant(found) == {"u": {"other"}, "x": {"bought"}}
    assert named(found, found.masked) == {"u": {"bought", "seen", "carted"}}


def test_allowing_repeats_leaves_everything() -> None:
    """Nothing is masked and everything is wanted."""
    found = held(rules(repeats=Repeats.ALLOW))
    assert relevant(found)["u"] == {"bought", "seen", "carted", "other"}
    assert named(found, found.masked) == {}
    assert found.rules.placement.mask_kinds == frozenset()


def test_only_repeats_leaves_what_the_customer_has_by_a_target_kind() -> None:
    """The test keeps what was bought before, the candidates stay whole; who has nothing of it is not scored."""
    found = held(rules(repeats=Repeats.ONLY))
    assert relevant(found) == {"u": {"bought"}}
    assert found.customer_ids.to_list() == ["u"]
    assert named(found, found.masked) == {}


def test_items_absent_from_training_stay_in_the_denominator() -> None:
    """Nobody can list them, and the number of wanted items counts them."""
    found = held(rules())
    assert dict(zip(found.customer_ids, found.relevant.size, strict=True)) == {"u": 4, "x": 1}


def test_customers_absent_from_training_are_scored() -> None:
    """They have no row in training and keep their place among the scored."""
    found = held(rules())
    assert found.customer_ids.to_list() == ["u", "x"]
    assert found.row.tolist() == [found.training.customers.position("u"), UNKNOWN]


def test_hidden_kinds_are_not_learned_from_and_still_mask() -> None:
    """Where models see purchases alone, views leave training and the candidates; the mask still knows them."""
    found = held(rules(visible=[BUY], mask=[BUY, VIEW]), items=pl.Series(["seen"]))
    assert list(found.training.items) == ["bought", "other", "seen"]
    assert list(found.training.customers) == ["u", "v"]
    assert named(found, found.masked) == {"u": {"bought", "seen"}}
    assert found.hidden is not None
    assert named(found, found.hidden) == {"u": {"seen"}}
    assert held(rules(mask=[BUY, VIEW])).hidden is None


def test_further_items_are_candidates() -> None:
    """An item of the catalogue that nobody touched may be listed, and wanted."""
    found = held(rules(), items=pl.Series(["unheard-of", "other", "new"]))
    assert {"unheard-of", "new"} <= set(found.training.items)
    assert "unheard-of" in relevant(found)["u"]


def test_nothing_left_to_foresee_is_said() -> None:
    """If every test item is one the customer has, or with `only` none is, the message says which."""
    with pytest.raises(InputError, match=r"no test item is left: of 1 pairs .* all are in"):
        held(rules(), [("u", "bought")])
    with pytest.raises(InputError, match=r"no test item is left: of 1 pairs .* none is in"):
        held(rules(repeats=Repeats.ONLY), [("u", "other")])


def test_nothing_left_to_learn_from_is_said() -> None:
    """Kinds that no training event has leave nothing to see."""
    with pytest.raises(InputError, match="none is behaviour on an item that models may see"):
        held(rules(visible=[EventKind.SHARE]))
