"""The page about the sample shop says everything there is to say."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recsys.simulation.spec import PARAMETERS, ShopSpec
from tests.simulation.simulated_shop import Shop

PAGE = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text()


def test_every_parameter_is_explained_with_its_default() -> None:
    """Each parameter has its name in the page, and the table's defaults are the real ones."""
    defaults = ShopSpec().to_json()
    for name in PARAMETERS:
        assert f"`{name}`" in PAGE
        row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")), None)
        option = next((line for line in PAGE.splitlines() if line.startswith(f"| `--{name}` |")), None)
        default = (row or option or "").split("|")[2].strip().replace(",", "")
        assert default == str(defaults[name])


def test_every_file_column_and_kind_is_explained(shop: Shop) -> None:
    """Each column of the ground truth, each file and each kind of event is in the page."""
    for path in (shop.folder / "truth").glob("*.parquet"):
        for column in pl.read_parquet_schema(path):
            assert f"`{column}`" in PAGE
    for path in shop.folder.iterdir():
        assert f"`{path.name.split('-')[0]}" in PAGE
    for kind in shop.events["kind"].unique():
        assert f"`{kind}`" in PAGE
