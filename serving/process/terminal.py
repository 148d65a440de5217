"""The terminal that a service may have been started in."""

from __future__ import annotations

import os

_STANDARD_INPUT = 0


class Terminal:
    """Closing a terminal sends SIGHUP to what runs in it, as does whoever wants a reload: here they are told apart."""

    def __init__(self) -> None:
        self._had_one = os.isatty(_STANDARD_INPUT)

    @property
    def is_gone(self) -> bool:
        """Whether there was one when this was made, and is none any more."""
        return self._had_one and not os.isatty(_STANDARD_INPUT)
