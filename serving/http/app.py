"""The application: routes, errors and resources put together. Importing this module does nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send
from threadpoolctl import threadpool_limits

from recsys import __version__
from recsys.errors import BookmatchError, InputError
from recsys.shop_lock import use_shop
from serving.http.access_layer import AccessLayer
from serving.http.hot import HotRoutes
from serving.http.logs import configure_logging
from serving.http.metrics import Metrics
from serving.http.problems import Fault, Problem, invalid, of_domain, of_status, shortened
from serving.http.reloading import Reloading
from serving.http.request_layer import RequestLayer, instance_of
from serving.http.routes import COMPONENTS, ROUTERS
from serving.http.routes.examples import show_examples
from serving.http.routes.security import describe_security
from serving.http.security_headers import SecurityHeaders
from serving.http.settings import Settings
from serving.http.settings_file import with_file
from serving.http.state import Clocks, ServiceState, open_state

if TYPE_CHECKING:
    from serving.http.tracing import Tracing

log = structlog.get_logger("bookmatch.serving")


def wall_clock() -> int:
    """This moment, milliseconds UTC."""
    return time.time_ns() // 1_000_000


_SWITCH_SECONDS = 0.0005

_DOCS_PARAMETERS = {"validatorUrl": None}

SYSTEM_CLOCKS = Clocks(now=wall_clock, monotonic=time.monotonic, worked=time.thread_time)


class HttpService:
    """The service as an ASGI application: the framework inside outer layers, which see a request before it does.

    Attributes
    ----------
    framework : its routes, description and state.
    """

    def __init__(
        self,
        framework: FastAPI,
        metrics: Metrics,
        clock: Callable[[], float],
        headers: SecurityHeaders,
        reloading: Reloading,
        logged: float,
        tracing: Tracing | None,
    ) -> None:
        self.framework = framework
        self._reloading = reloading
        access = AccessLayer(HotRoutes(framework), framework.state)
        layer = RequestLayer(access, metrics, clock, headers, logged)
        self._outer: ASGIApp = layer if tracing is None else tracing.around(layer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request, or the beginning and the end of it all."""
        await self._outer(scope, receive, send)

    def begin_stopping(self) -> None:
        """From now on `/health/ready` says no; requests are answered as before."""
        if self._state is not None:
            self._state.standing.stopping = True

    def refuse_what_waits(self) -> None:
        """Who waits for a write that the disk has not seen is told that nothing was stored."""
        if self._state is not None:
            self._state.writer.refuse()

    async def reload(self) -> None:
        """Looks at once for everything that may be new, and says in the log what was taken."""
        if self._state is not None:
            await self._reloading.reload(self._state)

    @property
    def _state(self) -> ServiceState | None:
        """What is open; None before and after."""
        return getattr(self.framework.state, "service", None)


def create_app(
    settings: Settings,
    clocks: Clocks = SYSTEM_CLOCKS,
    tracing: Tracing | None = None,
    reread: Callable[[], Settings] | None = None,
) -> HttpService:
    """The service as an ASGI application; its resources open and close with its lifespan, and `tracing` with them.
    `reread` reads the settings again when it is told to look for what is new; None keeps them."""
    metrics = Metrics(settings.metrics_folder, clocks.monotonic)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # One answer is a few small products: BLAS's threads would cost more than they bring, and fight for the cores.
        with threadpool_limits(1, "blas"):
            async with _traced(tracing), open_state(settings, metrics, clocks) as state:
                app.state.service = state
                log.info("worker starts", version=__version__, tracing=settings.tracing)
                try:
                    yield
                finally:
                    # The framework keeps in mind every application that it ever made routes of, for good.
                    del app.state.service
                log.info("worker stops")

    # Its page at /docs comes from this machine: FastAPI's own loads its scripts from a public server, and stays blank
    # in a shop that does not let this machine out.
    app = FastAPIOffline(
        title="Bookmatch",
        version=__version__,
        description="Recommendations for a shop, and the events that they are made from.",
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url="/docs/oauth2-redirect",
        swagger_ui_parameters=_DOCS_PARAMETERS,
        static_url="/docs/static",
    )
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(HTTPException, _bare_status)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(BookmatchError, _domain_error)
    app.openapi = lambda: _description(app)  # type: ignore[method-assign]
    headers = SecurityHeaders(settings.hsts_seconds, _docs_page(app))
    reloading = Reloading(settings, reread or (lambda: settings))
    return HttpService(app, metrics, clocks.monotonic, headers, reloading, settings.log_requests, tracing)


@asynccontextmanager
async def _traced(tracing: Tracing | None) -> AsyncIterator[None]:
    """Sends what is left of the traces at the end."""
    try:
        yield
    finally:
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


def _tracing(settings: Settings) -> Tracing | None:
    """Traces, when they are asked for. Raises InputError when the library is not installed."""
    if settings.tracing == "off":
        return None
    try:
        # Imported here: whoever does not trace need not have the library, and pays nothing for it.
        from serving.http.tracing import exported_traces
    except ModuleNotFoundError as error:
        raise InputError(
            f"BOOKMATCH_TRACING is 'on', but {error.name} is not installed",
            expected="the extra `tracing`",
            remedy="install `bookmatch[tracing]`, or unset BOOKMATCH_TRACING",
        ) from error
    return exported_traces(__version__)


def create_app_from_environment() -> HttpService:
    """The service with the settings that BOOKMATCH_… variables say; what each worker process runs.

    Raises InputError for a variable that is unknown or does not fit.
    """
    settings = settings_from_environment()
    configure_logging(settings.logging_level, settings.log_format)
    _spare_answers_from_waiting()
    service = create_app(settings, tracing=_tracing(settings), reread=settings_from_environment)
    # Held as long as this process lives: nobody replaces the store under it.
    if settings.home.is_dir():
        service.framework.state.shop = use_shop(settings.home)
    return service


def settings_from_environment() -> Settings:
    """What the variables say, and the file that one of them names. Raises InputError as above."""
    return Settings.from_environment(with_file(os.environ))


def _spare_answers_from_waiting() -> None:
    """Sets what holds for the whole process, once, when all that it runs is imported."""
    # A thread that wants to run while another computes asks for its turn after this long: the one that writes events
    # does so several times for each write, and five milliseconds, Python's own choice, add up to what a customer feels.
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Looking for garbage among everything that was imported stops all answers for tens of milliseconds, and finds none.
    gc.freeze()
    gc.enable()


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this type alone
    return error.response(instance_of(request.scope))


async def _bare_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of the first route of a path; each method is a route of its own.
        headers["Allow"] = ", ".join(_methods_here(request)) or headers.get("Allow", "GET")
    return of_status(error.status_code, error.detail, headers).response(instance_of(request.scope))


def _methods_here(request: Request) -> list[str]:
    """The methods of all our routes of this path, in order."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in here for method in route.methods or ()})


async def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BookmatchError)  # noqa: S101 - registered for this type alone
    problem = of_domain(error)
    if problem is None:
        raise error
    return problem.response(instance_of(request.scope))


async def _invalid_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type alone
    faults = [
        Fault(tuple(detail["loc"]), "nothing", "a value: this parameter is always needed")
        if detail["type"] == "missing"
        else Fault(tuple(detail["loc"]), shortened(detail.get("input")), detail["msg"].removeprefix("Input should be "))
        for detail in error.errors()
    ]
    return invalid(faults).response(instance_of(request.scope))


def _docs_page(app: FastAPI) -> str:
    """The page at /docs, whose script has to be known to browsers before it runs."""
    page = get_swagger_ui_html(
        openapi_url=str(app.openapi_url),
        title=f"{app.title} - Swagger UI",
        oauth2_redirect_url=app.swagger_ui_oauth2_redirect_url,
        swagger_ui_parameters=_DOCS_PARAMETERS,
    )
    return bytes(page.body).decode()


def _description(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the shapes that only error answers refer to."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for shape in COMPONENTS:
            schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[shape.__name__] = schema
        # Put in here: the framework would take out what is null in them.
        show_examples(document)
        describe_security(document)
        app.openapi_schema = document
    return app.openapi_schema
