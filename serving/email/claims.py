"""What the ledger is told while mails are sent: which ones are under way, and what became of them.

A mail's row says `sending` on the disk before the first byte of it is sent, and `sent` only after the server's yes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from recsys.data.events import Event, EventKind
from recsys.stores.ledger import MailState, Move
from recsys.stores.protocols import Store
from serving.email.planned import PlannedMail
from serving.email.rechecking import Checked, Recheck, Suppression
from serving.email.smtp import Handover, Verdict


class Settled(NamedTuple):
    """A mail that was claimed, where its row goes now, and whether its address turned out to be none."""

    mail: PlannedMail
    move: Move
    no_address: bool = False


class Claims:
    """The rows of one mailing. For one thread.

    Parameters
    ----------
    message_ids : of each customer whose mail waits, or is uncertain and is to be sent again.
    doubtful : the latter: unless the server says yes now, their mails stay uncertain.
    now : milliseconds UTC.
    """

    def __init__(
        self,
        mailing: str,
        store: Store,
        recheck: Recheck,
        message_ids: Mapping[str, str],
        doubtful: Collection[str],
        now: Callable[[], int],
    ) -> None:
        self._mailing, self._store, self._recheck = mailing, store, recheck
        self._message_ids, self._doubtful, self._now = message_ids, doubtful, now

    def settled(self, mail: PlannedMail, handover: Handover, *, tries: int, later: bool) -> Settled:
        """What the server's words mean for a mail that was put off `tries` times before; `later`: it is tried again."""
        customer_id, (verdict, reply) = mail.customer_id, handover
        if verdict is Verdict.TAKEN:
            return Settled(mail, Move(customer_id, MailState.SENT))
        if verdict is Verdict.UNKNOWN:
            return Settled(mail, Move(customer_id, MailState.UNCERTAIN, reply))
        if later:
            return Settled(mail, self._not_taken(customer_id, MailState.WAITING, reply))
        if verdict is Verdict.LATER:
            reply = f"given up after {tries + 1} attempts: {reply}"
        failed = self._not_taken(customer_id, MailState.FAILED, reply)
        return Settled(mail, failed, verdict is Verdict.NO_ADDRESS)

    def untouched(self, mail: PlannedMail) -> Settled:
        """A mail of which nothing was handed over is as it was: what stops a run must not leave a doubt behind."""
        return Settled(mail, self._not_taken(mail.customer_id, MailState.WAITING, ""))

    def write(self, settled: Sequence[Settled], wanted: Sequence[PlannedMail]) -> list[Checked | None]:
        """Writes down what became of some mails and claims others, all in one transaction and so with one flush; on
        the disk when it returns.

        Of each that is wanted: the mail as it is to be sent, its row now `sending`; or why not. None: it is not waiting
        any more, or may have been taken before. When this raises, nothing was written and nothing claimed.
        """
        now = self._now()
        with self._store.transaction():
            # First what became of mails: one that was put off may be wanted again already.
            if settled:
                self._settle(settled, now)
            return self._claim(wanted, now) if wanted else []

    def _settle(self, settled: Sequence[Settled], now: int) -> None:
        self._store.ledger.move(self._mailing, [each.move for each in settled], now)
        for mail, move, no_address in settled:
            if no_address:
                self._store.addresses.mark(mail.customer_id, mail.address, move.reason, now)
        sent = [each.mail for each in settled if each.move.state is MailState.SENT]
        # Who was forgotten between the claim and the server's yes has no row any more, and gets no event.
        gone = self._store.persons.forgotten([mail.customer_id for mail in sent]) if sent else {}
        events = [
            sent_event(mail, self._message_ids[mail.customer_id], now) for mail in sent if mail.customer_id not in gone
        ]
        if events:
            self._store.events.append(events)

    def _claim(self, wanted: Sequence[PlannedMail], now: int) -> list[Checked | None]:
        answers: list[Checked | None] = list(self._recheck(self._store, wanted, now))
        moves: dict[int, Move] = {}
        for place, checked in enumerate(answers):
            customer_id = wanted[place].customer_id
            if isinstance(checked, PlannedMail):
                moves[place] = Move(customer_id, MailState.SENDING)
            elif isinstance(checked, Suppression) and customer_id in self._doubtful:
                answers[place] = None  # It may have been taken: uncertain it stays.
            elif isinstance(checked, Suppression):
                moves[place] = Move(customer_id, MailState.SUPPRESSED, checked.cause)
        done = self._store.ledger.move(self._mailing, list(moves.values()), now)
        for place, is_done in zip(moves, done, strict=True):
            if not is_done and not isinstance(answers[place], Suppression):
                answers[place] = None
        return answers

    def _not_taken(self, customer_id: str, state: MailState, reason: str) -> Move:
        """What becomes of a mail that was not taken this time: of a doubtful one nobody knows of the time before."""
        if customer_id in self._doubtful:
            return Move(customer_id, MailState.UNCERTAIN, f"sent again, not taken: {reason}" if reason else "")
        return Move(customer_id, state, reason)


def sent_event(mail: PlannedMail, message_id: str, at: int) -> Event:
    """That a mail was sent, at `at` (milliseconds UTC), as an event of its customer."""
    return Event(
        event_id=f"email-sent {message_id}",
        customer_id=mail.customer_id,
        kind=EventKind.EMAIL_SENT,
        timestamp=at,
        recommendation_id=mail.token,
    )
