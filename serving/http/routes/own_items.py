"""Items that a customer had to do with already."""

from __future__ import annotations

from fastapi import Response

from serving.http.filter_input import Filtered
from serving.http.own_lists import OwnKind, own_list
from serving.http.parameters import DEFAULT_LIMIT, Excluded, Limit, PathId
from serving.http.routes.describing import WITH_ID, problems, versioned
from serving.http.schemas import AnswerOut
from serving.http.state import State

router = versioned("own items")

_PROBLEMS = problems(s422="An id or a parameter does not fit.", s503="No model answers yet.")


@router.get(
    "/customers/{id}/buy-again",
    response_model=AnswerOut,
    responses=_PROBLEMS,
    openapi_extra=WITH_ID,
)
async def buy_again(
    customer_id: PathId, state: State, exclude: Excluded, filtered: Filtered, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """What a customer bought and will probably buy again, the likeliest first. Nothing is filled in."""
    body = await own_list(state.answerer, OwnKind.BUY_AGAIN, customer_id, limit, exclude, filtered)
    return Response(body, media_type="application/json")


@router.get(
    "/customers/{id}/recently-viewed",
    response_model=AnswerOut,
    responses=_PROBLEMS,
    openapi_extra=WITH_ID,
)
async def recently_viewed(
    customer_id: PathId, state: State, exclude: Excluded, filtered: Filtered, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """What a customer looked at and did not buy since, the last first."""
    body = await own_list(state.answerer, OwnKind.RECENTLY_VIEWED, customer_id, limit, exclude, filtered)
    return Response(body, media_type="application/json")
