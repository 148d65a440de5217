"""An evaluation of a shop's own store: in time, with the bundle in force, discovery and repeats apart."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from recsys.customers import rules_in
from recsys.customers.kept import refresh
from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.errors import InputError
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Service
from tests.training.evaluation.divided_worlds import DAY, rules
from tests.training.evaluation.stored_shops import (
    CUT,
    UNTOLD,
    described,
    evaluated,
    in_force,
    listed,
    shop,
    stored_rows,
)
from training.evaluation.asked import Protocol
from training.evaluation.held_out import Repeats
from training.evaluation.listing import MODELS
from training.evaluation.running import Report

AGAIN = '[placements.again]\nrepeat = "allowed"\n'


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that tests read, and copy before they change it."""
    catalogue = described(
        c00={"title": "Coming", "published": 20 * DAY},
        c01={"title": "Gone", "expires": CUT},
        c02={"title": "Sold out now", "available": True},
        fresh={"title": "Out, never bought", "published": 9 * DAY},
        planned={"title": "Not yet out", "published": 20 * DAY},
        undated={"title": "Nobody knows since when"},
    )
    return shop(tmp_path_factory.mktemp("stocked") / "shop", stored_rows(), catalogue)


@pytest.fixture
def home(stocked: Path, tmp_path: Path) -> Path:
    """The test's own copy of the shop."""
    return Path(shutil.copytree(stocked, tmp_path / "shop"))


def before_the_cut(stocked: Path, folder: Path) -> Path:
    """The same shop as it was at the cut: what happened later is in no table."""
    with closing(open_store(ShopFolder(stocked).store, create=False)) as store:
        catalogue = store.catalog.read()
    return shop(folder, stored_rows().filter(pl.col("timestamp") < CUT), catalogue)


def test_the_evaluated_lists_are_the_answers_over_http(stocked: Path, tmp_path: Path) -> None:
    """The bundle that was evaluated, published into a shop that holds the training part alone, and asked at the cut's
    clock: every customer of the test gets the evaluated list, item by item, new customers too; in both tracks."""
    found = evaluated(stocked).evaluation
    past = before_the_cut(stocked, tmp_path / "past")
    in_force(past, found.windows[0].bundle)
    PlacementRepository(ShopFolder(past).placements).publish(AGAIN, by="a test", why="to see", now=0)
    clock = FakeClock(ms=CUT)
    with Service(Settings(home=past), clock) as service:
        for repeats, placement in ((Repeats.EXCLUDE, ""), (Repeats.ONLY, "&placement=again")):
            lists = listed(found, repeats)["blend"]
            assert len(lists) >= 30
            for customer, items in lists.items():
                reply = service.get(f"/v1/customers/{customer}/recommendations?limit=10{placement}")
                assert reply.items == items, (repeats, customer)
    assert {"late0", "late1", "late2"} <= listed(found, Repeats.EXCLUDE)["blend"].keys()


def test_a_bundle_in_force_that_saw_nothing_of_the_test_is_compared(stocked: Path, tmp_path: Path) -> None:
    """Published before the cut, the evaluated bundle itself gets its own lists again, under its own name."""
    home = Path(shutil.copytree(stocked, tmp_path / "shop"))
    bundle = in_force(home, evaluated(stocked).evaluation.windows[0].bundle)
    report = evaluated(home)
    for repeats in (Repeats.EXCLUDE, Repeats.ONLY):
        lists = listed(report.evaluation, repeats)
        assert lists["production"] == lists["blend"]
    track = report.metrics["tracks"]["discovery"]
    assert track["differences"]["production"]["recall@10"]["verdict"] == "no clear difference"
    assert bundle not in json.dumps(report.metrics["notes"])


def test_a_bundle_in_force_that_saw_the_test_is_not_compared(home: Path) -> None:
    """Trained up to the end, it has no numbers; track and notes say why, and which cut would do."""
    bundle = in_force(home, evaluated(home, cut=12 * DAY).evaluation.windows[0].bundle)
    metrics = evaluated(home).metrics
    assert metrics["models"]["production"] is None
    newest = int(stored_rows().filter(pl.col("timestamp") < 12 * DAY)["timestamp"].max())  # type: ignore[arg-type]
    for told in (metrics["causes"]["production"], "".join(metrics["notes"])):
        assert f"{bundle}, has learned from events up to" in told
        assert "--cut 1970-01-12T" in told
    assert metrics["tracks"]["repeat"]["causes"]["production"] == metrics["causes"]["production"]
    assert evaluated(home, cut=newest + 1).metrics["models"]["production"] is not None


def test_every_model_is_always_in_the_table(stocked: Path) -> None:
    """Of a store also the bundle in force, with a cause where there is none."""
    metrics = evaluated(stocked).metrics
    for track in (metrics, *metrics["tracks"].values()):
        assert tuple(track["models"])[: len(MODELS)] == MODELS
        assert tuple(track["models"])[-1] == "production"
        assert track["causes"]["production"] == "no bundle was published yet"
    assert "repeat" in metrics["tracks"]["repeat"]["models"]


def test_tracks_are_asked_of_the_same_models_apart(stocked: Path) -> None:
    """What is new and what is bought again are two tests of one fit; the keys at the top are those of --repeats."""
    metrics = evaluated(stocked).metrics
    discovery, repeat = (metrics["tracks"][name] for name in ("discovery", "repeat"))
    assert (discovery["repeats"], repeat["repeats"]) == ("exclude", "only")
    assert metrics["models"] == discovery["models"]
    only = evaluated(stocked, told=rules(repeats=Repeats.ONLY)).metrics
    for name, each in repeat["models"].items():
        # Of what nobody wanted there is no number.
        assert only["models"][name] == (each and pytest.approx(each, abs=0, nan_ok=True)), name
    # Staples are bought on day 12 by all, and are the only thing that is bought again.
    assert repeat["test_pairs"] == 36
    assert repeat["models"]["repeat"]["recall@5"] > 0.9


def test_a_store_says_what_was_paid(tmp_path: Path) -> None:
    """Where the catalogue has no prices: the median of what was paid before the cut, for hits and for the whole."""
    rows = stored_rows().with_columns(
        price=pl.when(pl.col("kind") == "purchase").then(pl.when(pl.col("timestamp") < CUT).then(4.0).otherwise(900.0)),
        currency=pl.lit("EUR"),
    )
    blend = evaluated(shop(tmp_path / "shop", rows)).metrics["models"]["blend"]
    assert 0 < blend["revenue@10"] == pytest.approx(4.0 * 10 * blend["precision@10"])


def test_a_track_without_customers_says_why(tmp_path: Path) -> None:
    """Where nobody buys anything again, the repeat track is a cause and no numbers."""
    rows = stored_rows().filter(~pl.col("item_id").str.starts_with("staple"))
    metrics = evaluated(shop(tmp_path / "shop", rows)).metrics
    repeat = metrics["tracks"]["repeat"]
    assert (repeat["customers"], repeat["test_pairs"]) == (0, 0)
    assert "in the customer's training history" in repeat["cause"]
    assert "models" not in repeat
    assert metrics["windows"][0]["tracks"]["repeat"] == repeat


def test_without_words_the_newest_tenth_of_what_the_lists_predict_is_the_test(stocked: Path) -> None:
    """Neither cut nor target: purchases are found in the store, and what the shop masks is masked."""
    metrics = evaluated(stocked, cut=None, told=UNTOLD).metrics
    assert metrics["config"]["target"] == ["purchase"]
    assert set(metrics["config"]["mask"]) >= {"purchase", "rate", "return", "own"}
    (window,) = metrics["windows"]
    bought = stored_rows().filter(pl.col("kind") == "purchase")["timestamp"].sort()
    cut = int(bought[len(bought) - len(bought) // 10])
    assert window["cut"] == metrics["reproduce"]["cuts"][0]["cut"]
    assert metrics["config"]["training"]["data"]["newest"] < cut
    assert metrics["reproduce"]["cuts"][0]["cut"].startswith("1970-01-13T")


def test_rolling_windows_are_fitted_anew_and_pooled_by_customer(stocked: Path, tmp_path: Path) -> None:
    """Three windows of a day: each has its own models and numbers; together a customer counts once."""
    report = evaluated(stocked, windows=3, days=1.0, folder=tmp_path / "report")
    metrics = report.metrics
    assert [each["cut"] for each in metrics["windows"]] == [f"1970-01-{day}T00:00:00Z" for day in (11, 12, 13)]
    newest = [each.bundle.manifest.data["newest"] for each in report.evaluation.windows]
    assert all(at < CUT + number * DAY <= at + 2 * DAY for number, at in enumerate(newest))
    table = pl.read_parquet(tmp_path / "report" / "customers.parquet").filter(pl.col("model") == "blend")
    assert table["customer_id"].is_unique().all()
    assert metrics["customers"] == table.height == len({*listed_customers(report)})
    assert table["recall@10"].mean() == pytest.approx(metrics["models"]["blend"]["recall@10"], abs=1e-12)
    assert metrics["test_pairs"] == sum(each["tracks"]["discovery"]["test_pairs"] for each in metrics["windows"])
    assert all("slices" not in track for each in metrics["windows"] for track in each["tracks"].values())
    assert {check["window"] for check in metrics["checks"]["leaks"]} == {each["cut"] for each in metrics["windows"]}


def listed_customers(report: Report) -> list[str]:
    """Of all windows' discovery tracks."""
    return [who for number in range(3) for who in listed(report.evaluation, Repeats.EXCLUDE, number)["blend"]]


def test_candidates_were_there_and_could_be_shown(stocked: Path) -> None:
    """Published by the cut: competes, without an event too. Published later, or undated without an event: not. With
    dates that exclude the cut: in no list, of no model."""
    report = evaluated(stocked)
    track = report.evaluation.windows[0].tracks[Repeats.EXCLUDE]
    assert not isinstance(track, str)
    items = set(track.test.training.items)
    assert "fresh" in items
    assert not items & {"planned", "undated"}
    shown = {
        item
        for lists in listed(report.evaluation, Repeats.EXCLUDE).values()
        for each in lists.values()
        for item in each
    }
    assert not shown & {"c00", "c01"}
    assert "c02" in shown
    assert report.metrics["items"] == len(items) - 2
    assert any("2 items with earlier events were not yet published" in note for note in report.metrics["notes"])
    assert any(note.startswith("1 items of the catalogue had no event before") for note in report.metrics["notes"])


def test_a_list_of_candidates_names_what_is_undated(stocked: Path, tmp_path: Path) -> None:
    """--items adds it; what it names twice, or what the store never heard of, is refused with the ids."""
    path = tmp_path / "items.csv"
    path.write_text("item_id\nundated\nplanned\n")
    report = evaluated(stocked, items=path)
    track = report.evaluation.windows[0].tracks[Repeats.EXCLUDE]
    assert not isinstance(track, str)
    assert "undated" in track.test.training.items
    assert "planned" not in track.test.training.items
    assert any(
        note.startswith("1 of the items that --items names were published after") for note in report.metrics["notes"]
    )
    for text, message in (
        ("item_id\nundated\nfresh\nundated\n", "names 1 items more than once: 'undated'"),
        ("item_id\nundated\nmistyped\n", "1 items of the list of candidates are unknown: 'mistyped'"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            evaluated(stocked, items=path, folder=tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_what_was_taken_back_after_the_cut_stood_at_the_cut(home: Path) -> None:
    """An undo before the cut takes a purchase out of training, one after it does not; what it took back is no test."""
    at = {f"u00|{item}|purchase|{stamp}": stamp for item, stamp in stored_rows().filter(
        (pl.col("customer_id") == "u00") & (pl.col("kind") == "purchase")
    ).select("item_id", "timestamp").iter_rows()}  # fmt: skip
    early, also_early, late = (next(e for e, stamp in at.items() if stamp == day * DAY) for day in (1, 2, 11))
    undone = [(early, 5 * DAY), (also_early, 12 * DAY), (late, 12 * DAY)]
    with closing(open_store(ShopFolder(home).store, create=False)) as store:
        store.events.append(
            [
                Event(
                    event_id=f"undo|{target}", customer_id="u00", kind=EventKind.UNDO, timestamp=when,
                    context=orjson.dumps({"undoes": target}).decode(),
                )
                for target, when in undone
            ]
        )  # fmt: skip
    before, after = evaluated(home), stored_rows().filter(pl.col("timestamp") < CUT).height
    assert before.metrics["config"]["training"]["data"]["events"] == after - 1
    track = before.evaluation.windows[0].tracks[Repeats.EXCLUDE]
    assert not isinstance(track, str)
    wanted = track.test.wanted.filter(pl.col("customer_id") == "u00")["item_id"]
    assert late.split("|")[1] not in wanted
    untouched = stored_rows().filter(
        (pl.col("customer_id") == "u00") & (pl.col("kind") == "purchase") & (pl.col("timestamp") >= CUT)
    )
    had = stored_rows().filter((pl.col("customer_id") == "u00") & (pl.col("timestamp") < CUT))
    new = untouched.join(had, on="item_id", how="anti")
    assert set(wanted) == set(new["item_id"]) - {late.split("|")[1]}


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({"cut": 100 * DAY}, "--cut is 1970-04-11T00:00:00Z. Expected: a time after the first event"),
        ({"cut": DAY}, "--cut is 1970-01-02T00:00:00Z"),
        ({"cut": CUT + DAY // 2, "days": 0.25}, "nobody has a target event .purchase. from 1970-01-11T12:00:00Z"),
        ({"cut": CUT, "days": 2.0, "windows": 4}, "begins outside the data"),
        ({"cut": None, "days": 3.0, "windows": 9}, "begins outside the data"),
    ],
)
def test_windows_outside_the_data_are_refused(
    stocked: Path, tmp_path: Path, further: dict[str, Any], message: str
) -> None:
    """What lies where, and what would do; nothing is written."""
    with pytest.raises(InputError, match=message):
        evaluated(stocked, folder=tmp_path / "report", **further)
    assert not (tmp_path / "report").exists()


def test_each_customer_s_last_step_of_a_store(stocked: Path) -> None:
    """leave-last-out reads a store too; that it leaks the future across customers is the first thing it says."""
    metrics = evaluated(stocked, cut=None, protocol=Protocol.LEAVE_LAST_OUT).metrics
    assert any(note.startswith("leave-last-out leaks the future across customers") for note in metrics["notes"])
    assert metrics["windows"] == []
    assert metrics["causes"]["production"] == "no bundle was published yet"


def test_it_is_said_how_to_run_it_again(stocked: Path) -> None:
    """Beside the windows that were found: software, versions, seed and a fingerprint of all data."""
    found = evaluated(stocked, cut=None).metrics["reproduce"]
    assert set(found) == {"command", "software", "versions", "seed", "data", "cuts"}
    assert len(found["data"]) == 64
    assert {"python", "numpy", "polars", "implicit"} <= found["versions"].keys()


def test_what_models_cost_stands_beside(stocked: Path) -> None:
    """Seconds of fitting where they can be told, microseconds per list for all that made lists."""
    metrics = evaluated(stocked).metrics
    models = {name for name, each in metrics["tracks"]["repeat"]["models"].items() if each is not None}
    assert metrics["cost"].keys() == models
    assert all(each["list_microseconds"] > 0 for each in metrics["cost"].values())
    assert metrics["cost"]["blend"]["fit_seconds"] >= metrics["cost"]["als"]["fit_seconds"] > 0
    assert metrics["cost"]["popular"]["fit_seconds"] is None


def paid(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows with prices: a purchase before the cut costs 2, one from then on 50."""
    bought = pl.when(pl.col("kind") == "purchase")
    price = bought.then(pl.when(pl.col("timestamp") < CUT).then(2.0).otherwise(50.0))
    return rows.with_columns(price=price, currency=bought.then(pl.lit("EUR")))


def test_what_a_store_says_was_paid_makes_revenue(tmp_path: Path) -> None:
    """Where the catalogue has no prices an item costs what was paid for it before the cut, never what was paid in the
    test."""
    track = evaluated(shop(tmp_path / "shop", paid(stored_rows()))).metrics["tracks"]["repeat"]
    assert "revenue" not in track["not_applicable"]
    blend = track["models"]["blend"]
    assert blend["revenue@10"] > 0
    assert blend["revenue@10"] == pytest.approx(2.0 * 10 * blend["precision@10"])


def test_segments_and_tiers_are_those_of_the_cut(tmp_path: Path) -> None:
    """Groups of customers are of the moment at which lists are asked for: what a store keeps of today, and what
    happened since, is in none of them. What the shop says itself comes first."""
    home = shop(tmp_path / "shop", paid(stored_rows()))
    rules_file = '[[tiers]]\nname = "gold"\nspent = 150\n[[tiers]]\nname = "plain"\npurchases = 1\n'
    ShopFolder(home).customer_rules.write_text(rules_file)
    friends = [(who, None, '{"segment": "friend"}') for who in ("u00", "u01")]
    with closing(open_store(ShopFolder(home).store)) as store:
        store.customers.put(pl.DataFrame(friends, schema=CUSTOMER_SCHEMA, orient="row"))
        today = refresh(store, 20 * DAY, rules_in(ShopFolder(home).customer_rules)).facts.table
    assert set(today["tier"]) == {"gold", "plain"}
    slices = evaluated(home).metrics["tracks"]["discovery"]["slices"]
    found = {value: each["customers"] for value, each in slices["customer.segment"].items()}
    assert found == {"friend": 2, "new": 34, "unknown": 3}
    assert {value: each["customers"] for value, each in slices["customer.tier"].items()} == {"plain": 36, "unknown": 3}
