"""A mailing from its plan to the last mail: begun once, gone on with as often as needed, never sent by two."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import orjson
import polars as pl

from recsys.errors import InputError
from recsys.experiments import HOLDOUT
from recsys.outcomes.exposure import Exposure
from recsys.shop import ShopFolder
from recsys.shop_lock import sending_alone, shop_in_use
from recsys.stores.ledger import LedgerEntry, Mailing, MailState, Move, Totals
from recsys.stores.protocols import Store
from serving.email.campaign import MAILED, Restraint
from serving.email.claims import Claims
from serving.email.deliver import Delivery, SendClocks, Sending, Writing
from serving.email.message import message_id
from serving.email.planned import CAMPAIGN, Cause, PlanHeader, PlannedMail
from serving.email.reading import Surroundings, read_campaign
from serving.email.rechecking import Recheck
from serving.email.render import Renderer
from serving.email.settings import DeliverySettings
from serving.email.templates import find_template, load_template
from serving.email.texts import check_texts
from serving.email.unsubscribe import UnsubscribeLinks
from serving.http.unsubscribe_page import PATH

TEMPLATES, TEXTS = "templates", "texts"
"""Folders with a shop's own, in its folder `email`."""


class PlannedMailing(Protocol):
    """What is asked of a plan: `serving.email.planned.Plan` is one."""

    @property
    def header(self) -> PlanHeader: ...

    def mails(self) -> Iterator[PlannedMail]:
        """All mails that are planned, by customer id."""
        ...

    def suppressed(self) -> pl.DataFrame:
        """The others: `customer_id` and `cause`, by customer id."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one call of `send`.

    Attributes
    ----------
    mailing : its name in the ledger.
    left_uncertain : how many mails an earlier run left `sending`, which are uncertain now.
    sending : what this run did.
    totals : as they are now.
    """

    mailing: str
    left_uncertain: int
    sending: Sending
    totals: Totals


def mailing_name(header: PlanHeader) -> str:
    """The name of a plan's mailing: its campaign, and when it was planned, in UTC."""
    at = datetime.fromtimestamp(header.planned_at / 1000, UTC)
    return f"{header.campaign}-{at:%Y%m%d-%H%M%S}-{at.microsecond // 1000:03}"


def experiment_name(campaign: str) -> str:
    """Under which name it is recorded who got a campaign's mails and who is held out."""
    return f"email:{campaign}"


def renderer_of(header: PlanHeader, folder: Path, settings: DeliverySettings) -> Renderer:
    """Fills in the mails of a plan, with a shop's own templates and texts where its folder `email` has any. Raises
    InputError, with file and line, for a template or a text that does not fit."""
    check_texts(folder / TEXTS)
    links = UnsubscribeLinks.of_shop(folder)
    return Renderer(
        load_template(find_template(header.template, folder / TEMPLATES)),
        shop=header.shop,
        imprint=settings.imprint,
        home_page=settings.home_page,
        language=header.language,
        own_texts=folder / TEXTS,
        unsubscribe_url=lambda customer_id, purpose: f"{settings.service}{PATH}{links.token(customer_id, purpose)}",
    )


def restraint_of(folder: Path) -> Restraint:
    """How much the campaign of a plan in a folder holds back. Raises InputError where its file is not as planned."""
    path = folder / CAMPAIGN
    try:
        text = path.read_text(encoding="utf-8")
        named = tomllib.loads(text).get("audience", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", remedy="plan the campaign again") from error
    # What it names of the shop was checked when it was planned, and may be gone since.
    around = Surroundings(
        segments=named.get("segments", ()),
        tiers=named.get("tiers", ()),
        check_items=lambda _: None,
        check_customers=lambda _: None,
        is_item=lambda _: True,
        foresees=lambda _: True,
        check_template=lambda _: None,
    )
    return read_campaign(text, str(path), around).restraint


def send(
    shop: ShopFolder,
    store: Store,
    plan: PlannedMailing,
    restraint: Restraint,
    settings: DeliverySettings,
    clocks: SendClocks,
    *,
    resend_uncertain: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Sent:
    """Sends what waits of a plan's mailing, which begins with the first call.

    Mails that an earlier run left half-way become uncertain; `resend_uncertain` sends all uncertain ones again, with
    the Message-ID that they had, and one that is not taken then stays uncertain. Raises InputError where another
    process sends mails of this shop, and for a template or a text that does not fit: then nothing was sent; StoreError
    when the ledger cannot be written any more.
    """
    with shop_in_use(shop.home), sending_alone(shop.home):
        renderer = renderer_of(plan.header, shop.email, settings)
        begin(store, plan, settings.sender.domain, clocks.now())
        name = mailing_name(plan.header)
        left = recover(store, name, clocks.now())
        wanted = [MailState.WAITING, *([MailState.UNCERTAIN] if resend_uncertain else [])]
        rows = store.ledger.rows(name, wanted)
        message_ids: dict[str, str] = dict(rows.select("customer_id", "message_id").iter_rows())
        doubtful = rows.filter(state=str(MailState.UNCERTAIN)).select("customer_id", "at")
        recheck = Recheck(store, plan.header.purpose, restraint, clocks.now(), doubtful)
        delivery = Delivery(
            Claims(name, store, recheck, message_ids, frozenset(doubtful["customer_id"]), clocks.now),
            settings.server,
            Writing(settings.sender, renderer, message_ids, clocks.now),
            settings.pace,
            clocks.monotonic,
            progress,
        )
        sending = delivery.run(mail for mail in plan.mails() if mail.customer_id in message_ids)
        return Sent(name, left, sending, store.ledger.totals(name))


def begin(store: Store, plan: PlannedMailing, domain: str, now: int) -> bool:
    """Writes a plan's whole audience into the ledger, and who is held out and who is not beside it; False when it is
    there already. Raises InputError for a plan whose parts do not make up its audience, and for one that is not the
    plan with which the mailing of this name began."""
    header = plan.header
    name, secret = mailing_name(header), store.secret()
    entries = [
        LedgerEntry(mail.customer_id, "", message_id(secret, name, mail.customer_id, domain), _content(mail))
        for mail in plan.mails()
    ]
    suppressed = [LedgerEntry(customer_id, cause) for customer_id, cause in plan.suppressed().iter_rows()]
    if len(entries) + len(suppressed) != header.audience:
        raise InputError(
            f"the plan of {header.campaign!a} has {len(entries)} mails and {len(suppressed)} customers without one",
            expected=f"{header.audience} together, as its header says",
            remedy="plan the campaign again",
        )
    mailing = Mailing(name, header.campaign, header.purpose, header.planned_at, header.audience)
    with store.transaction():
        begun = store.ledger.begin(mailing, [*entries, *suppressed])
        if begun and header.holdout > 0:
            # All at one moment, whether or not a mail comes to be sent: only so are the two groups alike.
            experiment = experiment_name(header.campaign)
            arms = [(entry.customer_id, MAILED) for entry in entries]
            arms += [(entry.customer_id, HOLDOUT) for entry in suppressed if entry.cause == Cause.HOLDOUT]
            store.exposures.record([Exposure(experiment, arm, customer_id, now) for customer_id, arm in arms])
    if not begun:
        _check_same(store, name, [*entries, *suppressed])
    return begun


def _check_same(store: Store, name: str, entries: Sequence[LedgerEntry]) -> None:
    """A mailing goes on with the plan that it began with: another one as of the same moment has the same name."""
    rows = store.ledger.rows(name).select("customer_id", "message_id", "content")
    began = {customer_id: (message_id, content) for customer_id, message_id, content in rows.iter_rows()}
    new = [entry.customer_id for entry in entries if entry.customer_id not in began]
    other = set(new) - set(store.persons.forgotten(new))
    for entry in entries:
        if began.get(entry.customer_id, entry[2:]) != entry[2:]:
            other.add(entry.customer_id)
    if other:
        raise InputError(
            f"the mailing {name} began with another plan: {len(other)} customers, such as {min(other)!a}, have another "
            "mail in this one",
            expected="the plan that it began with; a plan never changes",
            remedy="plan the campaign again, as of another moment",
        )


def recover(store: Store, name: str, now: int) -> int:
    """Mails that were under way when a process ended become uncertain; how many. For whoever holds the lock."""
    left: Sequence[str] = store.ledger.rows(name, [MailState.SENDING])["customer_id"].to_list()
    moves = [Move(each, MailState.UNCERTAIN, "the process that sent it ended before an answer") for each in left]
    return sum(store.ledger.move(name, moves, now))


def _content(mail: PlannedMail) -> str:
    content = [{"block": block.kind, "items": [item.item_id for item in block.items]} for block in mail.blocks]
    return orjson.dumps(content).decode()
