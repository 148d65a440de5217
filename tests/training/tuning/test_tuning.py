"""A whole study: the same every time, resumed, recorded, stopped, and blind to the test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from recsys.data.events import EventKind
from recsys.models.blend import BlendWeights
from tests.training.tuning.tuned_worlds import TARGET, budget_for, shelves, validation
from tests.worlds import event_frame, no_catalogue, titled
from training.evaluation.candidates import Offer
from training.evaluation.evaluating import Setting, evaluate
from training.evaluation.held_out import Repeats, Rules
from training.evaluation.protocols import Division, split
from training.fitting import SHIPPED_BLEND, TrainingConfig
from training.stages import StageLog
from training.tuning import Tuned, Validation, tune, tuning
from training.tuning import plan as planning
from training.tuning.record import FolderRecord
from training.tuning.trials import Trial, judged
from training.tuning.tuning import LEAST_CUSTOMERS

FRAME = shelves(60)
CONFIG = TrainingConfig(target_kinds=TARGET, threads=1)
TRIALS = 5


@pytest.fixture(scope="module")
def slice_() -> Validation:
    """The validation of a small shop."""
    return validation(FRAME)


@pytest.fixture(scope="module")
def budget(slice_: Validation) -> float:
    """Enough for five trials or so."""
    return budget_for(TRIALS, slice_.discovery)


@pytest.fixture(scope="module")
def once(slice_: Validation, budget: float) -> Tuned:
    """What a study without a record finds."""
    return tuned(slice_, budget)


def tuned(
    slice_: Validation, budget: float, record: FolderRecord | None = None, config: TrainingConfig = CONFIG
) -> Tuned:
    """A study that nothing stops."""
    return tune(slice_, no_catalogue(), config, budget, StageLog(), record, lambda: 0.0)


class Counted:
    """Counts the trials that are really made, and can be told to break down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made, self.breaks_after = 0, 10**6

        def counted(*asked: Any) -> Trial:
            if self.made >= self.breaks_after:
                raise KeyboardInterrupt
            self.made += 1
            return judged(*asked)

        monkeypatch.setattr(tuning, "judged", counted)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """See `Counted`."""
    return Counted(monkeypatch)


def test_a_study_finds_the_same_every_time(slice_: Validation, budget: float, once: Tuned) -> None:
    """Twice the same configuration and report, also with more threads; the plan is what was done."""
    again = tuned(slice_, budget)
    assert (again.config, again.report) == (once.config, once.report)
    more = tuned(slice_, budget, config=replace(CONFIG, threads=2))
    assert (replace(more.config, threads=1), more.report) == (once.config, once.report)
    assert once.report["trials"] == once.report["plan"]["trials"] >= TRIALS
    assert once.report["stopped"] is None
    assert once.report["started_from"] == "shipped settings"


def test_the_report_says_of_every_searched_source_why_it_has_its_weight(slice_: Validation, once: Tuned) -> None:
    """ALS, spectral, content, popularity and repeats each have a sentence that fits their weight; JSON holds it all."""
    causes = once.report["blend"]["sources"]
    assert set(causes) == set(SHIPPED_BLEND) - {"item_item"}
    for name, cause in causes.items():
        counts = any(once.config.blend.weights[name])
        assert cause.startswith("weight 0: ") != counts, name
    assert once.config.blend.at(5)["item_item"] == 1.0
    assert once.report["blend"]["after"] >= once.report["blend"]["before"]
    assert orjson.loads(orjson.dumps(once.report)) == once.report


def test_an_unchanged_study_is_not_made_again(
    slice_: Validation, budget: float, once: Tuned, tmp_path: Path, counted: Counted
) -> None:
    """With its record the second call makes no trial and gives the identical configuration and report."""
    record = FolderRecord(tmp_path)
    first = tuned(slice_, budget, record)
    made = counted.made
    assert made == first.report["trials"]
    second = tuned(slice_, budget, record)
    assert counted.made == made
    assert (second.config, second.report) == (first.config, first.report) == (once.config, once.report)
    other = tuned(slice_, budget, record, replace(CONFIG, seed=1))
    assert counted.made > made
    assert other.report["started_from"] == "the last record"


@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_study_goes_on(
    slice_: Validation, budget: float, once: Tuned, tmp_path: Path, counted: Counted, after: int
) -> None:
    """Killed after some trials, the next call makes the rest only, and finds what an uninterrupted one finds."""
    record = FolderRecord(tmp_path)
    counted.breaks_after = after
    with pytest.raises(KeyboardInterrupt):
        tuned(slice_, budget, record)
    counted.breaks_after = 10**6
    found = tuned(slice_, budget, record)
    assert counted.made == once.report["trials"]
    assert (found.config, found.report) == (once.config, once.report)


def test_changed_data_start_from_the_last_record(
    budget: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After new events the first trial has the settings that were found before, and the report says where it began."""
    record, seen = FolderRecord(tmp_path), []
    tuned(validation(FRAME), budget, record)
    key, before = record.last() or ("", None)
    assert before is not None
    settings = {**before.settings, "penalty": 9.0, "after": 0.2}
    record.finish(key, replace(before, settings=settings))

    def watched(*asked: Any) -> Trial:
        seen.append(dict(asked[0]))
        return judged(*asked)

    monkeypatch.setattr(tuning, "judged", watched)
    more = event_frame([("new", "i01", EventKind.PURCHASE, 9), ("new", "i05", EventKind.PURCHASE, 10)])
    more = more.with_columns(("new" + pl.col("event_id")).alias("event_id"))
    found = tuned(validation(pl.concat([FRAME, more.select(FRAME.columns)])), budget, record)
    assert seen[0] == settings | {"after": 0.6}  # As low as its range goes.
    assert found.report["started_from"] == "the last record"


def test_a_record_of_other_sources_is_a_start(slice_: Validation, budget: float, tmp_path: Path) -> None:
    """A source that the last study did not know starts with its shipped weight; one that is no more is forgotten."""
    record = FolderRecord(tmp_path)
    tuned(slice_, budget, record)
    _, before = record.last() or ("", None)
    assert before is not None
    weights = {name: each for name, each in before.blend.weights.items() if name != "als"} | {"gone": (1.0,) * 4}
    record.finish("another", replace(before, blend=BlendWeights(before.blend.lengths, weights)))
    found = tuned(slice_, budget, record)
    assert found.report["started_from"] == "the last record"
    assert set(found.config.blend.weights) == set(SHIPPED_BLEND)


def test_other_shipped_settings_make_another_study(slice_: Validation, budget: float, tmp_path: Path) -> None:
    """What was found beside other settings is a start, not a result."""
    record = FolderRecord(tmp_path)
    tuned(slice_, budget, record)
    changed = replace(CONFIG, als=replace(CONFIG.als, factors=16))
    assert tuned(slice_, budget, record, changed).report["started_from"] == "the last record"
    assert tuned(slice_, budget, record, replace(changed, threads=2)).report["started_from"] == "the last record"


def _ticking(ticks: int, budget: float) -> Iterator[float]:
    """A clock on which this many looks take no time, and then three budgets have gone."""
    yield from [0.0] * ticks
    while True:
        yield 3.0 * budget


@pytest.mark.parametrize("trials", [0, 1, 3])
def test_an_overrun_stops_the_study_and_is_told(slice_: Validation, budget: float, trials: int) -> None:
    """After twice the budget no trial begins; what was found until then counts, and the manifest says so."""
    clock = _ticking(trials + 1, budget)
    found = tune(slice_, no_catalogue(), CONFIG, budget, StageLog(), None, lambda: next(clock))
    assert found.report["trials"] == trials
    planned = found.report["plan"]["trials"]
    assert found.report["stopped"] == f"after 2 times the budget, with {trials} of {planned} trials"
    assert (found.report["item_item"] is None) == (trials == 0)


def test_a_budget_too_small_ships_with_the_cause(slice_: Validation, tmp_path: Path, counted: Counted) -> None:
    """Nothing is tried and nothing recorded: the configuration is the shipped one."""
    found = tuned(slice_, 0.01, FolderRecord(tmp_path))
    assert found.report == {
        "settings": "shipped",
        "cause": "a budget of 0.01 s does not suffice for data of this size",
    }
    assert replace(found.config, event_weights=CONFIG.event_weights) == CONFIG
    assert (counted.made, list(tmp_path.iterdir())) == (0, [])


def test_too_little_beside_validation_ships_with_the_cause() -> None:
    """Nobody had two items before the newest tenth: training on everything goes on, with shipped settings."""
    rows = [(f"u{user:04}", f"i{user % 9}", EventKind.PURCHASE, user % 50) for user in range(2100)]
    rows += [(f"u{user:04}", f"i{(user + 1) % 9}", EventKind.PURCHASE, 60) for user in range(233)]
    found = tuned(validation(event_frame(rows)), 60.0)
    assert found.report == {
        "settings": "shipped",
        "cause": "too little is left to learn from beside validation: "
        "0 of 2100 customers showed an interest in two or more items",
    }


@pytest.mark.parametrize("customers", [LEAST_CUSTOMERS - 1, LEAST_CUSTOMERS])
def test_a_handful_of_customers_chooses_nothing(customers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With too few validation customers every source would seem of no use: the shipped weights stay."""
    monkeypatch.setattr(planning, "MOST_TRIALS", 2)
    rows = [
        (f"u{user:02}", f"i{(user + 3 * place) % 17}", EventKind.PURCHASE, place)
        for user in range(customers)
        for place in range(6)
    ]
    found = tuned(validation(event_frame(rows)), 60.0)
    assert found.report["settings"] == ("tuned" if customers == LEAST_CUSTOMERS else "shipped")
    if customers < LEAST_CUSTOMERS:
        assert found.report["cause"] == "24 validation customers are too few to choose by: 25 are needed"


def test_the_catalogue_counts_but_not_its_order(
    slice_: Validation, budget: float, tmp_path: Path, counted: Counted
) -> None:
    """Another title makes another study; the same titles in another order do not."""
    titles = titled({f"i{item:02}": f"volume {item}" for item in range(32)})
    record, log = FolderRecord(tmp_path), StageLog()
    tune(slice_, titles, CONFIG, budget, log, record, lambda: 0.0)
    made = counted.made
    tune(slice_, titles.reverse(), CONFIG, budget, log, record, lambda: 0.0)
    assert counted.made == made
    tune(slice_, titles[1:], CONFIG, budget, log, record, lambda: 0.0)
    assert counted.made > made


def test_nothing_is_chosen_on_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the test holds, as long as training and validation are the same, the same is found."""
    monkeypatch.setattr(planning, "MOST_TRIALS", 3)
    later = shelves(60, seed=9).with_columns(pl.col("timestamp") + 1)  # else some events would be those of FRAME
    test = [later, later.with_columns(pl.lit("i03").alias("item_id"))]
    found = []
    rules = Rules(target=TARGET, visible=None, repeats=Repeats.EXCLUDE, mask=TARGET)
    nothing = pl.Series("item_id", [], dtype=pl.String)
    for wanted in test:

        def divided(wanted: pl.DataFrame = wanted) -> Division:
            return split(FRAME, wanted, TARGET, 0)

        setting = Setting(rows=FRAME, divide=divided, offer=Offer(no_catalogue(), nothing), tested=wanted)
        evaluation = evaluate([setting], rules, (10,), CONFIG, 600.0, StageLog())
        found.append(evaluation)
    one, other = found
    assert one.manifest.tuning["settings"] == "tuned"
    assert one.manifest == other.manifest
    blends = [each.models["blend"] for each in (one, other)]
    assert blends[0]
    assert blends[1]
    assert blends[0].means() != blends[1].means()
