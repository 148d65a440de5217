"""The bundle in force: whether it verifies, how large it is, and how much has happened since it was learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from recsys.bundle import BundleRepository
from recsys.errors import BundleError
from recsys.stores.embedded import Survey
from serving.doctor.findings import Finding, mib, problem, problem_of, warning, well

_DAY_MS: Final = 86_400_000
_STALE_DAYS: Final = 7
_STALE_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Inspected:
    """What is known of the bundle in force.

    Attributes
    ----------
    findings : what is to be said of it.
    size : bytes of its files; 0 without one.
    newest : the newest event that it knows, milliseconds UTC; None without one.
    training_bytes : the most memory that learning it took; None where that is not written down.
    """

    findings: tuple[Finding, ...]
    size: int = 0
    newest: int | None = None
    training_bytes: int | None = None


def inspected(repository: BundleRepository) -> Inspected:
    """Verifies the bundle in force, all its files."""
    try:
        current = repository.current_id()
        if current is None:
            return Inspected(
                (
                    problem(
                        "bundle",
                        f"nothing is published in {repository.folder}",
                        "a bundle in force",
                        "train one with `bookmatch train`",
                    ),
                )
            )
        bundle, build = repository.load(current), repository.build(current)
    except BundleError as error:
        return Inspected((problem_of("bundle", error),))
    size = sum(path.stat().st_size for path in (repository.folder / current).rglob("*") if path.is_file())
    newest = bundle.manifest.data.get("newest")
    found = f"{current} verifies: {len(bundle.items):,} items, {mib(size)}"
    return Inspected((well("bundle", found),), size, newest, _peak(build))


def _peak(build: Mapping[str, object]) -> int | None:
    stages = build.get("stages")
    peaks = [stage.get("peak_bytes") for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []
    return max((peak for peak in peaks if isinstance(peak, int)), default=None)


def staleness(newest: int | None, found: Survey) -> Iterator[Finding]:
    """How far the bundle is behind the store, counted by events and not by the clock: where nothing happens, an old
    bundle is as good as a new one."""
    if newest is None or found.newest is None:
        return
    days, share = (found.newest - newest) / _DAY_MS, found.since / max(1, found.events)
    say = f"{found.since:,} of {found.events:,} events came after it"
    if found.since and (days > _STALE_DAYS or share > _STALE_SHARE):
        yield warning(
            "bundle age",
            f"{say}, over {days:,.1f} days",
            f"at most {_STALE_DAYS} days and {_STALE_SHARE:.0%} of all events: new items and trends are not in it",
            "train again, best of all every night",
        )
    else:
        yield well("bundle age", say)
