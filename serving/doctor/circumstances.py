"""What the checks are told: the settings, the environment, the clock, and how the service is going to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.http.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is examined.

    Attributes
    ----------
    settings : the service's.
    environment : the variables that it would run with.
    now : milliseconds UTC.
    timer : seconds from any origin, to time disks and servers.
    workers, host, port : as `bookmatch serve` would be told.
    seconds : how long each look through the whole store may take.
    system : the root of the files in which the system tells its limits.
    """

    settings: Settings
    environment: Mapping[str, str]
    now: Callable[[], int]
    timer: Callable[[], float]
    workers: int = 1
    host: str = "127.0.0.1"
    port: int = 8000
    seconds: float = 10.0
    system: Path = Path("/")
