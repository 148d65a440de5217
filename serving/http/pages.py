"""Several lists in one answer, made from one look at the store: no item twice on the page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from recsys.errors import BookmatchError
from recsys.recommend.masks import ON_PAGE
from serving.http.answering import Answerer
from serving.http.asking import Asked, Moment, Person, for_item, for_person
from serving.http.page_input import AnyListIn, ListIn, Page, RecommendedListIn, RelatedListIn
from serving.http.problems import Problem, of_domain


def _recommended(moment: Moment, person: Person, wanted: RecommendedListIn) -> Asked:
    return for_person("recommendations", moment, person, wanted.limit)


def _related(moment: Moment, _: Person, wanted: RelatedListIn) -> Asked:
    return for_item(moment, wanted.item_id, wanted.relation, wanted.limit)


_QUESTIONS: Mapping[type[ListIn], Callable[[Moment, Person, Any], Asked]] = {
    RecommendedListIn: _recommended,
    RelatedListIn: _related,
}
"""The question behind each type of list: a new type has its shape in `page_input` and its question here."""


async def page(answerer: Answerer, asked: Page, instance: str) -> bytes:
    """The body for a page, JSON.

    A list that cannot be made has its problem in its place; the others stand. Raises Problem while nothing can answer.

    Parameters
    ----------
    instance : the URI of this request, as problems name it.
    """
    moment = await answerer.moment()
    person = answerer.person(moment, asked.asker)
    parts: list[bytes] = []
    shown: frozenset[str] = frozenset()
    for wanted in asked.lists:
        name = orjson.dumps(wanted.name)
        try:
            body, items = await _list(answerer, moment, person, wanted, asked.exclude, shown)
        except (Problem, BookmatchError) as error:
            problem = error if isinstance(error, Problem) else of_domain(error)
            if problem is None:
                raise
            parts.append(b'{"name":%b,"problem":%b}' % (name, orjson.dumps(problem.to_json(instance))))
        else:
            parts.append(b'{"name":%b,%b' % (name, body.removeprefix(b"{")))
            shown |= items
        # A page is as much work as its lists: others have their turn in between.
        await asyncio.sleep(0)
    return b'{"lists":[%b]}' % b",".join(parts)


async def _list(
    answerer: Answerer,
    moment: Moment,
    person: Person,
    wanted: AnyListIn,
    exclude: frozenset[str],
    shown: frozenset[str],
) -> tuple[bytes, frozenset[str]]:
    """One list's body, and the ids of its items."""
    asked = replace(_QUESTIONS[type(wanted)](moment, person, wanted), exclude=exclude, on_page=shown)
    ranked, note = await answerer.ranked(asked)
    if not shown:
        ranked = replace(ranked, masked={**ranked.masked, ON_PAGE: 0})
    ids = moment.engine.bundle.items
    return answerer.body(asked, ranked, note), frozenset(
        ids[place] for place in ranked.positions[: asked.limit].tolist()
    )
