"""`bookmatch train` puts nothing in force that is clearly worse, unless somebody says who wants it and why."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from recsys.access.audit import Act
from recsys.bundle import BundleRepository
from recsys.bundle.repository import REPORT, REPORT_TEXT
from recsys.shop import ShopFolder
from recsys.stores import open_store
from tests.cli.conftest import Terminal
from tests.training.gate.shelves import LEARNED_UNTIL, POPULAR_BLEND, shelves
from training import fitting, retraining

QUICK = ("--tune-budget", "0", "--threads", "1")


def ingest(home: Path, days: int) -> None:
    """What happened in the first so many days; what is there already changes nothing."""
    with closing(open_store(ShopFolder(home).store)) as store:
        store.events.ingest(shelves(days).with_columns(event_id=_ids(days)))


def _ids(days: int) -> object:
    frame = shelves(days)
    return frame["customer_id"] + "|" + frame["item_id"] + "|" + frame["timestamp"].cast(str)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop two months old with a bundle in force, and twenty more days of events, that nobody changes."""
    home = tmp_path_factory.mktemp("shop") / "shop"
    ingest(home, LEARNED_UNTIL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["bookmatch", "train", "--home", str(home), *QUICK])
        from recsys.cli.app import main

        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
    ingest(home, 80)
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A shop of the test's own."""
    return Path(shutil.copytree(trained, tmp_path / "shop"))


def worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on training makes a bundle that knows no taste."""
    monkeypatch.setattr(fitting, "SHIPPED_BLEND", POPULAR_BLEND)


def repository(home: Path) -> BundleRepository:
    """The shop's bundles."""
    return BundleRepository(ShopFolder(home).models)


def test_the_same_settings_pass_and_leave_their_report(home: Path, terminal: Terminal) -> None:
    """The gate's time is printed beside the fit's; the figures lie beside the bundle for programs and for people."""
    before = repository(home).current_id()
    code, out, _ = terminal("train", "--home", str(home), *QUICK)
    current = repository(home).current_id()
    assert (code, current != before) == (0, True)
    assert "the gate took" in out
    report = repository(home).report(str(current))
    assert report is not None
    assert (report["outcome"], report["before"], report["refused"]) == ("published", before, [])
    assert {"recall@20", "ndcg@20"} == set(report["judged"]["quality"]["metrics"])
    assert report["judged"]["latency"]["ratio"] > 0
    assert report["gate_seconds"] == pytest.approx(sum(each["seconds"] for each in report["gate_stages"]), abs=0.5)
    text = (ShopFolder(home).models / str(current) / REPORT_TEXT).read_text()
    for told in ("recall@20", "coverage@20", "a list takes", f"Bundle {current} is in force"):
        assert told in text
    code, out, _ = terminal("train", "--home", str(home), *QUICK)
    assert (code, f"bundle {current} is in force" in out) == (0, True)


def test_the_first_bundle_has_a_report_too(trained: Path) -> None:
    """There was nothing to compare it with."""
    report = repository(trained).report(str(repository(trained).current_id()))
    assert report is not None
    assert (report["judged"], report["gate_seconds"], report["reason"]) == (None, 0.0, "there is no bundle in force")


def test_a_worse_bundle_is_refused_and_the_old_one_stays(
    home: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4 with every reason; it lies in the repository, with its report, and can be promoted."""
    worse(monkeypatch)
    before = repository(home).current_id()
    code, out, _ = terminal("train", "--home", str(home), *QUICK)
    assert code == 4
    assert "the gate refuses it: recall@20 falls from" in out
    assert f"bundle {before} stays in force" in out
    assert repository(home).current_id() == before
    (refused,) = [each for each in repository(home).bundle_ids() if each != before]
    report = repository(home).report(refused)
    assert report is not None
    assert (report["outcome"], len(report["refused"])) == ("refused", 3)
    assert terminal("models", "promote", refused, "--home", str(home))[0] == 0


def test_force_publishes_and_records_who_and_why(
    home: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the report beside the bundle and in the audit; without a name or a reason the command line is wrong."""
    worse(monkeypatch)
    before = repository(home).current_id()
    for words in (["--force"], ["--force", "--by", "ann"], ["--by", "ann", "--why", "so"]):
        assert terminal("train", "--home", str(home), *QUICK, *words)[0] == 2
    code, out, _ = terminal(
        "train", "--home", str(home), *QUICK, "--force", "--by", "ann", "--why", "the sale begins", "--json"
    )
    told = json.loads(out)
    assert (code, told["outcome"], told["forced"]) == (0, "published", {"by": "ann", "why": "the sale begins"})
    assert repository(home).current_id() == told["bundle"] != before
    report = repository(home).report(told["bundle"])
    assert report is not None
    assert (report["forced"]["why"], len(report["refused"])) == ("the sale begins", 3)
    assert "Forced by ann: the sale begins" in (ShopFolder(home).models / told["bundle"] / REPORT_TEXT).read_text()
    with closing(open_store(ShopFolder(home).store)) as store:
        line = [each for each in store.audit.read() if each.act is Act.BUNDLE_PUBLISHED][-1]
    assert (line.subjects, line.result) == ((told["bundle"],), "forced by ann: the sale begins")


@pytest.mark.parametrize("where", ["judge", "put_in_force"])
def test_a_run_that_is_killed_leaves_the_old_one(
    home: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """While the gate judges, or when all but the last step is done; the next run goes on to the end."""
    before = repository(home).current_id()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        if where == "judge":
            killed.setattr(retraining, "judge", die)
        else:
            killed.setattr(BundleRepository, "put_in_force", die)
        assert terminal("train", "--home", str(home), *QUICK)[0] == 130
    assert repository(home).current_id() == before
    assert terminal("train", "--home", str(home), *QUICK)[0] == 0
    assert repository(home).current_id() != before


def test_the_report_goes_with_its_bundle(home: Path, terminal: Terminal) -> None:
    """Pruning leaves nothing of either."""
    before = str(repository(home).current_id())
    assert (ShopFolder(home).models / before / REPORT).exists()
    terminal("train", "--home", str(home), *QUICK)
    assert terminal("models", "prune", "--keep", "1", "--home", str(home))[0] == 0
    assert not (ShopFolder(home).models / before).exists()


def test_bundles_are_compared_on_what_neither_has_seen(home: Path, terminal: Terminal) -> None:
    """A bundle of an hour ago beside the one in force: the window begins behind both; before anything new happened only
    their lists are compared."""
    first = str(repository(home).current_id())
    terminal("train", "--home", str(home), *QUICK)
    second = str(repository(home).current_id())
    code, out, _ = terminal("models", "compare", first, "--home", str(home), "--json")
    found = json.loads(out)
    assert (code, found["bundles"], found["window"]["since"]) == (0, [first, second], None)
    assert "happened since" in found["window"]["cause"]
    assert not any(name.startswith(("recall", "ndcg")) for name in found["models"][second])
    assert found["models"][second]["coverage@20"] > 0
    ingest(home, 100)
    code, out, _ = terminal("models", "compare", first, second, "--home", str(home), "--json")
    found = json.loads(out)
    assert found["window"]["since"] == repository(home).manifest(second).data["newest"] + 1
    assert found["models"][first]["stability@20"] == 1.0
    assert 0 < found["intervals"][second]["stability@20"]["mean"] <= 1.0
    assert {"mean", "low", "high", "p", "p_holm", "verdict", "main"} == set(found["differences"]["recall@20"])
    assert found["bytes"][first] > 10_000
    assert set(found["latency"]) == {"ratio", "low", "high", "customers", "rounds", "seconds"}
    assert all(one != other for one, other in found["settings"].values())
    out = terminal("models", "compare", first, second, "--home", str(home))[1]
    assert "which neither has seen" in out
    assert terminal("models", "compare", first, first, "--home", str(home))[0] == 1
