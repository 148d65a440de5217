"""Mails that come back, files for providers, what came of a mailing, and forgetting."""

from __future__ import annotations

import csv
import io
import mailbox
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from email import message_from_string
from functools import partial
from pathlib import Path

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from recsys.backup.restoring import restore
from recsys.backup.writing import back_up
from recsys.cli.app import app
from recsys.customers import planned_mails
from recsys.customers.forgetting import forget
from recsys.customers.planned_mails import remove_from_plans
from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.data.events import Event, EventKind
from recsys.data.profile import Consent
from recsys.errors import InputError, StoreUnavailableError
from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.ledger import MailState, Move
from recsys.stores.protocols import Store
from serving.email import export as exporting
from serving.email.bounces import process
from serving.email.campaign import Restraint
from serving.email.export import Shape, export
from serving.email.outcome import outcome_of, unserved
from serving.email.planned import LISTED_SCHEMA, MAIL_SCHEMA, NAMED_SCHEMA, Plan, PlanHeader
from serving.email.sending import begin, experiment_name, mailing_name
from serving.email.unsubscribe import UnsubscribeLinks, read_keys, rotate_key
from serving.email.words import shipped
from serving.email.writing import PlanFolder
from serving.http.tokens import AnswerIdentity, RecommendationTokens
from tests.serving.email.mailings import BLOCKS, ITEM, NOW, TestPlan, mail, settings, shop_of

DSN = """\
From: MAILER-DAEMON@mx.example
To: mail@shop.example
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Sorry.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {to}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} no such user

--b
Content-Type: {kind}

Message-ID: {identifier}
Subject: New

--b--
"""
COMPLAINT = """\
From: fbl@provider.example
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
Version: 1

--b
Content-Type: message/rfc822

Message-ID: {identifier}

x
--b--
"""


@pytest.fixture
def shop(tmp_path: Path) -> ShopFolder:
    """A shop's folder."""
    return ShopFolder(tmp_path / "shop")


def sent_to(store: Store, *customers: str) -> dict[str, str]:
    """A mailing that was sent to these customers; the Message-ID of each."""
    plan = TestPlan([mail(each) for each in customers], [("held", "holdout")])
    begin(store, plan, "shop.example", NOW)
    name = mailing_name(plan.header)
    for state in (MailState.SENDING, MailState.SENT):
        store.ledger.move(name, [Move(each, state) for each in customers], NOW)
    return dict(store.ledger.rows(name).select("customer_id", "message_id").iter_rows())


def test_reports_become_events_and_marks(shop: ShopFolder, tmp_path: Path) -> None:
    """From messages, a mailbox and a folder: gone for good, put off, full, complained; strangers are counted, and
    reading all of it again changes nothing."""
    with closing(shop_of(shop.home, ["gone", "late", "full", "angry"])) as store:
        store.customers.put(_addresses("gone", "late", "full", "angry"))
        ids = sent_to(store, "gone", "late", "full", "angry")
        box = tmp_path / "returns"
        (box / "new").mkdir(parents=True)
        values = {"to": "gone@example.com", "action": "failed", "status": "5.1.1", "kind": "message/rfc822"}
        (box / "one.eml").write_text(DSN.format(**values, identifier=ids["gone"]))
        late = values | {"to": "late@example.com", "action": "delayed", "status": "4.4.1"}
        (box / "new" / "two").write_text(DSN.format(**late, identifier=ids["late"]))
        with closing(mailbox.mbox(tmp_path / "mbox")) as mbox:
            full = values | {"to": "full@example.com", "status": "5.2.2", "kind": "text/rfc822-headers"}
            mbox.add(message_from_string(DSN.format(**full, identifier=ids["full"])))
            mbox.add(message_from_string(COMPLAINT.format(identifier=ids["angry"])))
            mbox.add(message_from_string(DSN.format(**values, identifier="<strange@other>")))
            mbox.add(message_from_string("Subject: hello\n\nA letter."))
        for new in (4, 0):
            done = process(store, [box, tmp_path / "mbox"], NOW + 5)
            assert dict(done.returns) == {"bounced": 2, "delayed": 1, "complained": 1}
            assert (done.new, done.strange) == (new, 2)
        asked = [f"{name}@example.com" for name in ids]
        assert store.addresses.undeliverable(asked) == {"gone@example.com": "5.1.1 smtp; 550 5.1.1 no such user"}
        assert not store.profiles.get("angry").allows("email")
        kinds = [EventKind.EMAIL_BOUNCE, EventKind.COMPLAINT]
        events = store.events.period(kinds, 0, NOW + 9).sort("customer_id")
        assert events["customer_id"].to_list() == ["angry", "full", "gone", "late"]
        permanent = [orjson.loads(each)["permanent"] for each in events["context"]]
        assert permanent == [False, True, True, False]
        (mailing,) = store.ledger.mailings()
        assert outcome_of(store, mailing, lambda _: None, 0.0, NOW + 9).bounced == 2


def _addresses(*customers: str) -> pl.DataFrame:
    """Their rows, as addresses are known."""
    rows = [{"customer_id": each, "attributes": f'{{"email": "{each}@example.com"}}'} for each in customers]
    return pl.DataFrame(rows, schema=CUSTOMER_SCHEMA)


def test_a_report_that_anybody_may_have_written_takes_no_other_address_away(shop: ShopFolder, tmp_path: Path) -> None:
    """Who got a mail knows its Message-ID: a report about it that names somebody else's address marks none; one of a
    forwarded mail names ours as the address it came for."""
    with closing(shop_of(shop.home, ["mallory", "victim"])) as store:
        store.customers.put(_addresses("mallory", "victim"))
        ids = sent_to(store, "mallory", "victim")
        values = {"to": "victim@example.com", "action": "failed", "status": "5.1.1", "kind": "message/rfc822"}
        forged = tmp_path / "forged.eml"
        forged.write_text(DSN.format(**values, identifier=ids["mallory"]))
        done = process(store, [forged], NOW + 5)
        assert (done.new, done.undeliverable) == (1, 0)
        forwarded = DSN.format(**values | {"to": "v@elsewhere.example"}, identifier=ids["victim"])
        forged.write_text(forwarded.replace("Action:", "Original-Recipient: rfc822; Victim@example.com\nAction:"))
        assert process(store, [forged], NOW + 5).undeliverable == 1
        assert set(store.addresses.undeliverable(["mallory@example.com", "victim@example.com"])) == {
            "victim@example.com"
        }


def test_a_complaint_counts_over_a_yes_of_tomorrow(shop: ShopFolder, tmp_path: Path) -> None:
    """Where a clock ran ahead, the no is of the same moment as the yes, and wins."""
    with closing(shop_of(shop.home, ["angry"])) as store:
        store.profiles.put("angry", [Consent("email", True, "form", NOW + 1_000_000)])
        ids = sent_to(store, "angry")
        (tmp_path / "complaint.eml").write_text(COMPLAINT.format(identifier=ids["angry"]))
        process(store, [tmp_path / "complaint.eml"], NOW)
        assert not store.profiles.get("angry").allows("email")


def test_a_file_that_cannot_be_read_is_told(shop: ShopFolder, tmp_path: Path) -> None:
    """By its name."""
    with closing(shop_of(shop.home, [])) as store, pytest.raises(InputError, match=r"nothing\.eml"):
        process(store, [tmp_path / "nothing.eml"], NOW)


@pytest.mark.parametrize("shape", list(Shape))
def test_a_file_for_a_provider_has_everybody_who_waits(shop: ShopFolder, tmp_path: Path, shape: Shape) -> None:
    """Once, under their consent of now, with their own link to unsubscribe; they count as sent, and a second file is
    empty."""
    item = replace(ITEM, title="=cmd|' /C calc'!A0")
    plan = TestPlan([replace(mail("ann"), blocks=(replace(BLOCKS[0], items=(item,)),)), mail("bob"), mail("no")])
    target = tmp_path / "out"
    with closing(shop_of(shop.home, ["ann", "bob"])) as store:
        done = export(shop, store, plan, Restraint(), settings(25), target, shape, lambda: NOW)
        assert done.totals.states[MailState.SENT] == 2
        assert done.totals.causes == {"no_consent": 1}
        with pytest.raises(InputError, match="is there already"):
            export(shop, store, plan, Restraint(), settings(25), target, shape, lambda: NOW)
        export(shop, store, plan, Restraint(), settings(25), tmp_path / "again", shape, lambda: NOW)
        links = UnsubscribeLinks(read_keys(shop.email))
    rows = _rows(target, shape)
    assert [_who(row, shape) for row in rows] == ["ann@example.com", "bob@example.com"]
    link = orjson.dumps(rows[0]).decode()
    token = link.partition("/v1/email/unsubscribe/")[2].partition('"')[0].rstrip(">")
    assert links.read(token) == ("ann", "email")
    if shape in (Shape.CSV, Shape.MAILCHIMP):
        assert all(not str(cell).startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
        assert any(str(cell).startswith("'=cmd") for cell in rows[0].values())
    assert not _rows(tmp_path / "again", shape)


@pytest.mark.parametrize("shape", [Shape.CSV, Shape.PARQUET])
@pytest.mark.parametrize("moment", ["written", "named"])
def test_who_is_forgotten_while_a_file_is_made(
    shop: ShopFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Shape, moment: str
) -> None:
    """Before the ledger has them as under way they are in no file; afterwards the others are counted as sent."""
    plan, calls = TestPlan([mail("ann"), mail("bob"), mail("cy")]), iter(range(9))
    with closing(shop_of(shop.home, ["ann", "bob", "cy"])) as store:

        def synced(_: Path) -> None:
            if next(calls) == ("written", "named").index(moment):
                forget(shop, store, "bob", NOW)

        monkeypatch.setattr(exporting, "sync", synced)
        done = export(shop, store, plan, Restraint(), settings(25), tmp_path / "out", shape, lambda: NOW)
        assert (done.totals.states[MailState.SENT], done.totals.forgotten, done.totals.reconciles) == (2, 1, True)
        assert sorted(store.events.period([EventKind.EMAIL_SENT], 0, NOW + 1)["customer_id"]) == ["ann", "cy"]
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0
    if moment == "written":
        assert [_who(row, shape) for row in _rows(tmp_path / "out", shape)] == ["ann@example.com", "cy@example.com"]


def test_a_file_whose_name_is_not_safe_on_the_disk_is_taken_away(
    shop: ShopFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mails wait again; left there, somebody would send it and the next one too."""
    calls = iter(range(9))

    def synced(_: Path) -> None:
        if next(calls):
            raise OSError("no space left")

    monkeypatch.setattr(exporting, "sync", synced)
    with closing(shop_of(shop.home, ["ann"])) as store:
        plan = TestPlan([mail("ann")])
        with pytest.raises(InputError, match="no space left"):
            export(shop, store, plan, Restraint(), settings(25), tmp_path / "out", Shape.CSV, lambda: NOW)
        assert store.ledger.totals(mailing_name(plan.header)).states[MailState.WAITING] == 1
    assert list(tmp_path.glob("*out*")) == []


def _rows(path: Path, shape: Shape) -> list[dict[str, object]]:
    if shape is Shape.PARQUET:
        return pl.read_parquet(path).to_dicts()
    if shape in (Shape.CSV, Shape.MAILCHIMP):
        return list(csv.DictReader(io.StringIO(path.read_text(), newline="")))  # type: ignore[arg-type]
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def _who(row: dict[str, object], shape: Shape) -> object:
    if shape is Shape.SENDGRID:
        return row["to"][0]["email"]  # type: ignore[index]
    if shape is Shape.BRAZE:
        return row["attributes"]["email"]  # type: ignore[index]
    return row["Email Address" if shape is Shape.MAILCHIMP else "email"]


def test_a_disk_that_takes_no_file_leaves_everybody_waiting(shop: ShopFolder, tmp_path: Path) -> None:
    """Nothing is counted as sent."""
    plan = TestPlan([mail("ann")])
    with closing(shop_of(shop.home, ["ann"])) as store:
        with pytest.raises(InputError, match="cannot be written"):
            export(shop, store, plan, Restraint(), settings(25), tmp_path / "no" / "x", Shape.CSV, lambda: NOW)
        assert store.ledger.totals(mailing_name(plan.header)).states[MailState.WAITING] == 1


def test_what_came_of_a_mailing_is_counted_by_its_links(shop: ShopFolder) -> None:
    """Clicks and purchases with the mailing's token, not those of another answer; lift needs a holdout and data."""
    with closing(shop_of(shop.home, ["ann", "bob", "cy"])) as store:
        sent_to(store, "ann", "bob")
        tokens = RecommendationTokens(store.secret())
        (mailing,) = store.ledger.mailings()
        ours = tokens.sign(AnswerIdentity("b", experiment_name("spring"), "", "s1", mailing.planned))
        other = tokens.sign(AnswerIdentity("b", "home", "", "s2", mailing.planned))
        said = [
            ("ann", EventKind.EMAIL_OPEN, None, ours),
            ("ann", EventKind.EMAIL_CLICK, "b1", ours),
            ("ann", EventKind.PURCHASE, "b1", ours),
            ("bob", EventKind.PURCHASE, "b2", other),
            ("bob", EventKind.PURCHASE, "b2", "forged.token"),
            ("bob", EventKind.UNSUBSCRIBE, None, None),
        ]
        store.events.append(
            [
                Event(
                    f"e{n}", who, kind, item, NOW + n, quantity=2.0, price=5.0, currency="EUR", recommendation_id=token
                )
                for n, (who, kind, item, token) in enumerate(said)
            ]
        )
        found = outcome_of(store, mailing, tokens.verify, 0.2, NOW + 100)
        assert (found.opened, found.clicked, found.bought, found.purchases, found.left) == (1, 1, 1, 1, 1)
        assert found.revenue == {"EUR": 10.0}
        assert found.reach == pytest.approx(2 / 3)
        assert found.places == pytest.approx({"for_you": 2 / 3, "buy_again": 1 / 3})
        assert {each.item_id: each.mails for each in found.exposed} == {"b1": 2, "b2": 2, "b3": 2}
        assert found.lift is not None
        assert {arm.name: arm.customers for arm in found.lift.arms} == {"mailed": 2, "holdout": 1}
        assert unserved(store, "email", 1.0, NOW + 1) == ["cy"]


def planned(shop: ShopFolder) -> Plan:
    """A plan on the disk with three mails and one customer held out."""
    rows, items = [], []
    for customer in ("ann", "bob", "cy", "held"):
        cause = "holdout" if customer == "held" else None
        address = None if cause else f"{customer}@example.com"
        rows.append(
            (
                customer,
                None,
                cause,
                address,
                customer.title(),
                "en",
                "UTC",
                0,
                "New",
                f"t.{customer}",
                0 if cause else 2,
            )
        )
        items += (
            []
            if cause
            else [(0, "b1", 0.1, "history", None, None), (0, f"only-{customer}", 0.1, "history", None, None)]
        )
    header = PlanHeader(
        campaign="spring", purpose="email", template=None, shop="The Shop", language="en", time_zone="UTC",
        planned_at=NOW - 1_000, bundle="b", audience=4, planned=3, suppressed={"holdout": 1}, counted={}, holdout=0.2,
        salt="s", blocks=("for_you",), words=dict(shipped()), parts=1,
    )  # fmt: skip
    named = [
        (each, each, None, None, None, 1.0, "EUR", None, None) for each in ("b1", "only-ann", "only-bob", "only-cy")
    ]
    folder = shop.mailings / "spring-1"
    with PlanFolder(folder) as writing:
        writing.part(
            pl.DataFrame(rows, schema=MAIL_SCHEMA, orient="row"),
            pl.DataFrame(items, schema=LISTED_SCHEMA, orient="row"),
        )
        writing.finish(header, CAMPAIGN, pl.DataFrame(named, schema=NAMED_SCHEMA, orient="row"))
    return Plan(folder)


CAMPAIGN = """
name = "spring"
purpose = "email"
holdout = 0.2
[shop]
name = "The Shop"
[audience]
[[blocks]]
kind = "for_you"
"""


def test_who_is_forgotten_is_in_no_plan_and_no_preview(shop: ShopFolder) -> None:
    """Neither the id nor the address stands in any file of the shop; the plan still adds up, and the others' items are
    theirs."""
    with closing(shop_of(shop.home, ["ann", "bob", "cy"])) as store:
        plan = planned(shop)
        begin(store, plan, "shop.example", NOW)
        store.addresses.mark("bob", "bob@example.com", "550 bob@example.com unknown", NOW)
        (shop.mailings / "previews").mkdir()
        (shop.mailings / "previews" / "mail-001.eml").write_text("To: bob@example.com")
        receipt = forget(shop, store, "bob", NOW)
        assert receipt.planned == 1
        left = Plan(plan.folder)
        assert {each.customer_id: [i.item_id for i in each.blocks[0].items] for each in left.mails()} == {
            "ann": ["b1", "only-ann"],
            "cy": ["b1", "only-cy"],
        }
        assert (left.header.audience, left.header.planned) == (3, 2)
        totals = store.ledger.totals(mailing_name(left.header))
        assert (totals.forgotten, totals.reconciles) == (1, True)
        for path in shop.home.rglob("*"):
            if path.is_file():
                frames = pl.read_parquet(path).write_csv().encode() if path.suffix == ".parquet" else b""
                content = path.read_bytes() + frames
                assert b"bob@example.com" not in content, path
                if "items" not in path.name:  # What was picked for one alone names items, and no customer.
                    assert b"Bob" not in content, path


def test_forgetting_that_was_ended_half_way_goes_on(shop: ShopFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every file: nobody is ever planned with another's items, and asking again brings the plan in order."""
    for written in range(3):
        plan = planned(shop)
        mine = {each.customer_id: each for each in plan.mails()}
        files = iter(range(3))

        def ended(done: Callable[..., None], *said: object, files: Iterator[int] = files, stop: int = written) -> None:
            if next(files) == stop:
                raise OSError("no space left")
            done(*said)

        with monkeypatch.context() as patched:
            for name in ("_replace", "replace_file"):
                patched.setattr(planned_mails, name, partial(ended, getattr(planned_mails, name)))
            with pytest.raises(StoreUnavailableError, match="no space left"):
                remove_from_plans(shop.mailings, ["bob"])
        with suppress(InputError):
            for each in Plan(plan.folder).mails():
                assert each == mine[each.customer_id]
        assert remove_from_plans(shop.mailings, ["bob"]) == 1
        left = Plan(plan.folder)
        assert list(left.mails()) == [mine["ann"], mine["cy"]]
        assert (left.header.audience, left.header.planned, left.header.suppressed) == (3, 2, {"holdout": 1})
        shutil.rmtree(plan.folder)


def test_a_plan_that_was_killed_does_not_stand_against_forgetting(shop: ShopFolder) -> None:
    """Half of a file is left of it, which nobody can read: it goes, as nobody will finish it."""
    plan = planned(shop)
    for name, gone in ((f".other.unfinished-{2**22 + 1}", True), (f".other.unfinished-{os.getpid()}", False)):
        folder = shop.mailings / name
        folder.mkdir()
        (folder / "mails-00000.parquet").write_bytes((plan.folder / "mails-00000.parquet").read_bytes()[:300])
        assert remove_from_plans(shop.mailings, ["bob"]) == int(gone)
        assert folder.exists() is not gone


def test_a_mailing_goes_on_with_its_own_plan_alone(shop: ShopFolder) -> None:
    """Another plan as of the same moment has the same name: its mails are not sent as if they were those of the first.
    One from which somebody was forgotten since is still the same."""
    with closing(shop_of(shop.home, ["ann", "bob", "cy"])) as store:
        begin(store, TestPlan([mail("ann"), mail("bob")], [("held", "holdout")]), "shop.example", NOW)
        others = [
            TestPlan([replace(mail("ann"), blocks=BLOCKS[:1]), mail("bob")], [("held", "holdout")]),
            TestPlan([mail("ann"), mail("bob"), mail("held")]),
            TestPlan([mail("ann"), mail("bob"), mail("cy")], [("held", "holdout")]),
            TestPlan([mail("ann")], [("bob", "holdout"), ("held", "holdout")]),
        ]
        for other in others:
            with pytest.raises(InputError, match="began with another plan"):
                begin(store, other, "shop.example", NOW)
        forget(shop, store, "bob", NOW)
        for same in (TestPlan([mail("ann"), mail("bob")], [("held", "holdout")]), TestPlan([mail("ann")])):
            assert not begin(store, same, "shop.example", NOW)


def test_a_restored_shop_sends_nothing_twice_and_its_links_work(shop: ShopFolder, tmp_path: Path) -> None:
    """What waited is uncertain; the keys of both are there, and the newest of the shop goes on signing."""
    with closing(shop_of(shop.home, ["ann"])) as store:
        begin(store, TestPlan([mail("ann")]), "shop.example", NOW)
    old = UnsubscribeLinks.of_shop(shop.email).token("ann", "email")
    back_up(shop, tmp_path / "backup", NOW)
    new = UnsubscribeLinks([rotate_key(shop.email)]).token("ann", "email")
    restore(tmp_path / "backup", shop, force=True)
    links = UnsubscribeLinks.of_shop(shop.email)
    assert links.read(old) == links.read(new) == ("ann", "email")
    assert links.token("ann", "email") == new
    other = ShopFolder(tmp_path / "other")
    restore(tmp_path / "backup", other)
    assert UnsubscribeLinks.of_shop(other.email).read(old) == ("ann", "email")
    with closing(open_store(shop.store)) as store:
        (mailing,) = store.ledger.mailings()
        assert store.ledger.totals(mailing.name).states[MailState.UNCERTAIN] == 1


def test_the_commands_tell_what_they_did(shop: ShopFolder, tmp_path: Path) -> None:
    """Send, report, export, bounces and a new key: of a plan's folder and of a campaign's file."""
    from tests.serving.email.catcher import catcher, taken

    with closing(shop_of(shop.home, ["ann", "bob", "cy"])) as store:
        store.catalog.put(_books())
    plan = planned(shop)
    (tmp_path / "spring.toml").write_text(CAMPAIGN)
    runner = CliRunner()

    def run(*words: str) -> str:
        result = runner.invoke(app, ["email", *words, "--home", str(shop.home)])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    with catcher(tmp_path / "mails") as port:
        shop.email.mkdir(exist_ok=True)
        (shop.email / "delivery.toml").write_text(DELIVERY.format(port=port))
        said = orjson.loads(run("send", str(tmp_path / "spring.toml"), "--json"))
        assert (said["sent"], said["causes"], said["reconciles"]) == (3, {"holdout": 1}, True)
        assert orjson.loads(run("send", str(plan.folder), "--json"))["moved"] == {}
    assert len(taken(tmp_path / "mails")) == 3
    name = said["mailing"]
    for what in (name, str(tmp_path / "spring.toml")):
        told = orjson.loads(run("report", what, "--json"))
        assert (told["sent"], told["reach"], told["uncertain_customers"]) == (3, 0.75, [])
    assert name in run("report").replace("\n", "")
    assert "most often in mails" in run("report", name)
    run("export", str(plan.folder), "--to", str(tmp_path / "x.csv"), "--shape", "csv")
    (tmp_path / "m.eml").write_text("Subject: hello\n\nA letter.")
    assert orjson.loads(run("bounces", str(tmp_path / "m.eml"), "--json"))["strange"] == 1
    assert "1 older" in run("rotate-key")


def _books() -> pl.DataFrame:
    from recsys.data.catalog import ITEM_SCHEMA

    rows = [
        {"item_id": each, "title": each, "price": 1.0, "currency": "EUR"}
        for each in ("b1", "only-ann", "only-bob", "only-cy")
    ]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


DELIVERY = """
[sender]
name = "The Shop"
address = "mail@shop.example"
imprint = "The Shop Ltd"
[links]
home_page = "https://shop.example"
[smtp]
host = "127.0.0.1"
port = {port}
security = "none"
"""
