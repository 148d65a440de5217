"""Each way in which models could see what they have to foresee is planted once and found; and nothing of what happens
after the cut reaches a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from recsys.data.events import EventKind
from recsys.errors import LeakError
from tests.training.evaluation.divided_worlds import BUY, DAY, rules, timed
from tests.training.evaluation.stored_shops import CUT, as_events, described, evaluated, listed, shop, stored_rows
from training.evaluation import evaluating, leaks
from training.evaluation.candidates import Offer
from training.evaluation.held_out import Repeats, to_learn
from training.evaluation.leaks import LeakCheck, after_fitting, before_fitting, refuse
from training.evaluation.modelling import fit_models
from training.evaluation.protocols import Division, Part, cut_in_time, leave_last_out, split
from training.evaluation.results import Setting
from training.evaluation.windows import Window
from training.fitting import TrainingConfig
from training.stages import StageLog
from training.tuning import Tuned, shipped

ROWS = stored_rows()
UNTIL = 14 * DAY
WINDOW = Window(CUT, UNTIL)
NOTHING = pl.Series("item_id", [], dtype=pl.String)
CATALOGUE = described(c00={"title": "A title"}, planned={"title": "Later", "published": 12 * DAY})
TARGET = frozenset({EventKind.PURCHASE})


def in_time() -> Division:
    """The honest division."""
    return cut_in_time(ROWS, CUT, TARGET, UNTIL)


def setting(division: Division, **changed: object) -> Setting:
    """What an evaluation in time is handed."""
    own = Setting(rows=ROWS, divide=lambda: division, offer=Offer(CATALOGUE, NOTHING, CUT), window=WINDOW)
    return replace(own, **changed)  # type: ignore[arg-type]


def failed(checks: tuple[LeakCheck, ...]) -> list[str]:
    """The names of what did not pass."""
    return [check.name for check in checks if not check.passed]


def checked(division: Division, further: pl.Series = NOTHING, **changed: object) -> list[str]:
    """The names of the checks before fitting that the division fails."""
    training = to_learn(division.test, rules(), further)
    return failed(before_fitting(setting(division, **changed), division, training))


def with_test(division: Division, **changed: object) -> Division:
    """With another test part."""
    return replace(division, test=replace(division.test, **changed))  # type: ignore[arg-type]


def test_an_honest_division_passes() -> None:
    """Every check is made, and passes; nothing is raised."""
    division = in_time()
    assert division.validation is not None
    checks = before_fitting(setting(division), division, to_learn(division.test, rules(), NOTHING))
    assert len(checks) == 5
    assert failed(checks) == []
    refuse(checks)


def late_rows() -> Division:
    """One event at the very cut is learned from."""
    return with_test(in_time(), rows=ROWS.filter(pl.col("timestamp") <= CUT + 1))


def early_test() -> Division:
    """A pair that has an event before the cut alone is in the test."""
    division = in_time()
    early = ROWS.filter((pl.col("timestamp") < CUT) & (pl.col("customer_id") == "u00")).head(1)
    wanted = pl.concat([division.test.wanted, early.select("customer_id", "item_id")])
    return with_test(division, wanted=wanted)


def late_validation() -> Division:
    """What happens after the cut is foreseen in validation."""
    division = in_time()
    assert division.validation is not None
    return replace(division, validation=replace(division.validation, wanted=division.test.wanted))


def blind_validation() -> Division:
    """Models of validation see what validation asks."""
    division = in_time()
    assert division.validation is not None
    return replace(division, validation=replace(division.validation, rows=division.test.rows))


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (late_rows, "training ends before the cut"),
        (early_test, "the test lies within the window"),
        (late_validation, "validation lies before the cut"),
        (blind_validation, "validation lies before the cut"),
    ],
)
def test_a_division_that_leaks_in_time_is_found(plant: Callable[[], Division], found: str) -> None:
    """One fault, one check; and the evaluation stops with what was found."""
    division = plant()
    assert found in checked(division)
    with pytest.raises(LeakError, match=f"the evaluation leaks: .*{found}"):
        refuse(before_fitting(setting(division), division, to_learn(division.test, rules(), NOTHING)))


@pytest.mark.parametrize(
    ("item", "catalogue", "named", "passes"),
    [
        ("nowhere", CATALOGUE, False, False),
        ("planned", CATALOGUE, False, False),
        ("planned", CATALOGUE, True, False),
        ("nowhere", CATALOGUE, True, True),
        ("planned", described(planned={"published": CUT}), False, True),
    ],
)
def test_candidates_that_were_not_there_are_found(
    item: str, catalogue: pl.DataFrame, named: bool, passes: bool
) -> None:
    """Without an event before the cut an item was published by then, or is named and not known to have come later."""
    further = pl.Series("item_id", [item])
    offer = Offer(catalogue, further if named else NOTHING, CUT)
    assert ("candidates existed" in checked(in_time(), further, offer=offer)) is not passes


def test_an_item_of_the_future_that_is_bought_later_is_no_candidate() -> None:
    """First seen after the cut: found, though the whole history knows it."""
    later = as_events([("u00", "brand-new", BUY, CUT + 5, None)])
    rows = pl.concat([ROWS, later])
    division = cut_in_time(rows, CUT, TARGET, UNTIL)
    assert checked(division, pl.Series("item_id", ["brand-new"]), rows=rows) == ["candidates existed"]


def test_rows_of_items_that_do_not_compete_are_found() -> None:
    """Models are told of candidates alone."""
    division = in_time()
    training = to_learn(division.test, rules(), NOTHING)

    class Everything(Offer):
        def of(self, training: object) -> pl.DataFrame:
            return self.catalogue

    own = setting(division, offer=Everything(CATALOGUE, NOTHING, CUT))
    assert failed(before_fitting(own, division, training)) == ["only candidates are described"]


def test_the_same_event_in_both_files_is_found() -> None:
    """Of `split`: an event of the test that is trained on; where times are unknown a repeat is no leak."""
    train = timed([("a", "x", BUY, 1), ("a", "y", BUY, 2), ("b", "x", BUY, 1)])
    for test, found in (
        (timed([("a", "y", BUY, 2), ("a", "z", BUY, 3)]), ["test events are not trained on"]),
        (timed([("a", "y", BUY, 3), ("a", "z", BUY, None)]), []),
    ):
        division = split(train, test, TARGET, 0)
        own = Setting(rows=train, divide=lambda: division, offer=Offer(CATALOGUE, NOTHING), tested=test)  # noqa: B023
        assert failed(before_fitting(own, division, to_learn(division.test, rules(), NOTHING))) == found


def test_a_customer_s_own_future_is_found() -> None:
    """Of leave-last-out: one event of one customer at the held-out step is learned from."""
    rows = timed([(who, item, BUY, day) for who in "ab" for day, item in enumerate("wxyz", start=1)])
    division = leave_last_out(rows, TARGET)
    own = Setting(rows=rows, divide=lambda: division, offer=Offer(CATALOGUE, NOTHING))
    honest = to_learn(division.test, rules(), NOTHING)
    assert failed(before_fitting(own, division, honest)) == []
    at_step = rows.filter((pl.col("customer_id") == "a") & (pl.col("item_id") == "z"))
    leaky = with_test(division, rows=pl.concat([division.test.rows, at_step]))
    assert failed(before_fitting(own, leaky, honest)) == ["each customer's test lies after their training"]


def test_leave_last_out_says_how_much_of_the_future_it_lets_through() -> None:
    """Of what is learned from, the share that came when the first test item was already bought."""
    rows = timed(
        [
            ("early", "x", BUY, 1),
            ("early", "y", BUY, 2),
            ("late", "x", BUY, 5),
            ("late", "y", BUY, 6),
            ("late", "z", BUY, 7),
        ]
    )
    division = leave_last_out(rows, TARGET)
    assert "67% of what is learned from" in leaks.future_across_customers(rows, division.test)


def tuned_on_a_record(tuned: Tuned) -> Tuned:
    """Settings that another study started."""
    return replace(tuned, report={"settings": "tuned", "started_from": "the last record"})


def test_features_of_all_data_are_found() -> None:
    """Models of the whole history, its ratings' range, its popularity or its settings: each is told from those of the
    training part."""
    division = in_time()
    own, training = setting(division), to_learn(division.test, rules(), NOTHING)
    everything = to_learn(Part(ROWS, division.test.wanted, None), rules(), NOTHING)
    config = TrainingConfig(target_kinds=TARGET)
    honest = fit_models(training, CATALOGUE, shipped(config, ""), StageLog())
    assert failed(after_fitting(own, training, honest)) == []
    whole = fit_models(everything, CATALOGUE, shipped(config, ""), StageLog())
    assert "models were fitted on the training part" in failed(after_fitting(own, training, whole))
    assert "popularity is the training part's" in failed(after_fitting(own, training, whole))
    weights = replace(honest.manifest.event_weights, rating_scale=(0.0, 9.0))
    scaled = replace(honest, manifest=replace(honest.manifest, event_weights=weights))
    assert "the rating scale is the training part's" in failed(after_fitting(own, training, scaled))
    recorded = fit_models(training, CATALOGUE, tuned_on_a_record(shipped(config, "")), StageLog())
    assert failed(after_fitting(own, training, recorded)) == ["settings come from the training part"]


def test_an_evaluation_that_leaks_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run stops before anything is fitted, and there is no folder."""
    home = shop(tmp_path / "shop", ROWS)
    honest = to_learn

    def leaky(part: Part, own: object, further: pl.Series) -> object:
        return honest(replace(part, rows=ROWS), own, further)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluating, "to_learn", leaky)
    monkeypatch.setattr(evaluating, "fit_models", lambda *_: pytest.fail("it was fitted"))
    with pytest.raises(LeakError, match="training ends before the cut"):
        evaluated(home, folder=tmp_path / "report")
    assert not (tmp_path / "report").exists()


def other_futures() -> list[pl.DataFrame]:
    """The same history up to the cut, and something else after it: other purchases, other ratings, new items, somebody
    who buys one thing a thousand times, a purchase after all others. The same customers are there."""
    past, future = ROWS.filter(pl.col("timestamp") < CUT), ROWS.filter(pl.col("timestamp") >= CUT)
    shuffled = future.with_columns(pl.col("item_id").shuffle(seed=1))
    rated = future.with_columns(pl.when(pl.col("rating").is_not_null()).then(99.0).alias("rating"))
    new = future.with_columns(pl.format("new-{}", "item_id").alias("item_id"))
    busy = as_events([("late0", "c05", BUY, CUT + number, None) for number in range(1000)])
    longer = pl.concat([future, as_events([("late0", "c05", BUY, CUT + 4 * DAY - 1, None)])])
    return [pl.concat([past, each]) for each in (shuffled, rated, new, pl.concat([future, busy]), longer)]


def test_what_happens_after_the_cut_changes_no_list(tmp_path: Path) -> None:
    """Every model, both tracks: whoever is asked about in both histories gets the same list in both; and validation is
    the same."""
    found = [
        evaluated(shop(tmp_path / f"shop{number}", rows), days=4.0)
        for number, rows in enumerate([ROWS, *other_futures()])
    ]
    first = found[0]
    compared = 0
    for other in found[1:]:
        for repeats in (Repeats.EXCLUDE, Repeats.ONLY):
            if isinstance(other.evaluation.windows[0].tracks[repeats], str):
                continue
            own, theirs = listed(first.evaluation, repeats), listed(other.evaluation, repeats)
            assert own.keys() == theirs.keys()
            for name, lists in own.items():
                for customer in lists.keys() & theirs[name].keys():
                    assert lists[customer] == theirs[name][customer], (name, customer)
                    compared += 1
    assert compared > 1_000
    divisions = [cut_in_time(rows, CUT, TARGET, CUT + 4 * DAY) for rows in (ROWS, *other_futures())]
    for each in divisions[1:]:
        for part, own_part in ((each.test, divisions[0].test), (each.validation, divisions[0].validation)):
            assert part is not None
            assert own_part is not None
            assert part.rows.drop("event_id").equals(own_part.rows.drop("event_id"))
            if part is each.validation:
                assert part.wanted.equals(own_part.wanted)
