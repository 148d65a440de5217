"""Sending to a real mail server in another process."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import time as clock_time
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from recsys.access.rates import Rate
from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.data.events import EventKind
from recsys.data.profile import Consent
from recsys.errors import InputError
from recsys.shop import ShopFolder
from recsys.shop_lock import sending_alone
from recsys.stores.ledger import FINAL, MailState, Move
from recsys.stores.protocols import Store
from serving.email.campaign import Cap, QuietHours, Restraint
from serving.email.claims import Claims, Settled
from serving.email.deliver import SendClocks
from serving.email.planned import PlannedMail
from serving.email.rechecking import Postponement, Recheck, Suppression
from serving.email.render import Rendered, Renderer
from serving.email.sending import Sent, experiment_name, mailing_name, send
from serving.email.settings import DeliverySettings
from serving.email.templates import find_template
from tests.serving.email.catcher import catcher, free_port, taken
from tests.serving.email.mailings import BLOCKS, ITEM, NOW, TestPlan, mail, settings, shop_of

CLOCKS = SendClocks(now=lambda: NOW, monotonic=time.monotonic)


def sent(
    home: Path,
    store: Store,
    plan: TestPlan,
    to: DeliverySettings,
    *,
    restraint: Restraint | None = None,
    again: bool = False,
) -> Sent:
    """One run."""
    return send(ShopFolder(home), store, plan, restraint or Restraint(), to, CLOCKS, resend_uncertain=again)


def fates(store: Store, plan: TestPlan) -> dict[str, tuple[str, str]]:
    """State and reason of each customer."""
    rows = store.ledger.rows(mailing_name(plan.header))
    return {
        customer: (state, reason) for customer, state, reason in rows.select("customer_id", "state", "reason").rows()
    }


def plan_of(*customers: str, without: tuple[tuple[str, str], ...] = ()) -> TestPlan:
    """A plan of these customers."""
    return TestPlan([mail(each) for each in customers], without)


def test_every_customer_ends_in_one_row(tmp_path: Path) -> None:
    """Sent, put off and then sent, refused for the mail, refused for the address, given up, taken without an answer,
    suppressed: each is told with the server's words, and the totals are the audience."""
    names = ["ann", "later-bob", "always-later", "nobody", "refused-cy", "cut-dan"]
    plan = plan_of(*names, without=(("eve", "holdout"), ("flo", "no_consent")))
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, names)) as store:
        done = sent(tmp_path, store, plan, settings(port, attempts=3))
        found = fates(store, plan)
        assert found["ann"] == found["later-bob"] == ("sent", "")
        assert found["always-later"] == ("failed", "given up after 3 attempts: 451 4.7.1 come back later")
        assert found["nobody"] == ("failed", "550 5.1.1 no such user")
        assert found["refused-cy"] == ("failed", "554 5.6.0 not that")
        assert found["cut-dan"][0] == "uncertain"
        assert (found["eve"], found["flo"]) == (("suppressed", "holdout"), ("suppressed", "no_consent"))
        assert done.totals.reconciles
        assert done.totals.under_way == 0
        assert sum(done.totals.states.values()) == len(found) == plan.header.audience
        assert done.sending.moved == {MailState.SENT: 2, MailState.FAILED: 3, MailState.UNCERTAIN: 1}
        assert list(store.addresses.undeliverable([f"{name}@example.com" for name in names])) == ["nobody@example.com"]
        assert {to for _, to in taken(tmp_path / "mails")} == {
            f"{name}@example.com" for name in ("ann", "later-bob", "cut-dan")
        }
        events = store.events.period([EventKind.EMAIL_SENT], 0, NOW + 1)
        assert sorted(events["customer_id"]) == ["ann", "later-bob"]
        assert set(events["recommendation_id"]) == {"token.signature"}
        served = store.exposures.served(experiment_name("spring"), NOW)
        assert dict(served.select("customer_id", "arm").rows()) == dict.fromkeys(names, "mailed") | {"eve": "holdout"}


def test_what_is_uncertain_is_sent_again_only_when_asked(tmp_path: Path) -> None:
    """With the Message-ID that it had; nothing else is sent twice."""
    plan = plan_of("ann", "cut-dan")
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, ["ann", "cut-dan"])) as store:
        for again in (False, False, True):
            sent(tmp_path, store, plan, settings(port), again=again)
    mails = taken(tmp_path / "mails")
    assert sorted(to for _, to in mails) == ["ann@example.com", "cut-dan@example.com", "cut-dan@example.com"]
    assert len({identifier for identifier, _ in mails}) == 2


def test_what_may_have_been_taken_stays_uncertain_until_a_yes(tmp_path: Path) -> None:
    """Sending again while the server is away, after a no, over a cap, or to a server that refuses or puts off: the mail
    may have been taken the first time, and no later run without the flag sends it."""
    names = ["cut-a", "cut-b", "cut-c"]
    plan, port = TestPlan([mail(each) for each in names]), free_port()
    with closing(shop_of(tmp_path, names)) as store:
        with catcher(tmp_path / "mails", port):
            sent(tmp_path, store, plan, settings(port))
        first = taken(tmp_path / "mails")
        assert len(first) == 3
        done = sent(tmp_path, store, plan, settings(port, patience=0.0), again=True)
        assert done.sending.stopped
        assert {state for state, _ in fates(store, plan).values()} == {"uncertain"}
        store.profiles.put("cut-a", [Consent("email", False, "letter", 9)])
        moved = [
            replace(mail("cut-b"), address="nobody@example.com"),
            replace(mail("cut-c"), address="always-later@x.example"),
        ]
        refusing = TestPlan([mail("cut-a"), *moved])
        with catcher(tmp_path / "mails", port):
            for again in (True, False):
                done = sent(tmp_path, store, refusing, settings(port, attempts=2), again=again)
                assert done.totals.reconciles
                assert {state for state, _ in fates(store, plan).values()} == {"uncertain"}
        assert taken(tmp_path / "mails") == first


def test_a_mail_that_is_sent_again_does_not_count_against_itself(tmp_path: Path) -> None:
    """A cap of one mail a week: the uncertain one is that mail; another one of the week stands against it."""
    names = ["cut-a", "cut-b"]
    week, alike = Restraint(caps=(Cap(1, 7.0),), last_mails=0), Restraint(last_mails=0)
    plan, other = plan_of(*names), replace(plan_of("cut-b"), planned_at=5)
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, names)) as store:
        sent(tmp_path, store, other, settings(port))
        sent(tmp_path, store, plan, settings(port), restraint=alike)
        sent(tmp_path, store, plan, settings(port), restraint=week, again=True)
    to = [recipient.partition("@")[0] for _, recipient in taken(tmp_path / "mails")]
    assert sorted(to) == ["cut-a", "cut-a", "cut-b", "cut-b"]


def test_two_do_not_send_at_once(tmp_path: Path) -> None:
    """The second is told, and nothing is sent or begun by it."""
    plan = plan_of("ann")
    with closing(shop_of(tmp_path, ["ann"])) as store, sending_alone(tmp_path):
        with pytest.raises(InputError, match="being sent by another process"):
            sent(tmp_path, store, plan, settings(1))
        assert list(store.ledger.mailings()) == []


def test_a_server_that_is_away_loses_nothing(tmp_path: Path) -> None:
    """Nothing is begun while it is away; sending stops and says so, and goes on when it is back."""
    names = [f"c{number}" for number in range(20)]
    plan, port = plan_of(*names), free_port()
    with closing(shop_of(tmp_path, names)) as store:
        done = sent(tmp_path, store, plan, settings(port, patience=0.0))
        assert "cannot be reached" in done.sending.stopped
        assert {state for state, _ in fates(store, plan).values()} == {"waiting"}
        assert set(store.ledger.rows(done.mailing)["attempts"]) == {0}
        with catcher(tmp_path / "mails", port):
            done = sent(tmp_path, store, plan, settings(port))
        assert done.totals.states[MailState.SENT] == len(names)
    assert len(taken(tmp_path / "mails")) == len(names)


def test_a_server_that_puts_everybody_off_makes_nothing_fail(tmp_path: Path) -> None:
    """Sending stops with its words and everything waits; once it takes others, who is put off still has failed."""
    plan, names = plan_of("always-later", "always-later-too", "later-bob"), ["always-later", "always-later-too"]
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, [*names, "later-bob"])) as store:
        off = TestPlan(plan.planned[:2])
        done = sent(tmp_path, store, off, settings(port, attempts=2, patience=0.3))
        assert "puts everybody off: 451 4.7.1 come back later" in done.sending.stopped
        assert {state for state, _ in fates(store, off).values()} == {"waiting"}
        both = replace(plan, planned_at=1)
        done = sent(tmp_path, store, both, settings(port, attempts=3, patience=0.3))
        assert done.sending.stopped == ""
        assert [state for state, _ in fates(store, both).values()] == ["failed", "failed", "sent"]


def test_a_server_that_comes_back_is_found(tmp_path: Path) -> None:
    """Within the time that patience gives it, without another call."""
    names = [f"c{number}" for number in range(8)]
    plan, port, ready, over = plan_of(*names), free_port(), threading.Event(), threading.Event()

    def late() -> None:
        time.sleep(0.5)
        with catcher(tmp_path / "mails", port):
            ready.set()
            over.wait(30)

    thread = threading.Thread(target=late)
    thread.start()
    try:
        with closing(shop_of(tmp_path, names)) as store:
            done = sent(tmp_path, store, plan, settings(port, patience=20.0))
            assert done.totals.states[MailState.SENT] == len(names)
            assert ready.is_set()
    finally:
        over.set()
        thread.join()


def test_what_was_said_since_the_plan_counts(tmp_path: Path) -> None:
    """A no, a switch, an address that is none, a forgotten customer: none of them gets the mail that was planned."""
    names = ["ann", "no", "off", "gone", "forgotten"]
    plan = plan_of(*names)
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, names)) as store:
        sent(tmp_path, store, plan, settings(port, rate=None), restraint=Restraint(quiet=_all_day()))
        assert {state for state, _ in fates(store, plan).values()} == {"waiting"}
        store.profiles.put("no", [Consent("email", False, "letter", 6)])
        store.profiles.put("off", recommendations=False)
        store.addresses.mark("gone", "gone@example.com", "550", 6)
        store.persons.forget("forgotten", 6)
        done = sent(tmp_path, store, plan, settings(port))
        assert fates(store, plan) == {
            "ann": ("sent", ""),
            "no": ("suppressed", "no_consent"),
            "off": ("suppressed", "recommendations_off"),
            "gone": ("suppressed", "unreachable"),
        }
        assert (done.totals.forgotten, done.totals.reconciles) == (1, True)
    assert [to for _, to in taken(tmp_path / "mails")] == ["ann@example.com"]


def test_the_address_is_of_the_moment(tmp_path: Path) -> None:
    """Who has another one since the plan gets the mail there; who has none any more, or one that is none, gets none."""
    known = {
        "ann": '{"email": " ann@new.example "}',
        "bob": '{"name": "Bob"}',
        "cy": '{"email": "nonsense"}',
        "dan": None,
    }
    plan, names = plan_of(*known, "eve"), [*known, "eve"]
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, names)) as store:
        rows = [{"customer_id": each, "attributes": said} for each, said in known.items()]
        store.customers.put(pl.DataFrame(rows, schema=CUSTOMER_SCHEMA))
        sent(tmp_path, store, plan, settings(port))
        assert fates(store, plan) == {
            "ann": ("sent", ""),
            "bob": ("suppressed", "no_address"),
            "cy": ("suppressed", "invalid_address"),
            "dan": ("suppressed", "no_address"),
            "eve": ("sent", ""),
        }
    assert sorted(to for _, to in taken(tmp_path / "mails")) == ["ann@new.example", "eve@example.com"]


def test_quiet_hours_are_those_of_the_customer(tmp_path: Path) -> None:
    """At 08:00 UTC it is quiet in New York until 07:00 there; the mail waits, and how long is told."""
    plan = TestPlan([mail("ann"), replace(mail("nyc"), time_zone="America/New_York")])
    quiet = Restraint(quiet=QuietHours(clock_time(21), clock_time(7)))
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, ["ann", "nyc"])) as store:
        done = sent(tmp_path, store, plan, settings(port), restraint=quiet)
        assert (done.sending.put_off, done.sending.next_at) == (1, NOW + 4 * 3_600_000)
        assert fates(store, plan) == {"ann": ("sent", ""), "nyc": ("waiting", "")}


def test_caps_count_what_was_sent_since_the_plan(tmp_path: Path) -> None:
    """Two plans of one day: who got the first does not get the second."""
    first = plan_of("ann")
    second = replace(plan_of("ann", "bob"), planned_at=NOW - 1_000)
    once = Restraint(caps=(Cap(1, 7.0),))
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, ["ann", "bob"])) as store:
        sent(tmp_path, store, first, settings(port), restraint=once)
        sent(tmp_path, store, second, settings(port), restraint=once)
        assert fates(store, second) == {"ann": ("suppressed", "frequency_cap"), "bob": ("sent", "")}


def test_caps_count_the_mails_of_the_whole_account(tmp_path: Path) -> None:
    """Two plans of one day address different people of a household: the second one is not sent."""
    second = replace(plan_of("bob"), planned_at=NOW - 1_000)
    once = Restraint(caps=(Cap(1, 7.0),), one_per_account=True)
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, ["ann", "bob"])) as store:
        rows = [
            {"customer_id": each, "account_id": "home", "attributes": f'{{"email": "{each}@example.com"}}'}
            for each in ("ann", "bob")
        ]
        store.customers.put(pl.DataFrame(rows, schema=CUSTOMER_SCHEMA))
        sent(tmp_path, store, plan_of("ann"), settings(port), restraint=once)
        sent(tmp_path, store, second, settings(port), restraint=once)
        assert fates(store, second) == {"bob": ("suppressed", "frequency_cap")}


def test_a_mail_in_doubt_does_not_stand_in_its_own_way(tmp_path: Path) -> None:
    """A cap that counts it lets it be sent again; that of another mailing still holds."""
    plan, other = plan_of("ann", "bob"), replace(plan_of("bob"), planned_at=NOW - 1_000)
    once = Restraint(caps=(Cap(1, 7.0),))
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, ["ann", "bob"])) as store:
        sent(tmp_path, store, plan, settings(port), restraint=Restraint(quiet=_all_day()))
        for state in (MailState.SENDING, MailState.UNCERTAIN):
            store.ledger.move(mailing_name(plan.header), [Move(each, state) for each in ("ann", "bob")], NOW - 5)
        sent(tmp_path, store, other, settings(port), restraint=Restraint(last_mails=0))
        sent(tmp_path, store, plan, settings(port), restraint=once, again=True)
        found = {customer: state for customer, (state, _) in fates(store, plan).items()}
        assert found == {"ann": "sent", "bob": "uncertain"}


def test_stock_and_price_are_of_the_moment(tmp_path: Path) -> None:
    """What cannot be bought any more is left out, with a theme line that does not name it, and prices are of now; a
    mail with too little left is not sent."""
    plan = TestPlan(
        [replace(mail("ann"), theme=f"{ITEM.title}, chosen for you"), replace(mail("bob"), blocks=BLOCKS[:1])]
    )
    changed = [
        {"item_id": "b1", "title": ITEM.title, "available": False},
        {"item_id": "b2", "title": "Second", "price": 99.0, "currency": "EUR"},
    ]
    (tmp_path / "mails" / "mails").mkdir(parents=True)
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, ["ann", "bob"])) as store:
        store.catalog.put(pl.DataFrame(changed, schema=ITEM_SCHEMA))
        sent(tmp_path, store, plan, settings(port), restraint=Restraint(least_items=2))
        assert fates(store, plan) == {"ann": ("sent", ""), "bob": ("suppressed", "nothing_left")}
    message = (tmp_path / "mails" / "mails" / "ann@example.com.eml").read_text()
    assert "€99.00" in message.replace("=E2=82=AC", "€")
    assert ITEM.title not in message
    assert "Subject: For you" in message


def test_rates_hold(tmp_path: Path) -> None:
    """Ten a second of all and five of a domain, after the first burst."""
    names = [f"c{number}" for number in range(12)]
    plan = plan_of(*names)
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, names)) as store:
        begun = time.monotonic()
        done = sent(tmp_path, store, plan, settings(port, rate=Rate(10, 1), domain_rate=Rate(5, 1)))
        assert time.monotonic() - begun >= (12 - 5) / 5 * 0.95
        assert done.totals.states[MailState.SENT] == len(names)


def test_half_a_mail_of_a_killed_run_is_uncertain(tmp_path: Path) -> None:
    """And is told, and not sent."""
    plan = plan_of("ann", "bob")
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, ["ann", "bob"])) as store:
        sent(tmp_path, store, plan, settings(port), restraint=Restraint(quiet=_all_day()))
        store.ledger.move(mailing_name(plan.header), [Move("bob", MailState.SENDING)], NOW)
        done = sent(tmp_path, store, plan, settings(port))
        assert done.left_uncertain == 1
        assert {customer: state for customer, (state, _) in fates(store, plan).items()} == {
            "ann": "sent",
            "bob": "uncertain",
        }
        assert store.ledger.rows(done.mailing, FINAL).height == 2


def test_a_mail_that_cannot_be_written_fails_alone(tmp_path: Path) -> None:
    """Its row says why; the others are sent."""
    plan = TestPlan([mail("ann"), mail("bad", "bad address@example.com")])
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, ["ann", "bad"])) as store:
        sent(tmp_path, store, plan, settings(port))
        found = fates(store, plan)
    assert found["ann"] == ("sent", "")
    assert found["bad"][0] == "failed"
    assert "is none" in found["bad"][1]


def test_a_template_that_does_not_fit_one_mail_fails_that_mail(tmp_path: Path) -> None:
    """Its row says why; the others are sent, and the next run has nothing to do."""
    plan = TestPlan([mail("bad"), replace(mail("good"), blocks=BLOCKS[1:])])
    own = ShopFolder(tmp_path).email / "templates"
    own.mkdir(parents=True)
    page = find_template(None, None).read_text()
    odd = page.replace("{{ block.heading }}", "{{ block.heading }}{{ 1 // (block.items|length - 2) }}")
    assert odd != page
    (own / find_template(None, None).name).write_text(odd)
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, ["bad", "good"])) as store:
        sent(tmp_path, store, plan, settings(port))
        found = fates(store, plan)
    assert found["good"] == ("sent", "")
    assert found["bad"][0] == "failed"
    assert "the template does not fit this mail" in found["bad"][1]


def test_a_sender_that_the_server_does_not_take_stops_everything(tmp_path: Path) -> None:
    """Nothing has failed of it: everybody waits, and is sent to when it is mended; what was in doubt stays so."""
    plan, names = plan_of("ann", "bob", "cut-dan"), ["ann", "bob", "cut-dan"]
    (tmp_path / "mails").mkdir()
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, names)) as store:
        sent(tmp_path, store, TestPlan([mail("cut-dan")], planned_at=7), settings(port))
        (tmp_path / "mails" / "no-sender").touch()
        done = sent(tmp_path, store, plan, settings(port), restraint=Restraint(last_mails=0))
        assert "no mail from mail@shop.example: 530 5.7.0 log in first" in done.sending.stopped
        assert {state for state, _ in fates(store, plan).values()} == {"waiting"}
        doubtful = TestPlan([mail("cut-dan")], planned_at=7)
        sent(tmp_path, store, doubtful, settings(port), again=True)
        assert [state for state, _ in fates(store, doubtful).values()] == ["uncertain"]
        (tmp_path / "mails" / "no-sender").unlink()
        done = sent(tmp_path, store, plan, settings(port), restraint=Restraint(last_mails=0))
        assert [state for state, _ in fates(store, plan).values()] == ["sent", "sent", "uncertain"]


def test_who_gets_no_mail_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While hundreds are suppressed, what became of the others is written down, and all connections are used again."""
    some, names = [f"c{number}" for number in range(11)], [f"no{number}" for number in range(400)]
    groups, whole = list[tuple[int, int]](), Claims.write

    def write(
        claims: Claims, settled: Sequence[Settled], wanted: Sequence[PlannedMail]
    ) -> list[PlannedMail | Suppression | Postponement | None]:
        groups.append((len(settled), len(wanted)))
        return whole(claims, settled, wanted)

    monkeypatch.setattr(Claims, "write", write)
    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, some)) as store:
        sent(tmp_path, store, plan_of(*some, *names), settings(port, connections=2))
    written = max(place for place, (settled, _) in enumerate(groups) if settled)
    assert sum(wanted for _, wanted in groups[written:]) > len(names) // 4
    assert Counter(wanted for _, wanted in groups[written:])[2] > len(names) // 8


def _all_day() -> QuietHours:
    return QuietHours(clock_time(7, 59), clock_time(7, 58))


def test_what_stops_a_run_leaves_no_doubt_about_mails_that_were_not_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that cannot be made, in the middle of a group: those before it are sent, the others wait, and none is
    under way."""
    names = [f"c{number}" for number in range(12)]
    plan, written = plan_of(*names), count()
    whole = Renderer.render

    def breaks(renderer: Renderer, mail: PlannedMail) -> Rendered:
        if next(written) == 6:
            raise ZeroDivisionError("broken")
        return whole(renderer, mail)

    with catcher(tmp_path / "mails") as port, closing(shop_of(tmp_path, names)) as store:
        monkeypatch.setattr(Renderer, "render", breaks)
        with pytest.raises(ZeroDivisionError):
            sent(tmp_path, store, plan, settings(port))
        monkeypatch.undo()
        states = Counter(state for state, _ in fates(store, plan).values())
        assert states == {"sent": 6, "waiting": 6}
        assert len(taken(tmp_path / "mails")) == 6
        done = sent(tmp_path, store, plan, settings(port))
        assert (done.left_uncertain, done.totals.states[MailState.SENT]) == (0, len(names))
    assert len({identifier for identifier, _ in taken(tmp_path / "mails")}) == len(taken(tmp_path / "mails")) == 12


def test_what_is_asked_for_many_is_what_is_asked_for_each(tmp_path: Path) -> None:
    """Rechecked in one go: consent, switch, address, one that is unreachable, stock and price, and somebody who is met
    under another id, each as alone."""
    names = ["ann", "no", "off", "gone", "moved", "visitor", "unknown"]
    mails = [mail(each) for each in names]
    with closing(shop_of(tmp_path, names[:-1])) as store:
        store.profiles.put("no", [Consent("email", False, "letter", 6)])
        store.profiles.put("off", recommendations=False)
        store.addresses.mark("gone", "gone@example.com", "550", 6)
        store.profiles.put("member", [Consent("email", True, "form", 5)])
        store.profiles.merge("visitor", "member", 7)
        known = {"moved": '{"email": "new@example.com"}', "member": '{"email": "member@example.com"}'}
        rows = [{"customer_id": each, "attributes": said} for each, said in known.items()]
        store.customers.put(pl.DataFrame(rows, schema=CUSTOMER_SCHEMA))
        changed = [{"item_id": "b1", "title": ITEM.title, "available": False}]
        store.catalog.put(pl.DataFrame(changed, schema=ITEM_SCHEMA))
        recheck = Recheck(store, "email", Restraint(), NOW)
        together = recheck(store, mails, NOW)
        assert together == [checked for each in mails for checked in recheck(store, [each], NOW)]
    assert [each.cause if isinstance(each, Suppression) else "" for each in together] == [
        "", "no_consent", "recommendations_off", "unreachable", "", "", "no_consent",
    ]  # fmt: skip
    assert [each.address for each in together if isinstance(each, PlannedMail)] == [
        "ann@example.com", "new@example.com", "member@example.com",
    ]  # fmt: skip
