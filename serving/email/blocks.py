"""What stands in the mails of a crowd: each block's list, then what of it is left for the block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from recsys.recommend.crowd import Crowd, Picks, chosen, new, own
from recsys.recommend.crowd.picks import HISTORY, POPULAR
from recsys.recommend.crowd.spots import Spot, placed_for_you
from recsys.recommend.filters import NOBODY, Filter
from serving.email.campaign import Block, BlockKind, Restraint


def listed(
    crowd: Crowd, blocks: Sequence[Block], least: float, spots: Mapping[str | None, Spot]
) -> tuple[Picks, npt.NDArray[np.int16]]:
    """The items of everybody's mail, in the order of the customers, then of the blocks, then of the lists; and the
    block of each, from 0: int16.

    No item stands twice in a customer's mail: the first block that would list it does. Of what is known to be bought
    with a probability below `least` there is nothing, and where that is above 0 neither of what it is not known of
    among the lists that foretell it.

    Parameters
    ----------
    spots : the placements with rules of their own that blocks name; that of None holds where a block names none.
    """
    found = []
    for number, block in enumerate(blocks):
        narrowed = crowd if block.where is None else crowd.narrowed(_passing(block.where, crowd))
        # As many spare items as blocks before may take away.
        wanted = sum(each.items for each in blocks[: number + 1])
        found.append((_likely(_picks(narrowed, block, wanted, spots.get(block.placement)), least), block.items))
    shown = chosen(found, crowd.items)
    place = np.repeat(np.arange(len(shown), dtype=np.int16), [len(each.row) for each in shown])
    whole = Picks(*(np.concatenate(column) for column in zip(*shown, strict=True)))
    order = np.lexsort((np.arange(len(place)), place, whole.row))
    return whole.those(order), place[order]


def worth_sending(picks: Picks, people: int, restraint: Restraint) -> npt.NDArray[np.bool_]:
    """Whose mail has enough in it, and something that is likely enough: bool, shape (people,)."""
    enough = np.bincount(picks.row, minlength=people) >= restraint.least_items
    if restraint.minimum_relevance:
        best = np.zeros(people, dtype=np.float32)
        np.maximum.at(best, picks.row, np.nan_to_num(picks.relevance, nan=0.0))
        enough &= best >= np.float32(restraint.minimum_relevance)
    return np.asarray(enough)


def _picks(crowd: Crowd, block: Block, wanted: int, spot: Spot | None) -> Picks:
    """The list of a block, with spare items where it would not end by itself."""
    match block.kind:
        case BlockKind.FOR_YOU:
            return new.for_you(crowd, wanted) if spot is None else placed_for_you(crowd, spot, wanted)
        case BlockKind.BECAUSE_YOU_BOUGHT:
            return new.because_you_bought(crowd, wanted, block.days)
        case BlockKind.NEW_FROM_AUTHORS:
            return new.new_from_authors(crowd, block.days)
        case BlockKind.POPULAR_NEAR_TASTE:
            return new.popular_near_taste(crowd, wanted)
        case BlockKind.PICKED:
            return new.picked(crowd, block.picked)
        case BlockKind.NEXT_IN_SERIES:
            return own.next_in_series(crowd)
        case BlockKind.BUY_AGAIN:
            return own.buy_again(crowd, block.probability)
        case BlockKind.LEFT_IN_CART:
            return own.left_in_cart(crowd, block.days)
        case BlockKind.LOOKED_AT:
            return own.looked_at(crowd, block.times, block.days)


def _likely(picks: Picks, least: float) -> Picks:
    """Without what is not likely enough."""
    if not least:
        return picks
    foretold = np.isin(picks.reason, [HISTORY, POPULAR])
    return picks.those(~(picks.relevance < np.float32(least)) & ~(foretold & np.isnan(picks.relevance)))


def _passing(where: str, crowd: Crowd) -> npt.NDArray[np.bool_]:
    """Which items a filter lets through: bool, shape (items,)."""
    return Filter(where).mask(crowd.table, NOBODY, crowd.now)
