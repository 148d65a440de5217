"""For whom and for what: every slice against customers counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.metrics.ranking import Relevant, per_customer
from training.evaluation.facts import CustomerFacts, Facts, ItemFacts
from training.evaluation.slices import MOST_VALUES, OTHER, UNSAID, Slice, of_items, of_rows, slices_of

ITEMS = 10
WANTS = st.lists(st.sets(st.integers(0, ITEMS - 1), max_size=5), min_size=1, max_size=8)


def relevant_of(wanted: list[set[int]], beyond: int = 1) -> Relevant:
    """Sets as arrays; of each customer so many wanted items have no position."""
    size = np.array([len(own) + beyond for own in wanted], dtype=np.int64)
    item = np.array([each for own in wanted for each in sorted(own)], dtype=np.int32)
    return Relevant(np.cumsum([0, *map(len, wanted)]).astype(np.int64), item, size)


def sets_of(relevant: Relevant) -> list[set[int]]:
    """The other way round."""
    return [set(each.tolist()) for each in np.split(relevant.item, relevant.indptr[1:-1])]


def facts_with(
    history: list[int], attributes: dict[str, list[object]] | None = None, count: list[int] | None = None
) -> Facts:
    """Facts of which only this is of interest; of the items the even ones are red and the odd ones blue."""
    color = sparse.csr_matrix(np.array([[item % 2 == 0, item % 2 == 1] for item in range(ITEMS)], dtype=np.float64))
    sold = np.array(count or [1] * ITEMS, dtype=np.int64)
    items = ItemFacts(sold, 1, None, None, {}, {}, color, ("red", "blue"), None, sold)
    return Facts(items, CustomerFacts(np.array(history, dtype=np.int64), None, attributes or {}), {})


def by_dimension(slices: list[Slice], dimension: str) -> dict[str, list[int]]:
    """The rows of each value."""
    return {each.value: each.rows.tolist() for each in slices if each.dimension == dimension}


@settings(max_examples=60, deadline=None)
@given(st.data(), WANTS)
def test_rows_and_items_are_taken_out_of_what_was_wanted(data: st.DataObject, wanted: list[set[int]]) -> None:
    """Some customers with all of it, or all customers with some of it."""
    relevant = relevant_of(wanted)
    rows = sorted(data.draw(st.sets(st.integers(0, len(wanted) - 1))))
    chosen = of_rows(relevant, np.array(rows, dtype=np.int64))
    assert [chosen.size.tolist(), sets_of(chosen)[: len(rows)]] == [
        [len(wanted[row]) + 1 for row in rows],
        [wanted[row] for row in rows],
    ]
    counted = data.draw(st.sets(st.integers(0, ITEMS - 1)))
    found, part = of_items(relevant, np.isin(np.arange(ITEMS), list(counted)))
    expected = {row: own & counted for row, own in enumerate(wanted) if own & counted}
    assert dict(zip(found.tolist(), sets_of(part), strict=False)) == expected
    assert part.size.tolist() == [len(own) for own in expected.values()]


def test_customers_are_divided_by_their_history() -> None:
    """Who had nothing is new; spans are told as numbers of items, and those that nobody has are left out."""
    slices, causes = slices_of(relevant_of([{1}] * 5), facts_with([0, 1, 3, 4, 70]))
    assert by_dimension(slices, "customer") == {"returning": [1, 2, 3, 4], "new": [0]}
    assert by_dimension(slices, "history") == {"0": [0], "1": [1], "2–4": [2, 3], "50+": [4]}
    assert causes == {}
    _, causes = slices_of(relevant_of([{1}] * 2), facts_with([3, 4]))
    assert causes == {"customer": "it is returning for every customer", "history": "it is 2–4 for every customer"}


def test_wanted_items_are_divided_by_how_they_sell() -> None:
    """The best-selling fifth, the rest of the better half, and all others; a customer may count in each."""
    slices, _ = slices_of(relevant_of([{0, 9}, {3}, {5}]), facts_with([1, 2, 3], count=[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]))
    assert by_dimension(slices, "popularity") == {"head": [0], "middle": [1], "tail": [0, 2]}
    assert by_dimension(slices, "category") == {"blue": [0, 1, 2], "red": [0]}


def test_attributes_have_a_few_values() -> None:
    """Rare ones are told together, unknown ones apart, many numbers in spans of as many customers."""
    names = [f"n{number}" for number in range(10) for _ in range(2)] + ["once", None]
    ages: list[object] = [*range(20, 41), None]
    flags: list[object] = [True, False] * 11
    attributes: dict[str, list[object]] = {
        "name": [*names],
        "age": ages,
        "flag": flags,
        "id": [*map(str, range(22))],
        "same": ["x"] * 22,
    }
    slices, causes = slices_of(relevant_of([{1}] * 22), facts_with([1] * 22, attributes))
    named = by_dimension(slices, "customer.name")
    assert len(named) == MOST_VALUES + 2
    assert (len(named[OTHER]), named[UNSAID]) == (5, [21])
    spans = by_dimension(slices, "customer.age")
    assert [*spans] == ["20–24", "25–29", "30–34", "35–40", UNSAID]
    assert spans["25–29"] == [5, 6, 7, 8, 9]
    assert by_dimension(slices, "customer.flag")["true"] == [*range(0, 22, 2)]
    assert causes["customer.id"] == "hardly two customers have the same value"
    assert causes["customer.same"] == "it is x for every customer"


@settings(max_examples=60, deadline=None)
@given(WANTS, st.randoms(use_true_random=False))
def test_slices_of_customers_add_up_to_all(wanted: list[set[int]], rng: np.random.Generator) -> None:
    """Each customer is in one value of each dimension of customers, with the metrics that they have among all."""
    history = [rng.randint(0, 60) for _ in wanted]  # type: ignore[attr-defined]
    relevant = relevant_of(wanted)
    ranked = np.array([rng.sample(range(ITEMS), 4) for _ in wanted], dtype=np.int32)  # type: ignore[attr-defined]
    whole = per_customer(ranked, relevant, [3])
    slices, _ = slices_of(relevant, facts_with(history))
    own = [each for each in slices if each.dimension == "history"]
    if own:
        assert sorted(row for each in own for row in each.rows) == [*range(len(wanted))]
    for each in own:
        for metric, values in each.scored(ranked, 3).items():
            assert values == pytest.approx(whole[metric][each.rows])
