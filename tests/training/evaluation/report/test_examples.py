"""The customers of a report are chosen by rule, and their reasons are those of the lists that were scored."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.vocabulary import UNKNOWN
from recsys.metrics.ranking import NOTHING, per_customer
from tests.training.evaluation.divided_worlds import BUY, rules, timed
from training.evaluation.baselines import first_of_order, popular_order
from training.evaluation.held_out import HeldOut, Repeats, hold_out
from training.evaluation.modelling import fit_models, rank_all
from training.evaluation.protocols import cut_in_time
from training.evaluation.report.examples import MOST, Pair, chosen, examples, movers
from training.fitting import UNTUNED, TrainingConfig
from training.stages import StageLog
from training.tuning import shipped

K = 3
CUT = 20


def divided(repeats: Repeats = Repeats.EXCLUDE) -> HeldOut:
    """Twenty customers of two tastes over sixteen items; then they go on, and two come who are new."""
    rng = np.random.default_rng(3)
    rows = [(f"u{user:02}", f"{'ab'[user % 2]}{rng.integers(8)}", BUY, day) for user in range(20) for day in range(6)]
    rows += [
        (f"u{user:02}", f"{'ab'[user % 2]}{rng.integers(8)}", BUY, CUT + day) for user in range(20) for day in range(3)
    ]
    rows += [(new, item, BUY, CUT + 1) for new in ("n0", "n1") for item in ("a1", "b2")]
    part = cut_in_time(timed(rows), CUT * 86_400_000, frozenset({BUY})).test
    return hold_out(part, rules(repeats=repeats), pl.Series("item_id", [], dtype=pl.String))


def fitted(test: HeldOut) -> ModelBundle:
    """The shipped models of the training part."""
    config = TrainingConfig(threads=1, target_kinds=frozenset({BUY}), related=None)
    return fit_models(test.training, pl.DataFrame(schema=ITEM_SCHEMA), shipped(config, UNTUNED["cause"]), StageLog())


@pytest.fixture(scope="module", params=[Repeats.EXCLUDE, Repeats.ALLOW])
def pair(request: pytest.FixtureRequest) -> tuple[Pair, ModelBundle]:
    """The blend beside what is popular, and the blend's bundle."""
    test = divided(request.param)
    bundle = fitted(test)
    lists = {
        "blend": rank_all(bundle, test.rules.placement, test.training, test.row, 5, 1, test.now),
        "popular": first_of_order(popular_order(test), test.masked, 5),
    }
    value = {name: per_customer(ranked, test.relevant, [K])[f"recall@{K}"] for name, ranked in lists.items()}
    return Pair(test, "popular", lists, f"recall@{K}", value, {"a1": "Lamp", "b2": "Clock"}), bundle


def test_winners_and_losers_are_those_of_the_numbers(pair: tuple[Pair, ModelBundle]) -> None:
    """Against a plain sort: who gains most, who loses most, nobody who does neither."""
    found = movers(pair[0])
    gain = pair[0].value["blend"] - pair[0].value["popular"]
    ids = pair[0].test.customer_ids.to_list()
    best = sorted(zip(-gain, ids, strict=True))
    assert [each.customer_id for each in found.winners] == [name for less, name in best if less < 0][:MOST]
    assert {each.customer_id for each in found.losers} <= {name for less, name in best if less > 0}
    assert len(found.losers) == min(MOST, int((gain < 0).sum()))
    assert len(found.winners) > 0
    for each in (*found.winners, *found.losers):
        assert each.blend == pair[0].value["blend"][ids.index(each.customer_id)]


def test_items_are_counted_hit_by_hit(pair: tuple[Pair, ModelBundle]) -> None:
    """How many wanted an item and found it in each list, counted one customer at a time."""
    own, found = pair[0], movers(pair[0])
    items = own.test.training.items
    wanted = {
        customer: set(own.test.wanted.filter(pl.col("customer_id") == customer)["item_id"])
        for customer in own.test.customer_ids
    }

    def finders(name: str, item: str) -> int:
        rows = zip(own.test.customer_ids, own.lists[name], strict=True)
        return sum(
            item in wanted[who] and item in {items[int(at)] for at in row[:K] if at != NOTHING} for who, row in rows
        )

    assert found.item_winners
    for each in (*found.item_winners, *found.item_losers):
        assert each.wanted == sum(each.item_id in items for items in wanted.values())
        assert (each.blend, each.other) == (finders("blend", each.item_id), finders("popular", each.item_id))
    gains = {item: finders("blend", item) - finders("popular", item) for item in items}
    assert found.item_winners[0].blend - found.item_winners[0].other == max(gains.values())


def test_examples_are_of_each_sort_and_the_same_again(pair: tuple[Pair, ModelBundle]) -> None:
    """One in the middle, one who gains most, one newcomer; asked again, the same."""
    own, bundle = pair
    rows = chosen(own)
    assert {"gains most with the blend", "a newcomer"} <= set(rows.values())
    assert own.test.row[next(row for row, why in rows.items() if why == "a newcomer")] == UNKNOWN
    gain = own.gain
    assert gain[next(row for row, why in rows.items() if why == "gains most with the blend")] == gain.max()
    assert examples(own, {"blend": bundle}) == examples(own, {"blend": bundle})


def test_an_example_shows_what_was_scored(pair: tuple[Pair, ModelBundle]) -> None:
    """Lists item by item, hits where the customer wanted the item, the newest events first."""
    own, bundle = pair
    items = own.test.training.items
    for example, row in zip(examples(own, {"blend": bundle}), chosen(own), strict=True):
        for name, shown in example.lists.items():
            assert [each.item_id for each in shown] == [items[int(at)] for at in own.lists[name][row] if at != NOTHING]
            wanted = {each.item_id for each in example.wanted}
            assert [each.hit for each in shown] == [each.item_id in wanted for each in shown]
        times = [int(each.at) for each in example.history if each.at is not None]
        assert times == sorted(times, reverse=True)
        assert bool(example.history) == (example.chosen != "a newcomer")


def test_reasons_name_the_customer_s_own_items(pair: tuple[Pair, ModelBundle]) -> None:
    """A personal item is there because of what the customer had; a newcomer's because everybody wants it."""
    own, bundle = pair
    for example in examples(own, {"blend": bundle}):
        reasons = [each.reason for each in example.lists["blend"]]
        names = {each.title or each.item_id for each in example.history}
        if example.chosen == "a newcomer":
            assert set(reasons) == {"popular with everybody"}
        else:
            assert reasons[0] is not None
            assert any(name in reasons[0] for name in names), (reasons[0], names)
        assert all(each.reason is None for each in example.lists["popular"])


def test_reasons_of_other_lists_are_refused(pair: tuple[Pair, ModelBundle]) -> None:
    """Lists that the models do not make are not explained by them."""
    own, bundle = pair
    swapped = {"blend": own.lists["popular"], "popular": own.lists["blend"]}
    with pytest.raises(ValueError, match="differ from those that were scored"):
        examples(Pair(own.test, "popular", swapped, own.metric, own.value, {}), {"blend": bundle})
