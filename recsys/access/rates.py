"""How often something may be done: `50/s`, `600/m`, `10000/h`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from recsys.errors import InputError

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_RATE: Final = re.compile(r"([1-9][0-9]{0,8})/([smhd])")
EXPECTED: Final = "a number from 1 to 999999999 and s, m, h or d, such as 50/s"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in a window of so many seconds."""

    quota: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The rate that a text such as `50/s` says. Raises InputError."""
        found = _RATE.fullmatch(text)
        if found is None:
            raise InputError(f"the rate {text!r} is none", expected=EXPECTED)
        return cls(int(found[1]), _SECONDS[found[2]])

    def __str__(self) -> str:
        """As `parse` reads it."""
        unit = next(name for name, seconds in _SECONDS.items() if seconds == self.seconds)
        return f"{self.quota}/{unit}"
