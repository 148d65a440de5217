"""Where log lines go and how they look: one event per line, for people or for programs."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar

import structlog

REQUEST_ID: ContextVar[str] = ContextVar("bookmatch.request_id")
"""The id of the request that is being answered; every line that is logged meanwhile names it."""

TRACE_ID: ContextVar[str] = ContextVar("bookmatch.trace_id")
"""The id of the trace that the request belongs to, where there is one."""

Logger = structlog.stdlib.BoundLogger


def _name_request(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    named = {"request_id": REQUEST_ID.get(None), "trace_id": TRACE_ID.get(None)}
    return {**{name: value for name, value in named.items() if value is not None}, **event}


def configure_logging(level: int, form: str) -> None:
    """Sends structlog's and the standard library's records to standard error in one form, `console` or `json`."""
    shared: list[structlog.typing.Processor] = [
        _name_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor
    if form == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        # Decorated tracebacks take seconds to draw, and no other request is answered meanwhile.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=Logger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # It tells of every instruction that it compiles: hundreds of thousands of lines at each start.
    logging.getLogger("numba").setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
