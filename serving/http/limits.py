"""How often: one number for each key or address, however high the limit (the generic cell rate algorithm)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from recsys.access.rates import Rate

MOST_COUNTED = 10_000
"""Addresses and keys that are counted at a time; who was quiet longest is forgotten first, and starts anew."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after a request, in this worker.

    Attributes
    ----------
    wait : seconds until the next request is let in; 0 when this one was.
    remaining : requests that would be let in now.
    full_after : seconds until all of the quota is there again.
    """

    wait: float
    remaining: int
    full_after: float


class Limits:
    """The limits of one worker, each with its share of the whole: the kernel spreads connections over the workers.

    Parameters
    ----------
    clock : seconds from any origin; never runs backwards.
    workers : among how many a limit is divided.
    """

    def __init__(self, clock: Callable[[], float], workers: int, most: int = MOST_COUNTED) -> None:
        self._clock = clock
        self._workers = workers
        self._most = most
        self._paid_until: OrderedDict[str, float] = OrderedDict()

    @property
    def counted(self) -> int:
        """How many keys and addresses are remembered; at most `most`."""
        return len(self._paid_until)

    def take(self, name: str, rate: Rate) -> Allowance:
        """Counts one request. Each pays for an interval of time; a quota is how far one may pay ahead."""
        now = self._clock()
        interval = rate.seconds * self._workers / rate.quota
        ahead = max(rate.quota / self._workers, 1.0) * interval
        paid = max(self._paid_until.get(name, now), now)
        if paid + interval - now > ahead * (1 + 1e-9):
            self._paid_until.move_to_end(name)
            return Allowance(paid + interval - now - ahead, 0, paid - now)
        paid += interval
        self._paid_until[name] = paid
        self._paid_until.move_to_end(name)
        if len(self._paid_until) > self._most:
            self._paid_until.popitem(last=False)
        return Allowance(0.0, int((ahead - (paid - now)) / interval + 1e-6), paid - now)


def rate_headers(rate: Rate, allowance: Allowance) -> list[tuple[bytes, bytes]]:
    """As the draft of the IETF writes them (draft-ietf-httpapi-ratelimit-headers)."""
    policy = f'"key";q={rate.quota};w={rate.seconds}'
    left = f'"key";r={allowance.remaining};t={math.ceil(allowance.full_after)}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]
