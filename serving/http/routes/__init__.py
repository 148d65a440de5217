"""All routes: one module per noun; a new one adds its router here."""

from __future__ import annotations

from serving.http.customer_input import CustomerEntryIn, CustomerIn, MergeIn
from serving.http.event_input import EventIn
from serving.http.item_input import ItemIn
from serving.http.page_input import PageIn
from serving.http.rank_input import RankIn
from serving.http.routes import (
    audience,
    customers,
    events,
    items,
    lists,
    operations,
    own_items,
    pages,
    popular,
    unsubscribe,
)
from serving.http.schemas import ProblemOut
from serving.http.session_input import SessionIn

ROUTERS = (
    lists.router,
    pages.router,
    audience.router,
    popular.router,
    own_items.router,
    events.router,
    items.router,
    customers.router,
    unsubscribe.router,
    operations.router,
)
"""In the order in which they stand in the API's description."""

COMPONENTS = (ProblemOut, EventIn, ItemIn, SessionIn, RankIn, PageIn, CustomerIn, CustomerEntryIn, MergeIn)
"""Shapes that the API's description refers to by name."""
