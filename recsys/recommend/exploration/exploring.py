"""One list with what it explores: who may be shown, whom of these the customer may like, and what chance decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recsys.recommend.exploration.choosing import Chances, most_slots, weigh
from recsys.recommend.exploration.following import Followed
from recsys.recommend.exploration.suited import Offer, suited
from recsys.recommend.placement import Exploration

Items = npt.NDArray[np.int32]


def explore(
    listed: Items,
    taste: tuple[Items, npt.NDArray[np.float32]],
    followed: Followed,
    exploration: Exploration,
    offer: Offer,
    fixed: Sequence[int] = (),
) -> Chances:
    """What chance decides of a list of which some slots are given to new items: positions in `followed.index`, which is
    of the list's bundle.

    Parameters
    ----------
    listed : int32, shape (k,); what would be shown, slot by slot.
    taste : what speaks in the customer's history, ascending, and how much, as in `Taste`; empty for somebody unknown.
    fixed : slots, from 0, that are not explored.

    Raises InputError as `weigh`.
    """
    offer = offer._replace(slots=most_slots(len(listed), exploration))
    return weigh(listed, suited(followed.beliefs, *taste, listed, offer), followed.beliefs, exploration, fixed)
