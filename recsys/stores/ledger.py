"""What the store keeps of mailings: protocols, as in `recsys.stores.protocols`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

import polars as pl


class MailState(StrEnum):
    """Where one mail of a mailing is. `WAITING` and `SENDING` are on the way; the others are final."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    SUPPRESSED = "suppressed"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


FINAL: Final = frozenset({MailState.SENT, MailState.SUPPRESSED, MailState.FAILED, MailState.UNCERTAIN})

MOVES: Final[Mapping[MailState, frozenset[MailState]]] = {
    MailState.WAITING: frozenset({MailState.SENDING, MailState.SUPPRESSED, MailState.FAILED}),
    # Back to waiting: the server said that it did not take the mail, and to come again.
    MailState.SENDING: frozenset({MailState.SENT, MailState.FAILED, MailState.UNCERTAIN, MailState.WAITING}),
    # Only where somebody asks for it: the mail may come twice. Never back to waiting: the doubt would be forgotten.
    MailState.UNCERTAIN: frozenset({MailState.SENDING}),
    MailState.SENT: frozenset(),
    MailState.SUPPRESSED: frozenset(),
    MailState.FAILED: frozenset(),
}
"""Which states may follow which."""


@dataclass(frozen=True, slots=True)
class Mailing:
    """One run of a campaign over its audience.

    Attributes
    ----------
    name : what it is called everywhere; never used again for another.
    campaign, purpose : as the campaign's file says them.
    planned : when its plan was made, milliseconds UTC.
    audience : how many customers are in it.
    """

    name: str
    campaign: str
    purpose: str
    planned: int
    audience: int


class LedgerEntry(NamedTuple):
    """One customer of an audience when the mailing begins.

    Attributes
    ----------
    cause : why there is no mail for them, the first cause; empty for one who is to get it.
    message_id : of the mail, with its angle brackets; empty where there is none.
    content : what is in the mail, JSON: a list of {"block": …, "items": [id, …]}.
    """

    customer_id: str
    cause: str = ""
    message_id: str = ""
    content: str = "[]"


class Move(NamedTuple):
    """What became of a customer's mail.

    Attributes
    ----------
    reason : the cause of a suppression, the server's reply of a failure; empty otherwise.
    """

    customer_id: str
    state: MailState
    reason: str = ""


LEDGER_SCHEMA: Final[dict[str, pl.DataType]] = {
    "customer_id": pl.String(),
    "state": pl.String(),
    "reason": pl.String(),
    "message_id": pl.String(),
    "attempts": pl.Int64(),
    "at": pl.Int64(),
    "content": pl.String(),
}
"""One row per customer of a mailing: `attempts` counts how often it was `sending`, `at` is the time of its last move
in milliseconds UTC, the other columns are as in `LedgerEntry` and `Move`."""

MAILED_SCHEMA: Final[dict[str, pl.DataType]] = {
    "customer_id": pl.String(),
    "campaign": pl.String(),
    "purpose": pl.String(),
    "at": pl.Int64(),
    "content": pl.String(),
}
"""One row per mail that a server took or may have taken, under the id of the person, the oldest first."""


@dataclass(frozen=True, slots=True)
class Totals:
    """How the customers of a mailing are divided.

    Attributes
    ----------
    audience : how many there were when it began.
    states : how many are in each state, every state.
    causes : of the suppressed, how many for which cause.
    forgotten : how many asked to be forgotten since; nothing else is known of them.
    """

    audience: int
    states: Mapping[MailState, int]
    causes: Mapping[str, int]
    forgotten: int

    @property
    def reconciles(self) -> bool:
        """Whether everybody of the audience is in one state or forgotten, and every suppression has its cause."""
        suppressed = self.states[MailState.SUPPRESSED]
        return sum(self.states.values()) + self.forgotten == self.audience and sum(self.causes.values()) == suppressed

    @property
    def under_way(self) -> int:
        """How many have no final state yet."""
        return sum(count for state, count in self.states.items() if state not in FINAL)


class LedgerStore(Protocol):
    """Every customer of every mailing's audience in exactly one row with one state."""

    def begin(self, mailing: Mailing, entries: Sequence[LedgerEntry]) -> bool:
        """Writes down a whole audience: who waits for a mail, and who is suppressed and why. False when the mailing is
        there already: nothing changes then. Customers who asked to be forgotten get no row and count as forgotten. All
        or nothing. Raises InputError for a name, an id or a text that cannot be kept, for a customer who is in it
        twice, under whichever of their ids, and for a number of entries that is not the audience's."""
        ...

    def move(self, mailing: str, moves: Sequence[Move], at: int) -> Sequence[bool]:
        """Gives mails another state, at `at` (milliseconds UTC); durable when it returns. False for each that was not
        in a state from which `MOVES` leads there, or that is of nobody any more: it is as it was."""
        ...

    def rows(self, mailing: str, states: Collection[MailState] = tuple(MailState)) -> pl.DataFrame:
        """The mails in these states, in `LEDGER_SCHEMA`, ordered by customer."""
        ...

    def totals(self, mailing: str) -> Totals:
        """How the audience is divided now. Raises InputError for a mailing that never began."""
        ...

    def mailings(self) -> Sequence[Mailing]:
        """All mailings that began, the oldest plan first."""
        ...

    def mailed(self, since: int, purpose: str | None = None) -> pl.DataFrame:
        """The mails that were sent or are uncertain or under way since `since` (milliseconds UTC), of one purpose or of
        all, in `MAILED_SCHEMA`: for caps on how often, and for what nobody is to be sent again."""
        ...


class AddressStore(Protocol):
    """Addresses that cannot be reached, by a keyed hash: the store never holds the address itself; and whose mail it
    was that comes back."""

    def mark(self, customer_id: str, address: str, reply: str, at: int) -> None:
        """From now on nothing is sent to this address. One of a forgotten customer is not kept. Raises InputError for
        an id that cannot be kept."""
        ...

    def undeliverable(self, addresses: Collection[str]) -> Mapping[str, str]:
        """Those of these addresses that are marked, and the reply that marked them first. Letters' case is no
        difference."""
        ...

    def clear(self, address: str) -> bool:
        """The address is good again; False when it was not marked."""
        ...

    def recipients(self, message_ids: Collection[str]) -> Mapping[str, tuple[str, str]]:
        """Of these Message-IDs those that are in the ledger: the mailing and the customer of each."""
        ...
