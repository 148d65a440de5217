"""`bookmatch retrain` as a scheduler runs it: one line of JSON at the end, and an exit code."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from recsys.access.audit import Act
from recsys.bundle import BundleRepository
from recsys.customers.kept import refreshed_as_of
from recsys.data.events import Event, EventKind
from recsys.errors import StoreUnavailableError
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from recsys.stores import open_store
from tests.cli.conftest import Terminal
from tests.worlds import DAY, START, two_tastes
from training import retraining
from training.checkpoints import training_alone

QUICK = ("--tune-budget", "0", "--threads", "1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a bundle in force that nobody changes."""
    home = tmp_path_factory.mktemp("shop") / "shop"
    with closing(open_store(ShopFolder(home).store)) as store:
        store.events.ingest(two_tastes(30))
    code, line = retrained(home)
    assert (code, line["outcome"], line["before"]) == (0, "published", None)
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A shop of the test's own."""
    return Path(shutil.copytree(trained, tmp_path / "shop"))


def command(home: Path, *options: str) -> list[str]:
    """The command's words."""
    return [str(Path(sys.executable).with_name("bookmatch")), "retrain", "--home", str(home), *QUICK, *options]


def retrained(home: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the last line."""
    done = subprocess.run(command(home, *options), capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def typed(terminal: Terminal, home: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The same in this process, which is quicker."""
    code, out, _ = terminal("retrain", "--home", str(home), *QUICK, *options)
    return code, json.loads(out.splitlines()[-1])


def add_events(home: Path, count: int) -> None:
    """Further purchases, some of another book."""
    with closing(open_store(ShopFolder(home).store)) as store:
        store.events.append(
            [
                Event(
                    event_id=f"new-{n}",
                    customer_id=f"u{n % 9}",
                    kind=EventKind.PURCHASE,
                    item_id=f"n{n % 4}",
                    timestamp=START + (400 + n) * DAY,
                )
                for n in range(count)
            ]
        )


def test_nothing_new_is_nothing_to_do(home: Path, terminal: Terminal) -> None:
    """Too few events, too young a bundle: exit code 3, and no stage of training is run."""
    add_events(home, 3)
    code, line = typed(terminal, home, "--if-newer-events", "4", "--max-age", "7d")
    assert (code, line["outcome"], line["newer_events"], line["seconds"]) == (3, "nothing_new", 3, 0.0)
    assert line["bundle"] is None
    assert line["before"] == BundleRepository(ShopFolder(home).models).current_id()


def test_enough_new_events_are_a_reason(home: Path, terminal: Terminal) -> None:
    """Published, counted anew, reported beside the bundles, and accounted for."""
    add_events(home, 3)
    before = BundleRepository(ShopFolder(home).models).current_id()
    code, line = typed(terminal, home, "--if-newer-events", "3")
    repository = BundleRepository(ShopFolder(home).models)
    assert (code, line["outcome"], line["before"]) == (0, "published", before)
    assert line["bundle"] == repository.current_id() != before
    report = json.loads(Path(line["report"]).read_text())
    assert report["data"]["events"] == repository.manifest(line["bundle"]).data["events"]
    assert report["judged"]["customers"] > 0
    text = Path(line["report"]).with_suffix(".txt").read_text()
    assert f"Bundle {line['bundle']} is in force" in text
    assert text.count("\n") == 1, "one paragraph"
    assert repository.bundle_ids() == [before, line["bundle"]]
    assert typed(terminal, home, "--if-newer-events", "1")[0] == 3
    with closing(open_store(ShopFolder(home).store)) as store:
        assert [each.subjects for each in store.audit.read() if each.act is Act.BUNDLE_PUBLISHED][-1] == (
            line["bundle"],
        )


def test_facts_about_customers_are_refreshed(home: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every training, and once a day where there is nothing new: days go by for those who do nothing. Rules that
    cannot be read are told, and change nothing about what is in force."""
    import recsys.cli.auditing as clock

    def as_of() -> int | None:
        with closing(open_store(ShopFolder(home).store)) as store:
            return refreshed_as_of(store)

    before, quiet = as_of(), ("--if-newer-events", "1")
    assert before is not None
    assert typed(terminal, home, *quiet)[0] == 3
    assert as_of() == before
    add_events(home, 3)
    code, line = typed(terminal, home, *quiet)
    assert (code, line["facts"]) == (0, 30)
    assert as_of() != before
    monkeypatch.setattr(clock, "now", lambda: before + 2 * DAY)
    code, line = typed(terminal, home, *quiet)
    assert (code, line["facts"], as_of()) == (3, 30, before + 2 * DAY)
    ShopFolder(home).customer_rules.write_text("[segments]\nnew_dais = 3\n")
    monkeypatch.setattr(clock, "now", lambda: before + 4 * DAY)
    assert "new_dais" in typed(terminal, home, *quiet)[1]["trouble"][0]
    assert as_of() == before + 2 * DAY


def test_an_old_bundle_is_a_reason(home: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is learned is the same, so nothing is published; but it was looked."""
    import recsys.cli.auditing as clock

    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 2 * DAY)
    assert typed(terminal, home, "--max-age", "49h")[1]["reason"] == "there is nothing new to learn from"
    code, line = typed(terminal, home, "--max-age", "47h")
    assert (code, line["reason"]) == (3, "the same was learned as before")


def refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that refuses everything."""
    from training.gate import Verdict

    monkeypatch.setattr(retraining, "judge", lambda *_: Verdict(("it is worse",), {}))


def test_what_the_gate_refuses_is_not_put_in_force(
    home: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4; the bundle stays for whoever wants to look at it, and can be promoted."""
    refusing(monkeypatch)
    add_events(home, 3)
    before = BundleRepository(ShopFolder(home).models).current_id()
    code, line = typed(terminal, home)
    repository = BundleRepository(ShopFolder(home).models)
    assert (code, line["outcome"], line["refused"]) == (4, "refused", ["it is worse"])
    assert repository.current_id() == before
    assert line["bundle"] in repository.bundle_ids()
    assert "it is worse" in Path(line["report"]).with_suffix(".txt").read_text()
    assert terminal("models", "promote", line["bundle"], "--home", str(home))[0] == 0
    assert repository.current_id() == line["bundle"]


def test_force_needs_a_name_and_a_reason_and_leaves_them(
    home: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them the command line is wrong; with them the report and the audit have them."""
    refusing(monkeypatch)
    add_events(home, 3)
    for words in (["--force"], ["--force", "--by", "ann"], ["--by", "ann", "--why", "so"]):
        assert terminal("retrain", "--home", str(home), *words)[0] == 2
    code, line = typed(terminal, home, "--force", "--by", "ann", "--why", "the sale begins")
    assert (code, line["outcome"], line["forced"]) == (0, "published", {"by": "ann", "why": "the sale begins"})
    assert BundleRepository(ShopFolder(home).models).current_id() == line["bundle"]
    with closing(open_store(ShopFolder(home).store)) as store:
        assert store.audit.read()[-1].result == "forced by ann: the sale begins"


def test_two_at_once_there_are_not(home: Path, terminal: Terminal) -> None:
    """Exit code 5 while another process trains."""
    with training_alone(ShopFolder(home).scratch):
        code, line = typed(terminal, home)
    assert (code, line["outcome"]) == (5, "locked")
    assert "another process is training" in line["error"]


def test_a_store_or_a_disk_that_fails_is_no_lock(
    home: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 and a line, where a scheduler that heard `locked` would come back in silence for ever."""
    for failure in (StoreUnavailableError("disk I/O error"), OSError(errno.ENOSPC, "No space left on device")):
        monkeypatch.setattr(retraining, "learn", Mock(side_effect=failure))
        code, line = typed(terminal, home)
        assert (code, line["outcome"]) == (1, "failed")
        assert str(failure) in line["error"]


def test_what_is_in_force_is_told_whatever_fails_afterwards(
    home: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`published`, with what is missing: neither the audit nor the report could be written."""
    add_events(home, 5)
    monkeypatch.setattr("recsys.access.audit.audit", Mock(side_effect=StoreUnavailableError("locked for long")))
    monkeypatch.setattr("training.retraining_report.write", Mock(side_effect=OSError(errno.ENOSPC, "full")))
    code, line = typed(terminal, home)
    assert (code, line["outcome"], len(line["trouble"])) == (0, "published", 2)
    assert line["bundle"] == BundleRepository(ShopFolder(home).models).current_id()


def test_what_a_refused_retraining_removes_is_in_the_audit(
    home: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old bundles go, whatever the gate says of the new one."""
    refusing(monkeypatch)
    for number in (1, 2):
        add_events(home, number)
        code, line = typed(terminal, home, "--keep", "1")
    assert (code, len(line["removed"])) == (4, 1)
    with closing(open_store(ShopFolder(home).store)) as store:
        assert [each.subjects for each in store.audit.read() if each.act is Act.BUNDLES_PRUNED] == [
            tuple(line["removed"])
        ]


def test_the_lock_of_a_killed_process_is_none(home: Path) -> None:
    """SIGKILL while it trains: the bundle in force stays, and the next one trains."""
    add_events(home, 5)
    before = BundleRepository(ShopFolder(home).models).current_id()
    with subprocess.Popen(command(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        lock = ShopFolder(home).scratch
        deadline = time.monotonic() + 60
        while not any(path.is_dir() for path in lock.iterdir()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert BundleRepository(ShopFolder(home).models).current_id() == before
    code, line = retrained(home, "--low-priority")
    assert (code, line["before"]) == (0, before)


def test_too_little_and_no_store_have_their_codes(tmp_path: Path, terminal: Terminal) -> None:
    """6 for a store that nothing can be learned from, 1 where there is none."""
    assert typed(terminal, tmp_path / "none")[1]["outcome"] == "failed"
    open_store(tmp_path / "store.db").close()
    code, line = typed(terminal, tmp_path)
    assert (code, line["outcome"], line["exit_code"]) == (6, "too_little", 6)


def test_an_age_that_is_none_is_refused(home: Path, terminal: Terminal) -> None:
    """Exit code 2, with what is expected."""
    code, _, err = terminal("retrain", "--home", str(home), "--max-age", "soon")
    assert (code, "such as 12h or 7d" in err) == (2, True)


def test_old_bundles_go_and_the_way_back_stays(home: Path, terminal: Terminal) -> None:
    """`models prune` keeps what rolling back leads to, and what an arm of an experiment answers from."""
    repository = BundleRepository(ShopFolder(home).models)
    first = repository.current_id()
    ids = [first]
    for number in range(1, 4):
        add_events(home, number)
        ids.append(typed(terminal, home, "--keep", "9")[1]["bundle"])
    arms = f'control = "new"\narms = {{ old = {{ bundle = "{first}" }}, new = {{ placement = "default" }} }}'
    PlacementRepository(ShopFolder(home).placements).publish(
        f'[experiments.models]\nplacement = "default"\n{arms}\n', by="a test", why="to see", now=START
    )
    assert terminal("models", "prune", "--keep", "2", "--home", str(home))[:2] == (0, "removed 1 bundles, 3 stay\n")
    assert repository.bundle_ids() == [first, *ids[-2:]]
    repository.rollback(START)
    assert repository.current_id() == ids[-2]
    assert list(repository.reports.iterdir())
