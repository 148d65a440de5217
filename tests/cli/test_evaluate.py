"""`bookmatch evaluate`, as typed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import orjson
import polars as pl
import pytest

from recsys.cli.app import main
from recsys.metrics.ranking import PER_CUSTOMER
from tests.training.evaluation.stored_shops import shop, stored_rows


class Typed:
    """Types `bookmatch evaluate …` and reads what it prints."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.monkeypatch.setattr("sys.argv", ["bookmatch", "evaluate", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        code = stop.value.code if isinstance(stop.value.code, int) else 0
        out, err = self.capsys.readouterr()
        return code, out, err


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """See `Typed`; in a folder with a file of purchases in order."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    users, items, places = [], [], []
    for user in range(12):
        for place in range(4):
            users.append(f"u{user}")
            items.append(f"{'ab'[user % 2]}{(user // 2 + place) % 6}")
            places.append(place)
    pl.DataFrame({"user": users, "item": items, "pos": places}).write_csv("orders.csv")
    return Typed(tmp_path, monkeypatch, capsys)


ORDERS = ["--train", "orders.csv", "--map", "customer_id=user,item_id=item,position=pos", "--event", "purchase"]


def test_the_tables_and_the_report_say_the_same(typed: Typed) -> None:
    """Each model has a line per k with the numbers of metrics.json, and a model that is missing says why."""
    code, out, err = typed("leave-last-out", *ORDERS, "--k", "2,5", "--out", "report")
    assert (code, err) == (0, "")
    metrics = orjson.loads((typed.folder / "report" / "metrics.json").read_bytes())
    lines = [[cell.strip() for cell in line.split("│")] for line in out.splitlines() if line.startswith("│")]
    for name, each in metrics["models"].items():
        if each is None:
            assert f"no {name}: {metrics['causes'][name]}" in out
            continue
        for k in (2, 5):
            order = (*PER_CUSTOMER, "coverage")
            assert ["", name, *(f"{each[f'{metric}@{k}']:.4f}" for metric in order), ""] in lines
    low = metrics["differences"]["popular"]["recall@5"]["low"]
    assert any(line[1] == "popular" and f"[{low:+.4f}," in line[2] for line in lines)
    assert "12 customers with 12 test items, 0 of them unknown to training" in out
    assert out.rstrip().endswith("the report is in report")
    written = {path.name for path in (typed.folder / "report").iterdir()}
    assert written == {"customers.parquet", "metrics.json", "report.html", "report.md"}


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a store, in which one event stands twice."""
    rows = stored_rows()
    twice = rows.head(1).with_columns(pl.lit("again").alias("event_id"))
    return shop(tmp_path_factory.mktemp("stocked") / "shop", pl.concat([rows, twice]))


def test_a_shop_s_store_needs_no_further_words(typed: Typed, stocked: Path) -> None:
    """`bookmatch evaluate --home SHOP`: in time, both tracks with verdicts, what is odd, and that nothing leaked; the
    shop's folder is as it was."""
    before = sorted(path.relative_to(stocked) for path in stocked.rglob("*"))
    typed.monkeypatch.setenv("COLUMNS", "200")
    code, out, err = typed(
        "--home", str(stocked), "--tune-budget", "0", "--windows", "2", "--days", "2", "--out", "report"
    )
    assert (code, err) == (0, "")
    metrics = orjson.loads((typed.folder / "report" / "metrics.json").read_bytes())
    assert (metrics["config"]["protocol"], metrics["config"]["home"]) == ("time", str(stocked))
    assert "warning: duplicated events: 1 (" in out
    assert f"leak checks: {len(metrics['checks']['leaks'])} passed" in out
    discovery, repeat = out.index("discovery: what was new"), out.index("repeat: what the customer had")
    assert discovery < repeat
    difference = metrics["tracks"]["repeat"]["differences"]["popular"]["recall@20"]
    line = next(line for line in out[repeat:].splitlines() if "popular " in line and "[" in line)
    assert f"{difference['mean']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}]" in line
    assert difference["verdict"] in line
    table = out[out.index("recall@20, discovery") :]
    assert all(window["cut"].removesuffix("T00:00:00Z") in table for window in metrics["windows"])
    assert out.count("no production: no bundle was published yet") == 2
    assert sorted(path.relative_to(stocked) for path in stocked.rglob("*")) == before


def test_what_the_report_says_to_run_finds_the_same(typed: Typed, stocked: Path) -> None:
    """The command of `reproduce` names the window that was found, and gives the same numbers."""
    first = orjson.loads(typed("--home", str(stocked), "--tune-budget", "0", "--json")[1])
    words = shlex.split(first["reproduce"]["command"])
    assert words[:2] == ["bookmatch", "evaluate"]
    assert {"--cut", "--days"} <= set(words)
    again = orjson.loads(typed(*words[2:])[1])
    assert again["tracks"] == first["tracks"]
    assert again["reproduce"]["cuts"] == first["reproduce"]["cuts"]
    assert again["reproduce"]["data"] == first["reproduce"]["data"]


def test_programs_get_the_content_of_metrics_json(typed: Typed) -> None:
    """--json prints what the file holds; without a folder nothing is written."""
    before = sorted(typed.folder.iterdir())
    code, out, _ = typed("leave-last-out", *ORDERS, "--json", "--seed", "3")
    assert code == 0
    found = orjson.loads(out)
    assert (found["seed"], found["config"]["k"], found["config"]["repeats"]) == (3, [10, 20], "exclude")
    assert sorted(typed.folder.iterdir()) == before


def test_an_existing_folder_is_refused(typed: Typed) -> None:
    """A second run into the same folder fails and leaves the first report as it was."""
    typed("leave-last-out", *ORDERS, "--out", "report")
    first = (typed.folder / "report" / "metrics.json").read_bytes()
    code, out, err = typed("leave-last-out", *ORDERS, "--out", "report")
    assert (code, out) == (1, "")
    assert err.startswith("error: report exists already")
    assert (typed.folder / "report" / "metrics.json").read_bytes() == first


def test_a_folder_that_cannot_be_made_is_an_error_and_not_a_traceback(typed: Typed) -> None:
    """A place below a file is refused in one paragraph before the history is read."""
    (typed.folder / "file").write_text("")
    code, out, err = typed("leave-last-out", "--train", "missing.csv", "--out", "file/report")
    assert (code, out) == (1, "")
    assert err.startswith("error: the report cannot be written to file/report")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["leave-last-out", "--train", "missing.csv"], "missing.csv does not exist"),
        (["leave-last-out", *ORDERS, "--mask", "view", "--repeats", "allow"], "--mask with --repeats allow"),
        (["leave-last-out", *ORDERS, "--target", "like"], "kinds to predict (like); it has purchase 48"),
        (["leave-last-out", *ORDERS, "--kinds", "view"], "none is behaviour on an item that models may see"),
        (["leave-last-out", *ORDERS, "--k", "none"], "--k is 'none'"),
        (["time", *ORDERS, "--cut", "2024-05-01T00:00:00Z"], "48 of 48 events have no time"),
        (["time", *ORDERS], "48 of 48 events have no time"),
        (["leave-last-out", *ORDERS, "--days", "7"], "the protocol is leave-last-out, and --days is given"),
        (["leave-last-out", *ORDERS, "--windows", "2"], "the protocol is leave-last-out, and --windows is given"),
        (["leave-last-out", *ORDERS, "--home", "shop"], "--home beside --train"),
        (["--home", "nowhere"], "there is no store at nowhere/store.db"),
        (["split", "--home", "nowhere", "--test", "orders.csv"], "the protocol is split, and a store is read"),
        (["--home", "nowhere", "--event", "purchase"], "--event without --train"),
        (["split", *ORDERS], "the protocol is split, and --test is missing"),
        (["leave-last-out", *ORDERS, "--test", "orders.csv"], "--test is given"),
    ],
)
def test_errors_are_one_paragraph_and_exit_code_1(typed: Typed, words: list[str], message: str) -> None:
    """A user sees what was found, what was expected and what to do; no traceback, no folder."""
    code, out, err = typed(*words, "--out", "report")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert not (typed.folder / "report").exists()


def test_help_is_quick(tmp_path: Path) -> None:
    """Asking for help loads neither polars nor the models."""
    code = (
        "import sys; sys.argv = ['bookmatch', 'evaluate', '--help']\n"
        "from recsys.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert 'polars' not in sys.modules and 'training' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--repeats" in done.stdout


@pytest.mark.data
@pytest.mark.skipif("BOOKMATCH_DATA" not in os.environ, reason="BOOKMATCH_DATA names no folder of data sets")
def test_browsing_and_buying_are_scored_on_the_same_test(typed: Typed, tmp_path: Path) -> None:
    """The same held-out purchases, with all kinds and with purchases alone; the test file has neither kind nor time."""
    folder = Path(os.environ["BOOKMATCH_DATA"]) / "retailrocket-mb"
    for name in ("train_events", "test_buy"):
        # One customer in four: what is learned of more takes its time, and nothing here asks for it.
        some = pl.read_parquet(folder / f"{name}.parquet").filter(pl.col("user") % 4 == 0)
        some.write_parquet(tmp_path / f"{name}.parquet")
    files = ["--train", str(tmp_path / "train_events.parquet"), "--test", str(tmp_path / "test_buy.parquet")]
    schema = ["--map", "customer_id=user,item_id=item,kind=behavior", "--kinds-map", "buy=purchase,cart=add_to_cart"]
    kinds = (["--mask", "purchase,view,add_to_cart,like"], ["--kinds", "purchase", "--mask", "purchase"])
    quick = ["--tune-budget", "0", "--json"]
    found = [orjson.loads(typed("split", *files, *schema, *rule, *quick)[1]) for rule in kinds]
    assert [each["customers"] for each in found] == [some["user"].n_unique()] * 2
    assert found[0]["config"]["training"]["data"]["kinds"].keys() == {"view", "add_to_cart", "purchase"}
    assert found[1]["config"]["training"]["data"]["kinds"].keys() == {"purchase"}
    assert all(each["models"]["blend"]["recall@10"] > each["models"]["popular"]["recall@10"] for each in found)
