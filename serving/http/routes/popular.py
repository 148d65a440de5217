"""What the shop sells most, more than before, or newly."""

from __future__ import annotations

from fastapi import Response

from recsys.recommend.popular_lists import WHOLE, Order, PopularQuestion, window_days
from serving.http.filter_input import Filtered
from serving.http.parameters import DEFAULT_LIMIT, CategoryWanted, Excluded, Limit, OrderWanted, WindowWanted
from serving.http.routes.describing import problems, versioned
from serving.http.schemas import AnswerOut
from serving.http.state import State

router = versioned("popular")


@router.get(
    "/popular",
    response_model=AnswerOut,
    responses=problems(
        s422="A parameter does not fit, or there is no such category.",
        s503="No model answers yet, or the store cannot be read for the category.",
    ),
)
async def popular(
    state: State,
    exclude: Excluded,
    filtered: Filtered,
    limit: Limit = DEFAULT_LIMIT,
    window: WindowWanted = WHOLE,
    category: CategoryWanted = None,
    order: OrderWanted = Order.POPULAR,
) -> Response:
    """What many customers want, what they want more than before, or what is new; the same for everybody."""
    question = PopularQuestion(order, window_days(window), category)
    body = await state.shop_lists.popular(question, limit, exclude, filtered)
    return Response(body, media_type="application/json")
