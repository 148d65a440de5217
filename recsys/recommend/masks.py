"""What must not be shown, and how much each rule removed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys.data.catalog import Catalog
from recsys.data.history import History
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.recommend.placement import Placement
from recsys.recommend.types import Request

UNAVAILABLE = "unavailable"
SEEN = "seen"
EXCLUDED = "excluded"


def allowed_items(
    items: Vocabulary, catalog: Catalog, history: History, placement: Placement, request: Request
) -> tuple[npt.NDArray[np.bool_], dict[str, int]]:
    """Which items may be shown: bool, shape (items,); and how many each mask removed that no mask before it had.

    The masks, in this order: `unavailable` (not available, not yet published or expired), `seen` (the customer has had,
    judged or refused it), `excluded` (named in the request).
    """
    allowed = catalog.showable(request.now)
    removed = {UNAVAILABLE: int(len(allowed) - np.count_nonzero(allowed))}
    excluded = items.positions(sorted(request.exclude))
    for name, positions in ((SEEN, history.items_of(placement.mask_kinds)), (EXCLUDED, excluded[excluded != UNKNOWN])):
        removed[name] = int(np.count_nonzero(allowed[positions]))
        allowed[positions] = False
    return allowed, removed
