"""How soon a service that was asked to stop is to end, and by which signals that is said."""

from __future__ import annotations

import signal
from enum import IntEnum
from typing import Final


class Urgency(IntEnum):
    """Grows only: who was told to hurry does not slow down again."""

    NONE = 0
    """Nobody asked it to stop."""
    AFTER_DELAY = 1
    """It says that it is not ready, and goes on answering until whoever sends requests has noticed."""
    AT_ONCE = 2
    """No new connections; what is under way is finished."""
    HURRIED = 3
    """What is under way has a moment left. What waits for the disk is written or refused all the same."""


TO_WORKERS: Final = {
    Urgency.AFTER_DELAY: signal.SIGTERM,
    Urgency.AT_ONCE: signal.SIGUSR1,
    Urgency.HURRIED: signal.SIGUSR2,
}
"""What the parent says to its workers. Each may be said any number of times: a service manager may signal all processes
of a service at once, and a worker must not take that and its parent's word for two orders."""

_FROM_PARENT: Final = {number: urgency for urgency, number in TO_WORKERS.items()}


def of_people(before: Urgency, number: int) -> Urgency:
    """What a signal from outside means: SIGTERM waits for whoever sends requests, Ctrl-C does not; a second hurries."""
    if before is not Urgency.NONE:
        return Urgency.HURRIED
    return Urgency.AT_ONCE if number == signal.SIGINT else Urgency.AFTER_DELAY


def of_parent(before: Urgency, number: int) -> Urgency:
    """What a signal means to a worker; Ctrl-C reaches all processes of a terminal and is the parent's to understand."""
    return max(before, _FROM_PARENT.get(signal.Signals(number), before))
