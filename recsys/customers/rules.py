"""What a shop says about its customers: when one is new or lost, what makes a tier, how values are counted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from recsys.recommend.placements.dates import zone_of
from recsys.recommend.placements.faults import Faults, PlacementsFileError, Section
from recsys.recommend.placements.reading import parsed_toml, placements_text
from recsys.recommend.placements.words import A_NAME, NAME

_T = TypeVar("_T")

MOST_TIERS = 20
_MOST_DAYS = 36_500
_MOST_MONTHS = 1_200
_MOST_AMOUNT = 1e15
_CURRENCY = re.compile(r"[A-Z]{3}")


class CustomerRulesError(PlacementsFileError):
    """A file of rules about customers has faults; nothing of it is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRules:
    """Where one segment ends and the next begins.

    Attributes
    ----------
    new_days : whoever bought first at most so many days ago is new; not more than `active_days`.
    active_days : whoever bought last at most so many days ago is active.
    lost_days : whoever bought last more than so many days ago is lost; more than `active_days`.
    loyal_purchases : whoever bought at least so often may be loyal; 2 or more.
    """

    new_days: int = 30
    active_days: int = 90
    lost_days: int = 365
    loyal_purchases: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRules:
    """What a lifetime value counts.

    Attributes
    ----------
    months : how far ahead, in calendar months.
    discount : by how much a year from now is worth less, a share: 0.1 is a tenth.
    margin : which share of an amount stays with the shop; 1 counts revenue.
    """

    months: int = 12
    discount: float = 0.1
    margin: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A tier, and what whoever is in it did at least within `CustomerRules.tier_months`.

    Attributes
    ----------
    name : as filters and campaigns call it.
    spent : in the shop's currency, what was returned taken off.
    purchases : how often they bought.
    """

    name: str
    spent: float = 0.0
    purchases: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRules:
    """All rules about customers.

    Attributes
    ----------
    time_zone : the shop's: its days begin and end there.
    currency : amounts in others do not count; None is the one of most purchases.
    tiers : the best first; whoever fits several is in the first. Empty: nobody is in a tier.
    tier_months : how far back tiers look, in calendar months.
    unserved_months : whom nobody has served in so many calendar months is to be looked after.
    advocate_acts : whoever shared, reviewed and gave so often, all taken together, is an advocate.
    """

    time_zone: str = "UTC"
    currency: str | None = None
    segments: SegmentRules = field(default_factory=SegmentRules)
    value: ValueRules = field(default_factory=ValueRules)
    tiers: tuple[Tier, ...] = ()
    tier_months: int = 12
    unserved_months: int = 6
    advocate_acts: int = 2


DEFAULT_RULES = CustomerRules()
"""What holds where a shop says nothing."""


def rules_in(path: Path) -> CustomerRules:
    """What a file says; the rules that hold without one where there is none. Raises as `read_rules`."""
    return read_rules(placements_text(path), str(path)) if path.exists() else DEFAULT_RULES


def read_rules(text: str, source: str) -> CustomerRules:
    """What a TOML text says; `source` is its name in messages. Raises CustomerRulesError with all faults and their
    lines."""
    faults = Faults()
    file = Section(parsed_toml(text, source, CustomerRulesError, "docs/customers.md"), (), faults)
    file.has_only(
        ("time_zone", "currency", "segments", "value", "attention", "tier_months", "tiers"),
    )
    zone = zone_of(file)
    currency = file.text("currency", 3)
    if currency is not None and not _CURRENCY.fullmatch(currency):
        file.fault("currency", f"found {currency!r}", "three capital letters, such as EUR")
    unserved_months, advocate_acts = _attention(file.section("attention"))
    rules = CustomerRules(
        time_zone=zone.key if isinstance(zone, ZoneInfo) else "UTC",
        currency=currency,
        segments=_segments(file.section("segments")),
        value=_value(file.section("value")),
        tiers=_tiers(file),
        tier_months=file.whole("tier_months", least=1, most=_MOST_MONTHS) or CustomerRules().tier_months,
        unserved_months=unserved_months,
        advocate_acts=advocate_acts,
    )
    faults.raise_any(source, text, CustomerRulesError)
    return rules


def _segments(section: Section | None) -> SegmentRules:
    shipped = SegmentRules()
    if section is None:
        return shipped
    section.has_only(("new_days", "active_days", "lost_days", "loyal_purchases"))
    said = SegmentRules(
        new_days=_or(section.whole("new_days", least=0, most=_MOST_DAYS), shipped.new_days),
        active_days=_or(section.whole("active_days", least=0, most=_MOST_DAYS), shipped.active_days),
        lost_days=_or(section.whole("lost_days", least=1, most=_MOST_DAYS), shipped.lost_days),
        loyal_purchases=_or(section.whole("loyal_purchases", least=2, most=1_000_000), shipped.loyal_purchases),
    )
    if said.new_days > said.active_days:
        key = "new_days" if "new_days" in section.values else "active_days"
        section.fault(key, f"new_days is {said.new_days} and active_days {said.active_days}", "new_days no larger")
    if said.active_days >= said.lost_days:
        key = "lost_days" if "lost_days" in section.values else "active_days"
        section.fault(key, f"active_days is {said.active_days} and lost_days {said.lost_days}", "lost_days larger")
    return said


def _value(section: Section | None) -> ValueRules:
    shipped = ValueRules()
    if section is None:
        return shipped
    section.has_only(("months", "discount", "margin"))
    return ValueRules(
        months=_or(section.whole("months", least=1, most=120), shipped.months),
        discount=_or(section.number("discount", "a share from 0 to 1", least=0, most=1), shipped.discount),
        margin=_or(section.number("margin", "a share above 0, at most 1", least=0, most=1, above=True), shipped.margin),
    )


def _attention(section: Section | None) -> tuple[int, int]:
    shipped = CustomerRules()
    if section is None:
        return shipped.unserved_months, shipped.advocate_acts
    section.has_only(("unserved_months", "advocate_acts"))
    return (
        _or(section.whole("unserved_months", least=1, most=_MOST_MONTHS), shipped.unserved_months),
        _or(section.whole("advocate_acts", least=1, most=1_000_000), shipped.advocate_acts),
    )


def _tiers(file: Section) -> tuple[Tier, ...]:
    found: dict[str, Tier] = {}
    for section in file.sections("tiers", MOST_TIERS):
        section.has_only(("name", "spent", "purchases"), required=("name",))
        name = section.text("name", 64)
        spent = section.number("spent", "an amount of 0 or more", least=0, most=_MOST_AMOUNT)
        purchases = section.whole("purchases", least=0, most=1_000_000_000)
        if name is None:
            continue
        if not NAME.fullmatch(name):
            section.fault("name", f"found {name!r}", A_NAME)
        elif name in found:
            section.fault("name", f"there is a tier {name} already", "each name once")
        found[name] = Tier(name=name, spent=spent or 0.0, purchases=purchases or 0)
    return tuple(found.values())


def _or(said: _T | None, shipped: _T) -> _T:
    return shipped if said is None else said
