"""For the people and machines that look after the service."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serving.http.client import is_of_this_machine
from serving.http.parameters import known_parameters_only
from serving.http.problems import Problem
from serving.http.routes.describing import json_response, problems
from serving.http.schemas import Health, Readiness
from serving.http.state import State

router = APIRouter(dependencies=[Depends(known_parameters_only)])


@router.get("/health/live", response_model=Health)
async def live() -> Response:
    """The process runs. Restart it when this does not answer."""
    return json_response({"status": "ok"})


@router.get(
    "/health/ready",
    response_model=Readiness,
    responses=problems(s503="Not fit to answer yet; `detail` says why."),
)
async def ready(request: Request, state: State) -> Response:
    """A bundle is loaded and the store answers. Send requests here only while this says so; `trouble` says what was
    published and is not in use."""
    reasons, troubles = state.reasons_not_ready(), state.troubles()
    if not is_of_this_machine(request.scope):
        # Reasons name files and programs; whoever looks after the service reads them on its machine or in its log.
        reasons = ["not fit to answer yet; ask from the service's own machine why"] if reasons else []
        troubles = ["something that was published is not in use; ask from the service's own machine what"] * bool(
            troubles
        )
    if reasons:
        raise Problem(503, "not-ready", "; ".join(reasons), headers={"Retry-After": "1"})
    return json_response({"status": "ok", "trouble": troubles})


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}},
)
async def metrics(state: State) -> Response:
    """What the service counted, over all its workers."""
    state.report_sizes()
    return Response(state.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})
