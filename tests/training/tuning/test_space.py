"""What is tuned, in which ranges, and for which histories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.events import EventKind
from recsys.data.signals import EventWeights
from recsys.models.item_item import ItemItemConfig
from tests.training.tuning.tuned_worlds import interactions, shelves
from tests.worlds import event_frame
from training.fitting import TrainingConfig
from training.tuning.space import (
    FADINGS,
    TIMED_FADINGS,
    Shape,
    applied,
    faded,
    fadings,
    parameters,
    presets,
    settings_of,
    shape_of,
)

RICH = Shape(ordered=True, timed=True, others=(EventKind.ADD_TO_CART, EventKind.VIEW), target=True)
SHAPES = [
    Shape(ordered, timed, others, target)
    for ordered in (False, True)
    for timed in (False, True)
    for others in ((), (EventKind.VIEW,))
    for target in (False, True)
]
CONFIG = TrainingConfig()


@given(st.sampled_from(parameters(RICH)), st.floats(0, 1))
def test_what_is_written_is_read_and_nothing_else_changes(parameter: object, share: float) -> None:
    """Every parameter reads back what was written; writing the old value again gives the old configuration."""
    each = next(one for one in parameters(RICH) if one.name == parameter.name)  # type: ignore[attr-defined]
    value = each.low + share * (each.high - each.low)
    written = each.write(CONFIG, value)
    assert each.read(written) == value
    assert each.write(written, each.read(CONFIG)) == CONFIG
    others = [one for one in parameters(RICH) if one.name != each.name]
    assert settings_of(written, tuple(others)) == settings_of(CONFIG, tuple(others))


def test_each_parameter_has_a_name_of_its_own_and_a_range() -> None:
    """Names are distinct, a range goes up, and a logarithmic one starts above 0."""
    varied = parameters(RICH)
    assert len({each.name for each in varied}) == len(varied)
    assert all(each.low < each.high for each in varied)
    assert all(each.low > 0 for each in varied if each.log)


def test_shipped_settings_lie_within_the_ranges() -> None:
    """Where tuning starts is what ships: taking the settings out and putting them in changes nothing."""
    varied = parameters(RICH)
    assert applied(CONFIG, varied, settings_of(CONFIG, varied)) == CONFIG


def test_a_configuration_outside_the_ranges_starts_at_their_border() -> None:
    """A start that no trial could propose is moved to the nearest that one could."""
    outside = replace(CONFIG, item_item=ItemItemConfig(penalty=1e6, dropout=0.9))
    start = settings_of(outside, parameters(RICH))
    assert (start["penalty"], start["dropout"]) == (200.0, 0.7)


def test_parameters_that_are_not_named_stay() -> None:
    """Settings of a last study that lack a parameter, or name one that is not varied any more, do no harm."""
    changed = applied(CONFIG, parameters(RICH), {"penalty": 3.0, "weight.share": 9.0})
    assert changed == replace(CONFIG, item_item=replace(CONFIG.item_item, penalty=3.0))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_presets_and_fadings_fit_the_shape(shape: Shape) -> None:
    """A preset names only what is varied, within its range; the first fading is none."""
    varied = {each.name: each for each in parameters(shape)}
    assert ("after" in varied) == ("before" in varied) == shape.ordered
    assert {name for name in varied if name.startswith("weight.")} == {f"weight.{kind}" for kind in shape.others}
    assert ("other_targets" in varied) == bool(shape.others and shape.target)
    for preset in presets(tuple(varied.values())):
        assert preset
        for name, value in preset.items():
            assert varied[name].low <= value <= varied[name].high, name
    looks = fadings(shape)
    assert looks[0] == (None, 1.0)
    assert len(set(looks)) == len(looks)
    assert (set(TIMED_FADINGS) <= set(looks)) == (shape.ordered and shape.timed)
    assert (set(FADINGS) <= set(looks)) == shape.ordered


def test_no_order_no_direction() -> None:
    """Neither times nor positions: neither direction nor fading is tuned."""
    frame = shelves(20).with_columns(timestamp=pl.lit(None, pl.Int64))
    assert shape_of(interactions(frame), CONFIG) == Shape(False, False, (EventKind.VIEW,), True)


def test_positions_are_an_order_without_times() -> None:
    """Where only positions are known there is a direction, but no half-life in days."""
    frame = shelves(20).with_columns(timestamp=pl.lit(None, pl.Int64), position=pl.int_range(pl.len()))
    shape = shape_of(interactions(frame), CONFIG)
    assert (shape.ordered, shape.timed) == (True, False)


def test_one_moment_per_customer_is_no_order() -> None:
    """Everything a customer has at one moment: nothing came before anything."""
    rows = [(f"u{user}", f"i{item}", EventKind.PURCHASE, user) for user in range(5) for item in range(3)]
    assert not shape_of(interactions(event_frame(rows)), CONFIG).ordered


def test_one_kind_has_no_weights() -> None:
    """With purchases alone there is nothing to weigh against them."""
    assert shape_of(interactions(shelves(20, views=False)), CONFIG).others == ()


@pytest.mark.parametrize(
    ("kind", "rows", "varied"),
    [(EventKind.CLICK, 1, False), (EventKind.CLICK, 12, True), (EventKind.NOT_INTERESTED, 60, False)],
)
def test_rare_kinds_and_those_without_taste_are_left_alone(kind: EventKind, rows: int, varied: bool) -> None:
    """A kind is varied from half a percent of all events on, if it says something of taste at all."""
    frame = event_frame(
        [(f"u{number % 50}", f"i{number % 7}", EventKind.PURCHASE, number) for number in range(1000)]
        + [(f"u{number % 50}", f"i{number % 5}", kind, number) for number in range(rows)]
    )
    assert (kind in shape_of(interactions(frame), CONFIG).others) == varied


def test_without_an_event_to_predict_there_is_no_other_target() -> None:
    """A shop of views alone, asked for purchases: views have a weight, but nothing stands beside them."""
    frame = shelves(20).filter(pl.col("kind") == "view")
    shape = shape_of(interactions(frame), CONFIG)
    assert (shape.others, shape.target) == ((EventKind.VIEW,), False)


def test_fading_multiplies_days_and_sets_steps() -> None:
    """The half-lives in days are multiplied, those that never fade stay so, and the one in steps is replaced."""
    weights = EventWeights()
    found = faded(weights, 4.0, 0.5)
    assert found.half_life_steps == 4.0
    for kind, entry in weights.kinds.items():
        days = entry.half_life_days
        assert found.kinds[kind].half_life_days == (None if days is None else days * 0.5)
        assert found.kinds[kind].weight == entry.weight
    np.testing.assert_equal(faded(weights, weights.half_life_steps, 1.0), weights)
