"""Compiled inner loops that put items in order: by one score or by a blend of several, in the manner of `kernels`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from recsys.models.kernels import Floats, Items, Places, Singles

Flags = npt.NDArray[np.bool_]


@njit(nogil=True, cache=True)
def top_rows(scores: Floats, tie_break: Places, limit: int) -> Items:  # pragma: no cover - compiled
    """The places of the `limit` largest scores of each row, best first, -1 where a row has fewer above 0.

    Ties go to the larger `tie_break` (shape (columns,)), then to the smaller place.
    """
    rows, columns = scores.shape
    chosen = np.full((rows, limit), -1, np.int32)
    for row in range(rows):
        found = 0
        for place in range(columns):
            score = scores[row, place]
            if score <= 0.0:
                continue
            if found == limit:
                last = chosen[row, limit - 1]
                if score < scores[row, last] or (score == scores[row, last] and tie_break[place] <= tie_break[last]):
                    continue
            else:
                found += 1
            at = found - 1
            while at > 0:
                above = chosen[row, at - 1]
                if score > scores[row, above] or (score == scores[row, above] and tie_break[place] > tie_break[above]):
                    chosen[row, at] = above
                    at -= 1
                else:
                    break
            chosen[row, at] = place
    return chosen


@njit(nogil=True, cache=True)
def blended_gains(
    rows: Places,
    said: Singles,
    weight: Singles,
    popular: Singles,
    popular_weight: float,
    wanted: Flags,
    there: Flags,
    discount: Floats,
) -> Floats:  # pragma: no cover - compiled
    """The discounted gains of the lists that a blend makes of some rows' candidates: shape (len(rows),).

    The score of a candidate is personal = Σ_s weight_s · said_s, plus popular_weight · popular; candidates that are not
    `there` or whose personal score is 0 or less are not listed. Equal scores: the smaller column is first. Gains are
    Σ discount[rank] over the wanted candidates among the first len(discount).

    `said` has shape (sources, n, width); `popular`, `wanted` and `there` have shape (n, width).
    """
    sources, _, width = said.shape
    gains = np.zeros(len(rows), np.float64)
    score = np.empty(width, np.float32)
    for place in range(len(rows)):
        row = rows[place]
        for column in range(width):
            personal = np.float32(0.0)
            for source in range(sources):
                personal += weight[source] * said[source, row, column]
            listed = there[row, column] and personal > 0
            score[column] = personal + np.float32(popular_weight) * popular[row, column] if listed else -np.inf
        for column in range(width):
            if wanted[row, column] and score[column] > -np.inf:
                rank = 0
                for other in range(width):
                    if score[other] > score[column] or (score[other] == score[column] and other < column):
                        rank += 1
                if rank < len(discount):
                    gains[place] += discount[rank]
    return gains
