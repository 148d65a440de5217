"""What `recommend` and `related` share: opening the shop, and showing a list."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsys.bundle import BundleRepository, ModelBundle
from recsys.cli.text import did, verbatim
from recsys.customers.attributes import attributes_of
from recsys.data.catalog import UNREAD, Catalog
from recsys.data.history import History
from recsys.data.item_table import ItemTable
from recsys.errors import BundleError
from recsys.models.relevance import Relevance
from recsys.recommend.filters import AskerFacts, parse
from recsys.recommend.placements import PlacementRepository
from recsys.recommend.popular_lists import NO_TIMES
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Answer, Recommendation, Request
from recsys.recommend.where import Where
from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.protocols import Store


@dataclass(frozen=True, slots=True)
class OpenShop:
    """A store, the bundle in force and what answers from both; `saved` are the shop's filters by their names."""

    store: Store
    bundle: ModelBundle
    recommender: Recommender
    catalog: Catalog
    saved: Mapping[str, str]

    def request(self, limit: int, exclude: Sequence[str]) -> Request:
        """A request as of now."""
        return Request(limit=limit, now=int(time.time() * 1000), exclude=frozenset(exclude))

    def table(self) -> ItemTable:
        """The attributes of items, in the bundle's positions."""
        return ItemTable.of(self.store.catalog.changes(UNREAD), self.bundle.items)

    def asker(self, customer: str, history: History) -> AskerFacts:
        """What filters may ask of a customer with this history."""
        return AskerFacts(history, attributes_of(self.store, customer))

    def where(
        self,
        text: str,
        parameters: Mapping[str, Sequence[str]],
        asker: AskerFacts,
        table: ItemTable,
        now: int,
        beside: str | None = None,
    ) -> Where:
        """What a filter, or one that is saved under this name, lets through for whoever asks, of what `beside` does,
        another one without parameters. Raises FilterError."""
        made = parse(self.saved.get(text, text), table.kinds)
        values = made.read(table.kinds, parameters)
        if beside is not None:
            made = parse(beside, table.kinds).beside(made)
        return made.where(table, asker, now, values)

    def titles(self, item_ids: Sequence[str]) -> dict[str, str]:
        """The titles of those of these items that have one."""
        rows = self.store.catalog.get(item_ids).select("item_id", "title").drop_nulls()
        return dict(rows.iter_rows())


@contextmanager
def open_shop(shop: ShopFolder) -> Iterator[OpenShop]:
    """Opens the store and the bundle in force; a clear error when one of them is missing."""
    store = open_store(shop.store, create=False)
    try:
        repository = BundleRepository(shop.models)
        bundle_id = repository.current_id()
        if bundle_id is None:
            raise BundleError(f"no model is published in {shop.models}", remedy="train one with `bookmatch train`")
        bundle = repository.load(bundle_id)
        catalog = Catalog.of(store.catalog.changes(UNREAD), bundle.items)
        saved = PlacementRepository(shop.placements).current().filters
        yield OpenShop(store, bundle, Recommender(bundle), catalog, saved)
    finally:
        store.close()


def print_json(about: dict[str, object], bundle_id: str, answer: Answer, titles: dict[str, str]) -> None:
    """The answer for programs: what it is about, the bundle, the fields of `Answer`, and the titles."""
    shown = about | {"bundle": bundle_id} | asdict(answer) | {"titles": titles}
    typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())


def print_answer(
    console: Console, answer: Answer, titles: dict[str, str], heading: str, relevance: Relevance | None = None
) -> None:
    """The answer for people; `relevance` says what that of its items means."""
    table = Table("", "item", "title", "score", title=_heading(heading), title_justify="left")
    foreseen = any(item.relevance is not None for item in answer.items)
    if foreseen:
        table.add_column("relevance")
    explained = any(item.reason.code != "related" for item in answer.items)
    if explained:
        table.add_column("because")
    for rank, item in enumerate(answer.items, start=1):
        row = [str(rank), item.item_id, titles.get(item.item_id, ""), f"{item.score:.3f}"]
        if foreseen:
            row.append("" if item.relevance is None else f"{item.relevance:.2%}")
        table.add_row(*map(verbatim, [*row, *([_because(item, titles)] if explained else [])]))
    if answer.items:
        console.print(table)
    if foreseen and relevance:
        console.print(f"relevance: {_meaning(relevance)}")
    if answer.fallback == NO_TIMES:
        console.print("of the whole history: it does not say when anything happened")
    elif answer.fallback:
        console.print(f"not personal: {answer.fallback.replace('_', ' ')}")
    if answer.short:
        console.print(answer.short)


def _meaning(relevance: Relevance) -> str:
    kinds = " or ".join(str(kind).replace("_", " ") for kind in relevance.kinds)
    return f"how likely the customer does this with the item within {relevance.days} days: {kinds}"


def _heading(text: str) -> Text:
    # A title that is a Text does not take the style of table titles by itself.
    heading = verbatim(text)
    heading.stylize("table.title")
    return heading


def _because(item: Recommendation, titles: dict[str, str]) -> str:
    parts = []
    for evidence in item.reason.evidence:
        if evidence.item_id is not None:
            what = titles.get(evidence.item_id, evidence.item_id)
            parts.append(f"{did(evidence.kind)} {what} ({evidence.share / item.score:.0%})")
    return ", ".join(parts) or item.reason.code


def evidence_ids(answer: Answer) -> list[str]:
    """Every item that the answer names, listed or as evidence."""
    named = {item.item_id for item in answer.items}
    named |= {part.item_id for item in answer.items for part in item.reason.evidence if part.item_id is not None}
    return sorted(named)
