"""Leaving a failing service alone for a while, so that its failures cost little."""

from __future__ import annotations

from collections.abc import Callable


class CircuitBreaker:
    """Opens after some failures in a row; then one caller in every pause tries again, and a success closes it.

    Parameters
    ----------
    clock : seconds from any origin; never runs backwards.
    threshold : failures in a row that open it.
    first_pause, longest_pause : seconds; the pause doubles from one to the other with every failed try.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        threshold: int = 3,
        first_pause: float = 0.5,
        longest_pause: float = 15.0,
    ) -> None:
        self._clock = clock
        self._threshold = threshold
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._failures = 0
        self._pause = first_pause
        self._next_try: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether callers are being kept away."""
        return self._next_try is not None

    def allows(self) -> bool:
        """Whether this caller may try. While open it says yes once per pause: that caller is the probe."""
        if self._next_try is None:
            return True
        now = self._clock()
        if now < self._next_try:
            return False
        # Nobody else gets through while the probe is on its way.
        self._next_try = now + self._pause
        self._probing = True
        return True

    def succeeded(self) -> None:
        """The service answered."""
        self._failures = 0
        self._pause = self._first_pause
        self._next_try = None
        self._probing = False

    def failed(self) -> None:
        """The service did not answer.

        While open only the probe's failure counts: callers that were under way when it opened say nothing new.
        """
        self._failures += 1
        if self._next_try is None:
            if self._failures >= self._threshold:
                self._next_try = self._clock() + self._pause
        elif self._probing:
            self._probing = False
            self._pause = min(self._pause * 2, self._longest_pause)
            self._next_try = self._clock() + self._pause
