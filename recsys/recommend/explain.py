"""From scores to items with reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from recsys.data.vocabulary import Vocabulary
from recsys.recommend.types import Evidence, Reason, Recommendation

NAMED_EVIDENCE = 3
"""How many items of the history an explanation names; the others' shares are added up as one."""

ROUNDING = 2e-5
"""Scores are rounded, shares are not: a difference of no more than this is no evidence."""

OTHER = "other"
POPULAR = "popular"


def explained(
    ids: Vocabulary,
    code: str,
    chosen: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float64],
    shares: npt.NDArray[np.float64],
    common: npt.NDArray[np.float64],
    history: npt.NDArray[np.int32],
    kinds: Sequence[str],
) -> tuple[Recommendation, ...]:
    """The chosen items with their reasons.

    Parameters
    ----------
    chosen, scores : shape (k,); positions and their scores, best first.
    shares : shape (m, k); what each item of the history adds to each score.
    common : shape (k,); what popularity adds to each score.
    history, kinds : shape (m,); the history's items and what the customer did with each.
    """
    named = [ids[int(item)] for item in history]
    listed = []
    for column, (item, score) in enumerate(zip(chosen, scores, strict=True)):
        own = shares[:, column]
        top = [int(row) for row in np.argsort(-own, kind="stable")[:NAMED_EVIDENCE] if own[row] > 0]
        evidence = [Evidence(named[row], str(kinds[row]), float(own[row])) for row in top]
        if common[column] > 0:
            evidence.append(Evidence(None, POPULAR, float(common[column])))
            evidence.sort(key=lambda part: -part.share)
        rest = float(score) - sum(part.share for part in evidence)
        if evidence and abs(rest) <= ROUNDING:
            evidence[0] = replace(evidence[0], share=evidence[0].share + rest)
            evidence.sort(key=lambda part: -part.share)
        else:
            evidence.append(Evidence(None, OTHER, rest))
        listed.append(Recommendation(ids[int(item)], float(score), Reason(code, tuple(evidence))))
    return tuple(listed)


def popular_items(
    ids: Vocabulary, chosen: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]
) -> tuple[Recommendation, ...]:
    """Items that stand there because many want them; chosen and scores of shape (k,), best first."""
    return tuple(
        Recommendation(ids[int(item)], float(score), Reason(POPULAR, (Evidence(None, POPULAR, float(score)),)))
        for item, score in zip(chosen, scores, strict=True)
    )
