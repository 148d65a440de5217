"""Several lists in one answer, made from one look at the store: no item twice on the page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from recsys.errors import BookmatchError
from recsys.recommend.masks import ON_PAGE
from recsys.recommend.popular_lists import PopularQuestion, window_days
from recsys.recommend.types import Answer, Request
from serving.http.answering import Answerer
from serving.http.asking import Asked, Moment, Person, for_item, for_person
from serving.http.filter_input import filter_of
from serving.http.filtering import FilterAsked
from serving.http.own_lists import OwnKind, own_items
from serving.http.page_input import ListIn, OwnListIn, Page, PopularListIn, RecommendedListIn, RelatedListIn
from serving.http.problems import Problem, of_domain
from serving.http.shared_lists import OFF, CacheNote
from serving.http.shop_lists import ShopLists

Made = tuple[bytes, frozenset[str]]
"""One list's body, and the ids of its items."""


@dataclass(frozen=True, slots=True)
class _Page:
    """A page while it is filled: who answers, as of when, for whom, what must not be in the next list, where it is, and
    how many seconds of computing the lists before took: together they have the budget of one."""

    answerer: Answerer
    shop_lists: ShopLists
    moment: Moment
    person: Person
    exclude: frozenset[str]
    shown: frozenset[str] = frozenset()
    place: int = 0
    spent: float = 0.0

    def request(self, limit: int) -> Request:
        """What a lister is asked for the next list."""
        return Request(limit=limit, now=self.moment.now, exclude=self.exclude, on_page=self.shown)

    def filtered(self, wanted: ListIn) -> FilterAsked | None:
        """The filter of the next list. Raises Problem for parameters of none."""
        return filter_of(wanted, ("body", "lists", self.place))


async def _recommended(page: _Page, wanted: RecommendedListIn) -> Made:
    asked_in = ("body", "lists", page.place)
    moment, spot, person, arm = await page.answerer.placed(page.moment, wanted.placement, asked_in, page.person)
    person = person._replace(spent=person.spent + page.spent)
    where = page.answerer.where(moment, person, page.filtered(wanted), spot)
    asked = for_person("recommendations", moment, person, wanted.limit, spot=spot, where=where, arm=arm)
    return await _ranked(page, asked)


async def _related(page: _Page, wanted: RelatedListIn) -> Made:
    where = page.answerer.where(page.moment, page.person, page.filtered(wanted))
    return await _ranked(page, for_item(page.moment, wanted.item_id, wanted.relation, wanted.limit, where=where))


async def _popular(page: _Page, wanted: PopularListIn) -> Made:
    question = PopularQuestion(wanted.order, window_days(wanted.window), wanted.category)
    asked_in = ("body", "lists", page.place)
    filtered = page.filtered(wanted)
    chosen = None if filtered is None else page.answerer.filters.chosen(page.moment, page.person, filtered)
    request = page.request(wanted.limit)
    moment, answer, note = await page.shop_lists.listed(page.moment, question, request, asked_in, chosen)
    answer = _counted(answer)
    body = page.answerer.body_of("popular", str(wanted.order), moment, answer, wanted.limit, note)
    return body, frozenset(item.item_id for item in answer.items)


async def _own(page: _Page, wanted: OwnListIn) -> Made:
    kind, person = OwnKind(wanted.type), page.person
    request = replace(page.request(wanted.limit), where=page.answerer.where(page.moment, person, page.filtered(wanted)))
    answer = _counted(own_items(kind, page.moment, person, request))
    body = page.answerer.body_of(
        str(kind), "personal", page.moment, answer, wanted.limit, CacheNote(OFF), person.degraded
    )
    return body, frozenset(item.item_id for item in answer.items)


_LISTS: Mapping[type[ListIn], Callable[[_Page, Any], Awaitable[Made]]] = {
    RecommendedListIn: _recommended,
    RelatedListIn: _related,
    PopularListIn: _popular,
    OwnListIn: _own,
}
"""What makes each type of list: a new type has its shape in `page_input` and its maker here."""


async def page(answerer: Answerer, shop_lists: ShopLists, asked: Page, instance: str) -> bytes:
    """The body for a page, JSON.

    A list that cannot be made has its problem in its place; the others stand. Raises Problem while nothing can answer.

    Parameters
    ----------
    instance : the URI of this request, as problems name it.
    """
    moment = await answerer.moment(next((each.filter for each in asked.lists if each.filter is not None), None))
    filling = _Page(answerer, shop_lists, moment, answerer.person(moment, asked.asker), asked.exclude)
    parts: list[bytes] = []
    for place, wanted in enumerate(asked.lists):
        name = orjson.dumps(wanted.name)
        started = moment.budget.worked()
        try:
            body, items = await _LISTS[type(wanted)](replace(filling, place=place), wanted)
        except (Problem, BookmatchError) as error:
            problem = error if isinstance(error, Problem) else of_domain(error)
            if problem is None:
                raise
            parts.append(b'{"name":%b,"problem":%b}' % (name, orjson.dumps(problem.to_json(instance))))
        else:
            parts.append(b'{"name":%b,%b' % (name, body.removeprefix(b"{")))
            filling = replace(filling, shown=filling.shown | items)
        filling = replace(filling, spent=filling.spent + moment.budget.worked() - started)
        # A page is as much work as its lists: others have their turn in between.
        await asyncio.sleep(0)
    return b'{"lists":[%b]}' % b",".join(parts)


async def _ranked(page: _Page, asked: Asked) -> Made:
    """A list that the recommender puts in order."""
    asked = asked._replace(exclude=page.exclude, on_page=page.shown)
    ranked, note = await page.answerer.ranked(asked)
    if not page.shown:
        ranked = ranked._replace(masked={**ranked.masked, ON_PAGE: 0})
    ids = asked.engine.bundle.items
    shown = frozenset(ids[place] for place in ranked.positions[: asked.limit].tolist())
    return page.answerer.body(asked, ranked, note), shown


def _counted(answer: Answer) -> Answer:
    """An answer that says how many items stand elsewhere on the page, also where none does."""
    return replace(answer, masked={**answer.masked, ON_PAGE: answer.masked.get(ON_PAGE, 0)})
