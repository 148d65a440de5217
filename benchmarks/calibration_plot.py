"""The reliability diagram of one data set, as SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from training.relevance.listed import Listed
from training.relevance.reliability import reliability

Z = 1.96
COLOURS = {"personal": "#1f5fa8", "filling": "#c0611f", "newcomers": "#3c8a4e"}


def wilson(share: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of shares of so many (Wilson 1927)."""
    middle = (share + Z**2 / (2 * size)) / (1 + Z**2 / size)
    half = Z / (1 + Z**2 / size) * np.sqrt(share * (1 - share) / size + Z**2 / (4 * size**2))
    return middle - half, middle + half


def draw(path: Path, title: str, listed: Listed, foreseen: np.ndarray) -> None:
    """Draws what happened over what was foreseen, both logarithmic, one line per sort of item."""
    mpl.use("svg")
    # The same figure gives the same bytes.
    mpl.rcParams.update({"svg.hashsalt": "bookmatch", "svg.fonttype": "none", "font.family": "sans-serif"})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 4.6))
    lowest, highest = 1.0, 0.0
    for name, rows in listed.parts().items():
        rows = rows & np.isfinite(foreseen)
        if not rows.any():
            continue
        found = reliability(foreseen[rows], listed.bought[rows])
        low, high = wilson(found.happened, found.size)
        errors = np.maximum([found.happened - low, high - found.happened], 0)
        label = f"{name}: error {found.error:.4f}"
        axes.errorbar(found.foreseen, found.happened, errors, fmt="o-", ms=4, lw=1, color=COLOURS[name], label=label)
        lowest = min(lowest, found.foreseen.min(), *found.happened[found.happened > 0])
        highest = max(highest, found.foreseen.max(), found.happened.max())
    ends = [lowest / 1.5, min(1.0, highest * 1.5)]
    axes.plot(ends, ends, color="#999", lw=1, ls="--")
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="relevance", ylabel="share bought", title=title)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
