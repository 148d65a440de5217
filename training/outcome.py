"""How a training ended: what was learned, what the gate said, and who overruled it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from training.gate import Verdict
from training.pipeline import Trained
from training.stages import StageCost


class Outcome(StrEnum):
    """How a training ended."""

    PUBLISHED = "published"
    NOTHING_NEW = "nothing_new"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Forced:
    """Whoever wants a bundle in force whatever the gate says."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Retrained:
    """What happened.

    Attributes
    ----------
    reason : why there was something to do, or why there was not.
    newer_events, age : of the bundle in force: events since, milliseconds; None where there was none.
    before : the id of the bundle that was in force.
    trained, verdict : None where nothing was trained, or there was nothing to compare with.
    gate_seconds, gate : what comparing took, as a whole and by stage.
    removed : bundles that were removed, as there are newer ones.
    """

    outcome: Outcome
    reason: str
    newer_events: int | None = None
    age: int | None = None
    before: str | None = None
    trained: Trained | None = None
    verdict: Verdict | None = None
    gate_seconds: float = 0.0
    gate: Sequence[StageCost] = ()
    removed: tuple[str, ...] = ()
