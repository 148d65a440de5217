"""From a list of the kernel to items with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from recsys.data.vocabulary import Vocabulary
from recsys.models.kernels import Places
from recsys.recommend.kernel import BY_NEW, BY_NONE, BY_OTHERS, BY_POPULARITY, BY_RISING, UNITS, Listed
from recsys.recommend.relevance import UNKNOWN_RELEVANCE
from recsys.recommend.sources import BY_PLACE
from recsys.recommend.types import Evidence, Reason, Recommendation

OTHER = "other"
POPULAR = "popular"

_NOBODY: Mapping[int, str] = {BY_POPULARITY: POPULAR, BY_OTHERS: OTHER, BY_RISING: "rising", BY_NEW: "new"}
"""What speaks for an item and is no item of the history."""


def explained(
    ids: Vocabulary,
    code: str,
    found: Listed,
    relevance: Places,
    history: npt.NDArray[np.int32],
    kinds: Sequence[str],
) -> tuple[Recommendation, ...]:
    """A list with its reasons; items beyond the personal ones stand there because many want them, more than before, or
    because they are new.

    Parameters
    ----------
    code : of the reason why personal items are there.
    relevance : as `relevance_of` gives it.
    history, kinds : shape (m,); the history's items and what the customer did with each.
    """

    def part(what: int, share: float) -> Evidence:
        if what < 0:
            return Evidence(None, _NOBODY[what], share)
        return Evidence(ids[int(history[what])], str(kinds[what]), share)

    def evidence(place: int) -> tuple[Evidence, ...]:
        parts = zip(found.named[place].tolist(), found.share[place].tolist(), strict=True)
        return tuple(part(what, share / UNITS) for what, share in parts if what != BY_NONE)

    return tuple(
        Recommendation(
            ids[int(item)],
            score / UNITS,
            None if relevant == UNKNOWN_RELEVANCE else relevant / UNITS,
            Reason(code if place < found.personal else _NOBODY[int(found.named[place, 0])], evidence(place)),
        )
        for place, (item, score, relevant) in enumerate(
            zip(found.item, found.score.tolist(), relevance.tolist(), strict=True)
        )
    )


def counted(found: Listed) -> tuple[str, ...]:
    """The sources that counted for an item of the list."""
    return _named((found.factor > 0).tobytes()) if found.personal else ()


@cache
def _named(flags: bytes) -> tuple[str, ...]:
    """The sources that are flagged, one byte for each: few combinations, asked for with every list."""
    return tuple(name for name, flag in zip(BY_PLACE, flags, strict=True) if flag)
