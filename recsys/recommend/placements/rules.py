"""What each key of a placement says, as the values of `recsys.recommend.placement`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo

from recsys.data.events import EXPOSURE_KINDS, KINDS_WITHOUT_ITEM, MAX_ID_LENGTH, EventKind
from recsys.errors import InputError
from recsys.recommend.filters.parsing import condition_of
from recsys.recommend.filters.syntax import Parameter as FilterParameter
from recsys.recommend.filters.syntax import within
from recsys.recommend.placement import (
    NAMED_SOURCES,
    Boost,
    Diversity,
    Exploration,
    Fallback,
    Pin,
    Placement,
    Rotation,
)
from recsys.recommend.placements.dates import overlap, period
from recsys.recommend.placements.faults import Section, one_of, shown
from recsys.recommend.placements.spelling import policy_version
from recsys.recommend.placements.words import (
    HIDDEN_BY_REPEAT,
    LEAST_FACTOR,
    MOST_CHARACTERS_OF_A_FILTER,
    MOST_FACTOR,
    MOST_SLOTS,
    NAME,
    RULES,
)

_KINDS = [str(kind) for kind in EventKind if kind not in EXPOSURE_KINDS | KINDS_WITHOUT_ITEM]
_MOST_TABLES = 200

Check = Callable[[str], object]
"""Raises InputError for a filter that does not fit."""


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """An expression, and what has to be said wherever it is used."""

    text: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rules of a placement are read with.

    Attributes
    ----------
    filters : those that the file saves, by name.
    check : what a filter has to pass.
    zone : the shop's.
    now : milliseconds UTC, for what must not be over yet; None lets it pass.
    """

    filters: Mapping[str, SavedFilter]
    check: Check
    zone: tzinfo
    now: int | None


def placement_of(name: str, section: Section, around: Surroundings) -> Placement:
    """The placement of a table; what is wrong is noted in the section's faults, and then the value means nothing."""
    section.has_only(RULES)
    sources, weights = _sources(section)
    repeat = section.choice("repeat", HIDDEN_BY_REPEAT) or "never"
    fallback = section.choices("fallback", list(Fallback))
    relevance = section.number("minimum_relevance", "a number from 0 to less than 1", least=0.0, most=1 - 1e-9)
    placement = Placement(
        name=name,
        mask_kinds=_mask_kinds(section, repeat),
        sources=sources,
        weights=weights,
        fallback=(Fallback.POPULAR,) if fallback is None else tuple(map(Fallback, fallback)),
        where=expression(section, "filter", around),
        only_again=repeat == "only",
        minimum_relevance=relevance or 0.0,
        diversity=_diversity(section),
        rotation=_rotation(section),
        pins=_pins(section, around),
        boosts=_boosts(section, around),
        exploration=_exploration(section),
    )
    return replace(placement, version=policy_version(placement))


def expression(section: Section, key: str, around: Surroundings) -> str | None:
    """The filter that a key says: one that the file saves, by its name, or an expression."""
    text = section.text(key, MOST_CHARACTERS_OF_A_FILTER)
    if text is None:
        return None
    saved = around.filters.get(text)
    if saved is None and NAME.fullmatch(text):
        names = f"{one_of(around.filters, text)} (under [filters])" if around.filters else "one saved under [filters]"
        expected = f"{names}, or an expression, which an attribute alone is in brackets: ({text})"
        section.fault(key, f"no filter is saved under the name {text!r}", expected)
        return None
    expression = text if saved is None else saved.text
    if saved is None:
        saved = checked(section, key, text, around.check)
    for parameter in saved.parameters if saved else ():
        what = f"the filter asks for :{parameter}, which nobody says where lists are made by a placement"
        section.fault(key, what, "a filter without parameters")
    return expression


def checked(section: Section, key: str, text: str, check: Check) -> SavedFilter | None:
    """A filter that parses; None, and a fault, for one that does not."""
    try:
        check(text)
        nodes = within(condition_of(text))
    except InputError as error:
        section.fault(key, error.found, error.expected)
        return None
    names = dict.fromkeys(node.name for node in nodes if isinstance(node, FilterParameter))
    return SavedFilter(text, tuple(names))


def _sources(section: Section) -> tuple[frozenset[str] | None, tuple[tuple[str, float], ...] | None]:
    """Whose word counts, and how much."""
    value = section.values.get("sources")
    if isinstance(value, dict):
        weights = _weights(Section(value, (*section.path, "sources"), section.faults))
        return frozenset(name for name, _ in weights) or None, weights or None
    if value == []:
        section.fault("sources", "it names no source", f"{one_of(NAMED_SOURCES)}; or leave `sources` out for all")
        return None, None
    names = section.choices("sources", NAMED_SOURCES)
    return (None if names is None else frozenset(names)), None


def _weights(section: Section) -> tuple[tuple[str, float], ...]:
    """The weights above 0, in the order of the names."""
    before = len(section.faults.found)
    section.has_only(sorted(NAMED_SOURCES))
    found = {}
    for name in sorted(NAMED_SOURCES & section.values.keys()):
        weight = section.number(name, "a weight from 0 to 1,000,000", least=0.0, most=1e6)
        if weight:
            found[name] = weight
    if not found and len(section.faults.found) == before:
        what = "the weights sum to nothing" if section.values else "it names no source"
        section.fault(None, what, f"a weight above 0 for {one_of(NAMED_SOURCES)}")
    return tuple(found.items())


def _mask_kinds(section: Section, repeat: str) -> frozenset[EventKind]:
    kinds = section.choices("hide_after", _KINDS)
    return HIDDEN_BY_REPEAT[repeat] if kinds is None else frozenset(map(EventKind, kinds))


def _diversity(section: Section) -> tuple[Diversity, ...]:
    found: list[Diversity] = []
    for each in section.sections("diversity", 8):
        each.has_only(("by", "at_most"), ("by", "at_most"))
        by, at_most = each.text("by", 64), each.whole("at_most", least=1, most=MOST_SLOTS)
        if by in {rule.by for rule in found}:
            each.fault("by", f"{by} stands there twice", "one rule for each attribute")
        elif by is not None and at_most is not None:
            found.append(Diversity(by=by, at_most=at_most))
    return tuple(found)


def _rotation(section: Section) -> Rotation | None:
    inner = section.section("rotation")
    if inner is None:
        return None
    inner.has_only(("after", "step", "days"), ("after", "step", "days"))
    after, step = inner.whole("after", least=0, most=10_000), inner.whole("step", least=1, most=10_000)
    days = inner.whole("days", least=1, most=3_650)
    if after is None or step is None or days is None:
        return None
    return Rotation(after=after, step=step, days=days)


def _exploration(section: Section) -> Exploration | None:
    inner = section.section("explore")
    if inner is None:
        return None
    inner.has_only(("share", "cost"), ("share", "cost"))
    share = inner.number("share", "a share of the slots above 0, at most 0.5", least=0.0, most=0.5, above=True)
    cost = inner.number("cost", "a share of the purchases above 0, at most 0.5", least=0.0, most=0.5, above=True)
    return None if share is None or cost is None else Exploration(share=share, cost=cost)


def _pins(section: Section, around: Surroundings) -> tuple[Pin, ...]:
    found: list[Pin] = []
    for each in section.sections("pins", _MOST_TABLES):
        each.has_only(("item", "slot", "from", "until"), ("item", "slot"))
        item, slot = each.text("item", MAX_ID_LENGTH), each.whole("slot", least=1, most=MOST_SLOTS)
        starts, ends = period(each, around.zone, around.now)
        if item is None or slot is None:
            continue
        pin = Pin(item_id=item, slot=slot, starts=starts, ends=ends)
        for other in found:
            if not overlap((starts, ends), (other.starts, other.ends)):
                continue
            if other.slot == slot:
                each.fault("slot", f"{shown(other.item_id)[6:]} is pinned to slot {slot} at the same time")
            elif other.item_id == item:
                each.fault("item", f"{shown(item)[6:]} is pinned to slot {other.slot} at the same time")
        found.append(pin)
    return tuple(found)


def _boosts(section: Section, around: Surroundings) -> tuple[Boost, ...]:
    found = []
    for each in section.sections("boosts", _MOST_TABLES):
        each.has_only(("where", "factor", "from", "until"), ("where", "factor"))
        where = expression(each, "where", around)
        expected = f"a factor from {LEAST_FACTOR:g} to {MOST_FACTOR:g}; 2 doubles the score"
        factor = each.number("factor", expected, least=LEAST_FACTOR, most=MOST_FACTOR)
        starts, ends = period(each, around.zone, around.now)
        if where is not None and factor is not None:
            found.append(Boost(where=where, factor=factor, starts=starts, ends=ends))
    return tuple(found)
