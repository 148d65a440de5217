"""What comes after an item: forward more than back, more than by chance, near more than far, new more than old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.signals import EventWeights
from recsys.errors import InputError
from recsys.models.after import AfterConfig, FirstTimes, after_lists, first_times, fit_after, target_kinds
from recsys.models.item_item import ItemItem
from tests.oracles import Dense, steps_beyond
from tests.worlds import event_frame, event_table

BUY, VIEW = EventKind.PURCHASE, EventKind.VIEW
ITEMS = 6
CONFIG = AfterConfig(minimum_customers=1)
MOMENTS = st.lists(
    st.dictionaries(st.integers(0, ITEMS - 1), st.integers(0, 12), max_size=ITEMS), min_size=1, max_size=8
)
Row = tuple[str, str, EventKind, int | None]


def times_of(moments: Sequence[dict[int, int]]) -> tuple[FirstTimes, list[dict[int, tuple[int, float]]]]:
    """First times of customers, each a day per item; and the same as the oracle wants them, with clocks."""
    start, item, clock, day = [0], [], [], []
    plain: list[dict[int, tuple[int, float]]] = []
    for own in moments:
        reading = {when: place for place, when in enumerate(sorted(set(own.values())))}
        in_order = sorted(own, key=lambda each, own=own: (own[each], each))  # type: ignore[misc]
        item += in_order
        clock += [reading[own[each]] for each in in_order]
        day += [float(own[each]) for each in in_order]
        start.append(len(item))
        plain.append({each: (reading[when], float(when)) for each, when in own.items()})
    return (
        FirstTimes(
            np.array(start, dtype=np.int64),
            np.array(item, dtype=np.int32),
            np.array(clock, dtype=np.int32),
            np.array(day, dtype=np.float64),
        ),
        plain,
    )


def matrix(model: ItemItem) -> Dense:
    """The weights as a dense array."""
    return np.asarray(model.matrix().toarray(), dtype=np.float64)


def interactions_of(rows: Sequence[Row]) -> Interactions:
    """The interactions of (customer, item, kind, day)."""
    return Interactions.from_events(event_table(event_frame(rows)))


def weight(rows: Sequence[Row], one: str, other: str, config: AfterConfig = CONFIG) -> float:
    """What the first item says about the second."""
    interactions = interactions_of(rows)
    found = matrix(fit_after(interactions, EventWeights(), config, 1))
    return float(found[interactions.items.position(one), interactions.items.position(other)])


def bystanders(count: int = 30) -> list[Row]:
    """Customers who buy two other things in turn, so that chance has somewhere else to go."""
    return [
        row
        for number in range(count)
        for row in (
            (f"b{number}", f"x{number % 5}", BUY, 0),
            (f"b{number}", f"y{number % 5}", BUY, 1),
        )
    ]


@given(
    moments=MOMENTS,
    reach=st.integers(1, 4),
    gap=st.sampled_from([None, 3.0]),
    half_life=st.sampled_from([None, 5.0]),
    least=st.integers(1, 2),
)
def test_weights_are_those_of_the_equation(
    moments: list[dict[int, int]], reach: int, gap: float | None, half_life: float | None, least: int
) -> None:
    """Every weight is that of the definition written out pair by pair."""
    times, plain = times_of(moments)
    config = AfterConfig(
        reach=reach, gap_half_life_days=gap, half_life_days=half_life, minimum_customers=least, prior=0.5
    )
    wanted = steps_beyond(
        plain, ITEMS, 14.0, reach=reach, step_decay=0.7, gap_half_life=gap, half_life=half_life, least=least,
        prior=0.5, balance=0.5,
    )  # fmt: skip
    np.testing.assert_allclose(matrix(after_lists(times, 14.0, ITEMS, config, 1)), wanted, rtol=1e-5, atol=1e-6)


@given(moments=MOMENTS)
def test_no_pair_goes_both_ways(moments: list[dict[int, int]]) -> None:
    """Where Y comes after X, X does not come after Y; nothing comes after itself; lists descend and are positive."""
    model = after_lists(times_of(moments)[0], 14.0, ITEMS, CONFIG, 1)
    found = matrix(model)
    assert not ((found > 0) & (found.T > 0)).any()
    for item in range(ITEMS):
        values = model.row(item)[1]
        assert (values > 0).all()
        assert values.tolist() == sorted(values.tolist(), reverse=True)


@given(moments=MOMENTS, seed=st.integers(0, 1000))
def test_order_of_customers_does_not_matter(moments: list[dict[int, int]], seed: int) -> None:
    """Customers in another order give the same weights."""
    shuffled = [moments[place] for place in np.random.default_rng(seed).permutation(len(moments))]
    one, other = (matrix(after_lists(times_of(each)[0], 14.0, ITEMS, CONFIG, 1)) for each in (moments, shuffled))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_threads_do_not_change_a_bit() -> None:
    """One thread and three give the same bytes over more items and customers than one block has."""
    rng = np.random.default_rng(4)
    moments = [
        dict(zip(rng.choice(1500, 8, replace=False).tolist(), rng.integers(0, 50, 8).tolist(), strict=True))
        for _ in range(2000)
    ]
    times = times_of(moments)[0]
    one, three = (after_lists(times, 50.0, 1500, CONFIG, threads) for threads in (1, 3))
    assert len(one.weight) > 1000
    for name, array in one.arrays().items():
        assert array.tobytes() == three.arrays()[name].tobytes(), name


def test_the_card_comes_after_the_camera_and_not_before() -> None:
    """Twelve buy the camera, then the card, two the other way: the camera leads to the card, the card to nothing."""
    rows = bystanders()
    for number in range(14):
        first, second = ("camera", "card") if number < 12 else ("card", "camera")
        rows += [(f"u{number}", first, BUY, 0), (f"u{number}", second, BUY, 3)]
    assert weight(rows, "camera", "card") > 1
    assert weight(rows, "card", "camera") == 0


def test_what_is_bought_at_once_has_no_order() -> None:
    """A basket says nothing about what comes after what, in neither direction."""
    rows = bystanders() + [(f"u{number}", item, BUY, 0) for number in range(9) for item in ("tea", "pot")]
    assert weight(rows, "tea", "pot") == weight(rows, "pot", "tea") == 0


def test_what_everybody_buys_comes_after_nothing() -> None:
    """Bags are bought last by everybody, whatever came first; only the filter follows the machine in particular."""
    rows: list[Row] = []
    for number in range(60):
        thing = ("machine", "lamp", "chair")[number % 3]
        rows += [(f"u{number}", thing, BUY, 0), (f"u{number}", "bag", BUY, 2)]
        if thing == "machine" and number < 30:
            rows.append((f"u{number}", "filter", BUY, 2))
    found = {item: weight(rows, "machine", item) for item in ("bag", "filter")}
    assert found["filter"] > 1
    assert found["bag"] < found["filter"] / 20


def test_near_steps_weigh_more_than_far_ones() -> None:
    """The next thing bought counts 1, the one after step_decay, and beyond the reach nothing."""
    moments = [{0: 0, 1: 1, 2: 2, 3: 3}, {4: 0, 5: 1}]
    config = replace(CONFIG, reach=2, gap_half_life_days=None, half_life_days=None, prior=0.0, balance=0.0)
    found = matrix(after_lists(times_of(moments)[0], 3.0, ITEMS, config, 1))
    # Steps: 0→1, 1→2, 2→3 and 4→5 count 1; 0→2 and 1→3 count 0.7; of 5.4 in all, 1.7 leave 0 and 1 arrive at 1.
    assert found[0, 1] == pytest.approx(1 - 1.7 * 1 / 5.4)
    assert found[0, 2] == pytest.approx(0.7 - 1.7 * 1.7 / 5.4)
    assert found[0, 3] == 0


def test_slow_and_old_steps_weigh_less() -> None:
    """A step of 30 days against one of none, and one that ended 60 days ago against one of today, by the half-lives."""
    config = replace(CONFIG, prior=0.0, balance=0.0, gap_half_life_days=30.0, half_life_days=60.0)
    times, plain = times_of([{0: 70, 1: 100}, {2: 39, 3: 40}])
    found = matrix(after_lists(times, 100.0, ITEMS, config, 1))
    slow, old = 0.5, 2.0 ** (-1 / 30) * 0.5
    total = slow + old
    assert len(plain) == 2
    assert found[0, 1] == pytest.approx(slow - slow * slow / total)
    assert found[2, 3] == pytest.approx(old - old * old / total)


def test_a_coincidence_is_no_evidence() -> None:
    """Two customers are fewer than three; the third makes the pair."""
    rows = bystanders()
    for number in range(3):
        config = replace(CONFIG, minimum_customers=3)
        rows += [(f"u{number}", "kettle", BUY, 0), (f"u{number}", "tea", BUY, 1)]
        assert (weight(rows, "kettle", "tea", config) > 0) == (number == 2)


def test_buying_again_does_not_turn_the_direction() -> None:
    """Who buys milk, then cereal, then milk every week went from milk to cereal once, not from cereal to milk."""
    rows = bystanders()
    for number in range(6):
        rows += [(f"u{number}", "milk", BUY, 0), (f"u{number}", "cereal", BUY, 1)]
        rows += [(f"u{number}", "milk", BUY, day) for day in range(2, 9)]
    assert weight(rows, "milk", "cereal") > 0
    assert weight(rows, "cereal", "milk") == 0


def test_purchases_speak_where_there_are_any() -> None:
    """Views between purchases make no steps; in a shop that has views alone they do."""
    rows = bystanders()
    for number in range(6):
        rows += [(f"u{number}", "a", BUY, 0), (f"u{number}", "seen", VIEW, 1), (f"u{number}", "b", BUY, 2)]
    assert weight(rows, "a", "b") > 0
    assert weight(rows, "a", "seen") == 0
    viewed = [(customer, item, VIEW, day) for customer, item, _, day in rows]
    assert weight(viewed, "a", "seen") > 0
    assert target_kinds(interactions_of(rows), EventWeights()) == (BUY,)
    assert target_kinds(interactions_of(viewed), EventWeights()) == (VIEW,)


def test_what_went_back_or_was_refused_leads_nowhere() -> None:
    """A returned purchase and an item marked `not_interested` are no first times."""
    rows = bystanders()
    for number in range(6):
        rows += [(f"u{number}", item, BUY, day) for day, item in enumerate(("a", "b", "c"))]
        rows += [(f"u{number}", "b", EventKind.RETURN, 5), (f"u{number}", "c", EventKind.NOT_INTERESTED, 5)]
    assert weight(rows, "a", "b") == weight(rows, "a", "c") == weight(rows, "b", "c") == 0


def test_positions_order_where_times_are_unknown() -> None:
    """With positions alone the same order is found, and nothing fades."""
    rows = bystanders()
    for number in range(6):
        rows += [(f"u{number}", "camera", BUY, 0), (f"u{number}", "card", BUY, 9)]
    frame = event_frame(rows)
    placed = frame.with_columns(
        position=(pl.col("timestamp") - pl.col("timestamp").min()) // 1000, timestamp=pl.lit(None, pl.Int64)
    )
    interactions = Interactions.from_events(event_table(placed))
    assert np.isnan(first_times(interactions, EventWeights()).day).all()
    forgetful = replace(CONFIG, half_life_days=0.1, gap_half_life_days=0.1)
    one, other = (matrix(fit_after(interactions, EventWeights(), each, 1)) for each in (CONFIG, forgetful))
    camera, card = (interactions.items.position(name) for name in ("camera", "card"))
    assert one[camera, card] > one[card, camera] == 0
    np.testing.assert_array_equal(one, other)


def test_without_order_nothing_comes_after_anything() -> None:
    """No times and no positions give empty lists, not an error; so does a shop where everybody bought one thing."""
    unknown = [(customer, item, kind, None) for customer, item, kind, _ in bystanders()]
    single = [(f"u{number}", "tea", BUY, number) for number in range(5)]
    for rows in (unknown, single):
        model = fit_after(interactions_of(rows), EventWeights(), CONFIG, 1)
        assert len(model.weight) == 0
        assert set(model.indptr.tolist()) == {0}


def test_only_the_last_of_a_long_history_count() -> None:
    """With a cap of two, the first of three items leads nowhere."""
    times = times_of([{0: 0, 1: 1, 2: 2}, {3: 0, 4: 1}])[0]
    found = matrix(after_lists(times, 2.0, ITEMS, replace(CONFIG, history_cap=2), 1))
    assert found[1, 2] > 0
    assert found[0].sum() == 0


@pytest.mark.parametrize(
    "wrong", [{"kept": 0}, {"kept": 201}, {"step_decay": 1.5}, {"half_life_days": 0.0}, {"reach": 0}, {"prior": -1.0}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    """The message names the setting."""
    with pytest.raises(InputError, match=next(iter(wrong))):
        AfterConfig(**wrong)  # type: ignore[arg-type]
