"""`GET /v1/items/{id}/related?relation=…`."""

from __future__ import annotations

import pytest

from recsys.models.related import Relation
from tests.serving.service import Service

ITEM = "/v1/items/s1%2Fb10/related"


@pytest.mark.parametrize("relation", list(Relation))
def test_every_relation_is_answered_from_its_source(service: Service, relation: Relation) -> None:
    """Lists keep to the item's shelf; what is not similar comes from the list of the relation alone."""
    reply = service.get(f"{ITEM}?limit=3&relation={relation}")
    assert reply.status == 200
    assert reply.items
    assert all(item.startswith("s1/") for item in reply.items)
    if relation is not Relation.SIMILAR:
        assert reply.served_from["sources"] == [str(relation)]


def test_without_the_parameter_similar_items_are_listed(service: Service) -> None:
    """And it is one cached list."""
    assert service.get(f"{ITEM}?relation=similar").items == service.get(ITEM).items


def test_relations_are_kept_apart_in_the_cache(service: Service) -> None:
    """Each is ranked once and then served from the cache, with its own items."""
    first = {relation: service.get(f"{ITEM}?relation={relation}").items for relation in Relation}
    again = {relation: service.get(f"{ITEM}?relation={relation}") for relation in Relation}
    assert {relation: reply.items for relation, reply in again.items()} == first
    assert {reply.served_from["cache"]["status"] for reply in again.values()} == {"hit"}
    assert len({tuple(items) for items in first.values()}) == len(Relation)


def test_another_relation_is_refused(service: Service) -> None:
    """422 with what was found and what there is."""
    reply = service.get(f"{ITEM}?relation=before")
    assert reply.status == 422
    (fault,) = reply.json()["errors"]
    assert fault["place"] == ["query", "relation"]
    assert "before" in fault["found"]
    assert all(relation in fault["expected"] for relation in Relation)
