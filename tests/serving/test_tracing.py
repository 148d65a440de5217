"""Traces: one per request with the steps that it took, going on from the caller's; and nothing when they are off."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from recsys.errors import InputError
from recsys.recommend.recommender import Recommender
from serving.http.app import create_app
from serving.http.live import LiveStore
from serving.http.protocol import ProblemProtocol
from serving.http.settings import Settings
from serving.http.tracing import CLOSE_SECONDS, STEPS, Tracing, exported_traces
from tests.serving.processes import free_port
from tests.serving.redis_server import RedisServer
from tests.serving.service import FakeClock, Reply, Service
from tests.serving.test_protocol import listening, received, request

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ROUTE = "/v1/customers/{id}/recommendations"


@contextmanager
def traced(settings: Settings, clock: FakeClock) -> Iterator[tuple[Service, Callable[[], list[ReadableSpan]]]]:
    """A service whose spans stay in this process; what it gives hands out and forgets those that are finished."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def finished() -> list[ReadableSpan]:
        spans = list(exporter.get_finished_spans())
        exporter.clear()
        return spans

    service = Service(settings, clock)
    service.app = create_app(settings, clock.clocks(), Tracing(provider))
    service._lifespan = service.app.framework.router.lifespan_context(service.app.framework)
    with service:
        finished()
        yield service, finished


def tree(spans: list[ReadableSpan]) -> dict[str, str | None]:
    """The name of each span's parent by the span's name."""
    names = {span.context.span_id: span.name for span in spans}
    return {span.name: names.get(span.parent.span_id) if span.parent else None for span in spans}


def test_an_answer_s_steps_are_spans_of_its_request(home: Path, clock: FakeClock) -> None:
    """Looking at the store, the history, the cache and ranking; kept lists are not ranked again."""
    with traced(Settings(home=home), clock) as (service, finished):
        assert service.get("/v1/customers/c1/recommendations").status == 200
        request = f"GET {ROUTE}"
        steps = ("store.look", "store.history", "cache.get", "rank")
        assert tree(finished()) == {request: None} | dict.fromkeys(steps, request)
        service.get("/v1/customers/c1/recommendations")
        assert "rank" not in tree(finished())


def test_redis_and_writes_are_steps_too(home: Path, clock: FakeClock, redis_server: RedisServer) -> None:
    """Reading, ranking, and the list on its way into Redis after the answer; events until the disk has them."""
    settings = Settings(home=home, redis_url=redis_server.url, redis_timeout_ms=1000)
    with traced(settings, clock) as (service, finished):
        service.get("/v1/customers/c1/recommendations")
        service.runner.run(service.state.answerer.close())
        request = f"GET {ROUTE}"
        assert {name: tree(spans)[name] for spans in [finished()] for name in ("cache.get", "cache.put", "rank")} == {
            "cache.get": request,
            "cache.put": request,
            "rank": request,
        }
        service.post_events({"customer_id": "c1", "kind": "view", "item_id": "s1/b02", "timestamp": clock.ms})
        assert tree(finished())["events.write"] == "POST /v1/events"


def test_a_trace_is_gone_on_with_and_given_back(home: Path, clock: FakeClock) -> None:
    """The caller's id is the trace's; the answer names the span; a made-up header begins a trace of its own."""
    with traced(Settings(home=home), clock) as (service, finished):
        reply = service.ask("GET", "/health/live", traceparent=f"00-{TRACE}-{PARENT}-01")
        (span,) = (span for span in finished() if span.name == "GET /health/live")
        assert span.parent is not None
        assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
        assert reply.headers["traceparent"] == f"00-{TRACE}-{span.context.span_id:016x}-01"
        own = service.ask("GET", "/health/live", traceparent="00-nonsense")
        (span,) = (span for span in finished() if span.name == "GET /health/live")
        assert span.parent is None
        assert own.headers["traceparent"].split("-")[1] == f"{span.context.trace_id:032x}"


def test_a_span_says_route_and_status_and_no_customer(home: Path, clock: FakeClock) -> None:
    """What a client did wrong is no error of the service; a problem has its header too."""
    with traced(Settings(home=home), clock) as (service, finished):
        reply = service.get("/v1/customers/c1/recommendations?limit=0")
        spans = finished()
        (span,) = (span for span in spans if span.parent is None)
        assert dict(span.attributes or {}) == {
            "http.request.method": "GET",
            "http.route": ROUTE,
            "http.response.status_code": 422,
        }
        assert span.status.is_ok or span.status.is_unset
        assert "traceparent" in reply.headers
        assert "/c1" not in "".join(span.to_json() for span in spans)


def test_a_fault_of_ours_marks_its_span(home: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the request's."""

    def fault(*values: object) -> None:
        raise RuntimeError

    with traced(Settings(home=home), clock) as (service, finished):
        monkeypatch.setattr(Recommender, "find", fault)
        reply: Reply = service.get("/v1/customers/c1/recommendations")
        failed = {span.name for span in finished() if not (span.status.is_ok or span.status.is_unset)}
    assert reply.status == 500
    assert failed == {"rank", f"GET {ROUTE}"}


def test_a_real_connection_s_answers_are_seen_too() -> None:
    """Those that are written in one go: they carry the span's id, and the span says their status."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider)
    try:
        with listening(ProblemProtocol, tracing.around) as port:
            answers = [received(port, request(path)) for path in ("/whole", "/refused")]
    finally:
        tracing.close()
    for answer, span, status in zip(answers, exporter.get_finished_spans(), (200, 422), strict=True):
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert f"traceparent: 00-{span.context.trace_id:032x}-{span.context.span_id:016x}-".encode() in answer
        assert (span.attributes or {})["http.response.status_code"] == status


def test_lines_of_the_log_name_the_trace(
    home: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the request's id."""
    from serving.http.logs import TRACE_ID

    seen = []
    look = LiveStore.look
    monkeypatch.setattr(LiveStore, "look", lambda self: (seen.append(TRACE_ID.get(None)), look(self))[1])
    with traced(Settings(home=home), clock) as (service, _):
        seen.clear()
        service.ask("GET", "/v1/customers/c1/recommendations", traceparent=f"00-{TRACE}-{PARENT}-01")
    assert seen == [TRACE]


def test_without_traces_the_steps_run_as_they_are_written(home: Path, clock: FakeClock) -> None:
    """Closing takes the spans out again: not even a call more is left."""
    before = [vars(owner)[name] for owner, name, _ in STEPS]
    with traced(Settings(home=home), clock):
        assert all(vars(owner)[name] is not method for (owner, name, _), method in zip(STEPS, before, strict=True))
    assert [vars(owner)[name] for owner, name, _ in STEPS] == before


def test_the_library_is_not_imported_when_traces_are_off() -> None:
    """Nothing of it, by nothing that the service imports."""
    code = "import sys, serving.http.app; sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_traces_without_the_extra_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    from serving.http import app

    monkeypatch.delitem(sys.modules, "serving.http.tracing")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(InputError, match=r"bookmatch\[tracing\]"):
        app._tracing(Settings(tracing="on"))


def test_the_standard_variables_name_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES count over our own."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "books")
    tracing = exported_traces("1.2")
    try:
        attributes = tracing._provider.resource.attributes
    finally:
        tracing.close()
    assert (attributes["service.name"], attributes["service.version"]) == ("books", "1.2")


def test_stopping_does_not_wait_for_a_collector_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be sent is lost; the service stops in time all the same, and no thread goes on trying."""
    before = set(threading.enumerate())
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    tracing = exported_traces("1.2")
    with tracing._tracer.start_as_current_span("lost"):
        pass
    started = time.monotonic()
    tracing.close()
    assert time.monotonic() - started < CLOSE_SECONDS + 1
    for thread in set(threading.enumerate()) - before:
        thread.join(1)
        assert not thread.is_alive(), thread.name
