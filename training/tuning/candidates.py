"""What every source says of validation customers' candidates."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.bundle.bundle import ModelBundle
from recsys.data.vocabulary import UNKNOWN
from recsys.recommend.batch import repeat_probabilities
from recsys.recommend.sources import ALS_SOURCE, CONTENT, ITEM_ITEM, REPEAT, RP3BETA, SPECTRAL
from training.tuning.judging import Jury
from training.tuning.weights import Candidates

DEPTH = 100
"""So many items of each source are candidates."""

PERSONAL = (ITEM_ITEM, ALS_SOURCE, SPECTRAL, RP3BETA, CONTENT)
_CELLS = 2_000_000

_Block = tuple[npt.NDArray[np.int32], dict[str, npt.NDArray[np.float32]]]


def gather(bundle: ModelBundle, jury: Jury, common: Mapping[str, npt.NDArray[np.float64]], threads: int) -> Candidates:
    """The candidates of a jury's customers: the best `DEPTH` of each source, and what they may buy again.

    Parameters
    ----------
    bundle : fitted on the jury's training part.
    common : by name, scores of all items that are the same for everybody, shape (items,), scaled.
    """
    history = jury.held_out.seen()
    strengths = jury.of(history.strengths(bundle.manifest.event_weights))
    repeats = None
    if jury.held_out.rules.placement.repeats(bundle.repeat.kinds):
        repeats = jury.of(repeat_probabilities(bundle, history, jury.held_out.now))
    lists = {ITEM_ITEM: bundle.item_item, RP3BETA: bundle.rp3beta, CONTENT: bundle.content.neighbours}
    near = {name: each.matrix() for name, each in lists.items()}
    low_rank = {ALS_SOURCE: bundle.als.factors(), SPECTRAL: bundle.spectral.factors()}
    masked = jury.masked
    step = max(1, _CELLS // max(1, len(history.items)))

    def block(first: int) -> _Block:
        own = slice(first, first + step)
        said = {name: _in_units_of_spread(strengths[own] @ each) for name, each in near.items()}
        for name, factors in low_rank.items():
            said[name] = factors.scores(factors.in_units_of_spread(strengths[own]))
        said[REPEAT] = (
            strengths[own] * 0.0 if repeats is None else repeats[own].multiply(strengths[own] > 0)
        ).toarray()
        return _best({name: said[name] for name in (*PERSONAL, REPEAT)}, common, masked[own])

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        blocks = list(pool.map(block, range(0, len(jury.rows), step)))
    return _joined(blocks, np.diff(strengths.indptr).astype(np.int64))


def _in_units_of_spread(said: sparse.csr_matrix) -> npt.NDArray[np.float32]:
    """Each row divided by its root mean square over all items; zeros stay."""
    scores = said.toarray()
    spread = np.sqrt(np.einsum("ui,ui->u", scores, scores, dtype=np.float64) / max(1, scores.shape[1]))[:, None]
    return np.asarray(np.divide(scores, spread, out=np.zeros_like(scores), where=spread > 0, casting="unsafe"))


def _best(
    said: Mapping[str, npt.NDArray[np.float32]],
    common: Mapping[str, npt.NDArray[np.float64]],
    masked: sparse.csr_matrix,
) -> _Block:
    """Some customers' candidates and what is said of them; `said` has shape (rows, items)."""
    hidden = (np.repeat(np.arange(masked.shape[0]), np.diff(masked.indptr)), masked.indices)
    rows, items = masked.shape
    depth = min(DEPTH, items)
    chosen = np.zeros((rows, items), dtype=np.bool_)
    shared = [np.broadcast_to(each.astype(np.float32), (rows, items)) for each in common.values()]
    for scores in (*said.values(), *shared):
        free = -scores
        free[hidden] = np.inf
        top = np.argpartition(free, depth - 1, axis=1)[:, :depth]
        row, place = np.nonzero(np.take_along_axis(free, top, axis=1) < 0)
        chosen[row, top[row, place]] = True
    row, item = np.nonzero(chosen)
    counts = chosen.sum(axis=1)
    column = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (rows, int(counts.max(initial=1)))
    found = np.full(shape, UNKNOWN, dtype=np.int32)
    found[row, column] = item
    values = {}
    for name, scores in (*said.items(), *zip(common, shared, strict=True)):
        values[name] = np.zeros(shape, dtype=np.float32)
        values[name][row, column] = scores[row, item]
    return found, values


def _joined(blocks: list[_Block], lengths: npt.NDArray[np.int64]) -> Candidates:
    width = max(item.shape[1] for item, _ in blocks)

    def padded(values: npt.NDArray[np.generic], fill: int) -> npt.NDArray[np.generic]:
        return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=fill)

    item = np.concatenate([padded(each, UNKNOWN) for each, _ in blocks]).astype(np.int32)
    names = blocks[0][1]
    said = {
        name: np.concatenate([padded(values[name], 0) for _, values in blocks]).astype(np.float32) for name in names
    }
    return Candidates(item, said, lengths)
