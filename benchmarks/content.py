"""`python -m benchmarks.content [BOOKS…]`: seconds and memory of neighbours by content for simulated catalogues.

Beside them, what the bound on frequent terms costs: of 500 random books, the similarity kept in their lists as a share
of that in the exact lists, which are computed densely. Default sizes: 50,000 and 500,000 books, on two threads.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measured import run
from recsys.data.vocabulary import Vocabulary
from recsys.models.content import ContentConfig, content_matrix, fit_content

SIZES = ("50000", "500000")
THREADS = 2
SAMPLE = 500


def fit(items_file: Path) -> None:
    """Fits one catalogue and prints what it took; run in a process of its own, whose memory is measured."""
    frame = pl.read_parquet(items_file)
    items, config = Vocabulary.from_ids(frame["item_id"]), ContentConfig()
    started, worked = time.perf_counter(), time.process_time()
    model = fit_content(frame, items, config, THREADS).neighbours
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    listed = np.bincount(model.neighbour, minlength=len(items))
    matrix = content_matrix(frame, items, config)
    kept = best = 0.0
    for item in np.random.default_rng(0).choice(len(items), min(SAMPLE, len(items)), replace=False):
        product = (matrix @ matrix[[item]].T).toarray().ravel()
        product[item] = 0.0
        exact = np.partition(product, -config.neighbours)[-config.neighbours :]
        best += float(exact[exact >= config.floor].sum())
        kept += float(model.row(item)[1].sum())
    print(
        f"{len(items):,} books: {seconds:.1f} s ({cpu:.1f} s CPU), {matrix.nnz:,} values, {matrix.shape[1]:,} terms, "
        f"{np.diff(model.indptr).mean():.1f} neighbours each, in nobody's list {np.mean(listed == 0):.2%}, "
        f"most often listed {listed.max()} times, similarity kept {kept / best:.1%}"
    )


def main() -> None:
    """Simulates and measures each size."""
    bookmatch = str(Path(sys.executable).parent / "bookmatch")
    for size in sys.argv[1:] or SIZES:
        with tempfile.TemporaryDirectory() as scratch:
            shop = Path(scratch) / "shop"
            run([bookmatch, "simulate", str(shop), "--books", size, "--customers", "1000", "--events", "5000"])
            done = run([sys.executable, "-m", "benchmarks.content", str(shop / "items.parquet")])
            print(f"{done.output.strip()}, {done.peak_bytes / 1e6:,.0f} MB", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].endswith(".parquet"):
        fit(Path(sys.argv[1]))
    else:
        main()
