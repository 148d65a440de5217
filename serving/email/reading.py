"""A campaign's file: every key, what it may say, and every fault of it at once, with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from zoneinfo import ZoneInfo

from recsys.data.events import MAX_ID_LENGTH
from recsys.data.item_column import ColumnKind
from recsys.data.profile import PURPOSE, is_purpose
from recsys.errors import InputError
from recsys.recommend.crowd.picks import REASONS
from recsys.recommend.filters import parse
from recsys.recommend.placements.faults import Faults, PlacementsFileError, Section, one_of, shown
from recsys.recommend.placements.reading import parsed_toml
from recsys.recommend.placements.words import A_NAME, MOST_CHARACTERS_OF_A_FILTER, NAME
from serving.email.campaign import (
    DAYS,
    FORESEEN,
    ITEMS,
    Audience,
    Block,
    BlockKind,
    Campaign,
    Cap,
    QuietHours,
    Restraint,
    ShopFacts,
    Viewed,
    Wanted,
)
from serving.email.links import is_link
from serving.email.words import PLACES, Words, places, with_own

KEYS = (
    "name", "purpose", "template", "holdout", "salt", "shop", "audience", "blocks", "restraint", "words",
)  # fmt: skip
SHOP = ("name", "language", "time_zone", "item_url", "image_url")
AUDIENCE = (
    "segments", "tiers", "where", "customers", "viewed", "in_cart", "series_continues", "runs_out", "would_want",
)  # fmt: skip
BLOCK = ("kind", "items", "filter", "days", "times", "probability", "picked", "placement")
RESTRAINT = (
    "last_mails", "bought_days", "expires_days", "minimum_relevance", "least_items", "caps", "quiet", "one_per_account",
)  # fmt: skip
WORDS = ("themes", "headings", "reasons")
OF_KIND = {
    BlockKind.BECAUSE_YOU_BOUGHT: ("days",),
    BlockKind.NEW_FROM_AUTHORS: ("days",),
    BlockKind.LEFT_IN_CART: ("days",),
    BlockKind.LOOKED_AT: ("days", "times"),
    BlockKind.BUY_AGAIN: ("probability",),
    BlockKind.PICKED: ("picked",),
    BlockKind.FOR_YOU: ("placement",),
}
"""The keys that only blocks of some kinds have."""

MOST_ITEMS, MOST_BLOCKS, MOST_CAPS, MOST_DAYS = 50, 20, 10, 3_650
MOST_NAMED = 10_000
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")
_A_LANGUAGE = "a language such as en or pt-BR"


class CampaignFileError(PlacementsFileError):
    """A campaign's file has faults; nothing is planned."""

    REMEDY = "correct the file; nothing was planned"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the shop a campaign's file is checked against.

    Attributes
    ----------
    segments, tiers : the names that there are.
    check_items, check_customers : called with filters on items and on customers; raise InputError.
    is_item : whether there is an item with this id.
    foresees : whether the models know how likely items are bought, as a placement lists them (None: as `default` does);
        called with its name, raises InputError where there is none.
    check_template : called with the template's name, None where the campaign names none; raises InputError.
    """

    segments: Collection[str]
    tiers: Collection[str]
    check_items: Callable[[str], object]
    check_customers: Callable[[str], object]
    is_item: Callable[[str], bool]
    foresees: Callable[[str | None], bool]
    check_template: Callable[[str | None], object]


def check_plain(text: str, columns: Mapping[str, ColumnKind]) -> None:
    """Raises InputError for a filter that does not fit these columns, or that asks for more than they say: for values
    that somebody would have to give, for whoever asks, or for what they did."""
    needs = parse(text, columns).check(columns)
    if needs.parameters or needs.attributes or needs.asks:
        asked = [f":{name}" for name in needs.parameters] or [f"customer.{name}" for name in needs.attributes]
        raise InputError(
            f"the filter asks for {asked[0] if asked else 'what a customer did'}, which is the same for nobody here",
            expected=f"a condition on attributes alone: {', '.join(sorted(columns)[:20])}",
        )


def read_campaign(text: str, source: str, around: Surroundings) -> Campaign:
    """What a campaign's file says. Raises CampaignFileError with all of its faults and their lines."""
    faults = Faults()
    file = Section(parsed_toml(text, source, CampaignFileError, "docs/email.md"), (), faults)
    file.has_only(KEYS, ("name", "purpose", "shop", "audience", "blocks"))
    name = _name(file)
    campaign = Campaign(
        name=name,
        purpose=_purpose(file),
        template=_checked(file, "template", 1_000, around.check_template),
        shop=_shop(file),
        audience=_audience(file, around),
        blocks=_blocks(file, around),
        restraint=_restraint(file, around),
        holdout=file.number("holdout", "a share from 0 to less than 1, such as 0.1", least=0.0, most=1 - 1e-9) or 0.0,
        salt=file.text("salt", 64) or name,
        words=with_own(_words(file)),
        source=source,
        text=text,
    )
    least = campaign.restraint.minimum_relevance
    if least and campaign.blocks and not any(_foresees(block, around) for block in campaign.blocks):
        what = f"no block of this campaign says how likely its items are bought, so that no mail reaches {least:g}"
        kinds = one_of(map(str, FORESEEN))[7:]
        faults.add(("restraint", "minimum_relevance"), what, f"a block of the kind {kinds}, without a placement")
    most = sum(block.items for block in campaign.blocks)
    if campaign.blocks and campaign.restraint.least_items > most:
        what = f"the blocks list {most} items at most, so that no mail has {campaign.restraint.least_items}"
        faults.add(("restraint", "least_items"), what, f"a number from 1 to {most}")
    faults.raise_any(source, text, CampaignFileError)
    return campaign


def _name(file: Section) -> str:
    name = file.text("name", 64) or ""
    if name and not NAME.fullmatch(name):
        file.fault("name", shown(name), A_NAME)
    return name


def _purpose(file: Section) -> str:
    purpose = file.text("purpose", 64) or ""
    if purpose and not is_purpose(purpose):
        file.fault("purpose", shown(purpose), PURPOSE)
    return purpose


def _checked(section: Section, key: str, most: int, check: Callable[[str | None], object]) -> str | None:
    """A text of at most so many characters; a fault of the file where `check` raises InputError."""
    text = section.text(key, most)
    try:
        check(text)
    except InputError as error:
        section.fault(key, error.found, error.expected)
    return text


def _shop(file: Section) -> ShopFacts:
    shop = file.section("shop") or Section({}, ("shop",), Faults())
    shop.has_only(SHOP, ("name",))
    for key in ("item_url", "image_url"):
        url = shop.text(key, 2_000)
        if url is not None and not _is_pattern(url):
            shop.fault(key, shown(url), "an address with {item_id} in it, such as https://shop.example/books/{item_id}")
    language = shop.text("language", 35)
    if language is not None and not is_language(language):
        shop.fault("language", shown(language), _A_LANGUAGE)
    name = shop.text("name", 200) or ""
    if not name.isprintable():
        shop.fault("name", shown(name), "one line of text")
    zone = shop.text("time_zone", 64)
    if zone is not None and not is_zone(zone):
        shop.fault("time_zone", f"there is no time zone {zone!r}", "a name such as Europe/Berlin")
    return ShopFacts(
        name=name,
        language=language or "en",
        time_zone=zone or "UTC",
        item_url=shop.text("item_url", 2_000),
        image_url=shop.text("image_url", 2_000),
    )


def _is_pattern(url: str) -> bool:
    """Whether an item's address can be made of it: a link whose host is the shop's, whatever the id."""
    host, _, rest = url.removeprefix("https://").removeprefix("http://").partition("/")
    return is_link(url.replace("{item_id}", "1")) and "{item_id}" in rest and "{" not in host


def is_language(text: str) -> bool:
    """Whether a text looks like the tag of a language."""
    return _LANGUAGE.fullmatch(text) is not None


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return False
    return True


def _audience(file: Section, around: Surroundings) -> Audience:
    said = file.section("audience")
    if said is None:
        return Audience()
    said.has_only(AUDIENCE)
    viewed, in_cart, wanted = (said.section(key) for key in ("viewed", "in_cart", "would_want"))
    return Audience(
        segments=_chosen(said, "segments", sorted(around.segments)),
        tiers=_chosen(said, "tiers", sorted(around.tiers)),
        where=_filter(said, "where", around.check_customers),
        customers=_ids(said, "customers"),
        viewed=None if viewed is None else _viewed(viewed),
        in_cart_days=None if in_cart is None else _in_cart(in_cart),
        series_continues=_flag(said, "series_continues"),
        runs_out=said.number("runs_out", "a probability above 0, at most 1", least=0.0, most=1.0, above=True),
        wanted=None if wanted is None else _wanted(wanted, around),
    )


def _chosen(said: Section, key: str, names: Sequence[str]) -> tuple[str, ...]:
    """None of them would be everybody, which is never what an empty list means."""
    if said.values.get(key) == []:
        said.fault(key, "an empty list", f"{one_of(names)}, or no `{key}` for everybody")
    return said.choices(key, names) or ()


def _viewed(inner: Section) -> Viewed | None:
    inner.has_only(("times", "days"), ("times", "days"))
    times, days = inner.whole("times", least=1, most=1_000), _days(inner)
    return None if times is None or days is None else Viewed(times, days)


def _in_cart(inner: Section) -> float | None:
    inner.has_only(("days",), ("days",))
    return _days(inner)


def _wanted(inner: Section, around: Surroundings) -> Wanted | None:
    inner.has_only(("item", "most"), ("item",))
    item, most = inner.text("item", MAX_ID_LENGTH), inner.whole("most", least=1, most=10_000_000)
    if item is None:
        return None
    if not around.is_item(item):
        inner.fault(
            "item", f"the models know no item {item[:80]!r}", "the id of an item, trained with its catalogue row"
        )
    return Wanted(item, most or 10_000_000)


def _blocks(file: Section, around: Surroundings) -> tuple[Block, ...]:
    found = []
    sections = file.sections("blocks", MOST_BLOCKS)
    if "blocks" in file.values and not sections:
        file.fault("blocks", "there is no block", "at least one [[blocks]] with a kind")
    for each in sections:
        each.has_only(BLOCK, ("kind",))
        name = each.choice("kind", [str(kind) for kind in BlockKind])
        items, days = each.whole("items", least=1, most=MOST_ITEMS), _days(each)
        times = each.whole("times", least=1, most=1_000)
        probability = each.number("probability", "a probability from 0 to 1", least=0.0, most=1.0)
        picked, where = _ids(each, "picked"), _filter(each, "filter", around.check_items)
        for number, item in enumerate(picked):
            if not around.is_item(item):
                each.faults.add(
                    (*each.path, "picked", number), f"the models know no item {item[:80]!r}", "an item's id"
                )
        if name is None:
            continue
        kind = BlockKind(name)
        own = OF_KIND.get(kind, ())
        for key in ("days", "times", "probability", "picked", "placement"):
            if key in each.values and key not in own:
                each.fault(key, f"a block of the kind {kind} has no {key!r}", one_of((*BLOCK[:3], *own)))
        if kind is BlockKind.PICKED and not picked:
            each.fault(None, "`picked` is missing", 'ids of items, such as picked = ["B0001"]')
        found.append(
            Block(
                kind=kind, items=items or ITEMS, where=where, days=DAYS if days is None else days,
                times=times or 1, probability=probability or 0.0, picked=picked,
                placement=_checked(each, "placement", 64, around.foresees),
            )
        )  # fmt: skip
    return tuple(found)


def _foresees(block: Block, around: Surroundings) -> bool:
    """Whether it is known how likely a block's items are bought. A placement that there is not is told elsewhere."""
    try:
        return block.kind in FORESEEN and (block.placement is None or around.foresees(block.placement))
    except InputError:
        return True


def _restraint(file: Section, around: Surroundings) -> Restraint:
    said = file.section("restraint")
    if said is None:
        return Restraint()
    said.has_only(RESTRAINT)
    least = said.number("minimum_relevance", "a number from 0 to less than 1", least=0.0, most=1 - 1e-9) or 0.0
    if least and not around.foresees(None):
        what = "the shop's data cannot tell how likely items are bought, so that no mail would be planned"
        said.fault("minimum_relevance", what, "no minimum_relevance; see docs/relevance.md")
    quiet, usual = said.section("quiet"), Restraint()
    days = {key: said.number(key, f"days from 0 to {MOST_DAYS:,}", least=0.0, most=MOST_DAYS) for key in _DAYS}
    last = said.whole("last_mails", least=0, most=1_000)
    return Restraint(
        last_mails=usual.last_mails if last is None else last,
        bought_days=usual.bought_days if days["bought_days"] is None else days["bought_days"],
        expires_days=usual.expires_days if days["expires_days"] is None else days["expires_days"],
        minimum_relevance=least,
        least_items=said.whole("least_items", least=1, most=MOST_ITEMS) or usual.least_items,
        caps=_caps(said),
        quiet=None if quiet is None else _quiet(quiet),
        one_per_account=_flag(said, "one_per_account"),
    )


_DAYS = ("bought_days", "expires_days")


def _caps(said: Section) -> tuple[Cap, ...]:
    found = []
    for each in said.sections("caps", MOST_CAPS):
        each.has_only(("mails", "days"), ("mails", "days"))
        mails, days = each.whole("mails", least=1, most=10_000), _days(each)
        if mails is not None and days is not None:
            found.append(Cap(mails, days))
    return tuple(found)


def _quiet(inner: Section) -> QuietHours | None:
    inner.has_only(("from", "until"), ("from", "until"))
    found = []
    for key in ("from", "until"):
        value = inner.values.get(key)
        if value is not None and not isinstance(value, time):
            inner.fault(key, shown(value), "a time of the day such as 21:00:00 (without quotes)")
        elif value is not None:
            found.append(value)
    if len(found) < 2:
        return None
    if found[0] == found[1]:
        inner.fault("until", f"it ends when it begins ({found[1]})", "another time of the day")
    return QuietHours(*found)


def _words(file: Section) -> dict[str, Words]:
    found: dict[str, Words] = {}
    outer = file.section("words")
    for language in outer.values if outer else ():
        assert outer is not None  # noqa: S101 - there are languages only where there is a table
        if not is_language(language):
            outer.fault(language, shown(language), _A_LANGUAGE)
        said = outer.section(language)
        if said is None:
            continue
        said.has_only(WORDS)
        kinds = [str(kind) for kind in BlockKind]
        named = {"themes": kinds, "headings": kinds, "reasons": list(REASONS)}
        found[language] = Words(**{key: _said(said, key, names) for key, names in named.items()})
    return found


def _said(section: Section, key: str, names: Collection[str]) -> dict[str, str]:
    inner, found = section.section(key), {}
    if inner is None:
        return {}
    inner.has_only(names)
    for name in inner.values:
        text = inner.text(name, 300)
        if text is None:
            continue
        for place in (each for each in places(text) if each not in PLACES):
            inner.fault(name, f"nothing fills in {{{place}}}", one_of([f"{{{each}}}" for each in PLACES], place))
        if not text.isprintable():
            inner.fault(name, shown(text), "one line of text")
        found[name] = text
    return found


def _filter(section: Section, key: str, check: Callable[[str], object]) -> str | None:
    text = section.text(key, MOST_CHARACTERS_OF_A_FILTER)
    if text is None:
        return None
    try:
        check(text)
    except InputError as error:
        section.fault(key, error.found, error.expected)
    return text


def _ids(section: Section, key: str) -> tuple[str, ...]:
    value = section.values.get(key)
    if value is None:
        return ()
    ids = value if isinstance(value, list) and len(value) <= MOST_NAMED else []
    if not ids or not all(isinstance(each, str) and 1 <= len(each) <= MAX_ID_LENGTH for each in ids):
        section.fault(key, shown(value), f'a list of 1 to {MOST_NAMED:,} ids, such as ["C1", "C2"]')
        return ()
    return tuple(dict.fromkeys(ids))


def _days(section: Section) -> float | None:
    return section.number("days", f"days above 0, at most {MOST_DAYS:,}", least=0.0, most=MOST_DAYS, above=True)


def _flag(section: Section, key: str) -> bool:
    value = section.values.get(key, False)
    if not isinstance(value, bool):
        section.fault(key, shown(value), "true or false")
        return False
    return value
