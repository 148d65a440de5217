"""Scores, segments and tiers."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys.customers.rules import CustomerRules, SegmentRules, Tier
from recsys.customers.segments import Segment, conditions, fifth, segment
from tests.customers.shops import bought, frame, told


@st.composite
def rules(draw: st.DrawFn) -> SegmentRules:
    """Any rules that a file may say."""
    new, more, further = draw(st.integers(0, 40)), draw(st.integers(0, 40)), draw(st.integers(1, 40))
    return SegmentRules(
        new_days=new,
        active_days=new + more,
        lost_days=new + more + further,
        loyal_purchases=draw(st.integers(2, 6)),
    )


@st.composite
def people(draw: st.DrawFn) -> dict[str, int | None]:
    """What segments are told from, of one customer."""
    frequency = draw(st.integers(0, 8))
    last, more = draw(st.integers(0, 130)), draw(st.integers(0, 130))
    score = st.one_of(st.none(), st.integers(1, 5))
    return {
        "frequency": frequency,
        "recency_days": last if frequency else None,
        "first_days": None if not frequency else last if frequency == 1 else last + more,
        "f": draw(st.integers(1, 5)) if frequency else None,
        "m": draw(score) if frequency else None,
    }


@given(st.lists(people(), min_size=1, max_size=20), rules(), st.booleans())
def test_everybody_is_in_exactly_one_segment(
    rows: list[dict[str, int | None]], said: SegmentRules, with_amounts: bool
) -> None:
    """Whatever the rules: no two conditions hold at once, and one always does."""
    schema = dict.fromkeys(("frequency", "recency_days", "first_days", "f", "m"), pl.Int64)
    table = pl.DataFrame(rows, schema=schema)
    each = table.select(holds.alias(str(name)) for name, holds in conditions(said, with_amounts=with_amounts))
    assert each.columns == [str(name) for name in Segment]
    assert each.sum_horizontal().to_list() == [1] * len(rows)
    named = table.select(segment(said, with_amounts=with_amounts).alias("segment"))["segment"]
    assert all(each[name][row] for row, name in enumerate(named))


def test_each_segment_by_hand() -> None:
    """One customer for each line of the table, among many who bought once."""
    rows = [bought(f"once{number}", 50) for number in range(20)]
    rows += [bought("new", 30), bought("once_more", 31), bought("new", 2)]
    rows += [bought("champion", days, 50.0) for days in (10, 40, 70, 99)]
    rows += [bought("loyal", days, 1.0) for days in (80, 90, 100)]
    rows += [bought("promising", days) for days in (80, 120)]
    rows += [bought("slipping", days) for days in (91, 120)]
    rows += [bought("lost", days) for days in (366, 420)]
    rows += [bought("back", 5), bought("back", 3, kind="return")]
    table = told(frame(rows)).table
    assert dict(
        table.filter(~pl.col("customer_id").str.starts_with("once")).select("customer_id", "segment").rows()
    ) == {
        "new": "new",
        "champion": "champion",
        "loyal": "loyal",
        "promising": "promising",
        "slipping": "slipping_away",
        "lost": "lost",
        "back": "prospect",
    }
    assert table.filter(pl.col("customer_id").str.starts_with("once"))["segment"].unique().to_list() == ["one_time"]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.floats(0.01, 100))
def test_scores_ask_for_order_alone(values: list[int], factor: float) -> None:
    """Equal values have equal scores, larger ones no smaller, and the unit does not matter."""
    table = pl.DataFrame({"value": [float(each) for each in values]})
    scores = table.select(fifth(pl.col("value")))["value"].to_list()
    assert table.select(fifth(pl.col("value") * factor))["value"].to_list() == scores
    by_value = sorted(zip(values, scores, strict=True))
    assert [score for _, score in by_value] == sorted(scores)
    assert len(set(by_value)) == len(set(values))
    assert set(scores) <= {1, 2, 3, 4, 5}


def test_five_customers_have_five_scores() -> None:
    """The least recent has 1, the most recent 5."""
    table = told(frame([bought(f"c{days}", days) for days in (1, 2, 3, 4, 5)])).table
    assert table["r"].to_list() == [5, 4, 3, 2, 1]


def test_the_first_tier_that_fits() -> None:
    """By what was spent and how often within the months that tiers look back; without tiers nobody is in one."""
    tiers = (Tier(name="gold", spent=100, purchases=2), Tier(name="silver", spent=20))
    rows = [bought("ann", 10, 60.0), bought("ann", 20, 60.0), bought("bob", 10, 200.0), bought("cid", 10, 5.0)]
    rows += [bought("dora", 400, 500.0), bought("dora", 3, 20.0)]
    table = told(frame(rows), rules=CustomerRules(tiers=tiers)).table
    assert table["tier"].to_list() == ["gold", "silver", None, "silver"]
    assert told(frame(rows)).table["tier"].to_list() == [None] * 4


def test_without_amounts_frequency_says_who_is_best() -> None:
    """A shop that sends no prices has champions all the same."""
    rows = [bought(f"c{number}", 50, None) for number in range(9)]
    rows += [bought("ann", days, None) for days in (5, 45, 60)]
    found = told(frame(rows))
    assert found.table.filter(customer_id="ann")["segment"].item() == "champion"
    assert not found.with_amounts
