"""Every customer of an audience in one row, planned or suppressed for the first cause, the same on every run."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest

from recsys.data.catalog import ITEM_SCHEMA, Catalog
from recsys.data.events import EventKind
from recsys.errors import InputError
from recsys.experiments.assignment import drawn
from recsys.models.relevance import Relevance
from recsys.recommend.recommender import Recommender
from serving.email import plan as planning
from serving.email.plan import Shop, make_plan
from serving.email.planned import Cause, Plan, PlannedMail
from serving.email.previewing import previewed
from serving.email.reading import CampaignFileError, read_campaign
from serving.email.writing import PlanFolder
from tests.serving.email.world import (
    BOOKS,
    NOW,
    READERS,
    book,
    campaign_text,
    catalogue,
    happened,
    mailed,
    permissions,
    reader,
    shop_in,
    surroundings,
    with_people,
)
from tests.worlds import DAY


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop with its models."""
    return shop_in(tmp_path_factory.mktemp("models"))


@dataclass(frozen=True)
class Planned:
    """A plan, as it is read back."""

    plan: Plan
    mails: Mapping[str, PlannedMail]
    causes: Mapping[str, str]

    def items(self, customer: str) -> list[str]:
        """All items of a customer's mail, in order."""
        return [item.item_id for block in self.mails[customer].blocks for item in block.items]


Planner = Callable[..., Planned]


@pytest.fixture
def plan(tmp_path: Path) -> Planner:
    """Plans a campaign's text for a shop."""
    number = 0

    def planned(shop: Shop, text: str, *, foresees: bool = False, now: int = NOW) -> Planned:
        nonlocal number
        number += 1
        campaign = read_campaign(text, "autumn.toml", surroundings(shop, foresees=foresees))
        folder = tmp_path / f"plan-{number}"
        header = make_plan(campaign, shop, now, folder, threads=2)
        found = Plan(folder)
        assert found.header == header
        mails = {mail.customer_id: mail for mail in found.mails()}
        causes = dict(found.suppressed().iter_rows())
        # What must hold of every plan.
        assert header.planned == len(mails)
        assert header.planned + sum(header.suppressed.values()) == header.audience == len(mails) + len(causes)
        assert dict(header.suppressed) == dict(Counter(causes.values()))
        assert not mails.keys() & causes.keys()
        for mail in mails.values():
            items = [item.item_id for block in mail.blocks for item in block.items]
            assert len(set(items)) == len(items) > 0
            assert mail.theme
            assert "\n" not in mail.theme
            assert len(mail.theme) <= 78
        return Planned(found, mails, causes)

    return planned


def bought(n: int) -> set[str]:
    """What a reader bought."""
    return {item for who, item, kind, _ in happened() if who == reader(n) and kind is EventKind.PURCHASE}


def test_everybody_gets_what_is_for_them(shop: Shop, plan: Planner) -> None:
    """A plan for all: nothing that they had, links, prices, reasons and a token that the service verifies."""
    found = plan(shop, campaign_text())
    assert sorted(found.mails) == [reader(n) for n in range(READERS)]
    for n in range(READERS):
        mail = found.mails[reader(n)]
        assert not set(found.items(reader(n))) & bought(n)
        (block,) = mail.blocks
        assert (block.kind, len(block.items)) == ("for_you", 4)
        for item in block.items:
            number = int(item.item_id[1:])
            assert (item.title, item.price, item.currency) == (f"Book {number}", 5.0 + number, "EUR")
            assert item.url == f"https://moonlight.example/{item.item_id}"
            assert item.reason_code in {"history", "popular"}
        identity = shop.tokens.verify(mail.token)
        assert identity is not None
        assert (identity.bundle, identity.placement, identity.time) == (shop.bundle.bundle_id, "email:autumn", NOW)
    assert len({mail.token for mail in found.mails.values()}) == READERS


def test_the_same_on_every_run(shop: Shop, plan: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same shop, campaign and moment give the same files, byte for byte; so does any number of threads, and how
    many customers are planned at once changes no mail."""
    text = "holdout = 0.2\n" + campaign_text(
        blocks="".join(f'[[blocks]]\nkind = "{kind}"\ndays = 60\n' for kind in ("left_in_cart", "because_you_bought"))
        + '[[blocks]]\nkind = "for_you"\n'
    )
    one, two = plan(shop, text), plan(shop, text)
    digests = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in each.plan.folder.iterdir()}
        for each in (one, two)
    ]
    assert digests[0] == digests[1]
    monkeypatch.setattr(planning, "AT_ONCE", 7)
    parts = plan(shop, text)
    assert parts.plan.header.parts == 6
    assert (parts.mails, parts.causes) == (one.mails, one.causes)


def test_the_first_cause_counts_in_the_stated_order(shop: Shop, plan: Planner) -> None:
    """Whoever could be suppressed for several causes is suppressed for the first of `Cause`."""
    everything = {"email": "nonsense", "account_id": "a1"}
    own = {n: dict(everything) for n in range(4)} | {
        4: {"email": None, "account_id": "a1"},
        5: {"email": "nonsense", "account_id": "a1"},
        6: {"email": "gone@mail.example", "account_id": "a1"},
        7: {"email": "seven@mail.example", "account_id": "a1"},
        8: {"email": "same@mail.example", "account_id": "a2"},
        9: {"email": "SAME@mail.example", "account_id": "a2"},
        10: {"email": "same@mail.example"},
    }
    said = {1: (None, False), 2: (False, True), 3: (True, False)}
    text = campaign_text(more="[restraint]\none_per_account = true\ncaps = [{ mails = 1, days = 7 }]\n")
    changed = replace(
        with_people(shop, own),
        permissions=permissions({0: (None, False), **said}),
        forgotten=frozenset({reader(0)}),
        unreachable=frozenset({"gone@mail.example"}),
        mailed=mailed([(n, 2, []) for n in range(8)]),
    )
    causes = plan(changed, text).causes
    assert {int(who[1:]): cause for who, cause in causes.items()} == {
        0: Cause.FORGOTTEN,
        1: Cause.NO_CONSENT,
        2: Cause.NO_CONSENT,
        3: Cause.RECOMMENDATIONS_OFF,
        4: Cause.NO_ADDRESS,
        5: Cause.INVALID_ADDRESS,
        6: Cause.UNREACHABLE,
        7: Cause.FREQUENCY_CAP,
        # Of the account 9 bought longer ago than 8, who has the address in common with 10, who bought last of the two.
        9: Cause.SAME_ACCOUNT,
        8: Cause.SAME_ADDRESS,
    }


def test_caps_count_mails_within_their_days(shop: Shop, plan: Planner) -> None:
    """As many mails as a cap allows within its days, and no more; older ones do not count."""
    text = campaign_text(more="[restraint]\ncaps = [{ mails = 2, days = 7 }, { mails = 3, days = 30 }]\n")
    sent = [(0, 1, []), (1, 1, []), (1, 6, []), (2, 1, []), (2, 8, []), (3, 9, []), (3, 10, []), (3, 29, [])]
    causes = plan(replace(shop, mailed=mailed(sent)), text).causes
    assert causes == {reader(1): Cause.FREQUENCY_CAP, reader(3): Cause.FREQUENCY_CAP}


def test_an_account_is_addressed_as_one(shop: Shop, plan: Planner) -> None:
    """What one of a household was sent counts for all of it: caps do not let the next one through, and what stood in
    the mail of one is not mailed to another. Without `one_per_account` everybody is on their own."""
    home = with_people(shop, {n: {"account_id": "home"} for n in (1, 7, 13)})
    capped = "caps = [{ mails = 1, days = 7 }]\n"
    alone = campaign_text(more="[restraint]\n" + capped)
    together = campaign_text(more="[restraint]\none_per_account = true\n" + capped)
    lately = replace(home, mailed=mailed([(1, 2, [])]))
    assert plan(lately, alone).causes == {reader(1): Cause.FREQUENCY_CAP}
    assert plan(lately, together).causes == {reader(n): Cause.FREQUENCY_CAP for n in (1, 7, 13)}
    text = campaign_text(more="[restraint]\none_per_account = true\n")
    before = plan(home, text)
    (addressed,) = {reader(n) for n in (1, 7, 13)} & before.mails.keys()
    other = next(n for n in (1, 7, 13) if reader(n) != addressed)
    listed = before.items(addressed)
    after = plan(replace(home, mailed=mailed([(other, 20, [int(item[1:]) for item in listed])])), text)
    assert not set(after.items(addressed)) & set(listed)


def test_a_household_bought_as_one(shop: Shop, plan: Planner) -> None:
    """Addressed as one, what one of a household bought lately is not mailed to another; longer ago it is."""
    home = with_people(shop, {n: {"account_id": "home"} for n in (1, 7, 13)})
    blocks = '[[blocks]]\nkind = "picked"\nitems = 24\npicked = ["' + '", "'.join(map(book, range(BOOKS))) + '"]\n'
    for together, days in ((True, 60), (True, 0), (False, 60)):
        more = f"[restraint]\nbought_days = {days}\none_per_account = {str(together).lower()}\n"
        found = plan(home, campaign_text(blocks=blocks, more=more))
        for n in {1, 7, 13} & {int(who[1:]) for who in found.mails}:
            others = set().union(*(bought(other) for other in {1, 7, 13} - {n})) - bought(n)
            assert others
            assert bool(others & set(found.items(reader(n)))) == (not together or not days)


def test_holdout_is_drawn_by_hash_of_those_who_would_get_a_mail(shop: Shop, plan: Planner) -> None:
    """Who is held out is what `drawn` says, whoever else is in the audience; and their lists are in no file."""
    text = "holdout = 0.3\n" + campaign_text()
    found = plan(replace(shop, permissions=permissions(dict.fromkeys(range(10), (False, True)))), text)
    campaign = read_campaign(text, "autumn.toml", surroundings(shop))
    held = {reader(n) for n in range(10, READERS) if drawn(campaign.experiment, reader(n)).is_holdout}
    assert held
    assert {who for who, cause in found.causes.items() if cause == Cause.HOLDOUT} == held
    assert sum(pl.read_parquet(found.plan.folder / "mails-00000.parquet")["items"]) == 4 * len(found.mails)


def test_nothing_that_was_mailed_lately(shop: Shop, plan: Planner) -> None:
    """What stood in the last mails is not mailed again, what stood in the one before is; 0 mails forget it all."""
    first = plan(shop, campaign_text()).items(reader(7))
    sent = [(7, 9 - place, [int(item[1:])]) for place, item in enumerate(first)]
    for last, gone in ((0, 0), (1, 1), (3, 3), (9, 4)):
        found = plan(replace(shop, mailed=mailed(sent)), campaign_text(more=f"[restraint]\nlast_mails = {last}\n"))
        again = found.items(reader(7))
        assert not set(again) & set(first[len(first) - gone :])
        assert set(first[: len(first) - gone]) <= set(again)
        assert len(again) == 4


def test_nothing_refused_returned_or_bought_lately(shop: Shop, plan: Planner) -> None:
    """The cart has not what was refused or given back, nor what was bought within the window that the file states."""
    blocks = '[[blocks]]\nkind = "left_in_cart"\ndays = 60\n'
    carted = plan(shop, campaign_text(blocks=blocks)).items(reader(6))
    assert carted == [book((2 * 8) % BOOKS)]
    item = carted[0]
    for kind, days, there in (
        (EventKind.NOT_INTERESTED, 30, False),
        (EventKind.RETURN, 30, False),
        (EventKind.PURCHASE, 70, False),
        (EventKind.PURCHASE, 20, True),
        (EventKind.VIEW, 30, True),
    ):
        changed = replace(shop, interactions=_with_event(shop, reader(6), item, kind, 20))
        found = plan(changed, campaign_text(blocks=blocks, more=f"[restraint]\nbought_days = {days}\n"))
        assert found.items(reader(6)) == [item] if there else reader(6) in found.causes, (kind, days)


def _with_event(shop: Shop, customer: str, item: str, kind: EventKind, day: int) -> object:
    from recsys.data.interactions import Interactions
    from tests.worlds import event_frame, event_table

    frame = event_frame([*happened(), (customer, item, kind, day)])
    return Interactions.from_events(event_table(frame)).over(shop.bundle.items)


def test_nothing_sold_out_or_about_to_expire(shop: Shop, plan: Planner) -> None:
    """What cannot be bought now, or not for as long as the file states, is in no mail."""
    rows = catalogue().with_columns(
        available=pl.col("item_id") != book(0),
        expires=pl.when(pl.col("item_id").is_in([book(2), book(3)])).then(pl.lit(NOW + 10 * DAY)),
    )
    changed = replace(shop, items=rows, catalog=Catalog.from_items(rows, shop.bundle.items))
    blocks = f'[[blocks]]\nkind = "picked"\nitems = 9\npicked = ["{book(0)}", "{book(2)}", "{book(4)}"]\n'
    soon = plan(changed, campaign_text(blocks=blocks, more="[restraint]\nexpires_days = 10\nbought_days = 0\n"))
    later = plan(changed, campaign_text(blocks=blocks, more="[restraint]\nexpires_days = 9\nbought_days = 0\n"))
    assert {item for who in soon.mails for item in soon.items(who)} == {book(4)}
    assert {item for who in later.mails for item in later.items(who)} == {book(2), book(4)}


def test_better_no_mail_than_a_weak_one(shop: Shop, plan: Planner) -> None:
    """No item that is bought with less than the least probability; who has none likely enough gets no mail."""
    curve = (np.array([0.0]), np.array([0.5]))
    weak = (np.array([0.0]), np.array([0.1]))
    # One purchase or two are another class than more.
    relevance = Relevance.of_curves((EventKind.PURCHASE,), 30, (4,), (weak, curve, weak, weak))
    foreseen = replace(shop, recommender=Recommender(replace(shop.bundle, relevance=relevance)))
    found = plan(foreseen, campaign_text(more="[restraint]\nminimum_relevance = 0.3\n"), foresees=True)
    assert found.mails
    assert set(found.causes.values()) == {Cause.NOTHING_GOOD_ENOUGH}
    for mail in found.mails.values():
        assert all(item.relevance == pytest.approx(0.5) for block in mail.blocks for item in block.items)
    for n in range(READERS):
        touched = {item for who, item, _, _ in happened() if who == reader(n)}
        assert (reader(n) in found.mails) == (len(touched) >= 4)
    many = campaign_text(blocks='[[blocks]]\nkind = "for_you"\nitems = 50', more="[restraint]\nleast_items = 50\n")
    all_of_them = plan(foreseen, many, foresees=True)
    assert set(all_of_them.causes.values()) == {Cause.NOTHING_GOOD_ENOUGH}
    assert not all_of_them.mails


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        ('segments = ["champion"]', lambda n: n % 3 == 0),
        ('tiers = ["gold"]\nwhere = "frequency > 3"', lambda n: n % 3 == 0 and n % 6 + 1 > 3),
        ("where = \"country = 'KR'\"", lambda n: n % 4 == 0),
        ('customers = ["r01", "r05", "zz"]', lambda n: n in (1, 5)),
        ("viewed = { times = 2, days = 30 }", lambda n: book((2 * (n + 1) + n % 2) % BOOKS) not in bought(n)),
        ("viewed = { times = 3, days = 30 }", None),
        ("viewed = { times = 2, days = 9.5 }", None),
        ("in_cart = { days = 30 }", lambda n: True),
        ("in_cart = { days = 5 }", None),
    ],
)
def test_who_is_in_the_audience(
    shop: Shop, plan: Planner, audience: str, expected: Callable[[int], bool] | None
) -> None:
    """Those of whom everything is true that the file says; an audience with nobody in it is refused."""
    if expected is None:
        with pytest.raises(
            CampaignFileError, match=r"autumn.toml, line 10: audience: nobody is in the audience of autumn"
        ):
            plan(shop, campaign_text(audience))
        return
    found = plan(shop, campaign_text(audience))
    assert sorted([*found.mails, *found.causes]) == [reader(n) for n in range(READERS) if expected(n)]
    assert found.plan.header.counted["unknown_customers"] == ("zz" in audience)


def test_who_would_want_a_book(shop: Shop, plan: Planner) -> None:
    """At most so many, those for whom it scores most; a block can then show it to them."""
    text = '[[blocks]]\nkind = "picked"\npicked = ["b01"]\n'
    everybody = plan(shop, campaign_text('would_want = { item = "b01" }', text))
    few = plan(shop, campaign_text('would_want = { item = "b01", most = 3 }', text))
    assert few.plan.header.audience == 3 < everybody.plan.header.audience
    assert {*few.mails, *few.causes} <= {*everybody.mails, *everybody.causes}


def test_a_mail_speaks_the_customers_language_and_waits_for_their_morning(shop: Shop, plan: Planner) -> None:
    """Language and zone are the customer's, else the shop's, which is counted; quiet hours are by their clock."""
    text = campaign_text(
        blocks='[[blocks]]\nkind = "left_in_cart"\ndays = 60\n',
        more="[restraint]\nquiet = { from = 21:00:00, until = 08:00:00 }\n",
    )
    changed = with_people(shop, {1: {"language": "fr", "time_zone": "Mars/Base"}})
    found = plan(changed, text)
    counted = found.plan.header.counted
    assert counted == {"other_language": 1, "shops_language": 29, "shops_time_zone": 30, "unknown_customers": 0}
    seoul, berlin = found.mails[reader(0)], found.mails[reader(2)]
    # It is 22:13 UTC: 7:13 in Seoul, 23:13 in Berlin, where 8 o'clock is 7 o'clock UTC.
    assert (seoul.time_zone, berlin.time_zone) == ("Asia/Seoul", "Europe/Berlin")
    midnight = NOW - NOW % DAY
    assert seoul.not_before == midnight + 23 * 3_600_000
    assert berlin.not_before == midnight + DAY + 7 * 3_600_000
    assert seoul.theme.endswith("liegt noch in Ihrem Warenkorb")
    assert seoul.blocks[0].heading == "Noch in Ihrem Warenkorb"
    assert berlin.theme.endswith("is still in your cart")
    assert plan(changed, text, now=NOW + 14 * 3_600_000).mails[reader(2)].not_before == NOW + 14 * 3_600_000


def test_theme_lines_are_made_from_the_evidence(shop: Shop, plan: Planner) -> None:
    """The line speaks of what stands first; one that would name what is not known gives way to another."""
    blocks = '[[blocks]]\nkind = "because_you_bought"\ndays = 60\n[[blocks]]\nkind = "for_you"\n'
    words = '[words.en.themes]\nbecause_you_bought = "{name}, more like {because} ({author})"\n'
    found = plan(with_people(shop, {3: {"name": None}}), campaign_text(blocks=blocks, more=words))
    for n in (1, 2, 3):
        mail = found.mails[reader(n)]
        first = mail.blocks[0].items[0]
        assert first.because in bought(n)
        because = f"Book {int(first.because[1:])}"
        own = f"Reader {n}, more like {because} ({first.author})"
        assert mail.theme == (own if n != 3 else f"Because you bought {because}")
        assert mail.blocks[0].heading == f"Because you bought {because}"
        assert first.reason == f"goes with {because}"


def test_a_title_cannot_break_the_theme_line(shop: Shop, plan: Planner) -> None:
    """Control characters become spaces, and a line that is too long is cut."""
    rows = catalogue().with_columns(title=pl.lit("A\r\nBcc: x@y.example\x00 " + "very " * 40 + "long title {name}"))
    found = plan(replace(shop, items=rows), campaign_text())
    themes = {mail.theme for mail in found.mails.values()}
    assert all(theme.startswith("A Bcc: x@y.example very") and theme.endswith("…") for theme in themes)


def test_an_item_filter_holds_for_its_block_alone(shop: Shop, plan: Planner) -> None:
    """Each block lists what passes its own filter, and as many items as if there were no others."""
    blocks = '[[blocks]]\nkind = "for_you"\nfilter = "price < 15"\nitems = 3\n[[blocks]]\nkind = "for_you"\nitems = 3\n'
    found = plan(shop, campaign_text(blocks=blocks))
    for mail in found.mails.values():
        cheap, rest = mail.blocks
        assert all(item.price is not None and item.price < 15 for item in cheap.items)
        assert (len(cheap.items), len(rest.items)) == (3, 3)


def test_a_plan_is_whole_or_not_there(shop: Shop, plan: Planner, tmp_path: Path) -> None:
    """A folder that is there is never written to, and one whose plan fails is not left behind."""
    found = plan(shop, campaign_text())
    campaign = read_campaign(campaign_text(), "autumn.toml", surroundings(shop))
    with pytest.raises(InputError, match="is there already"):
        make_plan(campaign, shop, NOW, found.plan.folder, threads=1)
    parts = [pl.read_parquet(found.plan.folder / name) for name in ("mails-00000.parquet", "items-00000.parquet")]

    def broken_off() -> None:
        with PlanFolder(tmp_path / "other") as folder:
            folder.part(*parts)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert not [path for path in tmp_path.iterdir() if "other" in path.name]
    with pytest.raises(InputError, match="cannot be read"):
        Plan(tmp_path / "other")
    (found.plan.folder / "plan.json").write_bytes(orjson.dumps({"format_version": 99}))
    with pytest.raises(InputError, match="no plan of version 1"):
        Plan(found.plan.folder)


def test_nobody_may_be_written_to(shop: Shop, plan: Planner) -> None:
    """A plan without a mail is a plan all the same: everybody is in it, with the cause."""
    found = plan(replace(shop, permissions=permissions({}).clear()), campaign_text())
    assert found.plan.header.suppressed == {"no_consent": READERS}
    assert found.plan.header.planned == 0


def test_a_preview_is_the_plans_own_mail(shop: Shop, plan: Planner) -> None:
    """What a preview shows of a customer is what the plan has for them, and nothing is written."""
    text = campaign_text('segments = ["champion"]')
    campaign = read_campaign(text, "autumn.toml", surroundings(shop))
    found = plan(shop, text)
    named = previewed(campaign, shop, NOW, (reader(3), reader(4)), 1, 0, 1)
    assert named.mails == (found.mails[reader(3)],)
    assert (named.outside, named.audience) == ((reader(4),), 14)
    drawn_by_seed = previewed(campaign, shop, NOW, (), 5, 1, 1)
    assert len(drawn_by_seed.mails) == 5
    assert all(mail == found.mails[mail.customer_id] for mail in drawn_by_seed.mails)


def test_items_without_a_row_have_their_id(shop: Shop, plan: Planner) -> None:
    """What the catalogue does not describe is named by its id, without price and link."""
    text = campaign_text().replace('item_url = "https://moonlight.example/{item_id}"\n', "")
    found = plan(replace(shop, items=pl.DataFrame(schema=ITEM_SCHEMA)), text)
    items = [item for mail in found.mails.values() for block in mail.blocks for item in block.items]
    assert all((item.title, item.price, item.url) == (item.item_id, None, None) for item in items)
