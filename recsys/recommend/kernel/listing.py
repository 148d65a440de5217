"""The compiled call: one list, from the history to the reasons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from recsys.models.kernels import Floats, Items, Places, Singles
from recsys.recommend.kernel.reasons import name_all, share_again, share_lists, share_low_rank
from recsys.recommend.kernel.retrieval import (
    add_again,
    add_lists,
    add_low_rank,
    allowed,
    best_forward,
    fetch_rows,
    hide,
    retrieved,
    scored,
    sums_factor,
    take,
    widened,
)
from recsys.recommend.kernel.types import (
    ALS,
    FEWEST,
    HIDDEN,
    LISTED,
    MOST_EVIDENCE,
    POPULAR,
    REPEAT,
    RETRIEVED,
    SPECTRAL,
    UNITS,
    Asked,
    Bytes,
    Flags,
    Listed,
    ListedRows,
    Rows,
    Sources,
    Workspace,
    part,
)

_NO_ITEMS = np.zeros(0, dtype=np.int32)
_YES = np.ones(1, dtype=np.bool_)
_WHOLE = np.array([0, np.iinfo(np.int64).max])
"""From where to where the only row goes."""


def list_items(flat: tuple[Any, ...], work: Workspace, asked: Asked) -> Listed:
    """The best items for a history; `flat` is `flattened(sources)`."""
    rows = Rows(
        asked.weights[None], _WHOLE, asked.items, asked.strengths, _WHOLE, asked.again, asked.probability,
        asked.given[None], _YES, asked.showable, _WHOLE, asked.seen, asked.excluded, asked.filled, asked.among,
        asked.boost,
    )  # fmt: skip
    # Not `of`: filling what is overwritten takes as long as a tenth of the list.
    wanted, reasons = asked.wanted, (1 if asked.explained else 0, asked.wanted, MOST_EVIDENCE)
    found = ListedRows(
        np.empty((1, wanted), np.int32), np.empty((1, wanted), np.int64), np.empty((1, 4), np.int64), np.empty((1, 7)),
        np.empty(reasons, np.int32), np.empty(reasons, np.int64),
    )  # fmt: skip
    list_rows(flat, work, rows, found)
    size, personal, seen, excluded = found.counts[0].tolist()
    # Without reasons there is no row of them.
    named, share = (found.named[0], found.share[0]) if asked.explained else (found.named[:, 0], found.share[:, 0])
    item, score = found.item[0, :size], found.score[0, :size]
    return Listed(item, score, personal, found.factor[0], named[:size], share[:size], seen, excluded)


def list_rows(flat: tuple[Any, ...], work: Workspace, rows: Rows, found: ListedRows) -> None:
    """Fills `found` with the best items for as many histories.

    Plain arrays get into compiled code in a tenth of a microsecond each; tuples of tuples take a hundred times as long.
    """
    call: Callable[..., Any] = _list_rows
    restricted = rows.among is not None
    call(*flat, *work, *rows[:-2], rows.among if restricted else _NO_ITEMS, restricted, rows.boost, *found)


def flattened(sources: Sources) -> tuple[Any, ...]:
    """All fields of all fields, in their order."""
    flat: list[Any] = []
    for field in sources:
        flat.extend(field if isinstance(field, tuple) else (field,))
    return tuple(flat)


@part
def _listed(
    item_item_indptr: Places,
    item_item_neighbour: Items,
    item_item_weight: Singles,
    rp3beta_indptr: Places,
    rp3beta_neighbour: Items,
    rp3beta_weight: Singles,
    content_indptr: Places,
    content_neighbour: Items,
    content_weight: Singles,
    als_rows: Singles,
    als_into: Singles,
    als_out: Singles,
    als_square: Floats,
    als_confidence: float,
    spectral_rows: Singles,
    spectral_into: Singles,
    spectral_out: Singles,
    spectral_square: Floats,
    spectral_confidence: float,
    popular: Floats,
    events: Places,
    order: Items,
    mark: Bytes,
    slot: Items,
    own: Floats,
    total: Floats,
    touched: Items,
    value: Floats,
    weights: Floats,
    items: Items,
    strengths: Singles,
    again: Items,
    probability: Floats,
    given: Singles,
    showable: Flags,
    seen: Items,
    excluded: Items,
    wanted: int,
    filled: bool,
    explained: bool,
    among: Items,
    restricted: bool,
    boost: Floats,
) -> tuple[Items, Places, int, Floats, Items, Places, int, int]:  # pragma: no cover - compiled
    """One list: takes the fields of `Sources`, `Workspace` and `Asked`, gives those of `Listed`."""
    removed_seen, removed_excluded = hide(seen, showable, mark), hide(excluded, showable, mark)
    # One loop over like sources, not one call after another: each call is compiled again where it stands.
    lists = (
        (item_item_indptr, item_item_neighbour, item_item_weight),
        (rp3beta_indptr, rp3beta_neighbour, rp3beta_weight),
        (content_indptr, content_neighbour, content_weight),
    )
    factor, known, boosted = np.zeros(7, np.float64), 0, len(boost) > 0
    ranked_by_als = len(items) > 0 and weights[ALS] > 0.0 and als_rows.shape[1] > 0
    ranked_by_spectral = len(items) > 0 and weights[SPECTRAL] > 0.0 and spectral_rows.shape[1] > 0
    if ranked_by_als:
        fetch_rows(als_rows, items)
    if ranked_by_spectral:
        fetch_rows(spectral_rows, items)
    # Where one source alone names items its sums are the totals.
    naming = 0
    for source in range(3):
        naming += 1 if weights[source] > 0.0 else 0
    alone = naming == 1 and not len(again) and not restricted
    for source in range(3):
        if weights[source] > 0.0:
            indptr, neighbour, weight = lists[source]
            known = add_lists(indptr, neighbour, weight, items, strengths, known, mark, own, touched)
            take(touched[:known], own, value)
            factor[source] = sums_factor(value[:known], weights[source], len(mark))
            for place in range(known):
                value[place] *= factor[source]
            for place in range(0 if alone else known):
                total[touched[place]] += value[place]
    if weights[REPEAT] > 0.0:
        known, factor[REPEAT] = add_again(again, probability, weights[REPEAT], known, mark, total, touched)

    if len(given):
        candidates, score = scored(given, showable, mark)
    elif restricted:
        candidates, score = allowed(among, showable, mark, total)
    else:
        if not alone:
            take(touched[:known], total, value)
        # The best of what counts more or less are looked for; what they score is told without it, and then with it.
        for place in range(known if boosted else 0):
            value[place] *= boost[touched[place]]
        candidates, score = retrieved(touched[:known], value, max(RETRIEVED, 2 * wanted), showable, mark)
        if len(candidates) < FEWEST and (ranked_by_als or ranked_by_spectral):
            candidates, score = widened(candidates, score, order, showable, mark, touched[:known], value, total)
        for place in range(len(candidates) if boosted else 0):
            score[place] /= boost[candidates[place]]
        known = 0
    for place in range(known):
        mark[touched[place]] &= HIDDEN
        total[touched[place]] = 0.0

    als_pull, spectral_pull = np.zeros(0, np.float32), np.zeros(0, np.float32)
    # Given scores are those of low rank already.
    ranked = 0 if len(given) else len(candidates)
    if ranked_by_als:
        factor[ALS], als_pull = add_low_rank(
            als_rows, als_into, als_out, als_square, als_confidence, weights[ALS], items, strengths,
            candidates[:ranked], score,
        )  # fmt: skip
    if ranked_by_spectral:
        factor[SPECTRAL], spectral_pull = add_low_rank(
            spectral_rows, spectral_into, spectral_out, spectral_square, spectral_confidence, weights[SPECTRAL], items,
            strengths, candidates[:ranked], score,
        )  # fmt: skip

    for place in range(len(candidates)):
        own_units = np.rint(score[place] * UNITS)
        with_common = np.rint(own_units + weights[POPULAR] * popular[candidates[place]] * UNITS)
        if boosted:
            with_common = np.rint(with_common * boost[candidates[place]])
        score[place] = with_common if own_units > 0.0 else -np.inf
    chosen, best = np.empty(wanted, np.int32), np.empty(wanted, np.float64)
    personal = 0
    for place in range(best_forward(candidates, score, wanted, events)):
        if score[place] > -np.inf:
            chosen[place], best[place] = candidates[place], score[place]
            personal += 1
    common = np.empty(personal, np.float64)
    for place in range(personal):
        slot[chosen[place]] = place
        mark[chosen[place]] |= LISTED
        common[place] = np.rint(weights[POPULAR] * popular[chosen[place]] * UNITS)
        if weights[POPULAR] > 0.0 and popular[chosen[place]] > 0.0:
            factor[POPULAR] = weights[POPULAR]

    shares = np.zeros((personal if explained else 0, len(items)), np.float64)
    if len(shares):
        for source in range(3):
            if factor[source] > 0.0:
                indptr, neighbour, weight = lists[source]
                share_lists(indptr, neighbour, weight, factor[source], items, strengths, mark, slot, shares)
        if factor[ALS] > 0.0:
            share_low_rank(als_rows, als_out, factor[ALS], als_pull, items, chosen, shares)
        if factor[SPECTRAL] > 0.0:
            share_low_rank(spectral_rows, spectral_out, factor[SPECTRAL], spectral_pull, items, chosen, shares)
        if factor[REPEAT] > 0.0:
            share_again(again, probability, factor[REPEAT], items, mark, slot, shares)
    for place in range(personal if boosted else 0):
        common[place] = np.rint(common[place] * boost[chosen[place]])
        # Element by element: a product of a whole row takes three seconds more to compile.
        for entry in range(len(items) if explained else 0):
            shares[place, entry] *= boost[chosen[place]]

    size = personal
    if filled and size < wanted:
        filling = order
        if restricted:
            for place in range(len(candidates)):
                worth = popular[candidates[place]] * (boost[candidates[place]] if boosted else 1.0)
                score[place] = worth if score[place] == -np.inf else -np.inf
            filling = candidates[: best_forward(candidates, score, wanted - size, events)]
        ceiling, top = best[personal - 1] if personal else UNITS, 0.0
        for item in filling:
            if showable[item] and not mark[item]:
                worth = popular[item] * (boost[item] if boosted and restricted else 1.0)
                top = top if size > personal else worth
                chosen[size], best[size] = item, np.rint(worth / top * ceiling) if top > 0.0 else 0.0
                size += 1
                if size == wanted:
                    break
    for item in chosen[:personal]:
        mark[item] = 0
    for item in seen:
        mark[item] = 0
    for item in excluded:
        mark[item] = 0
    units = np.empty(size, np.int64)
    for place in range(size):
        units[place] = np.int64(best[place])
    rows = size if explained else 0
    named, share = np.empty((rows, MOST_EVIDENCE), np.int32), np.zeros((rows, MOST_EVIDENCE), np.int64)
    name_all(shares, common, units[:rows], named, share)
    return chosen[:size], units, personal, factor, named, share, removed_seen, removed_excluded


@njit(nogil=True, cache=True, error_model="numpy")
def _list_rows(
    item_item_indptr: Places,
    item_item_neighbour: Items,
    item_item_weight: Singles,
    rp3beta_indptr: Places,
    rp3beta_neighbour: Items,
    rp3beta_weight: Singles,
    content_indptr: Places,
    content_neighbour: Items,
    content_weight: Singles,
    als_rows: Singles,
    als_into: Singles,
    als_out: Singles,
    als_square: Floats,
    als_confidence: float,
    spectral_rows: Singles,
    spectral_into: Singles,
    spectral_out: Singles,
    spectral_square: Floats,
    spectral_confidence: float,
    popular: Floats,
    events: Places,
    order: Items,
    mark: Bytes,
    slot: Items,
    own: Floats,
    total: Floats,
    touched: Items,
    value: Floats,
    weights: Floats,
    start: Places,
    items: Items,
    strengths: Singles,
    again_start: Places,
    again: Items,
    probability: Floats,
    given: Singles,
    dense: Flags,
    showable: Flags,
    seen_start: Places,
    seen: Items,
    excluded: Items,
    filled: bool,
    among: Items,
    restricted: bool,
    boost: Floats,
    item: Items,
    score: Places,
    counts: Places,
    factor: Floats,
    named: Items,
    share: Places,
) -> None:  # pragma: no cover - compiled
    """Takes the fields of `Sources`, `Workspace`, `Rows` and `ListedRows`."""
    explained = len(named) == len(item)
    for row in range(len(item)):
        mine, repeated = slice(start[row], start[row + 1]), slice(again_start[row], again_start[row + 1])
        scores = given[row] if dense[row] else given[row, :0]
        found = _listed(
            item_item_indptr, item_item_neighbour, item_item_weight, rp3beta_indptr, rp3beta_neighbour,
            rp3beta_weight, content_indptr, content_neighbour, content_weight, als_rows, als_into, als_out,
            als_square, als_confidence, spectral_rows, spectral_into, spectral_out, spectral_square,
            spectral_confidence, popular, events, order, mark, slot, own, total, touched, value,
            weights[row], items[mine], strengths[mine], again[repeated], probability[repeated], scores, showable,
            seen[seen_start[row] : seen_start[row + 1]], excluded, item.shape[1], filled, explained, among, restricted,
            boost,
        )  # fmt: skip
        chosen, units, personal, factors, names, shares, removed_seen, removed_excluded = found
        counts[row, 0], counts[row, 1] = len(chosen), personal
        counts[row, 2], counts[row, 3] = removed_seen, removed_excluded
        for source in range(len(factors)):
            factor[row, source] = factors[source]
        for place in range(len(chosen)):
            item[row, place], score[row, place] = chosen[place], units[place]
        for place in range(len(names)):
            for which in range(MOST_EVIDENCE):
                named[row, place, which], share[row, place, which] = names[place, which], shares[place, which]
