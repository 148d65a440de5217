"""What lists real customers would get, before anybody sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from recsys.bundle.bundle import ModelBundle
from recsys.data.catalog import Catalog, Hidden
from recsys.data.item_table import ItemTable
from recsys.data.shown import Shown
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import InputError
from recsys.recommend.filters import AskerFacts
from recsys.recommend.placed import Placed, placed
from recsys.recommend.placement import DEFAULT_PLACEMENT, Pin, Placement
from recsys.recommend.placements.faults import EmptyListsError, Faults, PlacementsFileError
from recsys.recommend.placements.reading import PlacementsFile
from recsys.recommend.recommender import Recommender
from recsys.recommend.types import Request

_HIDDEN = {
    Hidden.UNAVAILABLE: "is not available",
    Hidden.NOT_YET_PUBLISHED: "is not published yet when the pin begins",
    Hidden.EXPIRED: "has expired when the pin begins",
}

_TOLD = 3
"""So many customers are named for each placement that empties lists."""

NOBODY = ""
"""Stands for a customer of whom nothing is known; no customer's id is empty."""


@dataclass(frozen=True, slots=True)
class EmptyList:
    """A list with nothing on it.

    Attributes
    ----------
    customer_id : whose; `NOBODY` is one of whom nothing is known.
    masked : how many items each rule removed.
    short : why it is short.
    """

    customer_id: str
    masked: Mapping[str, int]
    short: str | None


@dataclass(frozen=True, slots=True)
class Compared:
    """One customer's list at a placement, as it is and as it would be.

    Attributes
    ----------
    before, after : None where there is no such placement.
    """

    placement: str
    customer_id: str
    before: Placed | None
    after: Placed | None

    @property
    def item_ids(self) -> set[str]:
        """All items on either."""
        return {item.item_id for each in (self.before, self.after) if each for item in each.answer.items}


class Customer(NamedTuple):
    """One with whom placements are tried.

    Attributes
    ----------
    asker : what they did, in the bundle's positions, and what the shop knows of them.
    shown : what they were shown lately.
    """

    asker: AskerFacts
    shown: Shown


class Trial:
    """The customers that placements are tried with.

    Parameters
    ----------
    bundle, catalog, table : what answers.
    customers : by id.
    limit : how many items their lists have.
    now : milliseconds UTC.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        catalog: Catalog,
        table: ItemTable,
        customers: Mapping[str, Customer],
        limit: int,
        now: int,
    ) -> None:
        self.bundle = bundle
        self.catalog = catalog
        self.table = table
        self.customers = customers
        self._request = Request(limit=limit, now=now)
        self._recommender = Recommender(bundle)
        self._found: dict[Placement, dict[str, Placed]] = {}

    def lists(self, placement: Placement) -> Mapping[str, Placed]:
        """Each customer's list at a placement, as the service would answer it."""
        if placement not in self._found:
            recommender = self._recommender.at(placement)
            self._found[placement] = {
                who: placed(recommender, each.asker, self.catalog, self.table, self._request, each.shown)
                for who, each in self.customers.items()
            }
        return self._found[placement]

    def compared(self, before: Placement | None, after: Placement) -> list[Compared]:
        """Every customer's list at a placement as it is, and as another one would make it."""
        old = {} if before is None else self.lists(before)
        return [Compared(after.name, who, old.get(who), answer) for who, answer in self.lists(after).items()]

    def empty_lists(self, placement: Placement) -> list[EmptyList]:
        """The lists that a placement empties: where there is nothing to show without any rule it is not its doing.

        A placement that fills nothing up (`repeat = "only"`, or no fallback) may have nothing for some; it empties
        lists when it has nothing for anybody with a history.
        """
        anything = {who for who, found in self.lists(DEFAULT_PLACEMENT).items() if found.answer.items}
        answers = {who: found.answer for who, found in self.lists(placement).items()}
        empty = [who for who, answer in answers.items() if not answer.items and who in anything]
        if placement.only_again or not placement.fallback:
            known = {who for who, customer in self.customers.items() if len(customer.asker.history)}
            empty = [] if any(answers[who].items for who in known) else [who for who in empty if who in known]
        return [EmptyList(who, answers[who].masked, answers[who].short) for who in empty]

    def check(self, file: PlacementsFile) -> None:
        """Raises PlacementsFileError, with lines, where a file of placements empties lists, pins items that are not
        there or may not be shown, or wants different values of an attribute that does not tell items apart;
        EmptyListsError where it does nothing but empty lists."""
        faults, emptied = Faults(), 0
        for placement in file.placements.values():
            for number, rule in enumerate(placement.diversity):
                where = ("placements", placement.name, "diversity", number, "by")
                if rule.by not in self.table.columns:
                    faults.add(where, f"no item has the attribute {rule.by!r}", self.table.instead_of(rule.by))
                    continue
                try:
                    self.table.codes(rule.by)
                except InputError as error:
                    faults.add(where, error.found, error.expected)
            for number, pin in enumerate(placement.pins):
                why = self._why_hidden(pin)
                if why:
                    where = ("placements", placement.name, "pins", number, "item")
                    faults.add(where, f"the item {pin.item_id[:80]!r} {why}", "an item that may be shown")
            empty = self.empty_lists(placement)
            if empty:
                emptied += 1
                told = "; ".join(map(_told, empty[:_TOLD]))
                more = f"; and {len(empty) - _TOLD} more" if len(empty) > _TOLD else ""
                found = f"it empties the lists of {len(empty)} of {len(self.customers)} customers ({told}{more})"
                faults.add(("placements", placement.name), found, "something for everybody")
        nothing_else = emptied == len(faults.found)
        faults.raise_any(file.source, file.text, EmptyListsError if nothing_else else PlacementsFileError)

    def _why_hidden(self, pin: Pin) -> str | None:
        """Why a pinned item cannot be shown when the pin begins to hold; None where it can."""
        position = int(self.bundle.items.positions([pin.item_id])[0])
        if position == UNKNOWN:
            return "is not in the model that answers"
        begins = max(self._request.now, pin.starts or 0)
        hidden = self.catalog.hidden_because(position, begins)
        return None if hidden is None else _HIDDEN[hidden]


def _told(empty: EmptyList) -> str:
    who = empty.customer_id[:80] if empty.customer_id else "one of whom nothing is known"
    removed = ", ".join(f"{rule} {count:,}" for rule, count in empty.masked.items() if count)
    return f"{who}: {f'removed by {removed}' if removed else empty.short or 'nothing fills it up'}"
