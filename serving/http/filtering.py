"""From the filter of a question to the items that it lets through, for whoever asks."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.data.catalog_index import CatalogIndex
from recsys.data.history import History
from recsys.data.item_table import ItemTable
from recsys.recommend.filters import (
    AskerFacts,
    Filter,
    FilterError,
    ParameterError,
    ParameterValue,
    Where,
    parse,
)
from serving.http.asking import Moment, Person
from serving.http.problems import Fault, Problem, invalid, shortened

PARAMETER = "param."
"""How the names of a filter's parameters begin in a query."""

NAME = re.compile(r"[a-z0-9_-]{1,64}")
"""What the name of a saved filter looks like."""

_KEPT_FILTERS = 500
_Flags = npt.NDArray[np.bool_]


class FilterAsked(NamedTuple):
    """A filter as a question has it.

    Attributes
    ----------
    text : an expression, or the name of one that is saved.
    texts : its parameters in a query, where all is text.
    values : its parameters in a body.
    place : where in the request it stands: `("query",)`, `("body",)`, or a part of the body.
    """

    text: str
    texts: Mapping[str, Sequence[str]] | None
    values: Mapping[str, ParameterValue] | None
    place: tuple[str | int, ...]


class Chosen(NamedTuple):
    """A filter with everything that is put into it.

    Attributes
    ----------
    where : what it lets through of the models' items.
    """

    where: Where
    filter: Filter
    attributes: Mapping[str, object]
    parameters: Mapping[str, ParameterValue]

    def of_index(self, index: CatalogIndex, known: ItemTable, now: int) -> _Flags:
        """What it lets through of the models' items and of newcomers, in the positions of an index: nobody ever did
        anything with these, as far as the models know."""
        if not len(index.newcomers):
            return self.where.mask
        table = ItemTable.from_items(index.rows, index.newcomers).with_kinds(known.kinds)
        asker = AskerFacts(History.empty(), self.attributes)
        return np.concatenate([self.where.mask, self.filter.mask(table, asker, now, self.parameters)])


class FiltersAsked:
    """The filters that are asked for with lists: those of late stay parsed.

    Parameters
    ----------
    saved : gives the expressions by the names under which the shop saved them.
    """

    def __init__(self, saved: Callable[[], Mapping[str, str]]) -> None:
        self._filters: OrderedDict[str, Filter] = OrderedDict()
        self._saved = saved

    def chosen(self, moment: Moment, person: Person, asked: FilterAsked, beside: str | None = None) -> Chosen:
        """What a filter comes to for somebody at a moment with a table.

        `beside` is another filter, without parameters, that items have to pass as well; where it does not fit it counts
        for nothing here. Raises Problem (422) that says what is wrong with the filter or its parameters, and where.
        """
        table = moment.engine.table
        assert table is not None  # noqa: S101 - whoever asks for a filter has asked for it
        try:
            made = self._parsed(self._expression(asked, table), table)
            values = asked.values or {} if asked.texts is None else made.read(table.kinds, asked.texts)
            if beside is not None:
                made = self._beside(beside, made, table)
            where = made.where(table, person.facts, moment.now, values)
        except FilterError as error:
            raise _problem(asked, error) from error
        return Chosen(where, made, person.attributes, values)

    def _beside(self, beside: str, made: Filter, table: ItemTable) -> Filter:
        """Both filters in one; made once, so that what is known of it is kept."""
        try:
            other = self._parsed(beside, table)
        except FilterError:
            # The placement says so itself, and lets nothing through.
            return made
        text = f"({other.text}) AND ({made.text})"
        if text not in self._filters:
            self._keep(text, other.beside(made))
        return self._filters[text]

    def _expression(self, asked: FilterAsked, table: ItemTable) -> str:
        """What a filter says: itself, or what is saved under its name."""
        if NAME.fullmatch(asked.text) is None:
            return asked.text
        all_saved = self._saved()
        saved = all_saved.get(asked.text)
        if saved is None and asked.text not in table.columns:
            names = f"one of {', '.join(sorted(all_saved))}, or an expression" if all_saved else "an expression"
            fault = Fault((*asked.place, "filter"), f"{shortened(asked.text)}, which is not saved", names)
            raise invalid([fault])
        return asked.text if saved is None else saved

    def _parsed(self, text: str, table: ItemTable) -> Filter:
        known = self._filters.get(text)
        if known is None:
            return self._keep(text, parse(text, table.kinds))
        self._filters.move_to_end(text)
        return known

    def _keep(self, text: str, made: Filter) -> Filter:
        self._filters[text] = made
        if len(self._filters) > _KEPT_FILTERS:
            self._filters.popitem(last=False)
        return made


def _problem(asked: FilterAsked, error: FilterError) -> Problem:
    place: tuple[str | int, ...] = (*asked.place, "filter")
    if isinstance(error, ParameterError):
        own = (f"{PARAMETER}{error.column}",) if asked.texts is not None else ("filter_parameters", str(error.column))
        place = (*asked.place, *own)
    expected = error.expected + (f"; {error.remedy}" if error.remedy else "")
    return invalid([Fault(place, error.found, expected)])
