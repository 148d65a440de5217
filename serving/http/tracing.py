"""Traces as OpenTelemetry's: one span per request, and within it the steps that an answer may wait for.

Needs the extra `tracing`, and is imported only when traces are wanted. The steps are not written into the code that
takes them: while traces are on, the methods that take them stand wrapped in their classes, as OpenTelemetry's own
instrumentations do it, so that a service without traces runs exactly the code that it would run without this module.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys.errors import BookmatchError
from serving.cache.memory import MemoryCache
from serving.cache.redis import RedisCache
from serving.http.engine import Engine
from serving.http.live import LiveStore
from serving.http.logs import TRACE_ID
from serving.http.problems import Problem
from serving.http.protocol import WHOLE
from serving.http.writer import EventWriter

P = ParamSpec("P")
R = TypeVar("R")

STEPS: Final[tuple[tuple[type, str, str], ...]] = (
    (LiveStore, "look", "store.look"),
    (LiveStore, "history", "store.history"),
    (LiveStore, "newer_catalog", "store.catalog"),
    (MemoryCache, "get", "cache.get"),
    (RedisCache, "get", "cache.get"),
    (RedisCache, "put", "cache.put"),
    (Engine, "for_customer", "rank"),
    (Engine, "for_item", "rank"),
    (EventWriter, "append", "events.write"),
    (EventWriter, "run", "store.write"),
)
"""Class, method and the name of its span. Spans name no customer: who is forgotten must not be found in old traces."""

CLOSE_SECONDS: Final = 2.0
_GIVING_UP_SECONDS: Final = 0.5
"""Enough to end the wait between two tries; a request that is on its way is not waited for."""
_TRACE_PARENT: Final = b"traceparent"
_CONTEXT_HEADERS: Final = frozenset({_TRACE_PARENT, b"tracestate"})
_EXPECTED: Final = (BookmatchError, Problem)
"""Raised for what a client asked, not for a fault of ours."""


class Tracing:
    """Traces of one worker, from when it is made until it is closed.

    Parameters
    ----------
    provider : where finished spans go; closed with this.
    exporter : what sends the provider's spans elsewhere and may be told to give up, if anything does.
    """

    def __init__(self, provider: TracerProvider, exporter: SpanExporter | None = None) -> None:
        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("bookmatch")
        self._before = [(owner, name, inspect.getattr_static(owner, name)) for owner, name, _ in STEPS]
        for owner, name, span in STEPS:
            setattr(owner, name, _traced(getattr(owner, name), span, self._tracer))

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application with a span around each of its requests."""
        return _TracingLayer(app, self._tracer)

    def close(self) -> None:
        """Sends what is left, for at most `CLOSE_SECONDS`, and takes the steps' spans out of their classes again."""
        for owner, name, method in self._before:
            setattr(owner, name, method)
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)
        if sending.is_alive() and self._exporter is not None:
            # Where nobody listens the library tries again for longer than stopping may take: this ends its tries.
            self._exporter.shutdown()
            sending.join(_GIVING_UP_SECONDS)


def exported_traces(version: str) -> Tracing:
    """Traces that go where the standard variables OTEL_… say, over HTTP; nothing waits for them."""
    named = Resource.create({"service.name": "bookmatch", "service.version": version})
    # What the environment says comes last, so that it counts.
    provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()))
    exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, exporter)


def _traced(method: Callable[P, R], name: str, tracer: Tracer) -> Callable[P, R]:
    """The method within a span; a fault of ours marks it, what a client did wrong does not."""
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def asynchronous(*values: P.args, **named: P.kwargs) -> object:
            with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
                try:
                    return await method(*values, **named)
                except Exception as error:
                    _mark(span, error)
                    raise

        return asynchronous  # type: ignore[return-value]

    @functools.wraps(method)
    def synchronous(*values: P.args, **named: P.kwargs) -> R:
        with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            try:
                return method(*values, **named)
            except Exception as error:
                _mark(span, error)
                raise

    return synchronous


def _mark(span: Span, error: Exception) -> None:
    if not isinstance(error, _EXPECTED):
        span.set_status(StatusCode.ERROR, type(error).__name__)
        span.set_attribute("error.type", type(error).__qualname__)


class _TracingLayer:
    """Goes on with the trace that a request belongs to, or begins one, and names it in the answer."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; anything but HTTP passes untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The answer goes through here, to get its header and to be looked at.
        scope.pop(WHOLE, None)
        given = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT_HEADERS}
        parent = self._propagator.extract(given)
        with self._tracer.start_as_current_span(scope["method"], parent, SpanKind.SERVER) as span:
            own: dict[str, str] = {}
            self._propagator.inject(own)
            told = TRACE_ID.set(format_trace_id(span.get_span_context().trace_id))
            try:
                await self._app(scope, receive, _naming(send, span, own))
            finally:
                TRACE_ID.reset(told)
                route = str(scope.get("bookmatch.route", "unmatched"))
                span.update_name(f"{scope['method']} {route}")
                span.set_attributes({"http.request.method": scope["method"], "http.route": route})


def _naming(send: Send, span: Span, own: dict[str, str]) -> Send:
    """Sends the answer with the trace's header, and tells the span its status."""
    headers = [(name.encode(), value.encode()) for name, value in own.items()]

    async def named(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                span.set_status(StatusCode.ERROR)
        await send(message)

    return named
