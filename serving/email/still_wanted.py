"""What of a mail its customer still wants when it is handed over: they may have bought or refused some of it since."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from recsys.data.events import KIND_BY_CODE, EventKind
from recsys.data.history import StoredHistory
from recsys.recommend.crowd.crowd import NOT_THEIRS, UNWANTED
from recsys.recommend.crowd.own import CART
from recsys.recommend.placement import DEFAULT_PLACEMENT
from serving.email.campaign import BlockKind
from serving.email.planned import PlannedBlock, PlannedItem

_ABOUT_ONE = frozenset({BlockKind.BECAUSE_YOU_BOUGHT, BlockKind.NEXT_IN_SERIES})
"""Blocks whose items are there for what the customer has: without it they make no sense."""


@dataclass(frozen=True, slots=True)
class Did:
    """What a customer did, as far as it decides what stands in a mail.

    Attributes
    ----------
    kinds : by item, the kinds of events.
    bought : what was bought lately.
    out_of_cart : what was in the cart and is not any more: taken out, or bought.
    """

    kinds: Mapping[str, Collection[EventKind]]
    bought: Collection[str]
    out_of_cart: Collection[str]

    @classmethod
    def of(cls, history: StoredHistory, about: Collection[str], bought_since: int) -> Did:
        """From a customer's history, what it says of these items; what was bought since `bought_since` (milliseconds
        UTC) was bought lately."""
        kinds: dict[str, set[EventKind]] = {}
        bought, cart = set(), {}
        columns = history.columns
        ids = columns.ids()
        for place, code, at in zip(
            columns.item.tolist(), columns.kind.tolist(), columns.timestamp.tolist(), strict=True
        ):
            item_id = ids[place]
            if item_id not in about:
                continue
            kind = KIND_BY_CODE[code]
            kinds.setdefault(item_id, set()).add(kind)
            # An unknown time is before any moment.
            if kind is EventKind.PURCHASE and at >= bought_since:
                bought.add(item_id)
            if kind in CART:
                cart[item_id] = kind
        for place, code in zip(columns.earlier_item.tolist(), columns.earlier_kind.tolist(), strict=True):
            kinds.setdefault(ids[place], set()).add(KIND_BY_CODE[code])
        return cls(kinds, bought, {item for item, kind in cart.items() if kind is not EventKind.ADD_TO_CART})

    def any_of(self, item_id: str | None, kinds: Collection[EventKind]) -> bool:
        """Whether there was any of these kinds of events on an item."""
        return item_id is not None and any(kind in kinds for kind in self.kinds.get(item_id, ()))


def named_in(blocks: Sequence[PlannedBlock]) -> set[str]:
    """The items in blocks, and those that speak for them."""
    items = [item for block in blocks for item in block.items]
    return {item.item_id for item in items} | {item.because for item in items if item.because is not None}


def still_wanted(blocks: Sequence[PlannedBlock], did: Did, barred: Collection[str] = ()) -> tuple[PlannedBlock, ...]:
    """The blocks without what planning would leave out of them by now, and without what is barred for other reasons;
    those that have nothing left are gone."""
    kept = [
        replace(
            block,
            items=tuple(item for item in block.items if item.item_id not in barred and _is_wanted(block, item, did)),
        )
        for block in blocks
    ]
    return tuple(block for block in kept if block.items)


def _is_wanted(block: PlannedBlock, item: PlannedItem, did: Did) -> bool:
    if item.item_id in did.bought or did.any_of(item.item_id, UNWANTED):
        return False
    if block.kind == BlockKind.LEFT_IN_CART:
        return item.item_id not in did.out_of_cart
    if block.kind == BlockKind.BUY_AGAIN:
        return not did.any_of(item.item_id, NOT_THEIRS)
    if block.kind in _ABOUT_ONE and did.any_of(item.because, NOT_THEIRS):
        return False
    return block.again or not did.any_of(item.item_id, DEFAULT_PLACEMENT.mask_kinds)
