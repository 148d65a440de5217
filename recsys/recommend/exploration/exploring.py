"""One list with what it explores: who may be shown, whom of these the customer may like, and what is chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recsys.data.catalog import Catalog
from recsys.recommend.exploration.choosing import Explored, choose
from recsys.recommend.exploration.following import Followed
from recsys.recommend.exploration.suited import suited
from recsys.recommend.placement import Exploration

Items = npt.NDArray[np.int32]


def explore(
    seed: str,
    listed: Items,
    taste: tuple[Items, npt.NDArray[np.float32]],
    followed: Followed,
    catalog: Catalog,
    exploration: Exploration,
    now: int,
    *,
    hidden: Items,
    passing: npt.NDArray[np.bool_] | None = None,
    fixed: Sequence[int] = (),
) -> Explored:
    """The list with some of its slots given to new items: positions in `followed.index`, which is of the list's bundle.

    Parameters
    ----------
    seed : the answer's, any text; the same arguments give the same list.
    listed : int32, shape (k,); what would be shown, slot by slot.
    taste : what speaks in the customer's history, ascending, and how much, as in `Taste`; empty for somebody unknown.
    catalog : in the bundle's positions.
    now : milliseconds UTC.
    hidden : int32; positions of what must not be shown: what the customer had, what the request leaves out.
    passing : bool, shape (items,); what passes a filter. Newcomers are left out where there is one: nobody asked it
        about them.
    fixed : slots, from 0, that are not explored.

    Raises InputError as `choose`.
    """
    beliefs, index = followed.beliefs, followed.index
    known = beliefs.explored < len(index.items)
    allowed = np.zeros(len(known), dtype=np.bool_)
    own = beliefs.explored[known]
    allowed[known] = catalog.showable(now)[own]
    if passing is not None:
        allowed[known] &= passing[own]
    else:
        allowed[~known] = index.shelf.showable(now)[beliefs.explored[~known] - len(index.items)]
    return choose(seed, listed, suited(beliefs, *taste, listed, allowed, hidden), beliefs, exploration, fixed)
