"""The threads that hold a connection to the mail server each."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from serving.email.smtp import Handover, MailConnection, MailServer


@dataclass(frozen=True, slots=True)
class Told:
    """What a poster says when it is done with what it was asked for; it waits for the next then.

    Attributes
    ----------
    is_open : whether it has a connection.
    handover : what became of the message; None where there was none, and where nobody knows.
    error : why it could not be done: after ServerDownError and ServerRefusesError, nothing was handed over.
    """

    poster: Poster
    is_open: bool
    handover: Handover | None = None
    error: BaseException | None = None


class _Message(NamedTuple):
    """From whom, to whom, and what."""

    sender: str
    recipient: str
    content: bytes


class _Order(Enum):
    """Everything that is asked of a poster but a message."""

    CONNECT = "connect"
    END = "end"


class Poster:
    """One such thread. It waits for the server nearly all the time: whatever else takes a processor's time is done
    before, by whoever calls.

    Parameters
    ----------
    told : where it says what it did; one answer for each call of `connect` and `post`.
    """

    def __init__(self, name: str, server: MailServer, told: queue.SimpleQueue[Told]) -> None:
        self._connection, self._told = MailConnection(server), told
        self._orders: queue.SimpleQueue[_Message | _Order] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def connect(self) -> None:
        """Opens the connection."""
        self._orders.put(_Order.CONNECT)

    def post(self, sender: str, recipient: str, content: bytes) -> None:
        """Hands a message over."""
        self._orders.put(_Message(sender, recipient, content))

    def end(self) -> None:
        """Closes the connection after what was asked for before; `join` waits for that."""
        self._orders.put(_Order.END)

    def join(self) -> None:
        """Waits for the end."""
        self._thread.join()

    def _run(self) -> None:
        while (order := self._orders.get()) is not _Order.END:
            self._told.put(self._connect() if isinstance(order, _Order) else self._post(order))
        self._connection.quit()

    def _connect(self) -> Told:
        try:
            self._connection.open()
        except BaseException as error:
            return Told(self, False, error=error)
        return Told(self, True)

    def _post(self, message: _Message) -> Told:
        try:
            handover = self._connection.deliver(*message)
        except BaseException as error:
            return Told(self, self._connection.is_open, error=error)
        return Told(self, self._connection.is_open, handover)
