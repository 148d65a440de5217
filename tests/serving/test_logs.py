"""Log lines: every event is in the documented list, with its level and fields; requests are logged by a share."""

from __future__ import annotations

import ast
import io
import logging
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import structlog

from serving.http.logs import configure_logging
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Service

ROOT = Path(__file__).parents[2]
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged meanwhile, as JSON lines of level `info` and worse."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging(logging.INFO, "json")
    yield written
    root.handlers, root.level = before


def parsed(lines: io.StringIO) -> list[dict[str, object]]:
    """Each line's fields."""
    return [orjson.loads(line) for line in lines.getvalue().splitlines()]


def calls() -> dict[str, tuple[set[str], set[str]]]:
    """Levels and fields of each event that the code logs, by the event."""
    found: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for path in (path for package in ("recsys", "serving", "training") for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id in ("log", "logger")):
                continue
            method = node.func.attr
            if method == "log":
                levels, event = {"debug", "info"}, node.args[1]
            elif method in LEVELS:
                levels, event = {method.replace("exception", "error")}, node.args[0]
            else:
                continue
            assert isinstance(event, ast.Constant), f"{path}:{node.lineno}: an event is a fixed text"
            fields = {str(keyword.arg) for keyword in node.keywords} - {"exc_info"}
            found[str(event.value)][0].update(levels)
            found[str(event.value)][1].update(fields)
    return found


def documented() -> dict[str, tuple[set[str], set[str]]]:
    """The same from the table in docs/operations.md."""
    section = (ROOT / "docs" / "operations.md").read_text().split("\n## Logs\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|([^|]*)\|", section.split("| event |")[1], re.M)
    return {event: (set(re.findall(r"\w+", levels)), set(re.findall(r"`(\w+)`", own))) for event, levels, own in rows}


def test_every_logged_event_is_documented_with_its_level_and_fields() -> None:
    """And no row is of an event that is gone."""
    assert documented() == dict(calls())


def test_a_line_has_the_same_fields_first_and_its_own_after(service: Service, lines: io.StringIO, home: Path) -> None:
    """Time, level, logger and event; the request's id when there is one; and nothing that is not documented."""
    (home / "models" / "current").write_text("[]x")
    service.look_for_bundles()
    (line,) = parsed(lines)
    assert set(line) == {"timestamp", "level", "logger", "event", *documented()["bundle refused"][1]}
    assert (line["level"], line["logger"], line["event"]) == ("warning", "bookmatch.serving", "bundle refused")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", str(line["timestamp"]))


def test_a_library_s_line_has_the_same_form(lines: io.StringIO) -> None:
    """Whoever reads the log needs one parser."""
    logging.getLogger("uvicorn.error").warning("Started %s", "x")
    structlog.get_logger("bookmatch.serving").warning("own", number=1)
    foreign, own = parsed(lines)
    assert (foreign["event"], foreign["logger"]) == ("Started x", "uvicorn.error")
    assert set(own) - set(foreign) == {"number"}


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (1.0, 200, 200), (0.25, 25, 80)])
def test_a_share_of_the_requests_is_logged(
    home: Path, clock: FakeClock, lines: io.StringIO, share: float, least: int, most: int
) -> None:
    """With route, method, status and time; never with a path, which names a customer."""
    with Service(Settings(home=home, log_requests=share), clock) as service:
        for _ in range(200):
            service.get("/v1/customers/c1/recommendations")
    requests = [line for line in parsed(lines) if line["event"] == "request"]
    assert least <= len(requests) <= most
    for line in requests:
        assert line["route"] == "/v1/customers/{id}/recommendations"
        assert (line["method"], line["status"], line["level"]) == ("GET", 200, "info")
        assert line["request_id"]
    assert "/c1" not in lines.getvalue()


def test_a_worker_tells_when_it_starts_and_stops(home: Path, clock: FakeClock, lines: io.StringIO) -> None:
    """Around everything else."""
    with Service(Settings(home=home), clock):
        pass
    events = [line["event"] for line in parsed(lines)]
    assert events[-2:] == ["worker starts", "worker stops"]
