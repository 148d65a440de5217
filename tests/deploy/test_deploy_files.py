"""What is deployed fits the code: metrics, commands, settings, ports and paths that the files name are there.

Whether the files are well-formed is for `make lint-deploy`, which has the tools for it.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import promql_parser
import pytest
import typer.main
import yaml
from prometheus_client import Counter, Gauge, Histogram

from recsys.cli.app import app
from serving.http.metrics import Metrics
from serving.http.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARD = orjson.loads((DEPLOY / "grafana" / "dashboards" / "bookmatch.json").read_bytes())
VARIABLES = {**dict.fromkeys(("$__rate_interval",), "5m"), "$instance": "a"}
OTHERS = {"up", "ALERTS"}
"""Metrics that are Prometheus' own."""

Named = tuple[str, frozenset[str]]
"""A metric of a query, and the labels by which it is selected."""


def panels() -> list[dict[str, Any]]:
    """Those of the dashboard that show something."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the alerts and the dashboard, by where it stands."""
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for name, text in VARIABLES.items():
                query = query.replace(name, text)
            yield panel["title"], query


def series() -> dict[str, frozenset[str]]:
    """The labels of every series that the service shows, by its name."""
    shown: dict[str, frozenset[str]] = {}
    for family in vars(Metrics()).values():
        if not isinstance(family, Counter | Gauge | Histogram):
            continue
        labels = frozenset(family._labelnames)
        if isinstance(family, Counter):
            shown[f"{family._name}_total"] = labels
        elif isinstance(family, Histogram):
            shown |= {f"{family._name}_{part}": labels for part in ("sum", "count")}
            shown[f"{family._name}_bucket"] = labels | {"le"}
        else:
            shown[family._name] = labels
    return shown


def selected(node: Any) -> Iterator[Named]:
    """Every metric in a parsed query with the labels that it is selected by."""
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name), frozenset(matcher.name for matcher in node.matchers.matchers)
        return
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs"):
        child = getattr(node, name, None)
        if child is not None:
            yield from selected(child)
    for child in getattr(node, "args", None) or ():
        yield from selected(child)


def grouped(query: str) -> set[str]:
    """The labels that a query groups by."""
    return {label.strip() for part in re.findall(r"by \(([^)]*)\)", query) for label in part.split(",")}


@pytest.mark.parametrize(("where", "query"), list(queries()), ids=lambda text: text[:40])
def test_every_query_asks_for_metrics_and_labels_that_there_are(where: str, query: str) -> None:
    """Parsed, not guessed: no dashboard shows nothing because a metric was renamed."""
    there = series() | dict.fromkeys(OTHERS, frozenset[str]({"job"}))
    found = list(selected(promql_parser.parse(query)))
    assert found, where
    for name, labels in found:
        assert name in there, (where, name)
        assert labels <= there[name] | {"instance"}, (where, name)
    known = frozenset[str]().union(*(there[name] for name, _ in found)) | {"instance"}
    assert grouped(query) <= known, where


def test_every_metric_is_on_the_dashboard() -> None:
    """What is measured is shown; requests' sums beside their buckets are not needed."""
    asked = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for _, query in queries()
        for name, _ in selected(promql_parser.parse(query))
    }
    measured = {re.sub(r"_(bucket|sum|count)$", "", name) for name in series()}
    assert measured - asked == set()


def test_panels_do_not_lie_on_one_another() -> None:
    """Each place of the grid is one panel's."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & own, panel["title"]
        taken |= own
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_alert_has_its_place_in_the_runbook_and_a_test() -> None:
    """docs/operations.md says of each what it means and what to do; alerts_test.yaml makes each fire."""
    section = (ROOT / "docs" / "operations.md").read_text().split("\n## Alerts\n")[1].split("\n## ")[0]
    names = [alert["alert"] for alert in ALERTS]
    assert re.findall(r"^\| `(\w+)` \|", section, re.M) == names
    tests = (DEPLOY / "prometheus" / "alerts_test.yaml").read_text()
    assert [name for name in names if name not in tests] == []


def commands() -> dict[str, set[str]]:
    """The options of each command of `bookmatch`."""
    root = typer.main.get_command(app)
    return {
        name: {option for each in command.params for option in each.opts} for name, command in root.commands.items()
    }  # type: ignore[attr-defined]


def called() -> Iterator[tuple[str, list[str]]]:
    """What each deployed file calls `bookmatch` with."""
    for unit in (DEPLOY / "systemd").glob("*.service"):
        (line,) = re.findall(r"^ExecStart=\S+/bookmatch (.*)$", unit.read_text(), re.M)
        yield unit.name, shlex.split(line)
    for name, service in yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].items():
        if service.get("image") == "bookmatch:latest":
            yield name, [*service.get("entrypoint", ["bookmatch-entrypoint"])[1:], *service.get("command", [])]
    for template in (DEPLOY / "helm" / "bookmatch" / "templates").glob("*.yaml"):
        for line in re.findall(r"args: \[(.*)\]$", template.read_text(), re.M):
            yield template.name, [word.strip(' "') for word in line.split(",")]
        for word in re.findall(r'args: {{ concat \(list "(\w+)"\)', template.read_text()):
            yield template.name, [word]
    (line,) = re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.M)
    yield "Dockerfile", orjson.loads(line)


@pytest.mark.parametrize(("where", "words"), list(called()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_call_is_of_a_command_and_of_options_that_there_are(where: str, words: list[str]) -> None:
    """Units, services and jobs start what this release has."""
    if words[0] == "retrain" and "retrain" not in commands():
        pytest.skip("this release has no `bookmatch retrain` yet")
    assert words[0] in commands(), where
    assert {word for word in words if word.startswith("--")} <= commands()[words[0]], where


@pytest.mark.parametrize(("codes", "ended", "told"), [("3 5", 3, 0), ("3 5", 4, 4), ("3 5", 0, 0), ("", 3, 3)])
def test_a_job_for_which_there_is_nothing_to_do_has_not_failed(
    tmp_path: Path, codes: str, ended: int, told: int
) -> None:
    """Kubernetes has no list of exit codes that are no failures, as systemd has: the entry point has one."""
    (tmp_path / "bookmatch").write_text(f"#!/bin/sh\nexit {ended}\n")
    (tmp_path / "bookmatch").chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NUMBA_CACHE_DIR": str(tmp_path), "SUCCESS_CODES": codes}
    script = ["sh", str(DEPLOY / "entrypoint.sh"), "retrain"]
    assert subprocess.run(script, env=variables, check=False, timeout=20).returncode == told


def test_a_job_that_is_stopped_tells_the_training(tmp_path: Path) -> None:
    """The entry point waits for it to end, and its exit code is the training's."""
    (tmp_path / "bookmatch").write_text("#!/bin/sh\ntrap 'exit 7' TERM\necho there\nwhile :; do sleep 0.05; done\n")
    (tmp_path / "bookmatch").chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NUMBA_CACHE_DIR": str(tmp_path), "SUCCESS_CODES": "3 5"}
    script = ["sh", str(DEPLOY / "entrypoint.sh"), "retrain"]
    with subprocess.Popen(script, env=variables, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "there\n"
        job.terminate()
        assert job.wait(timeout=20) == 7


def test_the_clock_s_jobs_agree_on_what_is_no_failure() -> None:
    """systemd's unit and the chart's job name the same exit codes."""
    (unit,) = re.findall(
        r"^SuccessExitStatus=(.*)$", (DEPLOY / "systemd" / "bookmatch-retrain.service").read_text(), re.M
    )
    job = (DEPLOY / "helm" / "bookmatch" / "templates" / "cronjob.yaml").read_text()
    assert re.findall(r"- name: SUCCESS_CODES\n +value: \"([^\"]*)\"", job) == [unit]


def test_every_variable_that_is_set_is_a_setting() -> None:
    """A typo in a deployed file would stop the start."""
    texts = [path.read_text() for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".json"]
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", "\n".join(texts)))
    assert {"BOOKMATCH_HOME", "BOOKMATCH_REDIS_URL", "BOOKMATCH_LOG_FORMAT"} <= named
    assert named <= set(Settings.variables())


def test_every_value_of_the_chart_is_documented_and_checked() -> None:
    """docs/deploy.md has a row for each, values.schema.json knows each and refuses others."""
    values = yaml.safe_load((DEPLOY / "helm" / "bookmatch" / "values.yaml").read_text())
    schema = orjson.loads((DEPLOY / "helm" / "bookmatch" / "values.schema.json").read_bytes())
    assert set(values) == set(schema["properties"]) - {"global"}
    assert schema["additionalProperties"] is False
    page = (ROOT / "docs" / "deploy.md").read_text()
    rows = {
        name.split(".")[0]
        for cell in re.findall(r"^\| (`[^|]+) \|", page, re.M)
        for name in re.findall(r"`([\w.]+)`", cell)
    }
    assert set(values) <= rows


def test_the_image_holds_what_the_service_needs_and_no_more() -> None:
    """What the Dockerfile copies is let in by .dockerignore, and nothing else is."""
    let_in = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.M))
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", (DEPLOY / "Dockerfile").read_text(), re.M):
        copied.update(word for word in line.split()[:-1] if not word.startswith("--"))
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_the_versions_of_chart_and_project_agree() -> None:
    """The chart starts the image of its own release."""
    chart = yaml.safe_load((DEPLOY / "helm" / "bookmatch" / "Chart.yaml").read_text())
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert chart["appVersion"] == version
