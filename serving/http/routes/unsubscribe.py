"""Unsubscribing by one click (RFC 8058): POST acts, GET only shows a page."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from recsys.stores.protocols import Store
from serving.email.unsubscribe import UnsubscribeLinks, Unsubscription, read_keys, unsubscribe
from serving.http.auditing import actor_of
from serving.http.routes.describing import problems
from serving.http.state import ServiceState, State
from serving.http.unsubscribe_page import asking_page, done_page, unknown_page

_PAGE = {"text/html": {"schema": {"type": "string"}}}
_UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"description": "None of the shop's keys signed this link. A page says so.", "content": _PAGE}
}

_WITH_TOKEN: dict[str, Any] = {
    "parameters": [{"name": "token", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}]
}

# Parameters are not looked at: programs on a mail's way add their own to its links.
router = APIRouter(prefix="/v1/email", tags=["email"])


@router.get(
    "/unsubscribe/{token}",
    response_class=HTMLResponse,
    responses={200: {"description": "A page with one button."}, **_UNKNOWN},
    openapi_extra=_WITH_TOKEN,
)
async def ask_to_unsubscribe(request: Request, state: State) -> Response:
    """Shows whom the link would unsubscribe from what, and changes nothing: programs follow links to look at them."""
    wanted, accepted = _wanted(request, state), request.headers.get("accept-language", "")
    if wanted is None:
        return _html(unknown_page(accepted), 404)
    return _html(asking_page(wanted.purpose, accepted))


@router.post(
    "/unsubscribe/{token}",
    response_class=HTMLResponse,
    responses={
        200: {"description": "No more mails for this purpose; a page says so."},
        **_UNKNOWN,
        **problems(s503="The store cannot be written; nothing changed."),
    },
    openapi_extra=_WITH_TOKEN,
)
async def unsubscribe_by_link(request: Request, state: State) -> Response:
    """Takes the customer's consent back at once, durably. Twice is as good as once; the body is not looked at."""
    wanted, accepted = _wanted(request, state), request.headers.get("accept-language", "")
    if wanted is None:
        return _html(unknown_page(accepted), 404)
    actor, at = actor_of(request, [wanted.customer_id]), state.clocks.now()

    def act(store: Store) -> bool:
        return unsubscribe(store, wanted, actor, at)

    await state.writer.run(act)
    return _html(done_page(wanted.purpose, accepted))


def _wanted(request: Request, state: ServiceState) -> Unsubscription | None:
    # Read each time: a rotated key is known at once, and these links are followed rarely.
    keys = read_keys(state.settings.shop.email)
    return UnsubscribeLinks(keys).read(str(request.path_params["token"])) if keys else None


def _html(page: str, status: int = 200) -> Response:
    return Response(page, status, media_type="text/html; charset=utf-8")
