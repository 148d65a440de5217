"""Expressions in SQL's WHERE grammar over items, customers and histories, as masks: docs/filters.md."""

from recsys.recommend.filters.binding import ParameterValue, Scalar
from recsys.recommend.filters.checking import ParameterKind
from recsys.recommend.filters.error import FilterError, ParameterError
from recsys.recommend.filters.filter import NOBODY, AskerFacts, Filter, parse
from recsys.recommend.where import Where

__all__ = [
    "NOBODY",
    "AskerFacts",
    "Filter",
    "FilterError",
    "ParameterError",
    "ParameterKind",
    "ParameterValue",
    "Scalar",
    "Where",
    "parse",
]
