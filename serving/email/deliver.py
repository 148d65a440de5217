"""Sending a mailing: every mail is claimed on the disk, handed over once, and its fate written down.

Order is what keeps this honest. A mail's row says `sending` on the disk before the first byte of it is sent, and
`sent` only after the server's yes. Whatever ends this process in between leaves `sending` behind, which the next run
turns into `uncertain`; nothing that is uncertain is sent again by itself.
"""

from __future__ import annotations

import heapq
import queue
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from recsys.access.rates import Rate
from recsys.data.events import Event, EventKind
from recsys.errors import ForgottenCustomerError, InputError
from recsys.stores.ledger import MailState, Move
from recsys.stores.protocols import Store
from serving.email.grouped_writes import GroupedWrites
from serving.email.message import Sender, message_bytes
from serving.email.planned import PlannedMail
from serving.email.rechecking import Postponement, Recheck, Suppression
from serving.email.render import Renderer
from serving.email.smtp import (
    Handover,
    MailConnection,
    MailServer,
    ServerDownError,
    ServerRefusesError,
    Verdict,
)
from serving.http.limits import Limits

_MOST_LATER: Final = 5_000
"""So many mails that are to be tried later are held in memory; then nothing new is begun."""
_LONGEST_PAUSE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast, and how patiently.

    Attributes
    ----------
    connections : to the mail server at a time.
    rate, domain_rate : of all mails, and of those to one domain; None for no limit.
    attempts : so often a mail is tried that the server puts off; then it has failed, unless the server took nothing
        from anybody meanwhile: then it counts as away.
    first_pause : seconds before the second attempt; doubled before each further one.
    patience : for so many seconds a server that cannot be reached is tried again; then sending stops, and what
        waits goes on waiting.
    """

    connections: int = 8
    rate: Rate | None = None
    domain_rate: Rate | None = None
    attempts: int = 5
    first_pause: float = 30.0
    patience: float = 300.0


@dataclass(frozen=True, slots=True)
class SendClocks:
    """This moment, milliseconds UTC, and seconds from any origin that never run backwards."""

    now: Callable[[], int]
    monotonic: Callable[[], float]


@dataclass(slots=True)
class Sending:
    """What one run did.

    Attributes
    ----------
    moved : how many mails it gave which final state.
    put_off : how many stay waiting for the end of quiet hours; `next_at` is the earliest, milliseconds UTC.
    retries : how often a mail was put off by the server.
    stopped : why it ended before everybody was served; empty when it did not.
    """

    moved: Counter[MailState] = field(default_factory=Counter)
    put_off: int = 0
    next_at: int | None = None
    retries: int = 0
    stopped: str = ""


class _Task(NamedTuple):
    """A mail, how often the server put it off, and when it did first."""

    mail: PlannedMail
    tries: int = 0
    since: float = 0.0


class _Told(NamedTuple):
    """What a worker says when it is done with a task."""

    task: _Task
    state: MailState | None
    later: bool = False
    postponed: int | None = None
    down: str = ""
    error: BaseException | None = None


class Delivery:
    """Sends the waiting mails of one mailing. Whoever calls holds the lock on sending.

    Parameters
    ----------
    message_ids : of each customer whose mail waits, or is uncertain and is to be sent again.
    doubtful : the latter: unless the server says yes now, their mails stay uncertain.
    progress : called with 1 whenever a mail has a final state.
    """

    def __init__(
        self,
        mailing: str,
        store: Store,
        *,
        server: MailServer,
        sender: Sender,
        renderer: Renderer,
        recheck: Recheck,
        pace: Pace,
        clocks: SendClocks,
        message_ids: Mapping[str, str],
        doubtful: Collection[str] = frozenset(),
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._mailing, self._store = mailing, store
        self._server, self._sender, self._renderer = server, sender, renderer
        self._recheck, self._pace, self._clocks = recheck, pace, clocks
        self._message_ids, self._doubtful = message_ids, doubtful
        self._progress = progress
        self._limits = Limits(clocks.monotonic, 1)
        self._work: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[_Told] = queue.SimpleQueue()
        self._later: list[tuple[float, int, _Task]] = []
        self._begun = self._busy = 0
        self._paused_until = self._down_since = 0.0
        self._pause = 1.0
        self._taken_at = 0.0
        self._sending = Sending()

    def run(self, mails: Iterator[PlannedMail]) -> Sending:
        """Sends them all, or as many as can be sent; raises StoreError where the ledger cannot be written any more,
        after which no further mail is handed over."""
        with GroupedWrites(self._store) as writes:
            threads = [
                threading.Thread(target=self._worker, args=(writes,), name=f"smtp-{number}", daemon=True)
                for number in range(self._pace.connections)
            ]
            for thread in threads:
                thread.start()
            try:
                self._dispatch(mails)
            finally:
                for _ in threads:
                    self._work.put(None)
                for thread in threads:
                    thread.join()
        # The last writes are on the disk, or are not: nobody waited for them.
        if writes.failure is not None:
            raise writes.failure
        while not self._told.empty():
            self._hear(self._told.get())
        return self._sending

    # --- the thread that decides what is sent next

    def _dispatch(self, mails: Iterator[PlannedMail]) -> None:
        tasks = (_Task(mail) for mail in mails)
        more = True
        while True:
            while not self._told.empty():
                self._hear(self._told.get())
            if self._sending.stopped:
                return
            task = self._due()
            if task is None and more and len(self._later) < _MOST_LATER and self._is_free():
                task = next(tasks, None)
                more = task is not None
            if task is not None:
                self._start(task)
            elif not more and not self._later and not self._busy:
                return
            else:
                self._wait()

    def _is_free(self) -> bool:
        """Whether a worker would take one more at once: after a pause, one mail shows whether the server is back."""
        if self._clocks.monotonic() < self._paused_until:
            return False
        return self._busy < (1 if self._down_since else 2 * self._pace.connections)

    def _due(self) -> _Task | None:
        if self._later and self._is_free() and self._later[0][0] <= self._clocks.monotonic():
            return heapq.heappop(self._later)[2]
        return None

    def _start(self, task: _Task) -> None:
        """Hands it to a worker, unless it would be too fast for its domain; too fast for all, everything waits."""
        domain = task.mail.address.rpartition("@")[2].casefold()
        if self._pace.domain_rate is not None:
            wait = self._limits.take(f"domain {domain}", self._pace.domain_rate).wait
            if wait:
                self._put_back(task, wait)
                return
        while self._pace.rate is not None and (wait := self._limits.take("all", self._pace.rate).wait):
            self._listen(wait)
            if self._sending.stopped:
                return
        self._busy += 1
        self._work.put(task)

    def _put_back(self, task: _Task, seconds: float) -> None:
        self._begun += 1
        heapq.heappush(self._later, (self._clocks.monotonic() + seconds, self._begun, task))

    def _wait(self) -> None:
        now = self._clocks.monotonic()
        moments = [self._later[0][0]] if self._later else []
        moments += [self._paused_until] if self._paused_until > now else []
        self._listen(min(max(max(moments, default=now + 1) - now, 0.001), 1.0))

    def _listen(self, seconds: float) -> None:
        try:
            self._hear(self._told.get(timeout=seconds))
        except queue.Empty:
            return

    def _hear(self, told: _Told) -> None:
        self._busy -= 1
        if told.error is not None:
            if isinstance(told.error, ServerRefusesError):
                self._sending.stopped = str(told.error)
                return
            raise told.error
        if told.down:
            self._lose(told)
            return
        self._down_since, self._pause = 0.0, 1.0
        if told.postponed is not None:
            self._sending.put_off += 1
            self._sending.next_at = min(told.postponed, self._sending.next_at or told.postponed)
        elif told.later:
            self._sending.retries += 1
            mail, tries, since = told.task
            again = _Task(mail, tries + 1, since or self._clocks.monotonic())
            self._put_back(again, self._pace.first_pause * 2**tries)
        elif told.state is not None:
            self._taken_at = self._clocks.monotonic() if told.state is MailState.SENT else self._taken_at
            self._sending.moved[told.state] += 1
            self._progress(1)

    def _lose(self, told: _Told) -> None:
        """The server is not there, or is for nobody; the mail was not taken."""
        now = self._clocks.monotonic()
        self._down_since = self._down_since or now
        if now - self._down_since >= self._pace.patience:
            self._sending.stopped = told.down
            return
        if now >= self._paused_until:
            self._paused_until = now + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._put_back(told.task, self._paused_until - now)

    # --- the threads that hold a connection each

    def _worker(self, writes: GroupedWrites) -> None:
        connection = MailConnection(self._server)
        while (task := self._work.get()) is not None:
            try:
                told = self._one(task, connection, writes)
            except ServerDownError as error:
                told = _Told(task, None, down=str(error))
            except BaseException as error:
                told = _Told(task, None, error=error)
            self._told.put(told)
        connection.quit()

    def _one(self, task: _Task, connection: MailConnection, writes: GroupedWrites) -> _Told:
        # First of all: while the server is away, no mail is under way.
        connection.open()
        customer_id = task.mail.customer_id
        found = writes.submit(lambda store: self._claim(store, task.mail)).result()
        if isinstance(found, Postponement):
            return _Told(task, None, postponed=found.until)
        if found is None or isinstance(found, Suppression):
            return _Told(task, None if found is None else MailState.SUPPRESSED)
        try:
            name, identifier = found.name, self._message_ids[customer_id]
            message = message_bytes(
                self._renderer.render(found), self._sender, found.address, name, identifier, self._clocks.now()
            )
        except InputError as error:
            move = self._not_taken(customer_id, MailState.FAILED, f"not sent: {error}")
            writes.submit(lambda store: self._settle(store, found, move)).result()
            return _Told(task, move.state)
        except BaseException:
            # Nothing was handed over: what stops this run must not leave a doubt behind.
            back = self._not_taken(customer_id, MailState.WAITING, "")
            writes.submit(lambda store: self._settle(store, found, back)).result()
            raise
        handover = self._hand_over(connection, found, message)
        is_last = task.tries + 1 >= self._pace.attempts
        # Who puts everybody off would soon have made the whole mailing fail.
        puts_all_off = is_last and task.tries > 0 and self._taken_at < task.since
        later = handover.verdict is Verdict.LATER and (puts_all_off or not is_last)
        move = self._judged(task, handover, later=later)
        writes.submit(lambda store: self._settle(store, found, move, handover.verdict is Verdict.NO_ADDRESS))
        if later and puts_all_off:
            return _Told(task, None, down=f"the mail server puts everybody off: {handover.reply}")
        return _Told(task, move.state, later=later)

    def _hand_over(self, connection: MailConnection, mail: PlannedMail, message: bytes) -> Handover:
        try:
            return connection.deliver(self._sender.envelope, mail.address, message)
        except (ServerDownError, ServerRefusesError) as error:
            return Handover(Verdict.LATER, error.found)

    def _judged(self, task: _Task, handover: Handover, *, later: bool) -> Move:
        customer_id, (verdict, reply) = task.mail.customer_id, handover
        if verdict is Verdict.TAKEN:
            return Move(customer_id, MailState.SENT)
        if verdict is Verdict.UNKNOWN:
            return Move(customer_id, MailState.UNCERTAIN, reply)
        if later:
            return self._not_taken(customer_id, MailState.WAITING, reply)
        if verdict is Verdict.LATER:
            reply = f"given up after {task.tries + 1} attempts: {reply}"
        return self._not_taken(customer_id, MailState.FAILED, reply)

    def _not_taken(self, customer_id: str, state: MailState, reason: str) -> Move:
        """What becomes of a mail that was not taken this time: of a doubtful one nobody knows of the time before."""
        if customer_id in self._doubtful:
            return Move(customer_id, MailState.UNCERTAIN, f"sent again, not taken: {reason}" if reason else "")
        return Move(customer_id, state, reason)

    # --- inside the transaction of a group of writes

    def _claim(self, store: Store, mail: PlannedMail) -> PlannedMail | Suppression | Postponement | None:
        """The mail as it is to be sent, its row now `sending`; or why not. None: it is not waiting any more."""
        now = self._clocks.now()
        checked = self._recheck(store, mail, now)
        if isinstance(checked, Postponement):
            return checked
        move = Move(mail.customer_id, MailState.SENDING)
        if isinstance(checked, Suppression):
            if mail.customer_id in self._doubtful:
                return None  # It may have been taken: uncertain it stays.
            move = Move(mail.customer_id, MailState.SUPPRESSED, checked.cause)
        (done,) = store.ledger.move(self._mailing, [move], now)
        return checked if done else None

    def _settle(self, store: Store, mail: PlannedMail, move: Move, no_address: bool = False) -> None:
        now = self._clocks.now()
        store.ledger.move(self._mailing, [move], now)
        if no_address:
            store.addresses.mark(mail.customer_id, mail.address, move.reason, now)
        if move.state is MailState.SENT:
            _append(store, sent_event(mail, self._message_ids[mail.customer_id], now))


def sent_event(mail: PlannedMail, message_id: str, at: int) -> Event:
    """That a mail was sent, at `at` (milliseconds UTC), as an event of its customer."""
    return Event(
        event_id=f"email-sent {message_id}",
        customer_id=mail.customer_id,
        kind=EventKind.EMAIL_SENT,
        timestamp=at,
        recommendation_id=mail.token,
    )


def _append(store: Store, event: Event) -> None:
    try:
        store.events.append([event])
    except ForgottenCustomerError:
        return  # Between the claim and the server's yes; the row went with the customer.
