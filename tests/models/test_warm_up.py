"""Compiling ahead covers what training uses."""

from __future__ import annotations

from pathlib import Path

from recsys.models import kernels
from recsys.models.warm_up import warm_up
from tests.worlds import published, two_tastes


def test_training_compiles_nothing_more(tmp_path: Path) -> None:
    """After warming up, fitting a real shop meets no types that the kernels have not been compiled for."""
    warm_up()
    before = {name: len(getattr(kernels, name).signatures) for name in ("gram_rows", "ridge_rows")}
    published(tmp_path, two_tastes())
    assert {name: len(getattr(kernels, name).signatures) for name in before} == before
    assert all(before.values())
