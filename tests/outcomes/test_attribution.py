"""What is counted of whom, against the rules written out customer by customer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys.outcomes.attribution import Outcomes, Values, first_exposures, outcomes_of, values_of
from recsys.outcomes.click_through import click_through
from recsys.outcomes.exposure import DAY_MS, EXPOSURE_SCHEMA, OUTCOME_SCHEMA
from recsys.outcomes.lift import winsorised
from recsys.outcomes.metric import Metric
from tests.outcomes.worlds import FIRST, drawn_events, drawn_exposures

CUSTOMERS = 40
WINDOW = 30


def world(seed: int, as_of: int) -> tuple[pl.DataFrame, pl.DataFrame, Outcomes]:
    """Who was served what, what they did, and what was counted."""
    rng = np.random.default_rng(seed)
    served = drawn_exposures(rng, CUSTOMERS, ("a", "b", "c"))
    events = drawn_events(rng, CUSTOMERS, 900)
    return served, events, outcomes_of(first_exposures(served, None), events, as_of)


def people_of(served: pl.DataFrame) -> dict[str, tuple[str, int]]:
    """The arm and the time of everybody's first exposure."""
    found: dict[str, tuple[str, int]] = {}
    for customer, arm, first, *_ in sorted(served.rows(), key=lambda row: (row[2], row[1])):
        found.setdefault(customer, (arm, first))
    return found


def metric_of(events: list[dict[str, Any]], first: int, as_of: int, metric: Metric) -> float:
    """One customer's, event by event."""
    until = first + (90 if metric is Metric.VALUE_90 else WINDOW) * DAY_MS
    own = [event for event in events if first <= event["timestamp"] < until and event["timestamp"] <= as_of]
    bought = [event for event in own if event["kind"] == "purchase"]
    days = {(event["timestamp"] - first) // DAY_MS for event in bought}

    def paid(those: list[dict[str, Any]]) -> float:
        return sum(event["quantity"] * event["price"] for event in those if event["currency"] == "EUR")

    match metric:
        case Metric.CLICKS:
            return float(sum(event["kind"] == "click" for event in own))
        case Metric.BUYERS:
            return float(bool(days))
        case Metric.PURCHASES:
            return float(len(days))
        case Metric.REVENUE:
            return paid(bought)
        case Metric.REPEAT:
            return float(len(days) > 1)
        case Metric.VALUE_90:
            return paid(bought) - paid([event for event in own if event["kind"] == "return"])


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("as_of_days", [6, 40, 97, 130])
def test_metrics_are_those_of_each_customer(metric: Metric, as_of_days: int) -> None:
    """By each customer alone: from the first exposure on, within the window, nothing later than the moment."""
    as_of = FIRST + as_of_days * DAY_MS
    served, events, outcomes = world(as_of_days, as_of)
    expected = []
    for customer, (arm, first) in sorted(people_of(served).items()):
        if metric is Metric.VALUE_90 and first > as_of - 90 * DAY_MS:
            continue
        own = events.filter(customer_id=customer).to_dicts()
        expected.append((arm, metric_of(own, first, as_of, metric)))
    found = values_of(outcomes, metric, WINDOW)
    values = np.array([value for _, value in expected], dtype=np.float64)
    if metric in (Metric.REVENUE, Metric.VALUE_90):
        values = winsorised(values)
    assert found.arms.tolist() == [arm for arm, _ in expected]
    np.testing.assert_allclose(found.values, values)
    assert outcomes.currency == "EUR"


def test_what_was_before_is_the_ninety_days_before() -> None:
    """And it does not change with what happens after the first exposure."""
    as_of = FIRST + 50 * DAY_MS
    served, events, outcomes = world(3, as_of)
    found = values_of(outcomes, Metric.PURCHASES, WINDOW)
    expected = []
    for customer, (_, first) in sorted(people_of(served).items()):
        own = events.filter(customer_id=customer, kind="purchase")["timestamp"].to_list()
        expected.append(len({(at - first) // DAY_MS for at in own if first - 90 * DAY_MS <= at < first}))
    np.testing.assert_allclose(found.before, winsorised(np.array(expected, dtype=np.float64)))


def test_other_currencies_and_missing_prices_are_counted() -> None:
    """Only those after a first exposure, of purchases."""
    as_of = FIRST + 50 * DAY_MS
    served, events, outcomes = world(4, as_of)
    people = people_of(served)
    uncounted = [
        event
        for event in events.to_dicts()
        if event["kind"] == "purchase"
        and event["customer_id"] in people
        and people[event["customer_id"]][1] <= event["timestamp"] <= as_of
        and event["currency"] != "EUR"
    ]
    assert outcomes.uncounted == len(uncounted) > 0


def test_amounts_without_any_currency_are_one() -> None:
    """A shop that never names its currency has one."""
    served = pl.DataFrame([("ann", "a", FIRST, FIRST, 1)], schema=EXPOSURE_SCHEMA, orient="row")
    bought = ("ann", "i", "purchase", FIRST, 2.0, 5.0, None, None, None)
    outcomes = outcomes_of(
        first_exposures(served, None), pl.DataFrame([bought], schema=OUTCOME_SCHEMA, orient="row"), FIRST
    )
    assert (outcomes.currency, outcomes.uncounted) == (None, 0)
    assert values_of(outcomes, Metric.REVENUE, WINDOW).values.tolist() == [10.0]


def test_nobody_and_nothing() -> None:
    """An experiment without customers, and one whose customers do nothing."""
    nothing = pl.DataFrame(schema=OUTCOME_SCHEMA)
    for rows in ([], [("ann", "a", FIRST, FIRST, 1)]):
        served = pl.DataFrame(rows, schema=EXPOSURE_SCHEMA, orient="row")
        outcomes = outcomes_of(first_exposures(served, None), nothing, FIRST)
        for metric in Metric:
            found: Values = values_of(outcomes, metric, WINDOW)
            assert found.values.tolist() == [0.0] * (len(rows) if metric is not Metric.VALUE_90 else 0)


def test_exposures_before_the_start_are_of_another_experiment_of_that_name() -> None:
    """Who was met before and after counts from the start on."""
    rows = [("ann", "a", 5, 50, 2), ("bob", "a", 5, 9, 2), ("cid", "b", 30, 40, 2)]
    served = pl.DataFrame(rows, schema=EXPOSURE_SCHEMA, orient="row")
    people = first_exposures(served, 20)
    assert people.select("customer_id", "arm", "first").rows() == [("ann", "a", 20), ("cid", "b", 30)]


def seen_oracle(
    events: list[dict[str, Any]], arms: dict[str, str], belongs: Callable[[str], str | None]
) -> dict[str, tuple[int, int]]:
    """Shown and clicked of each customer, impression by impression."""
    found: dict[str, tuple[int, int]] = {}
    for customer, arm in arms.items():
        own = [event for event in events if event["customer_id"] == customer]
        shown = {
            (event["recommendation_id"], event["item_id"])
            for event in own
            if event["kind"] == "impression"
            and event["recommendation_id"] is not None
            and belongs(event["recommendation_id"]) == arm
        }
        clicked = {(event["recommendation_id"], event["item_id"]) for event in own if event["kind"] == "click"}
        if shown:
            found[customer] = (len(shown), len(shown & clicked))
    return found


def test_click_through_goes_by_the_token() -> None:
    """A click counts with the impression of the same answer, once; tokens of others' arms and forged ones do not."""
    rng = np.random.default_rng(5)
    tokens = {"t1": "a", "t2": "b", "t3": "a", "forged": None}
    arms = {f"c{number}": str(rng.choice(["a", "b"])) for number in range(20)}
    rows = [
        (
            f"c{rng.integers(0, 23)}", f"i{rng.integers(0, 3)}", str(rng.choice(["impression", "impression", "click"])),
            int(rng.integers(0, 100)), 1.0, None, None, str(rng.choice([*tokens, "unknown"])), None,
        )
        for _ in range(600)
    ]  # fmt: skip
    events = pl.DataFrame(
        [*rows, ("c1", "i1", "impression", 1, 1.0, None, None, None, None)], schema=OUTCOME_SCHEMA, orient="row"
    )
    people = pl.DataFrame({"customer_id": list(arms), "arm": list(arms.values())})
    found = click_through(events, people, tokens.get, 80)
    expected = seen_oracle([e for e in events.to_dicts() if e["timestamp"] <= 80], arms, tokens.get)
    assert {customer: (shown, clicked) for customer, _, shown, clicked in found.iter_rows()} == expected
    assert all(arms[customer] == arm for customer, arm, *_ in found.iter_rows())
    assert any(clicked for _, clicked in expected.values())
