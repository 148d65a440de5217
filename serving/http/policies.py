"""The placements that a shop published: noticed when they change, refused as a whole when one of them does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import structlog

from recsys.errors import BookmatchError
from recsys.recommend.placement import DEFAULT_PLACEMENT, Placement
from serving.http.metrics import Metrics

log = structlog.get_logger("bookmatch.serving")

RETRY_REFUSED = 30.0
"""Seconds after which a version that was refused is tried again: the fault may have been the disk's."""


class Policies(NamedTuple):
    """The placements of one version.

    Attributes
    ----------
    version : of what the shop published; 0 while it published nothing.
    placements : by their names; `default` is always there.
    """

    version: int
    placements: Mapping[str, Placement]


BUILT_IN = Policies(0, {DEFAULT_PLACEMENT.name: DEFAULT_PLACEMENT})
"""What holds in a shop that published no placements."""


class PolicySource(Protocol):
    """Where placements are published."""

    def current_id(self) -> int | None:
        """The version in force, cheaply; None while nothing is published. Raises BookmatchError."""
        ...

    def load(self, version: int) -> Policies:
        """A version that was published. Raises BookmatchError."""
        ...


class PolicyWatch:
    """Looks for another version than the one in force. Used by one coroutine at a time.

    Parameters
    ----------
    source : where they are published; None where only the built-in one is.
    now : milliseconds UTC.
    """

    def __init__(self, source: PolicySource | None, metrics: Metrics, now: Callable[[], int]) -> None:
        self._source = source
        self._metrics = metrics
        self._now = now
        self._refused: tuple[int, int] | None = None
        self.in_force = BUILT_IN
        self.trouble: str | None = None
        """Why the newest version is not in force; None when it is."""

    def newer(self) -> int | None:
        """The version to take into use, or None. What goes wrong is told by `refused`."""
        if self._source is None:
            return None
        try:
            wanted = self._source.current_id() or 0
        except BookmatchError as error:
            if self.trouble is None:
                self.refused(-1, error)
            return None
        if wanted == self.in_force.version:
            self.trouble = self._refused = None
            return None
        tried = self._refused is not None and self._refused[0] == wanted and self._now() < self._refused[1]
        return None if tried else wanted

    def load(self, version: int) -> Policies:
        """A version. Raises BookmatchError."""
        return BUILT_IN if self._source is None or not version else self._source.load(version)

    def take(self, policies: Policies) -> None:
        """Notes that a version is in force now."""
        self.in_force = policies
        self.trouble = self._refused = None
        self._metrics.placement_loads.labels("used").inc()
        self._metrics.placements_version.set(policies.version)
        log.info("placements in use", version=policies.version, placements=sorted(policies.placements))

    def refused(self, version: int, error: Exception) -> None:
        """Notes why a version is not in force; what was stays."""
        expected = isinstance(error, BookmatchError)
        self.trouble = str(error) if expected else repr(error)
        self._refused = (version, self._now() + int(RETRY_REFUSED * 1000))
        self._metrics.placement_loads.labels("refused").inc()
        log.warning("placements refused", version=version, cause=self.trouble, exc_info=not expected)
