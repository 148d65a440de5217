"""Who would want an item."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from serving.http.audiences import MAX_LOOKED_AT, AudienceQuestion
from serving.http.customer_input import Purpose
from serving.http.event_input import Id
from serving.http.parameters import ExcludedCustomers, PathId, whole_number
from serving.http.routes.describing import WITH_ID, json_response, problems, versioned
from serving.http.schemas import AudienceOut
from serving.http.state import State

router = versioned("recommendations")

DEFAULT_MEMBERS = 100


AudiencePurpose = Annotated[
    Purpose, Query(description="Only customers who agreed to this are looked at: `email`, say.")
]
Members = Annotated[
    int, whole_number(MAX_LOOKED_AT), Query(ge=1, le=MAX_LOOKED_AT, description="At most this many are listed.")
]
After = Annotated[Id | None, Query(description="`next` of the answer before: go on after this customer.")]


@router.get(
    "/items/{id}/audience",
    response_model=AudienceOut,
    responses=problems(
        s404="The item is not in the model.",
        s422="An id or a parameter does not fit.",
        s503="No model answers yet, or the store cannot be read.",
    ),
    openapi_extra=WITH_ID,
)
async def audience(
    item_id: PathId,
    state: State,
    exclude: ExcludedCustomers,
    purpose: AudiencePurpose,
    limit: Members = DEFAULT_MEMBERS,
    after: After = None,
) -> Response:
    """The customers who would want an item, among those who agreed to a purpose, by the item's score for them.

    One call looks at 1,000 customers, in the order of their ids; `next` says where to go on.
    """
    moment = await state.answerer.moment()
    asked = AudienceQuestion(item_id, purpose, limit, after or "", exclude)
    return json_response(await state.audiences.find(moment, asked))
