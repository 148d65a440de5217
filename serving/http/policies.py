"""The placements that a shop published: noticed when they change, refused as a whole when something does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog

from recsys.errors import BookmatchError, InputError
from recsys.recommend.placement import Placement
from recsys.recommend.placements import BUILT_IN, PlacementRepository, PlacementsFile
from serving.http.metrics import Metrics

log = structlog.get_logger("bookmatch.serving")

RETRY_REFUSED = 30.0
"""Seconds after which a version that was refused is tried again: the fault may have been the disk's."""

_UNREADABLE = -1
"""Stands for the version where the file that names it cannot be read."""


class Policies(NamedTuple):
    """What the shop says of its lists.

    Attributes
    ----------
    version : of what it published; 0 while it published nothing.
    file : what that says.
    """

    version: int
    file: PlacementsFile

    @property
    def placements(self) -> Mapping[str, Placement]:
        """By their names; `default` is always there."""
        return self.file.placements

    @property
    def explores(self) -> bool:
        """Whether any placement does."""
        return any(placement.exploration is not None for placement in self.placements.values())


NOTHING_PUBLISHED = Policies(0, BUILT_IN)


class PolicyWatch:
    """Looks for another version than the one in force. Used by one coroutine at a time.

    Parameters
    ----------
    now : milliseconds UTC.
    """

    def __init__(self, repository: PlacementRepository, metrics: Metrics, now: Callable[[], int]) -> None:
        self._repository = repository
        self._metrics = metrics
        self._now = now
        self._refused: tuple[int, int] | None = None
        self.in_force = NOTHING_PUBLISHED
        self.trouble: str | None = None
        """Why the newest version is not in force; None when it is."""

    def newer(self) -> int | None:
        """The version to take into use, or None. What goes wrong is told as by `refused`."""
        try:
            wanted = self._repository.current_id() or 0
        except BookmatchError as error:
            if not self._tried(_UNREADABLE):
                self.refused(_UNREADABLE, error)
            return None
        if wanted == self.in_force.version:
            self.trouble = self._refused = None
            return None
        return None if self._tried(wanted) else wanted

    def try_again(self) -> None:
        """Takes a version that was refused for one that was never tried."""
        self._refused = None

    def _tried(self, version: int) -> bool:
        """Whether a version was refused a moment ago."""
        return self._refused is not None and self._refused[0] == version and self._now() < self._refused[1]

    def load(self, version: int) -> Policies:
        """A version that was published. Raises BookmatchError."""
        return Policies(version, self._repository.read(version)) if version else NOTHING_PUBLISHED

    def take(self, policies: Policies) -> None:
        """Notes that a version is in force now."""
        self.in_force = policies
        self.trouble = self._refused = None
        self._metrics.placement_loads.labels("used").inc()
        self._metrics.placements_version.set(policies.version)
        log.info("placements in use", version=policies.version, placements=sorted(policies.placements))

    def unfit(self, error: InputError) -> None:
        """Notes what of the version in force cannot be kept: a filter that does not fit lets nothing through."""
        self.trouble = f"it is in force, but {error}"
        log.warning("placements do not fit the catalogue", version=self.in_force.version, cause=str(error))

    def refused(self, version: int, error: Exception) -> None:
        """Notes why a version is not in force; what was stays."""
        expected = isinstance(error, BookmatchError)
        self.trouble = str(error) if expected else repr(error)
        self._refused = (version, self._now() + int(RETRY_REFUSED * 1000))
        self._metrics.placement_loads.labels("refused").inc()
        log.warning("placements refused", version=version, cause=self.trouble, exc_info=not expected)
