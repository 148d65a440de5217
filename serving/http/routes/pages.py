"""Whole pages, and lists that the shop has already."""

from __future__ import annotations

from fastapi import Request, Response

from serving.http.body import read_json
from serving.http.page_input import PageIn, parse_page
from serving.http.pages import page
from serving.http.rank_input import RankIn, parse_ranking
from serving.http.request_layer import instance_of
from serving.http.routes.describing import UNREADABLE, body_of, problems, versioned
from serving.http.schemas import AnswerOut, PageOut
from serving.http.state import State

router = versioned("recommendations")


@router.post(
    "/rank",
    response_model=AnswerOut,
    responses=problems(**UNREADABLE, s422="The body does not fit.", s503="No model answers yet."),
    openapi_extra={"requestBody": body_of(RankIn)},
)
async def rank(request: Request, state: State) -> Response:
    """Given items in the order in which a customer, or somebody with this session, is likely to want them.

    Items that the models do not know and items that may not be shown are left out and counted.
    """
    wanted = parse_ranking(await read_json(request, state.settings.max_body_bytes), state.clocks.now())
    return Response(await state.answerer.ordered(wanted), media_type="application/json")


@router.post(
    "/pages",
    response_model=PageOut,
    responses=problems(**UNREADABLE, s422="The body does not fit.", s503="No model answers yet."),
    openapi_extra={"requestBody": body_of(PageIn)},
)
async def pages(request: Request, state: State) -> Response:
    """Several lists of one page, of one moment, filled in their order: no item is on the page twice.

    A list that cannot be made has a problem in its place; the others stand.
    """
    wanted = parse_page(await read_json(request, state.settings.max_body_bytes), state.clocks.now())
    body = await page(state.answerer, state.shop_lists, wanted, instance_of(request.scope))
    return Response(body, media_type="application/json")
