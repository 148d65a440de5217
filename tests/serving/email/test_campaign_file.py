"""What a campaign's file says, and everything that is wrong with one, with its line."""

from __future__ import annotations

from datetime import time

import pytest

from serving.email.campaign import Block, BlockKind, Campaign, Cap, QuietHours, Viewed
from serving.email.plan import Shop
from serving.email.reading import CampaignFileError, read_campaign
from tests.serving.email.world import campaign_text, shop_in, surroundings


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop that files are checked against."""
    return shop_in(tmp_path_factory.mktemp("models"))


def read(shop: Shop, text: str, *, foresees: bool = False) -> Campaign:
    """A file's campaign."""
    return read_campaign(text, "autumn.toml", surroundings(shop, foresees=foresees))


def test_a_file_that_says_little(shop: Shop) -> None:
    """What is not said is as the documentation says."""
    campaign = read(shop, campaign_text())
    assert campaign.blocks == (Block(kind=BlockKind.FOR_YOU, items=4),)
    assert (campaign.holdout, campaign.salt, campaign.template) == (0.0, "autumn", None)
    assert (campaign.restraint.last_mails, campaign.restraint.bought_days, campaign.restraint.expires_days) == (
        3,
        30,
        7,
    )
    assert campaign.restraint.caps == ()
    assert campaign.restraint.quiet is None
    assert set(campaign.words) >= {"en", "de", "ko"}


def test_a_file_that_says_much(shop: Shop) -> None:
    """Every key arrives where it belongs."""
    text = campaign_text(
        'segments = ["champion"]\ntiers = ["gold"]\nwhere = "country = \'DE\' AND frequency > 1"\n'
        "viewed = { times = 2, days = 30 }\nin_cart = { days = 14 }\nseries_continues = true\nruns_out = 0.2\n"
        'would_want = { item = "b01", most = 5 }',
        '[[blocks]]\nkind = "looked_at"\ntimes = 2\ndays = 10\nfilter = "price < 20"\n'
        '[[blocks]]\nkind = "picked"\npicked = ["b02"]\nitems = 1\n',
        "[restraint]\nlast_mails = 0\ncaps = [{ mails = 2, days = 7 }]\nquiet = { from = 21:00:00, until = 08:00:00 }\n"
        '[words.de.themes]\nfor_you = "Neu: {title}"\n',
    )
    campaign = read(shop, 'holdout = 0.2\nsalt = "s"\ntemplate = "cards"\n' + text)
    audience = campaign.audience
    assert (audience.segments, audience.tiers, audience.series_continues) == (("champion",), ("gold",), True)
    assert (audience.viewed, audience.in_cart_days, audience.runs_out) == (Viewed(2, 30), 14, 0.2)
    assert audience.wanted is not None
    assert (audience.wanted.item_id, audience.wanted.most) == ("b01", 5)
    assert campaign.blocks[0] == Block(kind=BlockKind.LOOKED_AT, where="price < 20", days=10, times=2)
    assert campaign.blocks[1].picked == ("b02",)
    assert campaign.restraint.caps == (Cap(2, 7),)
    assert campaign.restraint.quiet == QuietHours(time(21), time(8))
    assert (campaign.restraint.last_mails, campaign.holdout, campaign.salt) == (0, 0.2, "s")
    assert campaign.words["de"].themes["for_you"] == "Neu: {title}"
    assert campaign.words["de"].themes["picked"]


BLOCK = '[[blocks]]\nkind = "for_you"\n'
FAULTS = {
    "an unknown key": ("porpoise = 1\n" + campaign_text(), 1, "one of purpose"),
    "a name that is none": (campaign_text().replace('"autumn"', '"Au tumn"'), 1, "a name of 1 to 64"),
    "a purpose that is none": (campaign_text().replace('"email"', '"E mail"'), 2, "a letter first"),
    "a segment that does not exist": (campaign_text('segments = ["champions"]'), 11, "one of champion, lost, new"),
    "a tier that does not exist": (campaign_text('tiers = ["silver"]'), 11, "one of gold"),
    "a filter on what no customer has": (campaign_text("where = \"counrty = 'DE'\""), 11, "did you mean country?"),
    "a filter that is none": (campaign_text('where = "country ="'), 11, ""),
    "a filter on what happened": (campaign_text(blocks=BLOCK + 'filter = "did(\'purchase\')"'), 14, ""),
    "a filter that asks for a value": (campaign_text(blocks=BLOCK + 'filter = "price < :most"'), 14, "a condition"),
    "an item that is not there": (campaign_text('would_want = { item = "x" }'), 11, "the id of an item"),
    "a pick that is not there": (campaign_text(blocks='[[blocks]]\nkind = "picked"\npicked = ["x"]'), 14, "an item"),
    "picks of another kind": (campaign_text(blocks=BLOCK + 'picked = ["b01"]'), 14, "one of filter, items, kind"),
    "a placement that there is not": (campaign_text(blocks=BLOCK + 'placement = "hoem"'), 14, "one of home"),
    "a placement of another kind": (
        campaign_text(blocks='[[blocks]]\nkind = "picked"\npicked = ["b01"]\nplacement = "home"'), 15, "one of filter"
    ),
    "no picks": (campaign_text(blocks='[[blocks]]\nkind = "picked"'), 12, "ids of items"),
    "a kind of block that there is not": (campaign_text(blocks='[[blocks]]\nkind = "for_me"'), 13, "one of for_you"),
    "no block": (campaign_text(blocks=""), 1, ""),
    "a holdout over 100 %": ("holdout = 1.2\n" + campaign_text(), 1, "a share from 0 to less than 1"),
    "a holdout of everybody": ("holdout = 1\n" + campaign_text(), 1, "a share from 0 to less than 1"),
    "a template that is missing": ('template = "letters"\n' + campaign_text(), 1, "one of cards"),
    "a zone that is none": (campaign_text().replace("Europe/Berlin", "Europe/Berlyn"), 7, "Europe/Berlin"),
    "a language that is none": (campaign_text().replace('"en"', '"English!"'), 6, "en or pt-BR"),
    "an address without its item": (campaign_text().replace("{item_id}", "book"), 8, "{item_id}"),
    "a word for nothing": (campaign_text(more='[words.en.themes]\nfor_you = "{titel}"'), 16, "one of {title}"),
    "words of no block": (campaign_text(more='[words.en.themes]\nfor_me = "x"'), 16, "one of for_you"),
    "hours in quotes": (campaign_text(more='[restraint]\nquiet = { from = "21", until = 08:00:00 }'), 16, "21:00:00"),
    "hours that are none": (campaign_text(more="[restraint]\nquiet = { from = 21:00:00, until = 21:00:00 }"), 16, ""),
    "a cap of nothing": (campaign_text(more="[restraint]\ncaps = [{ mails = 0, days = 7 }]"), 16, "from 1"),
    "relevance that nobody knows": (campaign_text(more="[restraint]\nminimum_relevance = 0.1"), 16, "relevance.md"),
    "an audience of no segment": (campaign_text("segments = []"), 11, "or no `segments` for everybody"),
    "an audience of no tier": (campaign_text("tiers = []"), 11, "or no `tiers` for everybody"),
    "an address that is none": (campaign_text().replace("https://", "https:// "), 8, "{item_id}"),
    "an item as the host": (campaign_text().replace("https://", "https://{item_id}."), 8, "{item_id}"),
    "a shop of two lines": (campaign_text().replace('[shop]\nname = "', '[shop]\nname = "x\\n'), 5, "one line"),
    "more items than there are": (campaign_text(more="[restraint]\nleast_items = 5"), 16, "a number from 1 to 4"),
    "no TOML": ("name = ", 1, "docs/email.md"),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_what_is_wrong_is_said_with_its_line(shop: Shop, what: str) -> None:
    """A file with a fault is refused: the line, what was found, what is allowed; and nothing is planned."""
    text, line, expected = FAULTS[what]
    with pytest.raises(CampaignFileError) as raised:
        read(shop, text)
    (fault,) = raised.value.faults
    assert fault.line == line
    assert expected in fault.expected
    assert str(raised.value).startswith(f"autumn.toml, line {line}: ")
    assert "nothing was planned" in str(raised.value)


def test_everything_that_is_wrong_is_said_at_once(shop: Shop) -> None:
    """One reading names every fault."""
    text = "holdout = 2\nfoo = 1\n" + campaign_text('segments = ["x"]', '[[blocks]]\nkind = "y"\n')
    with pytest.raises(CampaignFileError) as raised:
        read(shop, text)
    assert [fault.line for fault in raised.value.faults] == [1, 2, 13, 15]


def test_least_relevance_needs_a_block_that_foretells(shop: Shop) -> None:
    """Where no block says how likely its items are bought, no mail would ever be likely enough."""
    least = "[restraint]\nminimum_relevance = 0.1"
    assert read(shop, campaign_text(more=least), foresees=True).restraint.minimum_relevance == 0.1
    with pytest.raises(CampaignFileError, match="no block of this campaign says"):
        read(shop, campaign_text(blocks='[[blocks]]\nkind = "looked_at"', more=least), foresees=True)
    with pytest.raises(CampaignFileError, match="no block of this campaign says"):
        read(shop, campaign_text(blocks=BLOCK + 'placement = "home"\n', more=least), foresees=True)
