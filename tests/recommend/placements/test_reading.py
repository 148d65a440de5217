"""The file of placements: what it says, and what it gets for what does not fit."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time
from time import process_time as time_of_process
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.events import EventKind
from recsys.errors import InputError
from recsys.recommend.placement import (
    DEFAULT_PLACEMENT,
    NAMED_SOURCES,
    Boost,
    Diversity,
    Exploration,
    Fallback,
    Pin,
    Placement,
    Rotation,
)
from recsys.recommend.placements import PlacementsFile, PlacementsFileError, read_placements
from recsys.recommend.placements.dates import overlap
from recsys.recommend.placements.spelling import placement_toml, policy_version
from recsys.recommend.placements.words import RULES, SECTIONS

NOW = 1_795_000_000_000
"""2026-11-18 11:06:40 UTC, in milliseconds."""

EVERYTHING = """
time_zone = "Europe/Berlin"

[filters]
gifts = "price BETWEEN 10 AND 30"

[placements.home]
sources = { item_item = 1.0, als = 0.5, content = 0 }
fallback = ["rising", "popular"]
filter = "gifts"
repeat = "only"
minimum_relevance = 0.01
diversity = [{ by = "author", at_most = 2 }]
rotation = { after = 3, step = 5, days = 14 }
explore = { share = 0.1, cost = 0.02 }
pins = [{ item = "emma", slot = 1, from = 2026-12-01, until = 2026-12-24T18:00:00 }]

[[placements.home.boosts]]
where = "author = 'Jane Austen'"
factor = 1.5
until = 2026-12-24T18:00:00Z

[placements.discover]
sources = ["content"]
fallback = []
repeat = "allowed"

[experiments.winter]
placement = "home"
arms = { control = { placement = "home" }, bolder = { placement = "discover", weight = 2 } }
starts = 2026-12-01
"""


def read(text: str, now: int | None = NOW) -> PlacementsFile:
    """What a file called shop.toml says."""
    return read_placements(text, "shop.toml", now=now)


def faults(text: str) -> list[tuple[int, str, str]]:
    """Line, field, and what was found and expected, of every fault."""
    with pytest.raises(PlacementsFileError) as caught:
        read(text)
    return [(fault.line, fault.field, f"{fault.found}; {fault.expected}") for fault in caught.value.faults]


def ms(when: datetime) -> int:
    """Milliseconds UTC."""
    return int(when.timestamp() * 1000)


def test_every_rule_is_read() -> None:
    """Each key of a placement becomes the value it stands for; dates are of the shop's zone."""
    file = read(EVERYTHING)
    berlin = ZoneInfo("Europe/Berlin")
    home = file.placements["home"]
    assert home == Placement(
        name="home",
        mask_kinds=frozenset({EventKind.RETURN, EventKind.NOT_INTERESTED}),
        version=home.version,
        sources=frozenset({"item_item", "als"}),
        weights=(("als", 0.5), ("item_item", 1.0)),
        fallback=(Fallback.RISING, Fallback.POPULAR),
        where="price BETWEEN 10 AND 30",
        only_again=True,
        minimum_relevance=0.01,
        diversity=(Diversity(by="author", at_most=2),),
        rotation=Rotation(after=3, step=5, days=14),
        pins=(
            Pin(
                item_id="emma",
                slot=1,
                starts=ms(datetime(2026, 12, 1, tzinfo=berlin)),
                ends=ms(datetime(2026, 12, 24, 18, tzinfo=berlin)),
            ),
        ),
        boosts=(Boost(where="author = 'Jane Austen'", factor=1.5, ends=ms(datetime(2026, 12, 24, 18, tzinfo=UTC))),),
        exploration=Exploration(share=0.1, cost=0.02),
    )
    assert file.placements["discover"].sources == frozenset({"content"})
    assert file.placements["discover"].fallback == ()
    assert file.filters == {"gifts": "price BETWEEN 10 AND 30"}
    (winter,) = file.experiments
    assert [(arm.name, arm.placement, arm.weight) for arm in winter.arms] == [
        ("control", "home", 1.0),
        ("bolder", "discover", 2.0),
    ]
    assert winter.starts == ms(datetime(2026, 12, 1, tzinfo=berlin))


def test_experiments_that_run_at_one_time_on_one_placement_are_refused() -> None:
    """Experiments that are fine alone are looked at together, too; each that is not is told for itself."""
    arms = "arms = { control = { placement = 'default' }, b = { bundle = 'x' } }"
    text = f"[experiments.a]\nplacement = 'default'\n{arms}\n[experiments.b]\nplacement = 'default'\n{arms}\n"
    ((line, field, says),) = faults(text)
    assert (line, field) == (4, "experiments.b")
    assert "while a runs there" in says
    broken = text.replace("placement = 'default'\n", "placement = 'gone'\n")
    assert [line for line, _, _ in faults(broken)] == [2, 5]
    with pytest.raises(PlacementsFileError, match="line 3: experiments\\.a\\.arms\\.b\\.bundle"):
        read_placements(text, "shop.toml", bundles=["y"])


def test_default_is_always_there() -> None:
    """An empty file has the built-in placement; a file may say something else of it."""
    assert read("").placements == {"default": DEFAULT_PLACEMENT}
    assert read("[placements.default]").placements == {"default": DEFAULT_PLACEMENT}
    assert read('[placements.default]\nrepeat = "allowed"').placements["default"] != DEFAULT_PLACEMENT


def test_a_placement_s_version_is_that_of_its_rules() -> None:
    """The same rules have the same version under any name and wherever their filter is written; others another one."""
    file = read(
        "[filters]\ncheap = 'price < 5'\n[placements.a]\nfilter = 'cheap'\n"
        "[placements.b]\nfilter = 'price < 5'\n[placements.c]\nfilter = 'price < 6'\n"
    )
    a, b, c = (file.placements[name].version for name in "abc")
    assert a == b
    assert len({a, c, DEFAULT_PLACEMENT.version}) == 3


@pytest.mark.parametrize(
    ("said", "line", "field", "says"),
    [
        ("[placements.x]\nsources = []", 2, "placements.x.sources", "names no source"),
        ("[placements.x]\nsources = {}", 2, "placements.x.sources", "names no source"),
        ("[placements.x]\nsources = { als = 0 }", 2, "placements.x.sources", "sum to nothing"),
        ("[placements.x]\nsources = { als = -1 }", 2, "placements.x.sources.als", "found -1"),
        ("[placements.x]\nsources = { als = nan }", 2, "placements.x.sources.als", "found nan"),
        ("[placements.x]\nsources = { als = inf }", 2, "placements.x.sources.als", "found inf"),
        ("[placements.x]\nsources = { sla = 1 }", 2, "placements.x.sources.sla", "one of als"),
        ("[placements.x]\nsources = ['sla']", 2, "placements.x.sources[0]", "one of als"),
        ("[placements.x]\nsources = [\n'als',\n'als',\n]", 4, "placements.x.sources[1]", "twice"),
        ("[placements.x]\nfallback = ['newest']", 2, "placements.x.fallback[0]", "one of new"),
        ("[placements.x]\nrepeat = 'always'", 2, "placements.x.repeat", "allowed, never, only"),
        ("[placements.x]\nhide_after = ['impression']", 2, "placements.x.hide_after[0]", "one of"),
        ("[placements.x]\nminimum_relevance = 1.0", 2, "placements.x.minimum_relevance", "less than 1"),
        ("[placements.x]\nminimum_relevance = true", 2, "placements.x.minimum_relevance", "found true"),
        ("[placements.x]\ndiversity = [{ by = 'author' }]", 2, "placements.x.diversity[0]", "`at_most` is missing"),
        ("[placements.x]\ndiversity = [{ by = 'a', at_most = 0 }]", 2, "placements.x.diversity[0].at_most", "1 to 200"),
        (
            "[placements.x]\ndiversity = [{ by = 'a', at_most = 1 },\n{ by = 'a', at_most = 2 }]",
            3,
            "placements.x.diversity[1].by",
            "twice",
        ),
        ("[placements.x]\nrotation = { after = 1, step = 0, days = 1 }", 2, "placements.x.rotation.step", "found 0"),
        ("[placements.x.rotation]\nafter = -1\nstep = 1\ndays = 1", 2, "placements.x.rotation.after", "found -1"),
        ("[placements.x]\nexplore = { share = 0.6, cost = 0.1 }", 2, "placements.x.explore.share", "at most 0.5"),
        ("[placements.x]\nexplore = { share = 0.1, cost = 0 }", 2, "placements.x.explore.cost", "above 0"),
        ("[placements.x]\npins = [{ item = 'a', slot = 201 }]", 2, "placements.x.pins[0].slot", "1 to 200"),
        (
            "[placements.x]\n\n[[placements.x.pins]]\nitem = 'a'\nslot = 1\nuntil = 2026-11-18",
            6,
            "placements.x.pins[0].until",
            "over since 2026-11-18",
        ),
        (
            "[placements.x]\npins = [\n{ item = 'a', slot = 1, from = 2026-12-24, until = 2026-12-24 }]",
            3,
            "placements.x.pins[0].until",
            "before it begins",
        ),
        (
            """[placements.x]
pins = [{ item = 'a', slot = 1, until = 2026-12-24 },
# ], which ends nothing

{ item = 'b', slot = 1, from = 2026-12-23 } ]""",
            5,
            "placements.x.pins[1].slot",
            "'a' is pinned to slot 1 at the same time",
        ),
        (
            "[placements.x]\npins = [{ item = 'a', slot = 1 }, { item = 'a', slot = 2 }]",
            2,
            "placements.x.pins[1].item",
            "'a' is pinned to slot 1",
        ),
        ("[placements.x]\npins = [{ item = '', slot = 1 }]", 2, "placements.x.pins[0].item", "1 to 256"),
        (
            "[placements.x]\nboosts = [{ where = 'a = 1', factor = 0 }]",
            2,
            "placements.x.boosts[0].factor",
            "from 0.01 to 100",
        ),
        (
            "[placements.x]\nboosts = [{ where = 'a = 1', factor = 2, until = 2020-01-01 }]",
            2,
            "placements.x.boosts[0].until",
            "over since",
        ),
        (
            "[placements.x]\nboosts = [{ where = 'a = 1', factor = 2, until = '2020-01-01' }]",
            2,
            "placements.x.boosts[0].until",
            "without quotes",
        ),
        (
            "[placements.x]\nboosts = [{ where = 'a = 1', factor = 2, until = 12:00:00 }]",
            2,
            "placements.x.boosts[0].until",
            "a date",
        ),
        ("[placements.x]\nfilter = 'gifts'", 2, "placements.x.filter", "no filter is saved under the name 'gifts'"),
        ("[filters]\ngift = 'a = 1'\n[placements.x]\nfilter = 'gifts'", 4, "placements.x.filter", "one of gift "),
        ("[filters]\ncheap = 5", 2, "filters.cheap", "found 5"),
        ("[filters]\ncheap = 'price <'", 2, "filters.cheap", "at character 8"),
        ("[placements.x]\nfilter = 'price < )'", 2, "placements.x.filter", "at character 10"),
        (
            "[filters]\ncheap = 'price < :max'\n[placements.x]\nfilter = 'cheap'",
            4,
            "placements.x.filter",
            "asks for :max, which nobody says",
        ),
        (
            "[placements.x]\nboosts = [{ where = ':a = b', factor = 2 }]",
            2,
            "placements.x.boosts[0].where",
            "asks for :a",
        ),
        ("[filters]\ncheap = 'price <'\n[placements.x]\nfilter = 'cheap'", 2, "filters.cheap", "at character 8"),
        ("[filters]\n'Cheap!' = 'a = 1'", 2, "filters.Cheap!", "a-z, 0-9"),
        ("[placements.Home]", 1, "placements.Home", "a-z, 0-9"),
        ("[placements]\nhome = 1", 2, "placements.home", "a table"),
        ("[placements.x]\nsource = ['als']", 2, "placements.x.source", "one of sources"),
        ("[placement.x]", 1, "placement", "one of placements"),
        (
            """[experiments.w]
placement = 'default'
[experiments.w.arms]
control = { placement = 'default' }
bold = { placement = 'home-bold' }""",
            5,
            "experiments.w.arms.bold.placement",
            "'home-bold', which does not exist; one of default",
        ),
        ("[experiments.w]\nplacement = 'home'", 2, "experiments.w.placement", "which does not exist"),
        ("[experiments.'W!']\nplacement = 'home'", 1, "experiments.W!", "a-z, 0-9"),
        ("time_zone = 'Europe/Atlantis'", 1, "time_zone", "no time zone"),
        ("time_zone = '../UTC'", 1, "time_zone", "no time zone"),
        ("\n[placements.x\n", 2, "", "TOML"),
        ("a = 1\na = 2\n", 2, "", "TOML"),
        ("x = [", 1, "", "TOML"),
        (f"x = {'[' * 5_000}", 1, "", "in too many others"),
        (
            """[[placements.x.boosts]]
where = 'price < 3'
factor = 2
[[placements.x.boosts]]
where = 'price < 4'
factor = 0""",
            6,
            "placements.x.boosts[1].factor",
            "from 0.01 to 100",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(said: str, line: int, field: str, says: str) -> None:
    """Each fault names its line and field, what was found and what was expected."""
    ((found_line, found_field, message),) = faults(said)
    assert (found_line, found_field) == (line, field)
    assert says in message


def test_all_faults_are_told_at_once() -> None:
    """Faults of several placements come together, ordered by line; the message has the file and each line."""
    text = "[placements.a]\nrepeat = 'x'\nsources = []\n\n[placements.b]\npins = [{ slot = 0 }]\nlist = 1\n"
    assert [line for line, _, _ in faults(text)] == [2, 3, 6, 6, 7]
    with pytest.raises(PlacementsFileError) as caught:
        read(text)
    assert [f"shop.toml, line {line}: " in str(caught.value) for line in (2, 3, 6, 7)] == [True] * 4


def test_a_long_file_with_a_fault_is_told_soon() -> None:
    """Lines of a long array cost no more than reading it, and a message does not grow without end."""
    pins = "".join(f'{{ item = "{number}", slot = 0 }},\n' for number in range(4_000))
    text = f"[placements.x]\npins = [\n{pins}]\nsource = 1\n"
    assert [line for line, _, _ in faults(text)] == [2, 4_004]
    many = "".join(f"rule{number} = 1\n" for number in range(1_000))
    with pytest.raises(PlacementsFileError) as caught:
        read(f"[placements.x]\n{many}")
    assert len(caught.value.faults) == 1_000
    assert "and 900 more" in str(caught.value)


def test_what_is_over_by_now_can_still_be_read() -> None:
    """A published file goes on being read when its pins are over: `now` is only asked of files to be published."""
    text = "[placements.x]\npins = [{ item = 'a', slot = 1, until = 2020-01-01 }]"
    assert read(text, now=None).placements["x"].pins[0].ends == ms(datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("zone", "said"),
    [("America/New_York", "until = 9999-12-31T23:59:59"), ("Europe/Berlin", "from = 0001-01-01")],
)
def test_a_moment_of_no_year_in_utc_is_a_fault(zone: str, said: str) -> None:
    """The ends of the calendar lie outside of it where the shop's zone is not that of the calendar."""
    text = f"time_zone = '{zone}'\n[placements.x]\npins = [{{ item = 'a', slot = 1, {said} }}]"
    assert [(line, field.rpartition(".")[0]) for line, field, _ in faults(text)] == [(3, "placements.x.pins[0]")]


@pytest.mark.parametrize("body", ["]\n" * 30_000, "a = ]\n" * 20_000])
def test_a_long_text_full_of_brackets_is_told_soon(body: str) -> None:
    """Looking for the end of a statement is given up after a while; the fault is told all the same, and of what stands
    before it the line."""
    started = time_of_process()
    found = faults(f'[placements.x]\nsource = 1\nrepeat = """\n{body}"""\n')
    assert (2, "placements.x.source") in [(line, field) for line, field, _ in found]
    assert time_of_process() - started < 10


def test_every_filter_is_checked_where_it_stands() -> None:
    """Saved ones, those of placements and those of boosts are handed to the check, and what it says has their line."""

    def refuses(text: str) -> None:
        if "colour" in text:
            raise InputError("there is no column colour, at character 1", expected="one of price")

    text = (
        "[filters]\nred = 'colour = 1'\n[placements.x]\nfilter = 'red'\n"
        "boosts = [\n{ where = 'colour = 2', factor = 2 } ]\n[placements.y]\nfilter = 'colour = 3 '\n"
    )
    with pytest.raises(PlacementsFileError) as caught:
        read_placements(text, "shop.toml", check=refuses)
    assert [(fault.line, fault.field) for fault in caught.value.faults] == [
        (2, "filters.red"),
        (6, "placements.x.boosts[0].where"),
        (8, "placements.y.filter"),
    ]
    assert "at character 1" in str(caught.value)


MOMENTS = st.one_of(st.none(), st.integers(-62_135_596_800_000, 253_402_300_799_999))
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
EXPRESSIONS = st.from_regex(r"title = '[a-zA-Z éß]{0,9}'( AND price < [0-9]{1,3})?|\(new\)|NOT new", fullmatch=True)


@st.composite
def periods(draw: st.DrawFn) -> tuple[int | None, int | None]:
    """From when until when."""
    starts, ends = draw(MOMENTS), draw(MOMENTS)
    if starts is not None and ends is not None and ends <= starts:
        return (ends, starts) if ends < starts else (starts, None)
    return starts, ends


@st.composite
def pins(draw: st.DrawFn) -> tuple[Pin, ...]:
    """No two of one slot or one item at the same time."""
    found: list[Pin] = []
    for item, slot, (starts, ends) in draw(st.lists(st.tuples(TEXTS, st.integers(1, 200), periods()), max_size=4)):
        pin = Pin(item_id=item, slot=slot, starts=starts, ends=ends)
        if not any(
            (pin.slot == other.slot or pin.item_id == other.item_id)
            and overlap((starts, ends), (other.starts, other.ends))
            for other in found
        ):
            found.append(pin)
    return tuple(found)


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    """Anything that a placement can be."""
    names = draw(st.none() | st.frozensets(st.sampled_from(sorted(NAMED_SOURCES)), min_size=1))
    weights = None
    if names is not None and draw(st.booleans()):
        weights = tuple((name, draw(st.floats(1e-300, 1e6))) for name in sorted(names))
    shares = st.floats(0, 0.5, exclude_min=True)
    kinds = [kind for kind in EventKind if kind.needs_item and not kind.is_exposure]
    factor = st.floats(0.01, 100)
    return Placement(
        name="home",
        mask_kinds=draw(st.frozensets(st.sampled_from(kinds)) | st.just(DEFAULT_PLACEMENT.mask_kinds)),
        sources=names,
        weights=weights,
        fallback=tuple(draw(st.lists(st.sampled_from(Fallback), unique=True))),
        where=draw(st.none() | EXPRESSIONS),
        only_again=draw(st.booleans()),
        minimum_relevance=draw(st.floats(0, 0.999)),
        diversity=tuple(
            Diversity(by=by, at_most=draw(st.integers(1, 200))) for by in draw(st.lists(TEXTS, unique=True, max_size=3))
        ),
        rotation=draw(
            st.none()
            | st.builds(Rotation, after=st.integers(0, 100), step=st.integers(1, 100), days=st.integers(1, 365))
        ),
        pins=draw(pins()),
        boosts=tuple(
            Boost(where=draw(EXPRESSIONS), factor=draw(factor), starts=starts, ends=ends)
            for starts, ends in draw(st.lists(periods(), max_size=3))
        ),
        exploration=draw(st.none() | st.builds(Exploration, share=shares, cost=shares)),
    )


def test_an_attribute_alone_is_an_expression_in_brackets() -> None:
    """A word alone is the name of a saved filter; where an attribute alone is one, it is written in brackets."""
    (_, _, says), *none = faults("[placements.home]\nfilter = 'new'")
    assert "(new)" in says
    assert none == []
    placement = replace(DEFAULT_PLACEMENT, name="home", where="new")
    assert read(placement_toml(placement)).placements["home"] == replace(
        placement, where="(new)", version=policy_version(placement)
    )


@given(placements())
def test_whatever_a_placement_says_can_be_written_and_read(placement: Placement) -> None:
    """Reading what `placement_toml` writes gives the same placement."""
    expected = replace(placement, version=policy_version(placement))
    assert read(placement_toml(placement), now=None).placements["home"] == expected


KEYS = st.sampled_from(
    [
        *SECTIONS,
        *RULES,
        "home",
        "als",
        "by",
        "at_most",
        "after",
        "step",
        "days",
        "share",
        "cost",
        "item",
        "slot",
        "from",
        "until",
        "where",
        "factor",
        "arms",
        "placement",
        "weight",
        "a.b",
        "",
        "\x7f",
        "é",
    ]
)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(UTC)),
    st.times(),
    st.sampled_from(["als", "popular", "home", "never", "2026-12-24", "price < 3"]),
)


def toml(value: object) -> str:
    """A value as TOML writes it inline."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml(key)} = {toml(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\u{ord(each):04x}" for each in value) + '"'
    return repr(value)


VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
RULES_OF = st.dictionaries(st.sampled_from(RULES), VALUES, max_size=4)


@given(
    st.one_of(
        st.dictionaries(KEYS, VALUES, max_size=4),
        st.fixed_dictionaries({"placements": st.fixed_dictionaries({"home": RULES_OF})}),
        st.fixed_dictionaries(
            {"placements": st.fixed_dictionaries({"home": st.fixed_dictionaries({"pins": st.lists(VALUES)})})}
        ),
        st.fixed_dictionaries({"experiments": st.dictionaries(KEYS, VALUES, max_size=2)}),
    )
)
def test_any_toml_is_read_or_refused(said: dict[str, object]) -> None:
    """Whatever a file says, it becomes placements, or an error of its own."""
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in said.items())
    try:
        file = read(text)
    except PlacementsFileError:
        return
    assert "default" in file.placements


@given(st.text() | st.text("[]{}='\"\n#.a1-: ,\\\r"))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Text that is no TOML is refused as such."""
    with suppress(PlacementsFileError):
        read(text)
