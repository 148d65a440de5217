"""Personal lists, and lists that go with an item."""

from __future__ import annotations

from fastapi import Request, Response

from recsys.models.related import Relation
from serving.http.body import read_json
from serving.http.filter_input import Filtered
from serving.http.parameters import DEFAULT, DEFAULT_LIMIT, Excluded, Limit, PathId, PlacementWanted, RelationWanted
from serving.http.routes.describing import UNREADABLE, WITH_ID, body_of, problems, versioned
from serving.http.schemas import AnswerOut
from serving.http.session_input import SessionIn, parse_session
from serving.http.state import State

router = versioned("recommendations")


@router.get(
    "/customers/{id}/recommendations",
    response_model=AnswerOut,
    responses=problems(s422="An id or a parameter does not fit.", s503="No model answers yet."),
    openapi_extra=WITH_ID,
)
async def recommendations(
    customer_id: PathId,
    state: State,
    exclude: Excluded,
    filtered: Filtered,
    limit: Limit = DEFAULT_LIMIT,
    placement: PlacementWanted = DEFAULT,
) -> Response:
    """The items that a customer is most likely to want, best first; popular ones to somebody unknown."""
    body = await state.answerer.recommendations(customer_id, limit, exclude, placement, filtered)
    return Response(body, media_type="application/json")


@router.post(
    "/recommendations",
    response_model=AnswerOut,
    responses=problems(
        **UNREADABLE,
        s422="The session does not fit.",
        s503="No model answers yet.",
    ),
    openapi_extra={"requestBody": body_of(SessionIn)},
)
async def session_recommendations(request: Request, state: State) -> Response:
    """The items that somebody without an id is most likely to want, by a session or a cart given here. Nothing of it is
    stored."""
    body = await read_json(request, state.settings.max_body_bytes)
    session = parse_session(body, state.clocks.now())
    return Response(await state.answerer.session(session), media_type="application/json")


@router.get(
    "/items/{id}/related",
    response_model=AnswerOut,
    responses=problems(
        s404="The item is not in the model.", s422="An id or a parameter does not fit.", s503="No model answers yet."
    ),
    openapi_extra=WITH_ID,
)
async def related(
    item_id: PathId,
    state: State,
    exclude: Excluded,
    filtered: Filtered,
    limit: Limit = DEFAULT_LIMIT,
    relation: RelationWanted = Relation.SIMILAR,
) -> Response:
    """What goes with an item, best first."""
    body = await state.answerer.related(item_id, limit, relation, exclude, filtered)
    return Response(body, media_type="application/json")
