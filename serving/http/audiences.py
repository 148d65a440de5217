"""Who would want an item, among the customers who may be told of it: looked for beside the event loop."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from recsys.data.history import History
from recsys.recommend.audience import Member, audience
from recsys.stores.protocols import Store
from serving.http.asking import Moment
from serving.http.store_handle import reading

MAX_LOOKED_AT = 1_000
"""Customers that one call looks at: reading so many histories takes about a second, beside the answers."""


@dataclass(frozen=True, slots=True)
class AudienceQuestion:
    """What is asked.

    Attributes
    ----------
    purpose : what the customers must have agreed to.
    limit : how many are listed at most.
    after : only customers whose ids come after this one are looked at; empty for all.
    exclude : these are not looked at, under whichever of their ids they are named.
    """

    item_id: str
    purpose: str
    limit: int
    after: str
    exclude: frozenset[str] = frozenset()


class Audiences:
    """Answers of one worker, one at a time: a campaign may wait, a page may not.

    Parameters
    ----------
    store_path : where customers are; each call reads through a connection of its own.
    history_limit : the newest events of a customer that taste is read from.
    """

    def __init__(self, store_path: Path, history_limit: int) -> None:
        self._store_path = store_path
        self._history_limit = history_limit
        self._turn = asyncio.Semaphore(1)

    async def find(self, moment: Moment, asked: AudienceQuestion) -> dict[str, object]:
        """The body. Raises UnknownItemError, and StoreError while the store cannot be read."""
        async with self._turn:
            ask = partial(self._found, moment=moment, asked=asked)
            return await asyncio.to_thread(reading, self._store_path, ask)

    def _found(self, store: Store, moment: Moment, asked: AudienceQuestion) -> dict[str, object]:
        engine = moment.engine
        consenting = store.profiles.consenting(asked.purpose)
        start = bisect_right(consenting, asked.after)
        turn = consenting[start : start + MAX_LOOKED_AT]
        spared = {store.profiles.get(customer_id).customer_id for customer_id in asked.exclude}
        looked_at = [customer_id for customer_id in turn if customer_id not in spared]
        people = self._histories(store, moment, looked_at)
        members = audience(engine.recommender, engine.catalog, asked.item_id, people, moment.now)
        return {
            "customers": [_json(member) for member in members[: asked.limit]],
            "found": len(members),
            "looked_at": len(looked_at),
            "consenting": len(consenting),
            "next": turn[-1] if start + len(turn) < len(consenting) else None,
            "relevance": engine.foreseen,
            "bundle": engine.bundle.bundle_id,
        }

    def _histories(self, store: Store, moment: Moment, customer_ids: Sequence[str]) -> Iterator[tuple[str, History]]:
        for customer_id in customer_ids:
            stored = store.histories.get(customer_id, self._history_limit)
            yield customer_id, History.from_stored(stored, moment.engine.bundle.items)


def _json(member: Member) -> dict[str, object]:
    reason = {"code": member.reason.code, "evidence": [asdict(part) for part in member.reason.evidence]}
    return {
        "customer_id": member.customer_id,
        "score": member.score,
        "relevance": member.relevance,
        "reason": reason,
    }
