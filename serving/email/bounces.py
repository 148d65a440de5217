"""Mails that come back: delivery reports (RFC 3464) and complaints (RFC 5965), from files to events."""

from __future__ import annotations

import email
import mailbox
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from enum import StrEnum
from pathlib import Path

import orjson

from recsys.data.events import Event, EventKind
from recsys.data.profile import Consent
from recsys.errors import ForgottenCustomerError, InputError
from recsys.stores.protocols import Store
from serving.email.people import with_contacts

COMPLAINT = "complaint"
"""The source of a no that a complaint is."""

_MESSAGE_ID = re.compile(r"<[^<>\s]+>")


class Returned(StrEnum):
    """What a report says of a mail: never delivered, not yet, or not wanted by whoever got it."""

    BOUNCED = "bounced"
    DELAYED = "delayed"
    COMPLAINED = "complained"


@dataclass(frozen=True, slots=True)
class Return:
    """One mail that a report is about.

    Attributes
    ----------
    message_id : of our mail, with its angle brackets.
    recipients : the addresses that it names, the one that the last server knows and the one that it came for.
    status : RFC 3463, such as `5.1.1`; empty for a complaint.
    reply : what the receiving server said.
    """

    kind: Returned
    message_id: str
    recipients: tuple[str, ...]
    status: str
    reply: str


@dataclass(slots=True)
class Processed:
    """What became of the messages in some files.

    Attributes
    ----------
    returns : of each kind, those of mails that are in the ledger.
    new : how many of them were not known before.
    undeliverable : how many addresses are marked now.
    strange : messages that are no report, or about no mail of the ledger.
    """

    returns: Counter[Returned] = field(default_factory=Counter)
    new: int = 0
    undeliverable: int = 0
    strange: int = 0


def process(store: Store, paths: Iterable[Path], now: int) -> Processed:
    """Reads messages, mailboxes (mbox) and folders of either (Maildir too), and keeps what they say: an event for each
    mail, marks for addresses that are none, and a no for each complaint. Reading the same again changes nothing.

    Raises InputError for a file that cannot be read.
    """
    done = Processed()
    for path in paths:
        for message in messages(path):
            returns = list(returns_of(message))
            known = store.addresses.recipients([each.message_id for each in returns])
            if not known:
                done.strange += 1
            for each in returns:
                if each.message_id in known:
                    done.returns[each.kind] += 1
                    mailing, customer_id = known[each.message_id]
                    _keep(store, each, mailing, customer_id, now, done)
    return done


def returns_of(message: Message) -> Iterator[Return]:
    """What a message reports; nothing where it is no report."""
    kind = str(message.get_param("report-type") or "").lower()
    parts = list(message.walk())
    identifier = _original_id(parts)
    for part in parts:
        if part.get_content_type() == "message/delivery-status" and kind in ("delivery-status", ""):
            blocks = part.get_payload()
            for block in blocks if isinstance(blocks, list) else []:
                if not isinstance(block, Message):
                    continue
                action = str(block.get("Action", "")).strip().lower()
                if action in ("failed", "delayed"):
                    status = str(block.get("Status", "")).strip()
                    named = [str(block.get(field, "")) for field in ("Final-Recipient", "Original-Recipient")]
                    yield Return(
                        Returned.BOUNCED if action == "failed" else Returned.DELAYED,
                        identifier,
                        tuple(each.rpartition(";")[2].strip() for each in named if each),
                        status.split(" ")[0],
                        " ".join(str(block.get("Diagnostic-Code", "")).split()) or status,
                    )
        elif part.get_content_type() == "message/feedback-report":
            yield Return(Returned.COMPLAINED, identifier, (), "", "")


def messages(path: Path) -> Iterator[Message]:
    """The messages of a file or folder. Raises InputError for one that cannot be read."""
    try:
        if path.is_dir():
            for each in sorted(path.rglob("*")):
                if each.is_file() and not each.name.startswith("."):
                    yield from messages(each)
        else:
            with path.open("rb") as file:
                start = file.read(5)
            if start == b"From ":
                box = mailbox.mbox(path, create=False)
                try:
                    yield from box
                finally:
                    box.close()
            else:
                yield email.message_from_bytes(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error}", expected="a message, a mailbox (mbox), or a folder of them"
        ) from error


def _original_id(parts: list[Message]) -> str:
    """The Message-ID of the mail that a report is about: in the copy of it that comes with the report."""
    for part in parts:
        inner: object = None
        if part.get_content_type() == "message/rfc822":
            payload = part.get_payload()
            first = payload[0] if isinstance(payload, list) and payload else None
            inner = first.get("Message-ID") if isinstance(first, Message) else None
        elif part.get_content_type() == "text/rfc822-headers":
            raw = part.get_payload(decode=True)
            inner = email.message_from_bytes(raw).get("Message-ID") if isinstance(raw, bytes) else None
        found = _MESSAGE_ID.search(str(inner or ""))
        if found:
            return found[0]
    return ""


def _keep(store: Store, returned: Return, mailing: str, customer_id: str, now: int, done: Processed) -> None:
    complained = returned.kind is Returned.COMPLAINED
    event = Event(
        event_id=f"email-{returned.kind} {returned.message_id}",
        customer_id=customer_id,
        kind=EventKind.COMPLAINT if complained else EventKind.EMAIL_BOUNCE,
        timestamp=now,
        context=orjson.dumps(
            {"mailing": mailing, "status": returned.status, "permanent": returned.kind is Returned.BOUNCED}
        ).decode(),
    )
    with store.transaction():
        try:
            (is_new,) = store.events.append([event])
        except ForgottenCustomerError:
            return
        done.new += is_new
        if not is_new:
            return
        address = _own_address(store, returned, customer_id)
        if returned.kind is Returned.BOUNCED and is_permanent(returned.status) and address is not None:
            store.addresses.mark(customer_id, address, f"{returned.status} {returned.reply}", now)
            done.undeliverable += 1
        elif complained:
            purpose = next(each.purpose for each in store.ledger.mailings() if each.name == mailing)
            said = store.profiles.get(customer_id).consents.get(purpose)
            # A statement of tomorrow, by whatever clock, would win over this one.
            stated = now if said is None else max(now, said.stated)
            store.profiles.put(customer_id, [Consent(purpose, False, COMPLAINT, stated)])


def _own_address(store: Store, returned: Return, customer_id: str) -> str | None:
    """The address of the customer whose mail came back, where the report names it. Whoever got a mail knows its
    Message-ID and can write a report: it must not take anybody else's address away."""
    rows = store.customers.get([store.profiles.get(customer_id).customer_id, customer_id])
    known = {each.casefold() for each in with_contacts(rows)["email"].drop_nulls()}
    return next((each for each in returned.recipients if each.casefold() in known), None)


def is_permanent(status: str) -> bool:
    """Whether a status speaks of an address that will never be reached: not of a full mailbox, and not of our mail."""
    return status.startswith("5.") and not re.match(r"5\.(2\.[23]|3|6|7)", status)
