"""What `bookmatch experiments` says of an experiment in the simulated shop, from the file to the verdict."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from recsys.data.events import EVENT_SCHEMA
from recsys.experiments import Experiment
from recsys.experiments.assignment import drawn
from recsys.outcomes.exposure import DAY_MS, ArmAnswers, Exposure
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from recsys.simulation.folder import write_shop
from recsys.simulation.spec import ShopSpec
from recsys.stores import open_store
from serving.http.tokens import AnswerIdentity, RecommendationTokens
from tests.cli.conftest import Terminal

STARTS = int(datetime(2026, 8, 1, tzinfo=UTC).timestamp() * 1000)
AS_OF = "2026-10-31"
FILE = """
[placements.home]
[placements.home-bold]
[experiments.winter]
placement = "home"
starts = 2026-08-01
ends = 2026-09-30
smallest_lift = 0.2
window_days = 60
holdout = 0.1
arms = {{ control = {{ placement = "home", weight = {weight} }}, bolder = {{ placement = "home-bold" }} }}
"""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The events of a simulated shop."""
    folder = tmp_path_factory.mktemp("simulated") / "shop"
    write_shop(ShopSpec(books=300, customers=3_000, events=60_000, days=300, seed=5), folder)
    return pl.read_parquet(sorted(folder.glob("events-*.parquet")))


def event_rows(simulated: pl.DataFrame) -> pl.DataFrame:
    """As a store takes them."""
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENT_SCHEMA.items() if name not in simulated]
    return simulated.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in EVENT_SCHEMA.items())


class Run:
    """A shop with an experiment that ran; what was bought in `bolder` besides is a true effect."""

    def __init__(self, home: Path, simulated: pl.DataFrame, more: float = 0.0, weight: float = 1.0) -> None:
        shop = ShopFolder(home)
        self.home = home
        repository = PlacementRepository(shop.placements)
        repository.publish(FILE.format(weight=1), by="ann", why="test", now=STARTS)
        (self.experiment,) = repository.current().experiments
        if weight != 1:
            repository.publish(FILE.format(weight=weight), by="ann", why="test", now=STARTS)
        rng = np.random.default_rng(3)
        rows = event_rows(simulated).with_columns(pl.col("timestamp").cast(pl.Int64))
        with closing(open_store(shop.store)) as store:
            store.events.ingest(rows)
            customers = sorted(rows["customer_id"].unique())
            first = {each: STARTS + int(rng.integers(0, 20 * DAY_MS)) for each in customers}
            arms = {each: drawn(self.experiment, each).name for each in customers}
            store.exposures.record([Exposure("winter", arms[each], each, first[each]) for each in customers])
            slow = {"control": 0.001, "holdout": 0.009, "bolder": 0.002}
            store.exposures.record(
                [],
                [
                    ArmAnswers("winter", arm, STARTS // DAY_MS, 9_000, 90, 9_000 * s, 18_000 * s * s)
                    for arm, s in slow.items()
                ],
            )
            added = [
                {"event_id": f"more-{each}-{n}", "customer_id": each, "item_id": "i", "kind": "purchase",
                 "timestamp": first[each] + int(rng.integers(0, 40 * DAY_MS)), "quantity": 1.0, "price": 10.0,
                 "currency": "EUR"}
                for each in customers if arms[each] == "bolder" for n in range(rng.poisson(more))
            ]  # fmt: skip
            if added:
                store.events.ingest(pl.DataFrame(added, schema=EVENT_SCHEMA))
            self.tokens = RecommendationTokens(store.secret())

    def seen(self, customer: str, arm: str, clicked: bool) -> list[dict[str, Any]]:
        """An impression, and perhaps its click, of an answer of this arm."""
        token = self.tokens.sign(AnswerIdentity("b", "home", self.experiment.label(arm), customer, STARTS))
        about = {"customer_id": customer, "item_id": "i", "timestamp": STARTS + 25 * DAY_MS, "recommendation_id": token}
        kinds = ["impression", "click"] if clicked else ["impression"]
        return [about | {"event_id": f"{kind}-{customer}", "kind": kind, "quantity": 1.0} for kind in kinds]


def told(terminal: Terminal, home: Path) -> dict[str, Any]:
    """The report, as programs read it."""
    code, out, err = terminal("experiments", "report", "winter", "--home", str(home), "--as-of", AS_OF, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = orjson.loads(out)
    return found


def metric(report: dict[str, Any], name: str, arm: str = "bolder") -> dict[str, Any]:
    """One metric of one arm."""
    return next(each for each in report["metrics"] if (each["metric"], each["arm"]) == (name, arm))


def test_without_an_effect_none_is_found(terminal: Terminal, simulated: pl.DataFrame, tmp_path: Path) -> None:
    """Real customers of the simulated shop, split by nothing but the hash."""
    run = Run(tmp_path / "shop", simulated)
    report = told(terminal, run.home)
    assert metric(report, "purchases")["verdict"] == "no difference found yet"
    assert metric(report, "purchases", "holdout")["verdict"] == "no difference found yet"
    assert all(each["lift"]["low"] <= 0 <= each["lift"]["high"] for each in report["metrics"] if each["lift"])
    assert sum(arm["customers"] for arm in report["arms"]) == simulated["customer_id"].n_unique()
    assert [arm["name"] for arm in report["arms"]] == ["control", "bolder", "holdout"]
    assert not report["split"]["off"]


def test_an_effect_is_found_with_its_warnings(terminal: Terminal, simulated: pl.DataFrame, tmp_path: Path) -> None:
    """More purchases are found, in purchases and revenue; slower answers are warned of, and the text says both."""
    run = Run(tmp_path / "shop", simulated, more=0.8)
    report = told(terminal, run.home)
    primary = metric(report, "purchases")
    assert primary["primary"]
    assert primary["verdict"].startswith("better, by ")
    assert primary["lift"]["low"] > 0
    assert metric(report, "buyers")["lift"]["low"] > 0
    assert [each["guardrail"] for each in report["guardrails"] if each["worse"]] == ["latency"]
    assert any("bolder: seconds of computing per answer are 100% more" in warning for warning in report["warnings"])
    code, out, _ = terminal("experiments", "report", "winter", "--home", str(run.home), "--as-of", AS_OF)
    assert code == 0
    assert "bolder: purchases better, by" in out
    assert "warning: bolder: seconds of computing per answer" in out
    early = terminal("experiments", "report", "winter", "--home", str(run.home), "--as-of", "2026-08-02", "--json")[1]
    assert metric(orjson.loads(early), "purchases")["verdict"] == "too little data yet"
    counted = [sum(arm["customers"] for arm in told["arms"]) for told in (orjson.loads(early), report)]
    assert 0 < counted[0] < 0.2 * counted[1]


def test_a_start_that_is_moved_later_leaves_out_what_was_before(
    terminal: Terminal, simulated: pl.DataFrame, tmp_path: Path
) -> None:
    """Nobody who was last served before the new start counts, and neither do the answers of those days."""
    run = Run(tmp_path / "shop", simulated)
    before = told(terminal, run.home)
    later = FILE.format(weight=1).replace("starts = 2026-08-01", "starts = 2026-08-11")
    PlacementRepository(ShopFolder(run.home).placements).publish(later, by="ann", why="a fault", now=STARTS)
    after = told(terminal, run.home)
    customers = [sum(arm["customers"] for arm in each["arms"]) for each in (before, after)]
    assert 0.4 * customers[0] < customers[1] < 0.6 * customers[0]
    assert [each["guardrail"] for each in before["guardrails"] if each["worse"]] == ["latency"]
    assert not [each for each in after["guardrails"] if each["worse"]]


def test_a_split_that_is_off_is_told(terminal: Terminal, simulated: pl.DataFrame, tmp_path: Path) -> None:
    """As many in either arm, where the file says three to one."""
    report = told(terminal, Run(tmp_path / "shop", simulated, weight=3.0).home)
    assert report["split"]["off"]
    assert "the split of customers is not as planned" in report["warnings"][0]


def test_clicks_on_what_was_seen(terminal: Terminal, simulated: pl.DataFrame, tmp_path: Path) -> None:
    """By the signed token: one that names another arm than the customer's, or that nobody signed, counts nowhere."""
    run = Run(tmp_path / "shop", simulated)
    rng = np.random.default_rng(4)
    customers = sorted(simulated["customer_id"].unique())
    rows, shown = [], 0
    for customer in customers:
        arm = drawn(run.experiment, customer).name
        if arm == "bolder":
            rows += run.seen(customer, arm, rng.random() < 0.6)
            rows += [
                row | {"event_id": f"forged-{row['event_id']}", "recommendation_id": "forged.token"}
                for row in run.seen(customer, arm, True)
            ]
            shown += 1
        elif arm == "control":
            rows += run.seen(customer, arm, rng.random() < 0.3)
        else:
            rows += run.seen(customer, "bolder", True)
    with closing(open_store(ShopFolder(run.home).store)) as store:
        store.events.ingest(pl.DataFrame(rows, schema=EVENT_SCHEMA))
    found = metric(told(terminal, run.home), "click_through")
    assert found["arm_customers"] == shown
    assert found["arm_mean"] == pytest.approx(0.6, abs=0.05)
    assert found["lift"]["low"] > 0.5


def test_customers_of_two_arms_are_told_of(terminal: Terminal, simulated: pl.DataFrame, tmp_path: Path) -> None:
    """They stay in their first arm; many of them are warned of."""
    run = Run(tmp_path / "shop", simulated)
    before = told(terminal, run.home)
    crossing = sorted(simulated["customer_id"].unique())[::10]
    with closing(open_store(ShopFolder(run.home).store)) as store:
        later = STARTS + 30 * DAY_MS
        store.exposures.record(
            [Exposure("winter", arm, each, later) for each in crossing for arm in ("control", "bolder")]
        )
    after = told(terminal, run.home)
    assert [arm["customers"] for arm in after["arms"]] == [arm["customers"] for arm in before["arms"]]
    assert after["crossed"] == len(crossing)
    assert any("served more than one arm" in warning for warning in after["warnings"])


def test_the_list_has_all_there_are(terminal: Terminal, simulated: pl.DataFrame, tmp_path: Path) -> None:
    """Those of the file, and those that are only known from what was recorded; one that was never said is refused."""
    run = Run(tmp_path / "shop", simulated)
    with closing(open_store(ShopFolder(run.home).store)) as store:
        store.exposures.record([Exposure("summer", "a", "c", 5)])
    code, out, _ = terminal("experiments", "list", "--home", str(run.home), "--json")
    rows = orjson.loads(out)
    assert [(row["experiment"], row["customers"]) for row in rows] == [
        ("winter", simulated["customer_id"].n_unique()),
        ("summer", 1),
    ]
    assert code == 0
    assert "winter" in terminal("experiments", "list", "--home", str(run.home))[1]
    code, _, err = terminal("experiments", "report", "autumn", "--home", str(run.home))
    assert code == 1
    assert "no experiment 'autumn'" in err
    code, _, err = terminal("experiments", "report", "winter", "--home", str(run.home), "--as-of", "yesterday")
    assert code == 1
    assert "'yesterday' is no time" in err


def test_an_experiment_taken_out_of_the_file_is_still_reported(
    terminal: Terminal, simulated: pl.DataFrame, tmp_path: Path
) -> None:
    """By the newest version that had it."""
    run = Run(tmp_path / "shop", simulated)
    PlacementRepository(ShopFolder(run.home).placements).publish(
        "[placements.home]\n", by="ann", why="done", now=STARTS
    )
    assert told(terminal, run.home)["experiment"] == "winter"


def test_labels_are_unambiguous() -> None:
    """No name has a slash in it."""
    experiment = Experiment(name="x", placement="home", arms=(), salt="x")
    assert experiment.label("a-b") == "x/a-b"
