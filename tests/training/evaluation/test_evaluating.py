"""A whole evaluation, from files to the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys.data.catalog import Catalog
from recsys.data.events import EventKind
from recsys.data.importers.options import build_options
from recsys.errors import InputError, NotEnoughDataError
from recsys.metrics.ranking import NOTHING
from recsys.metrics.uncertainty import intervals
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Request
from tests.training.evaluation.divided_worlds import BUY, DAY, VIEW, Row, placed, rules, timed
from tests.worlds import START, no_catalogue
from training.evaluation.asked import Asked, Protocol, parse_ks, parse_rules
from training.evaluation.evaluating import MODELS
from training.evaluation.held_out import hold_out
from training.evaluation.inputs import parse_cut
from training.evaluation.modelling import fit_models, rank_all
from training.evaluation.protocols import Part
from training.evaluation.report import write_report
from training.evaluation.running import Report, run
from training.fitting import TrainingConfig
from training.stages import StageLog
from training.tuning import shipped

NO_ITEMS = pl.Series("item_id", [], dtype=pl.String)
OPTIONS = build_options(now=START)


def shelves(customers: int = 24) -> list[Row]:
    """Half of the customers buy crime, half gardening, a book a day, in an order of their own; all view a hit."""
    rows: list[Row] = []
    for number in range(customers):
        shelf = "c" if number % 2 == 0 else "g"
        books = np.random.default_rng(number).permutation(8)[:6]
        rows += [(f"u{number}", f"{shelf}{book}", BUY, day + 1) for day, book in enumerate(books)]
        rows.append((f"u{number}", "bestseller", VIEW, 1))
    return rows


def write(path: Path, rows: pl.DataFrame) -> Path:
    """A file in our own schema; times as text with a zone."""
    rows.with_columns(pl.col("timestamp").cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")).drop(
        "event_id"
    ).write_csv(path)
    return path


def asked(protocol: Protocol, *train: Path, **further: Any) -> Asked:
    """One evaluation with the command's defaults."""
    values: dict[str, Any] = {
        "protocol": protocol,
        "rules": rules(),
        "train": train,
        "test": None,
        "cut": None,
        "items": None,
        "ks": (1, 4),
        "options": OPTIONS,
    }
    return Asked(**(values | further))


def ran(question: Asked, folder: Path | None = None, seed: int = 0) -> Report:
    """Its report."""
    return run(question, TrainingConfig(seed=seed), folder, StageLog(), budget=0)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """The shelves as a file."""
    return write(tmp_path / "events.csv", timed(shelves()))


def test_the_report_has_every_model_and_field(history: Path, tmp_path: Path) -> None:
    """metrics.json holds each model at each k, differences of all but the blend, seconds, memory and what was asked."""
    report = ran(asked(Protocol.LEAVE_LAST_OUT, history), tmp_path / "report")
    metrics = report.metrics
    assert tuple(metrics["models"]) == MODELS
    names = {
        f"{name}@{k}" for name in ("recall", "ndcg", "hit_rate", "mrr", "precision", "map", "coverage") for k in (1, 4)
    }
    assert all(set(each) >= names for each in metrics["models"].values())
    assert set(metrics["differences"]) == set(MODELS) - {"blend"}
    assert set(metrics["differences"]["als"]["recall@4"]) == {"mean", "low", "high"}
    assert set(metrics["seconds"]) == {"read", "compile", "tune", "fit", "score"}
    assert metrics["seconds"]["fit"] > 0
    assert metrics["seconds"]["tune"] == 0
    assert metrics["peak_rss_bytes"] > 10_000_000
    assert (metrics["customers"], metrics["unknown_customers"], metrics["items"]) == (24, 0, 17)
    assert metrics["validation"] == {"customers": 24, "pairs": 24}
    assert metrics["config"]["protocol"] == "leave-last-out"
    assert (metrics["seed"], metrics["causes"], metrics["schema"]) == (0, {}, 2)


def test_tastes_are_found(history: Path) -> None:
    """Who reads crime gets crime: the blend names the missing book among four far more often than popularity does."""
    models = ran(asked(Protocol.LEAVE_LAST_OUT, history)).metrics["models"]
    assert models["blend"]["recall@4"] > models["popular"]["recall@4"] + 0.1


def test_the_table_per_customer_averages_to_the_report(history: Path, tmp_path: Path) -> None:
    """customers.parquet has a row per model and customer whose means and paired differences are the report's."""
    metrics = ran(asked(Protocol.LEAVE_LAST_OUT, history), tmp_path / "report").metrics
    table = pl.read_parquet(tmp_path / "report" / "customers.parquet")
    assert table.height == len(MODELS) * 24
    for name in MODELS:
        own = table.filter(pl.col("model") == name)
        assert own["customer_id"].to_list() == sorted(f"u{number}" for number in range(24))
        assert own["recall@4"].mean() == pytest.approx(metrics["models"][name]["recall@4"], abs=1e-12)
    blend, other = (table.filter(pl.col("model") == name)["ndcg@4"].to_numpy() for name in ("blend", "bm25"))
    difference = metrics["differences"]["bm25"]["ndcg@4"]
    assert difference["mean"] == pytest.approx(float(np.mean(blend - other)), abs=1e-12)
    (interval,) = intervals((blend - other)[:, None], seed=0)
    assert (difference["low"], difference["high"]) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_the_lists_are_the_service_s_own() -> None:
    """Every list is what the Recommender over the published models would list for that history, stranger or not."""
    train = timed(shelves())
    wanted = pl.DataFrame({"customer_id": ["stranger", "u0", "u5"], "item_id": ["new"] * 3})
    held_out = hold_out(Part(train, wanted, None), rules(), NO_ITEMS)
    bundle = fit_models(held_out.training, no_catalogue(), shipped(TrainingConfig(), ""), StageLog())
    spot = held_out.rules.placement
    for placement in (spot, *(replace(spot, sources=frozenset({name})) for name in ("als", "item_item"))):
        ranked = rank_all(bundle, placement, held_out.training, held_out.row, 20, threads=2, now=0)
        service = Recommender(bundle, placement)
        catalog = Catalog.from_items(
            pl.DataFrame(
                schema={"item_id": pl.String, "available": pl.Boolean, "published": pl.Int64, "expires": pl.Int64}
            ),
            bundle.items,
        )
        for place, row in enumerate(held_out.row):
            past = held_out.training.history(int(row)) if row >= 0 else type(held_out.training.history(0)).empty()
            answer = service.recommend(past, catalog, Request(limit=20, now=0))
            listed = [bundle.items[int(item)] for item in ranked[place] if item != NOTHING]
            assert listed == [item.item_id for item in answer.items]


def test_what_hidden_kinds_mask_is_not_listed() -> None:
    """An item that the customer viewed, where views are masked but not seen by models, is in no list."""
    train = timed([*shelves(), ("u0", "c0", VIEW, 1), ("u0", "c1", VIEW, 1), ("u0", "g1", VIEW, 1)])
    wanted = pl.DataFrame({"customer_id": ["u0"], "item_id": ["new"]})
    held_out = hold_out(Part(train, wanted, None), rules(visible=[BUY], mask=[BUY, VIEW]), NO_ITEMS)
    bundle = fit_models(held_out.training, no_catalogue(), shipped(TrainingConfig(), ""), StageLog())
    placement = held_out.rules.placement
    shown, masked = (
        {
            bundle.items[int(item)]
            for item in rank_all(bundle, placement, held_out.training, held_out.row, 30, 1, 0, hidden)[0]
            if item != NOTHING
        }
        for hidden in (None, held_out.hidden)
    )
    assert "g1" in shown
    assert masked == shown - {"c0", "c1", "g1"}


def test_an_evaluation_masks_by_kinds_that_models_may_not_see(tmp_path: Path) -> None:
    """Three views more in the mask are three items less in the only list that is long enough for all."""
    train = write(tmp_path / "train.csv", timed([*shelves(), *(("u0", item, VIEW, 1) for item in ("g1", "g2", "g3"))]))
    test = write(tmp_path / "test.csv", timed([("u0", "new", BUY, 9)]))
    listed = {}
    for mask in ((BUY,), (BUY, VIEW)):
        question = asked(Protocol.SPLIT, train, test=test, rules=rules(visible=[BUY], mask=mask), ks=(30,))
        metrics = ran(question).metrics
        listed[mask] = {name: each["coverage@30"] * metrics["items"] for name, each in metrics["models"].items()}
    for name in ("blend", "als", "popular", "personal_top"):
        assert listed[(BUY,)][name] - listed[(BUY, VIEW)][name] == pytest.approx(3), name


def test_the_final_fit_takes_validation_back(history: Path, tmp_path: Path) -> None:
    """What the manifest says was learned from is all of the training part, validation included."""
    metrics = ran(asked(Protocol.TIME, history, cut="1970-01-06T00:00:00Z")).metrics
    before = timed(shelves()).filter(pl.col("timestamp") < 5 * DAY)
    assert metrics["validation"]["pairs"] > 0
    assert metrics["config"]["training"]["data"]["events"] == before.height


def test_strangers_get_popular_items_and_are_counted(history: Path, tmp_path: Path) -> None:
    """A customer who is only in the test file is scored with the fallback, and reported as unknown."""
    test = write(tmp_path / "test.csv", timed([("u0", "g1", BUY, 9), ("stranger", "c1", BUY, 9)]))
    report = ran(asked(Protocol.SPLIT, history, test=test, ks=(17,)))
    assert (report.metrics["customers"], report.metrics["unknown_customers"]) == (2, 1)
    assert report.evaluation.known.to_list() == [False, True]
    blend = report.evaluation.models["blend"]
    assert blend is not None
    assert blend.each["recall@17"].tolist() == [1.0, 1.0]


def test_a_model_that_the_data_does_not_allow_is_null_with_its_cause(tmp_path: Path) -> None:
    """Positions instead of times: no popular_7d, and no difference to it."""
    rows = placed(shelves())
    path = tmp_path / "events.parquet"
    rows.write_parquet(path)
    metrics = ran(asked(Protocol.LEAVE_LAST_OUT, path)).metrics
    assert metrics["models"]["popular_7d"] is None
    assert metrics["causes"] == {"popular_7d": "times are unknown"}
    assert "popular_7d" not in metrics["differences"]


def test_purchases_that_models_may_not_see_leave_no_popular_purchases(history: Path) -> None:
    """With views alone the models that count purchases are null; the others are scored on the same test."""
    rows = [*shelves(), *((f"u{n}", f"c{n % 5}", VIEW, 1) for n in range(24))]
    metrics = ran(asked(Protocol.LEAVE_LAST_OUT, write(history, timed(rows)), rules=rules(visible=[VIEW]))).metrics
    assert {name for name, each in metrics["models"].items() if each is None} == {
        "popular", "popular_7d", "personal_top",
    }  # fmt: skip
    assert metrics["customers"] == 24


def test_the_same_seed_gives_the_same_report(history: Path) -> None:
    """Two runs differ in seconds and memory alone; another seed resamples otherwise."""

    def stable(report: Report) -> dict[str, Any]:
        measured = ("seconds", "peak_rss_bytes", "cost")
        return {name: value for name, value in report.metrics.items() if name not in measured}

    question = asked(Protocol.LEAVE_LAST_OUT, history)
    first = ran(question)
    assert stable(first) == stable(ran(question))
    assert first.metrics["differences"] != ran(question, seed=1).metrics["differences"]


def test_a_test_file_needs_neither_kinds_nor_times(history: Path, tmp_path: Path) -> None:
    """Where the training file says the kind and the test file does not, a row of the test file is a target event."""
    renamed = tmp_path / "train.csv"
    pl.read_csv(history).rename({"customer_id": "user", "item_id": "item", "kind": "did"}).write_csv(renamed)
    test = tmp_path / "test.csv"
    test.write_text("user,item\nu0,g1\n")
    for event in (None, "purchase"):
        options = build_options(now=START, columns="customer_id=user,item_id=item,kind=did", event=event)
        metrics = ran(asked(Protocol.SPLIT, renamed, test=test, options=options)).metrics
        assert (metrics["customers"], metrics["test_pairs"]) == (1, 1)
        assert metrics["config"]["training"]["data"]["kinds"] == {"view": 24, "purchase": 144}


def test_a_mistyped_column_of_the_training_file_is_an_error(history: Path, tmp_path: Path) -> None:
    """Only the test file may lack a mapped column."""
    options = build_options(now=START, columns="timestamp=wehn")
    with pytest.raises(InputError, match="has no column 'wehn'"):
        ran(asked(Protocol.SPLIT, history, test=history, options=options))


def test_two_training_files_are_one_history(history: Path, tmp_path: Path) -> None:
    """A file given twice counts once; two halves are the whole."""
    frame = pl.read_csv(history)
    halves = (tmp_path / "one.csv", tmp_path / "two.csv")
    frame.head(80).write_csv(halves[0])
    frame.tail(-80).write_csv(halves[1])
    models = [
        ran(asked(Protocol.LEAVE_LAST_OUT, *files)).metrics["models"]
        for files in ((history,), (history, history), halves)
    ]
    assert models[0] == models[1] == models[2]


def test_items_of_a_catalogue_are_candidates(history: Path, tmp_path: Path) -> None:
    """A file of items adds to the candidates what has no events."""
    items = tmp_path / "items.csv"
    items.write_text("item_id,title\nc0,Known\nbrand-new,Unknown\n")
    assert ran(asked(Protocol.LEAVE_LAST_OUT, history, items=items)).metrics["items"] == 18


def test_an_existing_folder_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """A report never replaces another; the files are not even looked for."""
    (tmp_path / "report").mkdir()
    with pytest.raises(InputError, match=r"report exists already.*name another"):
        ran(asked(Protocol.LEAVE_LAST_OUT, tmp_path / "missing.csv"), tmp_path / "report")


def test_a_folder_that_appears_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody makes the folder while the report is being written: it stays empty, and nothing else is left."""
    folder = tmp_path / "report"
    monkeypatch.setattr(pl.DataFrame, "write_parquet", lambda _frame, _path: folder.mkdir())
    with pytest.raises(InputError, match="exists already"):
        write_report(folder, {}, pl.DataFrame())
    assert (list(tmp_path.iterdir()), list(folder.iterdir())) == ([folder], [])


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    """Too little data: the error says so and neither the report nor a half of it is there."""
    path = write(tmp_path / "events.csv", timed([("u", "a", BUY, 1), ("u", "b", BUY, 2)]))
    with pytest.raises(NotEnoughDataError):
        ran(asked(Protocol.LEAVE_LAST_OUT, path), tmp_path / "report")
    assert [each.name for each in tmp_path.iterdir()] == ["events.csv"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"repeats": "allow", "mask": "view"}, "--mask with --repeats allow"),
        ({"repeats": "only", "mask": "view"}, "--mask with --repeats only"),
        ({"repeats": "maybe"}, "--repeats is 'maybe'. Expected: one of exclude, allow, only"),
        ({"target": "buy"}, "--target is 'buy'. Expected: one of view, search"),
        ({"kinds": "purchase,seen"}, "--kinds is 'seen'"),
        ({"mask": "had"}, "--mask is 'had'"),
        ({"target": " , "}, "--target names no kind"),
    ],
)
def test_rules_that_cannot_be(words: dict[str, str], message: str) -> None:
    """Each names the option, what was found and what fits."""
    with pytest.raises(InputError) as error:
        parse_rules(**({"target": "purchase", "kinds": "", "repeats": "exclude", "mask": ""} | words))
    assert str(error.value).startswith(message)


def test_rules_have_their_defaults() -> None:
    """The mask is the target, and models see everything."""
    found = parse_rules("purchase,like", "", "exclude", "")
    assert found == rules(target=[BUY, EventKind.LIKE])
    assert parse_rules("purchase", "view", "exclude", "view,like").mask == {VIEW, EventKind.LIKE}


@pytest.mark.parametrize("text", ["", "0", "ten", "10;20", "-1", "1.5", "1001", "1000000000"])
def test_places_are_whole_numbers(text: str) -> None:
    """Anything else is refused, and so are more places than anybody looks at, which would take all memory."""
    with pytest.raises(InputError, match="--k is"):
        parse_ks(text)
    assert parse_ks("20, 10,20") == (10, 20)


@pytest.mark.parametrize(
    ("protocol", "further", "message"),
    [
        (Protocol.SPLIT, {}, "the protocol is split, and --test is missing"),
        (Protocol.SPLIT, {"test": Path("t"), "days": 7.0}, "--days is given"),
        (Protocol.TIME, {"days": 0.0}, "--days is 0"),
        (Protocol.TIME, {"windows": 0}, "--windows is 0"),
        (Protocol.TIME, {"home": Path("shop")}, "files to train on and a shop"),
        (Protocol.TIME, {"cut": "2024-05-01T00:00:00Z", "test": Path("t")}, "--test is given"),
        (Protocol.LEAVE_LAST_OUT, {"cut": "2024-05-01T00:00:00Z"}, "--cut is given"),
    ],
)
def test_each_protocol_has_its_own_options(protocol: Protocol, further: dict[str, Any], message: str) -> None:
    """An option that is missing, or that another protocol has, is an error and not ignored."""
    with pytest.raises(InputError, match=message):
        asked(protocol, Path("train.csv"), **further)


def test_the_cut_is_a_time_in_any_form() -> None:
    """The same moment with a zone, in --timezone, and as a number; --time-unit is about numbers alone."""
    moment = 1_288_569_600_000
    in_paris, in_seconds = (build_options(now=START, timezone="Europe/Paris"), build_options(now=START, time_unit="s"))
    for text, options in (
        ("2010-11-01T00:00:00Z", OPTIONS),
        ("2010-11-01T00:00:00Z", in_seconds),
        ("2010-11-01 01:00", in_paris),
        ("1288569600", in_seconds),
        ("1288569600", OPTIONS),
        ("1288569600000", OPTIONS),
    ):
        assert parse_cut(text, options) == moment


def test_a_cut_that_is_no_time_is_refused() -> None:
    """A time without a zone, and what is no time at all, get a message with what would do."""
    for text, message in (("2010-11-01", "name no time zone.*--timezone"), ("yesterday", "--cut is 'yesterday'")):
        with pytest.raises(InputError, match=message):
            parse_cut(text, OPTIONS)
