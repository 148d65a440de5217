"""What a worker does when it is told to look for what is new (SIGHUP): no restart, and no request notices."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields

import structlog

from recsys.errors import BookmatchError, PlacementsError
from serving.http.settings import Settings
from serving.http.state import ServiceState

log = structlog.get_logger("bookmatch.serving")

UNCHANGED = "unchanged"

Look = Callable[[], Awaitable[str]]
"""Takes what is new, and returns what that is, for the log. Raises BookmatchError where the old state stays."""


class Reloading:
    """Looks for everything that can change while the service runs.

    Parameters
    ----------
    settings : with which the service began.
    reread : reads them again.
    """

    def __init__(self, settings: Settings, reread: Callable[[], Settings]) -> None:
        self._began_with = settings
        self._in_force = settings
        self._reread = reread

    async def reload(self, state: ServiceState) -> None:
        """Looks for each in turn; what fails leaves the old state and does not keep the others from being looked at."""
        for name, look in self._looks(state).items():
            try:
                log.info("looked for what is new", what=name, found=await look())
            except BookmatchError as error:
                log.warning("what is new was refused", what=name, cause=str(error))

    def _looks(self, state: ServiceState) -> Mapping[str, Look]:
        """What there is to look for, by its name in the log."""
        policies = state.engines.policies
        before = policies.in_force.version

        async def placements() -> str:
            # The look for a bundle was one for placements, too.
            if policies.trouble is not None:
                raise PlacementsError(policies.trouble)
            version = policies.in_force.version
            return UNCHANGED if version == before else f"version {version}"

        return {"bundle": state.engines.look_again, "placements": placements, "settings": self._settings}

    async def _settings(self) -> str:
        """The log's level; everything else needs a restart, and is told."""
        wanted = self._reread()
        told = []
        if wanted.log_level != self._in_force.log_level:
            logging.getLogger().setLevel(wanted.logging_level)
            told.append(f"log_level={wanted.log_level}")
        self._in_force = wanted
        names = [field.name for field in fields(Settings) if field.name not in ("log_level", "metrics_folder")]
        stale = [name for name in names if getattr(wanted, name) != getattr(self._began_with, name)]
        if stale:
            told.append(f"only after a restart: {', '.join(stale)}")
        return "; ".join(told) or UNCHANGED
