"""What the routes leave in the audit: in the store with the act itself, and as a line of the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

import structlog
from fastapi import Request

from recsys.access.audit import DONE, Act, Actor, audit
from recsys.access.keys import ApiKey
from recsys.stores.protocols import Store
from serving.http.state import ServiceState

log = structlog.get_logger("bookmatch.audit")

T = TypeVar("T")


def key_of(request: Request) -> ApiKey | None:
    """The key that a request came with; None where none was asked for."""
    key: ApiKey | None = request.scope.get("bookmatch.key")
    return key


def actor_of(request: Request, people: Collection[str] = ()) -> Actor:
    """Who asks, for the audit. A request's id that names one of these people is left out: who is forgotten must not be
    found in the audit."""
    key, request_id = key_of(request), str(request.scope["bookmatch.request_id"])
    names_one = any(person in request_id for person in people)
    return Actor("nobody" if key is None else f"key:{key.key_id}", None if names_one else request_id)


def write_line(store: Store, act: Act, subjects: Sequence[str], actor: Actor, at: int, result: str = DONE) -> None:
    """As `recsys.access.audit.audit`, and logs the line."""
    line = audit(store, act, subjects, actor, at, result)
    log.info("audit", act=line.act, actor=line.actor, subjects=line.subjects, number=line.number, result=line.result)


def counted(statuses: Iterable[str]) -> str:
    """What became of each, in words: `changed 2, created 1`."""
    return ", ".join(f"{status} {count}" for status, count in sorted(Counter(map(str, statuses)).items()))


async def audited(
    state: ServiceState,
    request: Request,
    act: Act,
    work: Callable[[Store], T],
    told: Callable[[Store, T], tuple[Sequence[str], str]],
    people: Collection[str] = (),
) -> T:
    """What `work` returns, called on the writing connection and stored together with its line, or neither of them.

    `told` says of what was done: on what, and with which result; `people` are the customers whom it is about. Raises
    what `work` raises.
    """
    actor, at = actor_of(request, people), state.clocks.now()

    def do(store: Store) -> T:
        with store.transaction():
            done = work(store)
            subjects, result = told(store, done)
            write_line(store, act, subjects, actor, at, result)
        return done

    return await state.writer.run(do)
