"""Compiling ahead covers what training uses."""

from __future__ import annotations

from pathlib import Path

from recsys.models import after_kernels, kernels, similarity_kernels
from recsys.models.related import RelatedConfig
from recsys.models.similarity import SimilarityConfig
from recsys.models.warm_up import warm_up
from tests.worlds import published, two_tastes
from training.fitting import TrainingConfig


def test_training_compiles_nothing_more(tmp_path: Path) -> None:
    """After warming up, fitting a real shop meets no types that the kernels have not been compiled for."""
    warm_up()
    used = (
        kernels.gram_rows,
        kernels.ridge_rows,
        after_kernels.step_totals,
        after_kernels.after_rows,
        similarity_kernels.expected_rows,
        similarity_kernels.product_rows,
    )
    before = [len(kernel.signatures) for kernel in used]
    published(tmp_path, two_tastes(), TrainingConfig(related=RelatedConfig(similar=SimilarityConfig())))
    assert [len(kernel.signatures) for kernel in used] == before
    assert all(before)
