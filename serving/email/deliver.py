"""Sending a mailing: every mail is claimed on the disk, handed over once, and its fate written down.

Order is what keeps this honest. A mail's row says `sending` on the disk before the first byte of it is sent, and
`sent` only after the server's yes. Whatever ends this process in between leaves `sending` behind, which the next run
turns into `uncertain`; nothing that is uncertain is sent again by itself.

One thread decides and writes to the ledger: what the others told while it waited for the disk, and what they are to
send next, is its next transaction. A mail is claimed when a connection is free for it, and no sooner: whatever ends
this process leaves no more mails in doubt than there are connections.
"""

from __future__ import annotations

import heapq
import queue
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from recsys.access.rates import Rate
from recsys.errors import InputError
from recsys.stores.ledger import FINAL, MailState
from serving.email.claims import Claims, Settled
from serving.email.message import Sender, message_bytes
from serving.email.planned import PlannedMail
from serving.email.posting import Poster, Told
from serving.email.rechecking import Postponement, Suppression
from serving.email.render import Renderer
from serving.email.smtp import Handover, MailServer, ServerDownError, ServerRefusesError, Verdict
from serving.http.limits import Limits

_MOST_LATER: Final = 5_000
"""So many mails that are to be tried later are held in memory; then nothing new is begun."""
_LONGEST_PAUSE: Final = 60.0
_GATHERS: Final = 0.005
"""For so many seconds more is listened to before a transaction is begun."""


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


@dataclass(frozen=True, slots=True)
class Writing:
    """How a mail becomes a message.

    Attributes
    ----------
    message_ids : of each customer whose mail is to be sent.
    now : milliseconds UTC.
    """

    sender: Sender
    renderer: Renderer
    message_ids: Mapping[str, str]
    now: Callable[[], int]

    def message(self, mail: PlannedMail) -> bytes:
        """The mail as it goes over the wire. Raises InputError for one that cannot be written."""
        identifier = self.message_ids[mail.customer_id]
        return message_bytes(self.renderer.render(mail), self.sender, mail.address, mail.name, identifier, self.now())


class _Task(NamedTuple):
    """A mail, how often the server put it off, and when it did first."""

    mail: PlannedMail
    tries: int = 0
    since: float = 0.0


class Delivery:
    """Sends the waiting mails of one mailing. Whoever calls holds the lock on sending.

    Parameters
    ----------
    progress : called with 1 whenever a mail has a final state.
    """

    def __init__(
        self,
        claims: Claims,
        server: MailServer,
        writing: Writing,
        pace: Pace,
        clock: Callable[[], float],
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._claims, self._server, self._writing = claims, server, writing
        self._pace, self._clock = pace, clock
        self._progress = progress
        self._limits = Limits(clock, 1)
        self._told: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._closed: list[Poster] = []
        self._ready: deque[Poster] = deque()
        self._opening = 0
        self._busy: dict[Poster, _Task] = {}
        self._tasks: Iterator[_Task] = iter(())
        self._more = True
        self._next: _Task | None = None
        self._held: deque[_Task] = deque()
        self._later: list[tuple[float, int, _Task]] = []
        self._begun = 0
        self._claimed: deque[_Task] = deque()
        self._settled: list[Settled] = []
        self._paused_until = self._down_since = self._too_fast_until = 0.0
        self._pause = 1.0
        self._taken_at = 0.0
        self._interrupted = False
        self._failure: BaseException | None = None
        self._sending = Sending()

    def run(self, mails: Iterator[PlannedMail]) -> Sending:
        """Sends them all, or as many as can be sent; raises StoreError where the ledger cannot be written any more,
        after which no further mail is handed over."""
        # In a thread of its own, where no key that is pressed ends a transaction half-way.
        with ThreadPoolExecutor(1, "ledger") as pool:
            done = pool.submit(self._run, mails)
            try:
                return done.result()
            except BaseException:
                self._interrupted = True
                raise

    def _run(self, mails: Iterator[PlannedMail]) -> Sending:
        self._tasks = (_Task(mail) for mail in mails)
        posters: list[Poster] = []
        try:
            names = (f"smtp-{number}" for number in range(self._pace.connections))
            posters.extend(Poster(name, self._server, self._told) for name in names)
            self._closed = posters[::-1]
            while not self._is_over():
                self._begin()
                self._listen()
        except BaseException as error:
            self._failure = error
        for poster in posters:
            poster.end()
        for poster in posters:
            poster.join()
        self._hear_all()
        # What stops a run leaves no doubt about mails of which nothing was handed over.
        self._settled += [self._claims.untouched(task.mail) for task in self._claimed]
        try:
            self._write([])
        except BaseException as error:
            self._failure = self._failure or error
        if self._failure is not None:
            raise self._failure
        return self._sending

    def _is_over(self) -> bool:
        if self._sending.stopped or self._interrupted or self._failure is not None:
            return True
        return not (self._more or self._next or self._held or self._later or self._busy or self._settled)

    # --- what is sent next

    def _begin(self) -> None:
        """Gives as many posters as it can something to do."""
        tasks = self._chosen()
        while tasks or self._settled:
            self._write(tasks)
            self._post()
            # Whoever is not to be sent their mail after all leaves a poster free; where many are not, the others are
            # done meanwhile.
            if self._ready:
                self._hear_all()
            tasks = [] if self._is_over() else self._chosen()
        if self._clock() >= self._paused_until:
            # After a pause, one connection shows whether the server is back.
            wanted = min(len(self._held), 1) if self._down_since else len(self._held)
            for _ in range(min(wanted - self._opening, len(self._closed))):
                self._opening += 1
                self._closed.pop().connect()

    def _chosen(self) -> list[_Task]:
        """One task for each poster that has nothing to do; after a pause, one mail shows whether the server is back."""
        if self._clock() < self._paused_until:
            return []
        self._hold()
        room = min(len(self._ready), 1 - len(self._busy)) if self._down_since else len(self._ready)
        return [self._held.popleft() for _ in range(min(len(self._held), room))]

    def _hold(self) -> None:
        """Takes up what may be sent now, as much as can be under way at a time."""
        while len(self._held) + len(self._busy) < self._pace.connections:
            task = self._admitted()
            if task is None:
                return
            self._held.append(task)

    def _admitted(self) -> _Task | None:
        """The next task that is not too fast; too fast for its domain, it waits, too fast for all, everything does."""
        while self._clock() >= self._too_fast_until:
            self._next = self._next or self._slow_enough()
            if self._next is None:
                return None
            wait = 0.0 if self._pace.rate is None else self._limits.take("all", self._pace.rate).wait
            if not wait:
                task, self._next = self._next, None
                return task
            self._too_fast_until = self._clock() + wait
        return None

    def _slow_enough(self) -> _Task | None:
        """The next task, and the next one again where it is too fast for its domain."""
        while (task := self._due()) is not None:
            if self._pace.domain_rate is None:
                return task
            domain = task.mail.address.rpartition("@")[2].casefold()
            wait = self._limits.take(f"domain {domain}", self._pace.domain_rate).wait
            if not wait:
                return task
            self._put_back(task, wait)
        return None

    def _due(self) -> _Task | None:
        if self._later and self._later[0][0] <= self._clock():
            return heapq.heappop(self._later)[2]
        if not self._more or len(self._later) >= _MOST_LATER:
            return None
        task = next(self._tasks, None)
        self._more = task is not None
        return task

    def _put_back(self, task: _Task, seconds: float) -> None:
        self._begun += 1
        heapq.heappush(self._later, (self._clock() + seconds, self._begun, task))

    def _write(self, tasks: Sequence[_Task]) -> None:
        """What became of mails, and the claims of these tasks; on the disk when it returns."""
        answers = self._claims.write(self._settled, [task.mail for task in tasks])
        settled, self._settled = self._settled, []
        for task, answer in zip(tasks, answers, strict=True):
            if isinstance(answer, PlannedMail):
                self._claimed.append(_Task(answer, task.tries, task.since))
            elif isinstance(answer, Postponement):
                self._sending.put_off += 1
                self._sending.next_at = min(answer.until, self._sending.next_at or answer.until)
            elif isinstance(answer, Suppression):
                self._count(MailState.SUPPRESSED)
        for each in settled:
            self._count(each.move.state)

    def _post(self) -> None:
        """Writes the mails that were claimed, and hands each to a poster."""
        while self._claimed:
            task = self._claimed[0]
            try:
                message = self._writing.message(task.mail)
            except InputError as error:
                self._claimed.popleft()
                self._settle(task, Handover(Verdict.REFUSED, f"not sent: {error}"))
                continue
            poster = self._ready.popleft()
            self._busy[poster] = self._claimed.popleft()
            poster.post(self._writing.sender.envelope, task.mail.address, message)

    def _count(self, state: MailState) -> None:
        if state in FINAL:
            self._sending.moved[state] += 1
            self._progress(1)

    # --- what the posters tell

    def _patiently(self) -> float:
        """So many seconds until there may be something to do, whatever is told."""
        now = self._clock()
        if self._paused_until > now:
            return min(self._paused_until - now, 1.0)
        moments = [self._later[0][0]] if self._later and len(self._busy) < self._pace.connections else []
        moments += [self._too_fast_until] if self._too_fast_until > now else []
        return min(max(min(moments, default=now + 1) - now, 0.001), 1.0)

    def _listen(self) -> None:
        if self._is_over():
            return
        try:
            self._hear(self._told.get(timeout=self._patiently()))
            # Others are about to tell as much, and what is written together costs about as much as one alone.
            end = self._clock() + _GATHERS
            while len(self._settled) <= self._pace.connections // 2 and len(self._settled) < len(self._busy):
                self._hear(self._told.get(timeout=max(end - self._clock(), 0)))
        except queue.Empty:
            return
        self._hear_all()

    def _hear_all(self) -> None:
        while not self._told.empty():
            self._hear(self._told.get())

    def _hear(self, told: Told) -> None:
        (self._ready if told.is_open else self._closed).append(told.poster)
        task = self._busy.pop(told.poster, None)
        if task is None:
            self._opening -= 1
        elif isinstance(told.error, ServerDownError | ServerRefusesError):
            self._settled.append(self._claims.untouched(task.mail))
            self._put_back(task, 0.0)
        elif told.handover is not None:
            self._settle(task, told.handover)
        if isinstance(told.error, ServerDownError):
            self._lose(str(told.error))
        elif isinstance(told.error, ServerRefusesError):
            self._sending.stopped = str(told.error)
        elif told.error is not None:
            self._failure = self._failure or told.error

    def _settle(self, task: _Task, handover: Handover) -> None:
        """What becomes of a mail, written down with the next claims."""
        mail, tries, since = task
        now, is_last = self._clock(), tries + 1 >= self._pace.attempts
        is_later = handover.verdict is Verdict.LATER
        # Who puts everybody off would soon have made the whole mailing fail.
        puts_all_off = is_later and is_last and tries > 0 and self._taken_at < since
        later = is_later and (puts_all_off or not is_last)
        self._settled.append(self._claims.settled(mail, handover, tries=tries, later=later))
        if puts_all_off:
            self._lose(f"the mail server puts everybody off: {handover.reply}")
            self._put_back(task, self._paused_until - now)
            return
        self._down_since, self._pause = 0.0, 1.0
        if later:
            self._sending.retries += 1
            self._put_back(_Task(mail, tries + 1, since or now), self._pace.first_pause * 2**tries)
        elif handover.verdict is Verdict.TAKEN:
            self._taken_at = now

    def _lose(self, why: str) -> None:
        """The server is not there, or is for nobody; no mail was taken."""
        now = self._clock()
        self._down_since = self._down_since or now
        if now - self._down_since >= self._pace.patience:
            self._sending.stopped = why
        elif now >= self._paused_until:
            self._paused_until = now + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
