"""Each protocol on histories that can be divided by hand, and what holds for any history."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.events import EventKind
from recsys.errors import InputError
from tests.training.evaluation.divided_worlds import BUY, CART, DAY, VIEW, Row, events, pairs, placed, timed
from training.evaluation.protocols import Division, Part, cut_in_time, leave_last_out, split

KINDS = [BUY, VIEW, CART]


def validation_of(division: Division) -> Part:
    """The validation, which must be there."""
    assert division.validation is not None
    return division.validation


# split


def test_split_holds_out_a_tenth_of_five_or_more() -> None:
    """Of 4 target items none is taken, of 5 to 14 one, of 15 two; views do not count as target items."""
    counts = {"four": 4, "five": 5, "fourteen": 14, "fifteen": 15}
    rows = [(name, f"i{item}", BUY, None) for name, count in counts.items() for item in range(count)]
    rows += [("four", "i9", VIEW, None)]
    taken = validation_of(split(timed(rows), timed([("five", "x", BUY, None)]), {BUY}, seed=0)).wanted
    assert dict(taken["customer_id"].value_counts().iter_rows()) == {"five": 1, "fourteen": 1, "fifteen": 2}


@pytest.mark.parametrize("frame", [timed, placed])
def test_split_takes_the_latest_where_an_order_is_known(frame: object) -> None:
    """The target item whose last target event is newest is taken, by time or by position."""
    assert callable(frame)
    rows = [("u", f"i{item}", BUY, 10 - item) for item in range(5)] + [("u", "i3", BUY, 11), ("u", "i4", VIEW, 12)]
    division = split(frame(rows), frame([("u", "x", BUY, 1)]), {BUY}, seed=0)
    assert pairs(validation_of(division).wanted) == {("u", "i3")}


def test_split_draws_by_seed_where_no_order_is_known() -> None:
    """Without times the same seed takes the same items, whatever the order of rows; other seeds take others."""
    rows = timed([(f"u{user}", f"i{item}", BUY, None) for user in range(20) for item in range(6)])
    test = timed([("u1", "x", BUY, None)])
    taken = [pairs(validation_of(split(rows, test, {BUY}, seed)).wanted) for seed in (1, 2)]
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=3)
    assert pairs(validation_of(split(shuffled, test, {BUY}, 1)).wanted) == taken[0]
    assert taken[0] != taken[1]
    assert len({item for _, item in taken[0]}) > 2


def test_split_takes_all_events_of_a_held_out_pair() -> None:
    """The held-out pair's views and carts leave what is learned from, too; other customers' events on it stay."""
    rows = [("u", f"i{item}", BUY, item) for item in range(5)]
    rows += [("u", "i4", VIEW, 0), ("u", "i4", CART, 1), ("v", "i4", VIEW, 9), ("u", "i0", VIEW, 9)]
    division = split(timed(rows), timed([("u", "x", BUY, 10)]), {BUY}, seed=0)
    assert pairs(validation_of(division).wanted) == {("u", "i4")}
    assert events(validation_of(division).rows) == {"e0", "e1", "e2", "e3", "e7", "e8"}
    assert events(division.test.rows) == {f"e{number}" for number in range(9)}


def test_split_keeps_events_without_an_item() -> None:
    """A search names no item and is nobody's held-out pair."""
    rows = timed([("u", f"i{item}", BUY, item) for item in range(5)])
    search = rows.head(1).with_columns(
        pl.lit(None, pl.String).alias("item_id"), pl.lit("search").alias("kind"), pl.lit("s").alias("event_id")
    )
    division = split(pl.concat([rows, search]), timed([("u", "x", BUY, 9)]), {BUY}, seed=0)
    assert "s" in events(validation_of(division).rows)


def test_split_s_test_is_the_target_pairs_of_the_test_file() -> None:
    """Other kinds in the test file are no test, and a pair that stands twice counts once."""
    test = timed([("u", "a", BUY, 1), ("u", "a", BUY, 2), ("u", "b", VIEW, 3), ("stranger", "a", BUY, 1)])
    division = split(timed([("u", "c", BUY, 0)]), test, {BUY}, seed=0)
    assert pairs(division.test.wanted) == {("u", "a"), ("stranger", "a")}
    assert division.validation is None
    assert division.notes == ("no customer has 5 target items: there is no validation",)


def test_split_of_strangers_is_refused() -> None:
    """A test file without a single known customer is a mistake in the ids."""
    with pytest.raises(InputError, match=r"none of the 1 customers of the test file.*--map calls customer_id"):
        split(timed([("u", "a", BUY, 1)]), timed([("U", "a", BUY, 2)]), {BUY}, seed=0)


# leave-last-out

STEPS: list[Row] = [
    ("three", "a", BUY, 1),
    ("three", "b", BUY, 2),
    ("three", "c", BUY, 3),
    ("three", "d", BUY, 3),
    ("two", "a", BUY, 1),
    ("two", "a", BUY, 5),
    ("one", "a", BUY, 4),
    ("one", "b", BUY, 4),
    ("looker", "a", VIEW, 9),
]


@pytest.mark.parametrize("frame", [timed, placed])
def test_the_last_step_is_the_test_and_the_one_before_is_validation(frame: object) -> None:
    """Three steps: one to learn from, one for validation, one test; two: no validation; one, or none: only training."""
    assert callable(frame)
    division = leave_last_out(frame(STEPS), {BUY})
    assert pairs(division.test.wanted) == {("three", "c"), ("three", "d"), ("two", "a")}
    assert events(division.test.rows) == {"e0", "e1", "e4", "e6", "e7", "e8"}
    assert pairs(validation_of(division).wanted) == {("three", "b")}
    assert events(validation_of(division).rows) == {"e0", "e4", "e6", "e7", "e8"}


def test_what_a_customer_did_at_or_after_a_held_out_step_is_not_learned_from() -> None:
    """Views at the moment of a held-out purchase, and after it, leave; those between the steps leave validation."""
    rows: list[Row] = [
        ("u", "a", BUY, 1),
        ("u", "b", VIEW, 2),
        ("u", "b", BUY, 3),
        ("u", "c", VIEW, 3),
        ("u", "c", VIEW, 4),
        ("u", "c", BUY, 5),
        ("u", "d", VIEW, 5),
        ("u", "e", VIEW, 6),
    ]
    division = leave_last_out(timed(rows), {BUY})
    assert events(division.test.rows) == {"e0", "e1", "e2", "e3", "e4"}
    assert events(validation_of(division).rows) == {"e0", "e1"}


def test_an_order_must_be_known_for_every_event() -> None:
    """With a time or position missing, the message counts them and names the option that maps the column."""
    rows = timed([*STEPS, ("u", "z", VIEW, None)])
    with pytest.raises(InputError, match=r"of 10 events 1 no timestamp, 10 no position.*--map position=COLUMN"):
        leave_last_out(rows, {BUY})


def test_single_steps_leave_no_test() -> None:
    """If nobody came twice there is nothing to foresee."""
    with pytest.raises(InputError, match="none of 2 customers has target events at two timestamps"):
        leave_last_out(timed([("u", "a", BUY, 1), ("v", "a", BUY, 1)]), {BUY})


def test_two_steps_at_most_leave_no_validation() -> None:
    """Without a third step there is a test and a note."""
    division = leave_last_out(timed([("u", "a", BUY, 1), ("u", "b", BUY, 2)]), {BUY})
    assert division.validation is None
    assert division.notes == ("no customer has three steps: there is no validation",)


# time


def test_the_validation_window_is_as_long_as_the_test_window() -> None:
    """Cut on day 20, newest purchase on day 23: the test is days 20 to 23, validation the 3 days and 1 ms before."""
    rows: list[Row] = [("u", f"i{day}", BUY, day) for day in range(24)] + [("v", "i0", VIEW, 30)]
    division = cut_in_time(timed(rows), 20 * DAY, {BUY})
    assert pairs(division.test.wanted) == {("u", f"i{day}") for day in range(20, 24)}
    assert pairs(division.test.rows) == {("u", f"i{day}") for day in range(20)}
    assert pairs(validation_of(division).wanted) == {("u", f"i{day}") for day in (17, 18, 19)}
    assert pairs(validation_of(division).rows) == {("u", f"i{day}") for day in range(17)}
    assert (division.test.until, validation_of(division).until) == (20 * DAY, 17 * DAY - 1)


def test_the_cut_itself_belongs_to_the_test() -> None:
    """An event at the cut is foreseen, one a millisecond before it is learned from."""
    rows = timed([("u", "a", BUY, 0), ("u", "b", BUY, 2), ("u", "c", BUY, 2)]).with_columns(
        pl.Series("timestamp", [0, 2 * DAY - 1, 2 * DAY])
    )
    division = cut_in_time(rows, 2 * DAY, {BUY})
    assert (pairs(division.test.rows), pairs(division.test.wanted)) == ({("u", "a"), ("u", "b")}, {("u", "c")})


def test_a_long_test_window_leaves_half_of_the_rest_to_learn_from() -> None:
    """Where the window before the cut would reach the beginning, validation takes the later half, and says so."""
    rows: list[Row] = [("u", f"i{day}", BUY, day) for day in range(100)]
    division = cut_in_time(timed(rows), 10 * DAY, {BUY})
    assert pairs(validation_of(division).rows) == {("u", f"i{day}") for day in range(5)}
    assert "validation begins at 1970-01-06T00:00:00Z" in division.notes[0]


@pytest.mark.parametrize("day", [-1, 0, 24])
def test_a_cut_outside_the_data_is_refused(day: int) -> None:
    """The message says where the data begins and ends."""
    rows = timed([("u", f"i{each}", BUY, each) for each in range(24)])
    with pytest.raises(InputError, match=r"first event \(1970-01-01T00:00:00Z\).*\(1970-01-24T00:00:00Z\)"):
        cut_in_time(rows, day * DAY, {BUY})


def test_unknown_times_are_refused() -> None:
    """A cut in time needs a time on every event."""
    with pytest.raises(InputError, match="1 of 2 events have no time"):
        cut_in_time(timed([("u", "a", BUY, 1), ("u", "b", BUY, None)]), DAY, {BUY})


def test_an_undo_after_the_cut_does_not_change_the_past() -> None:
    """What was taken back after the cut is learned from as it stood then, and is no test where it was bought later."""
    items = [("a", 1), ("b", 5), ("c", 6), ("d", 0), ("x", 7), ("x", 8)]
    rows = timed([("u", item, BUY, day) for item, day in items]).with_columns(
        pl.Series("kind", ["purchase"] * 4 + ["undo"] * 2),
        pl.Series("context", [None, None, None, None, '{"undoes": "e0"}', '{"undoes": "e2"}']),
    )
    division = cut_in_time(rows, 5 * DAY, {BUY})
    assert pairs(division.test.rows) == {("u", "a"), ("u", "d")}
    assert pairs(division.test.wanted) == {("u", "b")}


@pytest.mark.parametrize("protocol", ["split", "leave-last-out", "time"])
def test_without_a_target_event_the_kinds_that_are_there_are_named(protocol: str) -> None:
    """Predicting purchases in a file of views: the message names the kinds found and the options that help."""
    rows = timed([("u", "a", VIEW, 1), ("u", "b", VIEW, 2)])
    with pytest.raises(InputError, match=r"kinds to predict \(purchase\); it has view [12].*--target"):
        divided(protocol, rows, DAY + 1)


# any history


def divided(protocol: str, rows: pl.DataFrame, cut: int) -> Division:
    """A division by any of the protocols; for `split` every fourth row is the test file."""
    if protocol == "split":
        number = pl.int_range(pl.len()) % 4
        return split(rows.filter(number != 0), rows.filter(number == 0), {BUY}, seed=0)
    return leave_last_out(rows, {BUY}) if protocol == "leave-last-out" else cut_in_time(rows, cut, {BUY})


HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(["u", "v", "w"]), st.sampled_from("abcdefgh"), st.sampled_from(KINDS), st.integers(0, 20)
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(HISTORIES, st.integers(1, 20), st.randoms(use_true_random=False))
def test_nothing_leaks_from_the_future(rows: list[Row], day: int, random: object) -> None:
    """By time: no event to learn from is at or after the cut; by last step: none is at or after its customer's."""
    frame = timed(rows)
    for protocol in ("leave-last-out", "time"):
        try:
            division = divided(protocol, frame, day * DAY)
        except InputError:
            continue
        for part in (division.test, division.validation):
            if part is None:
                continue
            bounds = bounds_of(part, frame, protocol, division, day)
            for customer, time in part.rows.select("customer_id", "timestamp").iter_rows():
                assert time < bounds.get(customer, 21 * DAY), (protocol, customer)


def bounds_of(part: Part, frame: pl.DataFrame, protocol: str, division: Division, day: int) -> dict[str, int]:
    """When each customer's held-out events of a part begin, found the slow way."""
    if protocol == "time":
        newest = max(time for kind, time in frame.select("kind", "timestamp").iter_rows() if kind == "purchase")
        begin = min(time for time in frame["timestamp"])
        window = min(newest + 1 - day * DAY, (day * DAY - begin) // 2)
        cut = day * DAY if part is division.test else day * DAY - window
        return dict.fromkeys(frame["customer_id"], cut)
    steps: dict[str, set[int]] = defaultdict(set)
    for customer, kind, time in frame.select("customer_id", "kind", "timestamp").iter_rows():
        if kind == str(EventKind.PURCHASE):
            steps[customer].add(time)
    found = {}
    for customer, own in steps.items():
        ordered = sorted(own, reverse=True)
        if len(ordered) >= 2:
            found[customer] = ordered[0 if part is division.test or len(ordered) == 2 else 1]
    return found


@settings(max_examples=150, deadline=None)
@given(HISTORIES, st.integers(1, 20), st.sampled_from(["split", "leave-last-out", "time"]))
def test_validation_is_a_part_of_what_the_final_models_learn_from(rows: list[Row], day: int, protocol: str) -> None:
    """Validation events and what is learned from beside them are disjoint, and all of both return for the final fit."""
    frame = timed(rows)
    try:
        division = divided(protocol, frame, day * DAY)
    except InputError:
        return
    if division.validation is None:
        return
    rest, final = events(division.validation.rows), events(division.test.rows)
    assert rest < final
    assert pairs(division.validation.wanted) <= pairs(division.test.rows.filter(pl.col("kind") == "purchase"))
    held = division.test.rows.filter(~pl.col("event_id").is_in(sorted(rest)))
    assert pairs(division.validation.wanted) <= pairs(held.filter(pl.col("kind") == "purchase"))
    if protocol == "split":
        assert not pairs(division.validation.rows) & pairs(division.validation.wanted)
        assert pairs(held) == pairs(division.validation.wanted)


@settings(max_examples=100, deadline=None)
@given(HISTORIES, st.integers(1, 20), st.sampled_from(["leave-last-out", "time"]), st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(rows: list[Row], day: int, protocol: str, seed: int) -> None:
    """A shuffled history is divided alike."""
    frame = timed(rows)
    try:
        division = divided(protocol, frame, day * DAY)
    except InputError:
        return
    other = divided(protocol, frame.sample(fraction=1.0, shuffle=True, seed=seed), day * DAY)
    for one, two in ((division.test, other.test), (division.validation, other.validation)):
        assert (one is None) == (two is None)
        if one is not None and two is not None:
            assert (events(one.rows), pairs(one.wanted), one.until) == (events(two.rows), pairs(two.wanted), two.until)
