"""Which events an `undo` takes back. The rule is the same for every database, so it stands here once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import orjson


class Undo(NamedTuple):
    """One `undo` event: its own id and the id of the event that it takes back."""

    event_id: str
    target: str


def undo_target(context: str | None) -> str | None:
    """The event that an undo's context names, `{"undoes": "<event_id>"}`; None when it names none."""
    if context is None:
        return None
    try:
        parsed = orjson.loads(context)
    except ValueError:
        return None
    target = parsed.get("undoes") if isinstance(parsed, dict) else None
    return target if isinstance(target, str) and target else None


def undone(undos: Sequence[Undo]) -> set[str]:
    """The ids that one customer's undos take back, whether or not such events exist.

    Parameters
    ----------
    undos : in order of arrival; no event_id twice.

    An undo counts unless an undo that counts names it. So an undo is decided when one that counts names it or when
    all that name it are decided, beginning with those that nothing names. Each undo names one event, so what is left
    are circles; of each circle the newest undo counts, and that decides the others.
    """
    waiting_for = Counter(undo.target for undo in undos)
    by_id = {undo.event_id: undo for undo in undos}
    gone: set[str] = set()
    decided: set[str] = set()
    # Popped from the end: first all that nothing names, then, where only circles are left, the newest undo.
    ready = [*undos, *(undo for undo in undos if not waiting_for[undo.event_id])]
    while ready:
        undo = ready.pop()
        if undo.event_id in decided:
            continue
        decided.add(undo.event_id)
        waiting_for[undo.target] -= 1
        if undo.event_id not in gone:
            gone.add(undo.target)
        if undo.target in by_id and (undo.target in gone or not waiting_for[undo.target]):
            ready.append(by_id[undo.target])
    return gone
