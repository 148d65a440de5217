"""What is bought again, by whom and when: against worlds whose truth is known, and against the formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import comb

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.vocabulary import Vocabulary
from recsys.errors import InputError
from recsys.models.intervals import Spells, Tempo, fit_tempo, log_interval, shifted_means
from recsys.models.occasions import Clock, PurchaseRows, occasions_of
from recsys.models.repeat import Bought, Repeat, RepeatConfig, bought_by, category_codes, fit_repeat, spells_of
from recsys.models.shrinkage import beta_log_likelihood, fit_beta, fit_strength, shrunk
from recsys.simulation.spec import ShopSpec
from tests.simulation.simulated_shop import Shop
from tests.worlds import START, event_frame, event_table

DAY = 86_400_000
NOW = START + 400 * DAY
CONFIG = RepeatConfig()
Purchase = tuple[str, str, EventKind, int | None]


def grocer(customers: int, days: int, seed: int = 0) -> list[Purchase]:
    """Everybody buys two of ten items: m0 … m4 (milk) come back with 80 % every ten days or so, r0 … r4 (radios) never;
    each customer has a rhythm of their own."""
    rng = np.random.default_rng(seed)
    rows: list[Purchase] = []
    for number in range(customers):
        first = int(rng.integers(days))
        rows.append((f"u{number}", f"r{rng.integers(5)}", EventKind.PURCHASE, first))
        milk, rhythm, day = f"m{rng.integers(5)}", rng.normal(np.log(10), 0.5), float(first)
        while day < days:
            rows.append((f"u{number}", milk, EventKind.PURCHASE, int(day)))
            if rng.random() > 0.8:
                break
            day += max(1.0, np.exp(rng.normal(rhythm, 0.3)))
    return rows


def learned(rows: list[Purchase], categories: dict[str, str] | None = None) -> tuple[Repeat, Interactions]:
    """The model of some purchases, with a catalogue of item → category."""
    past = Interactions.from_events(event_table(event_frame(rows)))
    return fit_repeat(past, category_codes(shelf(categories or {}), past.items), CONFIG), past


def shelf(categories: dict[str, str]) -> pl.DataFrame:
    """A catalogue that says categories alone."""
    rows = [dict.fromkeys(ITEM_SCHEMA) | {"item_id": i, "category": c} for i, c in categories.items()]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def rows_of(past: Interactions) -> PurchaseRows:
    """All events as plain columns."""
    return PurchaseRows(past.row, past.item, past.kind, past.timestamp, past.position, past.quantity)


def one(item: int, elapsed: float, times: int, rhythm: float = np.nan) -> Bought:
    """One item that one customer has."""
    return Bought(np.array([item], np.int32), np.array([elapsed]), np.array([times]), np.array([rhythm]))


def test_milk_comes_back_and_radios_do_not() -> None:
    """After the first purchase the shares are those of the world, and milk takes about ten days."""
    model, past = learned(grocer(2_000, 200))
    milk = [past.items.position(f"m{n}") for n in range(5)]
    radio = [past.items.position(f"r{n}") for n in range(5)]
    np.testing.assert_allclose(model.probability[milk], 0.8, atol=0.06)
    assert np.all(model.probability[radio] < 0.01)
    np.testing.assert_allclose(np.exp(model.interval[milk]), 10, rtol=0.2)
    assert model.clock is Clock.DAYS


def test_predictions_are_calibrated_on_what_comes_later() -> None:
    """Learned up to day 200 and asked for the next 14 days, each fifth of the predictions comes true as often as it
    says, to within chance."""
    rows = grocer(6_000, 214, seed=4)
    model, past = learned([row for row in rows if row[3] is not None and row[3] < 200])
    row, had = bought_by(occasions_of(rows_of(past), model.clock, CONFIG.kinds), model.clock, START + 200 * DAY)
    later = {(customer, item) for customer, item, _, day in rows if day is not None and day >= 200}
    again = np.array(
        [(past.customers[int(u)], past.items[int(i)]) in later for u, i in zip(row, had.item, strict=True)]
    )
    predicted = model.score(had, 14)
    assert again.sum() > 300
    for part in np.array_split(np.argsort(predicted), 5):
        expected = predicted[part].sum()
        assert abs(again[part].sum() - expected) < 4 * np.sqrt(expected) + 0.15 * expected + 2
    assert stats.rankdata(predicted)[again].mean() > 1.5 * len(predicted) / 2


def test_an_item_that_nobody_bought_is_as_its_category() -> None:
    """Of two new items the one among consumables is expected back, the one among durables is not, and one without a
    category is in between."""
    rows = [*grocer(1_000, 200), *[("looker", item, EventKind.VIEW, 3) for item in ("m9", "r9", "x9")]]
    categories = {f"{kind}{n}": name for kind, name in (("m", "food"), ("r", "hi-fi")) for n in (0, 1, 2, 3, 4, 9)}
    model, past = learned(rows, categories)
    food, none, hi_fi = (float(model.probability[past.items.position(item)]) for item in ("m9", "x9", "r9"))
    assert food > 0.6
    assert hi_fi < 0.05
    assert hi_fi < none < food


def test_what_is_rated_or_bought_once_is_not_repeated() -> None:
    """Films that everybody rates once: nothing is expected again, whether ratings count as having or not."""
    rows = [(f"u{u}", f"f{f}", EventKind.RATE, u + f) for u in range(60) for f in range(u % 7, 40, 3)]
    past = Interactions.from_events(event_table(event_frame(rows)))
    nowhere = np.full(len(past.items), -1)
    for config in (CONFIG, RepeatConfig(kinds=(EventKind.RATE,))):
        model = fit_repeat(past, nowhere, config)
        had = model.bought(past.history(0), NOW)
        assert np.all(model.score(had, 365) < 0.01)
        assert len(had.item) == (0 if config is CONFIG else len(past.history(0)))


def test_books_are_durable(tmp_path: Path) -> None:
    """In the simulated bookshop, returns and all, hardly anything is expected to be bought twice."""
    shop = Shop.simulated(ShopSpec(books=300, customers=600, events=25_000, seed=2), tmp_path / "shop")
    events = shop.events.filter(pl.col("item_id").is_not_null() & (pl.col("kind") != "undo"))
    past = Interactions.from_events(event_table(events))
    model = fit_repeat(past, category_codes(shop.items, past.items), CONFIG)
    assert np.any(past.kind == EventKind.RETURN.code)
    assert model.probability.max() < 0.06
    _, had = bought_by(occasions_of(rows_of(past), model.clock, CONFIG.kinds), model.clock, int(past.timestamp.max()))
    assert model.score(had, 30).max() < 0.01


SCORED = st.tuples(
    st.floats(0.001, 0.99), st.floats(-1, 6), st.floats(0.1, 20), st.floats(0.2, 2.5), st.floats(0.1, 5)
).map(
    lambda v: Repeat(
        Clock.DAYS,
        np.array([v[0]], np.float32),
        np.array([v[1]], np.float32),
        v[2],
        Tempo(v[1], v[3], v[4]),
        30.0,
        (EventKind.PURCHASE,),
    )
)


@settings(deadline=None)
@given(SCORED, st.floats(0, 300), st.integers(1, 9), st.floats(0.5, 60), st.floats(0.5, 60))
def test_windows_add_up(model: Repeat, elapsed: float, times: int, near: float, far: float) -> None:
    """Buying within two windows is buying in the first, or not in the first but in the second."""
    rhythm = float("nan") if times == 1 else 1.5
    first, second = (
        model.score(one(0, elapsed, times, rhythm), near),
        model.score(one(0, elapsed + near, times, rhythm), far),
    )
    both = model.score(one(0, elapsed, times, rhythm), near + far)
    np.testing.assert_allclose(both, first + (1 - first) * second, atol=1e-9)
    assert 0 <= both[0] <= model.comes_back(np.zeros(1, np.int32), np.array([times]))[0] + 1e-9


@settings(deadline=None)
@given(SCORED, st.floats(0, 100), st.integers(2, 9), st.floats(-0.5, 4))
def test_the_score_is_that_of_the_formula(model: Repeat, elapsed: float, times: int, rhythm: float) -> None:
    """p·(F(d + w) − F(d)) / (1 − p·F(d)), with SciPy's log-normal distribution and the stated mean and spread."""
    m, k, tempo = float(model.probability[0]), times - 1, model.tempo
    p = (m * model.strength + k) / (model.strength + k)
    heed = k / (k + tempo.inertia)
    law = stats.lognorm(
        s=tempo.spread * np.sqrt(1 + 1 / (k + tempo.inertia)),
        scale=np.exp((1 - heed) * float(model.interval[0]) + heed * rhythm),
    )
    expected = p * (law.cdf(elapsed + 7) - law.cdf(elapsed)) / (1 - p * law.cdf(elapsed))
    np.testing.assert_allclose(model.score(one(0, elapsed, times, rhythm), 7), expected, atol=1e-9)


def test_expectation_rises_to_the_usual_time_and_fades() -> None:
    """A day after buying there is less to expect than after ten; after a year there is next to nothing."""
    model, past = learned(grocer(2_000, 200))
    milk = past.items.position("m0")
    just, due, gone = (float(model.score(one(milk, days, 1), 3)[0]) for days in (0, 7, 365))
    assert just < due
    assert gone < 0.05 * due


def test_those_who_came_back_are_expected_more() -> None:
    """The more often bought, the likelier again."""
    model, past = learned(grocer(1_000, 200))
    items = np.full(5, past.items.position("m1"), dtype=np.int32)
    assert np.all(np.diff(model.comes_back(items, np.arange(1, 6))) > 0)


def test_positions_alone_are_steps() -> None:
    """Every other basket has bread, jam comes once: on the next step bread is expected, jam is not."""
    frame = event_frame(
        [(f"u{u}", "b" if s % 2 else f"j{s}", EventKind.PURCHASE, None) for u in range(40) for s in range(9)]
    )
    frame = frame.with_columns(position=pl.int_range(pl.len()).over("customer_id") * 5)
    past = Interactions.from_events(event_table(frame))
    model = fit_repeat(past, np.full(len(past.items), -1), CONFIG)
    had = model.bought(past.history(0), NOW)
    score = dict(zip((past.items[int(item)] for item in had.item), model.score(had, 1), strict=True))
    assert model.clock is Clock.STEPS
    assert score["b"] > 0.1
    assert all(value < 0.02 for item, value in score.items() if item != "b")


def test_counts_alone_say_how_likely() -> None:
    """Without times and positions, what half of the customers bought twice is expected again, the rest is not."""
    rows = [(f"u{u}", item, EventKind.PURCHASE, None) for u in range(60) for item in ("soap", f"lamp{u % 3}")]
    rows += [(f"u{u}", "soap", EventKind.PURCHASE, None) for u in range(30)]
    model, past = learned(rows)
    assert model.clock is Clock.COUNTS
    soap = past.items.position("soap")
    np.testing.assert_allclose(model.score(one(soap, 0, 1), 30), 0.5, atol=0.03)
    lamps = [n for n in range(len(past.items)) if n != soap]
    assert model.probability[lamps].max() < 0.05


def test_a_history_scores_as_in_training() -> None:
    """What a customer has, taken from one history or from all interactions at once, is the same."""
    rows = grocer(80, 120)
    rows.append((rows[0][0], rows[0][1], EventKind.RETURN, 130))
    model, past = learned(rows)
    row, all_had = bought_by(occasions_of(rows_of(past), model.clock, CONFIG.kinds), model.clock, NOW)
    for customer in range(len(past.customers)):
        had, own = model.bought(past.history(customer), NOW), row == customer
        np.testing.assert_array_equal(had.item, all_had.item[own])
        np.testing.assert_array_equal(model.score(had, 30), model.score(all_had, 30)[own])
    returned = past.items.position(rows[0][1])
    assert returned not in model.bought(past.history(past.customers.position(rows[0][0])), NOW).item


def test_a_stored_model_is_the_same() -> None:
    """What `arrays` gives, `from_arrays` takes: all answers are equal, whatever the order of the events was."""
    rows = grocer(100, 100)
    model, _ = learned(rows)
    again = Repeat.from_arrays(model.arrays(), model.kinds)
    assert again.clock is model.clock
    assert (again.strength, again.tempo) == (model.strength, model.tempo)
    shuffled, _ = learned([rows[place] for place in np.random.default_rng(0).permutation(len(rows))])
    for name, array in model.arrays().items():
        assert again.arrays()[name].tobytes() == array.tobytes() == shuffled.arrays()[name].tobytes()


def test_no_purchase_at_all() -> None:
    """A shop of views: a model, and nothing is expected."""
    model, past = learned([(f"u{n}", "a", EventKind.VIEW, n) for n in range(5)])
    assert len(model.bought(past.history(0), NOW).item) == 0
    assert model.score(model.bought(past.history(0), NOW), 30).shape == (0,)


def test_returns_are_no_kind_to_have() -> None:
    """A return takes back; asking it to count as having is refused."""
    with pytest.raises(InputError, match="return"):
        RepeatConfig(kinds=(EventKind.RETURN,))
    with pytest.raises(InputError, match="interval_variance"):
        RepeatConfig(interval_variance=float("nan"))


def test_items_without_category() -> None:
    """Codes are equal for equal categories and -1 where there is none or no row."""
    items = Vocabulary.from_ids(["a", "b", "c", "d"])
    codes = category_codes(shelf({"a": "x", "b": "y", "c": "x", "z": "w"}), items)
    assert codes[0] == codes[2] != codes[1]
    assert codes[3] == -1
    assert category_codes(shelf({}), items).tolist() == [-1] * 4


def spells(count: int, share: float, mean: float, spread: float, seed: int, groups: int = 1) -> Spells:
    """First spells of random starts within 120 units, a share of which end, log-normally."""
    rng = np.random.default_rng(seed)
    seen = rng.integers(1, 121, count)
    length = np.ceil(np.exp(rng.normal(mean, spread, count))).astype(np.int64)
    ended = (rng.random(count) < share) & (length <= seen)
    return Spells(
        rng.integers(groups, size=count), np.ones(count, np.int64), np.full(count, np.nan),
        np.where(ended, length, seen), seen, ended,
    )  # fmt: skip


def test_intervals_cut_off_by_the_end_are_made_up_for() -> None:
    """With half of the data cut off before the usual interval, its mean is found; the plain mean is far too short."""
    data = spells(40_000, 0.6, np.log(40), 0.7, seed=1)
    tempo = fit_tempo(data)
    first = np.sqrt(1 + 1 / tempo.inertia) * tempo.spread
    assert np.exp(tempo.mean) == pytest.approx(40, rel=0.1)
    assert first == pytest.approx(0.7, abs=0.07)
    assert np.exp(log_interval(data.length[data.ended]).mean()) < 32


def test_groups_of_few_stay_near_their_parent() -> None:
    """A group of many intervals finds its own mean, one of a few moves a little, one of none stays."""
    tempo = Tempo(float(np.log(20)), 0.5, 1.0)
    spread = 0.5 * np.sqrt(2)
    parts = [(0, 2_000, 10), (1, 2_000, 40), (2, 3, 10), *((n, 50, 20) for n in range(4, 10))]
    made = [spells(count, 1.0, np.log(mean), spread, seed=group) for group, count, mean in parts]
    tens = np.full(3, 10)
    made[2] = Spells(tens, tens // 10, np.full(3, np.nan), tens, tens * 100, tens > 0)
    joined = Spells(*(np.concatenate([getattr(each, name) for each in made]) for name in Spells.__slots__))
    group = np.concatenate([np.full(count, number) for number, count, _ in parts])
    means = np.exp(shifted_means(joined, group, 10, np.full(10, tempo.mean), tempo, most_apart=9.0))
    assert means[0] == pytest.approx(10, rel=0.25)
    assert means[1] == pytest.approx(40, rel=0.25)
    assert means[1] / means[0] == pytest.approx(4, rel=0.15)
    assert 10 < means[2] < 20
    assert means[3] == pytest.approx(20)
    start = np.full(10, tempo.mean)
    np.testing.assert_array_equal(shifted_means(joined, group, 10, start, tempo, most_apart=0.0), start)


def test_rhythm_is_the_mean_of_the_log_intervals_before() -> None:
    """Bought on days 0, 3 and 10: nothing is known, then 3 days, then the mean of 3 and 7 (each half a day less)."""
    rows = [("u", "a", EventKind.PURCHASE, day) for day in (0, 3, 10)] + [("v", "b", EventKind.PURCHASE, 30)]
    past = Interactions.from_events(event_table(event_frame(rows)))
    found = spells_of(occasions_of(rows_of(past), Clock.DAYS, CONFIG.kinds), Clock.DAYS)
    expected = [np.nan, np.log(2.5), (np.log(2.5) + np.log(6.5)) / 2, np.nan]
    np.testing.assert_allclose(found.rhythm, expected)
    assert found.times.tolist() == [1, 2, 3, 1]
    assert found.length.tolist() == [3, 7, 20, 0]
    assert found.seen.tolist() == [30, 27, 20, 0]
    assert found.ended.tolist() == [True, True, False, False]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6),
    st.floats(0.05, 0.95),
    st.floats(0.5, 50),
)
def test_marginal_likelihood_is_the_beta_binomial_s(
    counts: list[tuple[int, int]], mean: float, strength: float
) -> None:
    """But for the binomial coefficients, which do not depend on mean and strength."""
    came, tried = np.array([r for r, _ in counts], float), np.array([r + more for r, more in counts], float)
    law = stats.betabinom(tried, mean * strength, (1 - mean) * strength)
    coefficients = np.log(comb(tried, came)).sum()
    np.testing.assert_allclose(
        beta_log_likelihood(came, tried, mean, strength), law.logpmf(came).sum() - coefficients, atol=1e-6
    )


def test_mean_and_strength_are_found() -> None:
    """From 3,000 groups of 20 trials the Beta distribution they came from is recovered; few trials stay near it."""
    rng = np.random.default_rng(6)
    tried = np.full(3_000, 20.0)
    came = rng.binomial(20, rng.beta(0.3 * 8, 0.7 * 8, 3_000)).astype(float)
    mean, strength = fit_beta(came, tried)
    assert mean == pytest.approx(0.3, abs=0.01)
    assert strength == pytest.approx(8, rel=0.15)
    assert fit_strength(came, tried, np.full(3_000, 0.3)) == pytest.approx(8, rel=0.15)
    np.testing.assert_allclose(shrunk(np.array([1.0]), np.array([1.0]), 0.3, 8), (0.3 * 8 + 1) / 9)
