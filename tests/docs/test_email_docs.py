"""Every example of docs/email.md is read and planned for a simulated shop, and does what the page says."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from recsys.cli.app import app
from recsys.customers.consents import read_consents, record
from recsys.data.importers import importing
from recsys.data.importers.options import build_options
from recsys.recommend.crowd.picks import REASONS
from recsys.recommend.placements import PlacementRepository
from recsys.shop import ShopFolder
from recsys.simulation.folder import write_shop
from recsys.simulation.spec import ShopSpec
from recsys.stores import open_store
from recsys.stores.ledger import LedgerEntry, Mailing, MailState, Move
from serving.email import plan
from serving.email.campaign import BlockKind
from serving.email.planned import Cause, Plan, PlanHeader, PlannedMail
from serving.email.reading import AUDIENCE, BLOCK, KEYS, RESTRAINT, SHOP, WORDS
from serving.email.words import PLACES, shipped
from tests.serving.shop import train_shop

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "email.md").read_text()
AT = "2026-11-01T08:00:00Z"
NOVEMBER = 1_793_520_000_000
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
FIRST = EXAMPLES[0]
SAMPLES = sorted((ROOT / "scripts" / "campaigns").glob("*.toml"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated, imported and trained as `make run` does it, but smaller."""
    home = ShopFolder(tmp_path_factory.mktemp("sample") / "shop")
    files = home.home / "sample"
    write_shop(ShopSpec(books=300, customers=400, events=12_000), files)
    for subject, names in (("items", "items*"), ("customers", "customers*"), (None, "events-*")):
        options = build_options(now=NOVEMBER, subject=subject)
        importing.import_files(sorted(files.glob(f"{names}.parquet")), options, home, open_store, lambda *_: None)
    store = open_store(home.store)
    record(store, read_consents(files / "consents.parquet"))
    store.close()
    train_shop(home.home)
    return home.home


def whole(example: str) -> str:
    """The example with what the page's first one says of the rest."""
    own, first = tomllib.loads(example), tomllib.loads(FIRST)
    keys = [line for line in FIRST.split("\n[")[0].splitlines() if line.split(" = ")[0] not in own]
    tables = [part for part in re.split(r"\n(?=\[)", "\n" + FIRST) if part.startswith("[")]
    kept = [part for part in tables if re.match(r"\[+([a-z]+)", part)[1] not in own]  # type: ignore[index]
    assert first["name"] == "autumn"
    top, _, rest = ("\n" + example).partition("\n[")
    return "\n".join([*keys, top, *kept, f"[{rest}" if rest else ""])


@dataclass(frozen=True)
class Told:
    """What came of a command."""

    code: int
    text: str


def bookmatch(*words: str) -> Told:
    """Runs the command."""
    result = CliRunner().invoke(app, [*words])
    return Told(result.exit_code, result.output or str(result.exception))


def planned(shop: Path, text: str, folder: Path) -> Plan:
    """The plan of a file."""
    file = folder / "autumn.toml"
    file.write_text(text)
    said = bookmatch(
        "email", "plan", str(file), "--home", str(shop), "--at", AT, "--to", str(folder / "plan"), "--json"
    )
    assert said.code == 0, said.text
    plan = Plan(folder / "plan")
    header = plan.header
    assert orjson.loads(said.text)["planned"] == header.planned == len(list(plan.mails()))
    assert header.planned + sum(header.suppressed.values()) == header.audience
    return plan


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_can_be_planned(shop: Path, number: int, tmp_path: Path) -> None:
    """Each example, put into the first one, plans mails for somebody; nothing runs out in a bookshop."""
    text = whole(EXAMPLES[number]) if number else FIRST
    if "runs_out" not in text:
        assert planned(shop, text, tmp_path).header.planned > 0
        return
    (tmp_path / "autumn.toml").write_text(text)
    said = bookmatch("email", "plan", str(tmp_path / "autumn.toml"), "--home", str(shop), "--at", AT)
    assert (said.code, "nobody is in the audience" in said.text) == (1, True)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_campaign_can_be_planned(shop: Path, sample: Path, tmp_path: Path) -> None:
    """The campaigns of the sample shop plan mails, and say their own name."""
    header = planned(shop, sample.read_text(), tmp_path).header
    assert header.planned > 0
    assert header.campaign == sample.stem


def test_mails_follow_placements_and_accounts(shop: Path, tmp_path: Path) -> None:
    """A block that names a placement keeps its rules, one that names none those of `default`; the facts of accounts
    can be asked for, and what the shop says itself of a customer counts before what was computed."""
    home = tmp_path / "shop"
    shutil.copytree(shop, home)
    text = (
        '[placements.default]\ndiversity = [{ by = "category", at_most = 1 }]\n'
        '[placements.mail]\nfilter = "price < customer.most"\nrepeat = "allowed"\n'
    )
    PlacementRepository(ShopFolder(home).placements).publish(text, by="x", why="x", now=NOVEMBER)
    with closing(open_store(ShopFolder(home).store)) as store:
        rows = store.customers.read().head(40)
        known = [(orjson.loads(each or "{}") | {"most": 9.0, "segment": "mine"}) for each in rows["attributes"]]
        store.customers.put(rows.with_columns(attributes=pl.Series([orjson.dumps(each).decode() for each in known])))
    blocks = '[[blocks]]\nkind = "for_you"\nitems = 3\n[[blocks]]\nkind = "for_you"\nplacement = "mail"\n'
    own = FIRST.replace('[[blocks]]\nkind = "for_you"\n', blocks)
    found = planned(home, own.replace("[audience]", "[audience]\nwhere = \"segment = 'mine'\""), tmp_path)
    assert found.header.audience == 40
    assert found.header.again == (False, True)
    named = dict(pl.read_parquet(found.folder / "items.parquet").select("item_id", "category").iter_rows())
    mails = list(found.mails())
    assert max(len(mail.blocks) for mail in mails) == 2
    for mail in mails:
        first, *second = mail.blocks
        assert len({named[item.item_id] for item in first.items}) == len(first.items) == 3
        assert all(item.price is not None and item.price < 9 for block in second for item in block.items)
    folder = tmp_path / "accounts"
    folder.mkdir()
    shared = planned(home, FIRST.replace("[audience]", '[audience]\nwhere = "account_members > 1"'), folder)
    assert all(mail.account_id for mail in shared.mails())
    assert 0 < shared.header.audience < 400


def test_a_shop_that_says_wrongly_how_it_sends_plans_nothing(shop: Path, tmp_path: Path) -> None:
    """A sender's address that is none is refused with file and line before anything is planned; without the file there
    is nothing to refuse."""
    (tmp_path / "autumn.toml").write_text(FIRST)
    email = ShopFolder(shop).email
    wrong = (ROOT / "scripts" / "email" / "delivery.toml").read_text().replace("mail@moonlight", "mail at moonlight")
    email.mkdir(exist_ok=True)
    (email / "delivery.toml").write_text(wrong)
    try:
        said = bookmatch("email", "plan", str(tmp_path / "autumn.toml"), "--home", str(shop), "--at", AT)
    finally:
        (email / "delivery.toml").unlink()
    assert said.code == 1
    assert re.search(r"delivery\.toml:\d+: address is 'mail at moonlight", said.text)
    assert not list(ShopFolder(shop).mailings.glob("*"))


def test_the_page_names_every_key(shop: Path) -> None:
    """Every key of the file, kind of block, cause, place and language is on the page."""
    kinds, causes = [str(kind) for kind in BlockKind], [str(cause) for cause in Cause]
    words = {*KEYS, *SHOP, *AUDIENCE, *BLOCK, *RESTRAINT, *WORDS, *kinds, *causes, *PLACES, *REASONS, *shipped()}
    assert [word for word in sorted(words) if not re.search(rf"\b{re.escape(word)}\b", PAGE)] == []


def test_what_the_page_says_of_examples(shop: Path, tmp_path: Path) -> None:
    """Least items, one mail for each account, quiet hours and the words do what the page says."""

    def of(number: int, name: str) -> Plan:
        folder = tmp_path / name
        folder.mkdir()
        return planned(shop, whole(EXAMPLES[number]), folder)

    numbers = {key: number for number, text in enumerate(EXAMPLES) for key in _keys(tomllib.loads(text)) if number}
    first = planned(shop, FIRST, tmp_path)
    least = of(numbers["least_items"], "least")
    assert min(sum(len(block.items) for block in mail.blocks) for mail in least.mails()) >= 3
    caps = of(numbers["caps"], "caps")
    accounts = [mail.account_id for mail in caps.mails() if mail.account_id is not None]
    assert len(accounts) == len(set(accounts)) > 0
    assert caps.header.suppressed["same_account"] > 0
    assert {mail.not_before for mail in caps.mails()} == {NOVEMBER}
    held = of(numbers["holdout"], "held")
    assert held.header.planned + held.header.suppressed["holdout"] == first.header.planned
    said = of(numbers["words"], "words")
    english = [mail for mail in said.mails() if mail.language == "it" and mail.name]
    assert all(", have you seen " in mail.theme and mail.blocks[0].heading == "Chosen for you" for mail in english)
    few = of(numbers["would_want"], "wanted")
    assert few.header.audience <= 50
    (cart,) = [number for number, text in enumerate(EXAMPLES) if "in_cart" in text]
    carts = of(cart, "cart")
    events = pl.read_parquet(shop / "sample" / "events-00000.parquet").filter(pl.col("kind") == "add_to_cart")
    assert {mail.customer_id for mail in carts.mails()} <= set(events["customer_id"])


def _keys(values: Mapping[str, object]) -> list[str]:
    """All keys, however deep."""
    deeper = [key for value in values.values() if isinstance(value, dict) for key in _keys(value)]
    return [*values, *deeper]


def test_a_file_with_a_fault_plans_nothing(shop: Path, tmp_path: Path) -> None:
    """The command tells file, line and what is allowed, and leaves nothing behind."""
    file = tmp_path / "autumn.toml"
    file.write_text(FIRST.replace("for_you", "for_me"))
    said = bookmatch("email", "plan", str(file), "--home", str(shop), "--to", str(tmp_path / "plan"))
    assert said.code == 1
    assert f"{file}, line " in said.text
    assert "one of for_you" in said.text
    assert not (tmp_path / "plan").exists()


def test_who_is_forgotten_while_a_plan_is_made_is_not_in_it(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planning began with the customer's address; what it wrote is without, and adds up."""
    file, home, gone = tmp_path / "autumn.toml", ShopFolder(shop), list[PlannedMail]()
    made = plan.make_plan

    def planned_meanwhile(*said: Any) -> PlanHeader:
        header = made(*said)
        (found,) = home.mailings.glob("forgetful-*")
        with closing(open_store(home.store)) as store:
            gone.append(next(Plan(found).mails()))
            store.persons.forget(gone[0].customer_id, NOVEMBER)
        return header

    file.write_text(FIRST.replace('name = "autumn"', 'name = "forgetful"'))
    monkeypatch.setattr(plan, "make_plan", planned_meanwhile)
    said = bookmatch("email", "plan", str(file), "--home", str(shop), "--at", AT, "--json")
    (found,) = home.mailings.glob("forgetful-*")
    left = Plan(found)
    assert gone[0].customer_id not in {mail.customer_id for mail in left.mails()}
    assert left.header.audience == orjson.loads(said.text)["audience"]
    assert not any(gone[0].address.encode() in path.read_bytes() for path in found.iterdir())
    assert left.header.audience == left.header.planned + sum(left.header.suppressed.values())


def test_a_cap_looks_back_as_far_as_it_says(shop: Path, tmp_path: Path) -> None:
    """A mail of half a year ago counts for a cap of a year when it is planned, as it does when it is sent."""
    file = tmp_path / "yearly.toml"
    file.write_text(FIRST.replace('name = "autumn"', 'name = "yearly"').split("[restraint")[0])
    with closing(open_store(ShopFolder(shop).store)) as store:
        who = store.profiles.consenting(tomllib.loads(FIRST)["purpose"])[0]
        store.ledger.begin(Mailing("old", "old", tomllib.loads(FIRST)["purpose"], 0, 1), [LedgerEntry(who)])
        half_a_year = NOVEMBER - 180 * 86_400_000
        for state in (MailState.SENDING, MailState.SENT):
            store.ledger.move("old", [Move(who, state)], half_a_year)
    for days, capped in ((170, 0), (365, 1)):
        file.write_text(
            file.read_text().split("[restraint")[0] + f"[restraint]\ncaps = [{{mails = 1, days = {days}}}]\n"
        )
        said = bookmatch("email", "plan", str(file), "--home", str(shop), "--at", AT, "--to", str(tmp_path / f"{days}"))
        assert said.code == 0
        assert Plan(tmp_path / f"{days}").header.suppressed.get("frequency_cap", 0) == capped


def test_a_preview_shows_mails_and_writes_nothing(shop: Path, tmp_path: Path) -> None:
    """Some mails in words, or as JSON; no plan is left."""
    file = tmp_path / "autumn.toml"
    file.write_text(FIRST)
    before = sorted(path.name for path in shop.iterdir())
    said = bookmatch("email", "preview", str(file), "--home", str(shop), "--at", AT, "--sample", "2", "--json")
    assert len(orjson.loads(said.text)["mails"]) == 2
    told = bookmatch("email", "preview", str(file), "--home", str(shop), "--at", AT, "--sample", "1")
    assert "customers are in the audience" in told.text
    assert sorted(path.name for path in shop.iterdir()) == before
