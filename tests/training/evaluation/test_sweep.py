"""The file of configurations of a sweep, and what is kept of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.data.events import EventKind
from recsys.errors import InputError
from tests.training.evaluation.divided_worlds import DAY
from tests.training.evaluation.stored_shops import as_events, asked_of, described, evaluated, shop, stored_rows
from training.evaluation.sweep.configurations import ALLOWED, read_configurations
from training.evaluation.sweep.kept import KeptLists, Listed
from training.evaluation.sweep.running import run_sweep
from training.fitting import SHIPPED_BLEND, TrainingConfig
from training.stages import StageLog

FILE = """
[configurations.shipped]

[configurations.narrow]
als = { factors = 8, regularization = 2 }
rp3beta = { score = "cosine" }
other_targets = 0

[configurations.popular]
blend = { item_item = 0, als = 0, repeat = 0, popular = 1 }
"""


def written(folder: Path, text: str = FILE) -> Path:
    """A file of configurations."""
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


def test_a_configuration_says_where_it_differs(tmp_path: Path) -> None:
    """What it does not say is as shipped; whole numbers are numbers."""
    shipped = TrainingConfig(seed=3)
    found = read_configurations(written(tmp_path), shipped)
    assert list(found) == ["shipped", "narrow", "popular"]
    assert found["shipped"] == shipped
    assert (found["narrow"].als.factors, found["narrow"].als.regularization) == (8, 2.0)
    assert found["narrow"].als.alpha == shipped.als.alpha
    assert (found["narrow"].other_targets, str(found["narrow"].rp3beta.score)) == (0.0, "cosine")
    assert found["popular"].blend.weights == {name: (1.0 if name == "popular" else 0.0,) for name in SHIPPED_BLEND}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("alz = { factors = 8 }", f"configurations.b: the unknown key 'alz'. Expected: one of {', '.join(ALLOWED)}"),
        ("seed = 4", "the unknown key 'seed'"),
        ("als = { factor = 8 }", "configurations.b.als: the unknown key 'factor'. Expected: one of factors, regulariz"),
        ("als = { factors = 8.5 }", "configurations.b.als.factors: 8.5. Expected: a whole number"),
        ("als = { factors = true }", "configurations.b.als.factors: True. Expected: a whole number"),
        ("als = 8", "configurations.b.als: 8. Expected: a table"),
        ("blend = { bm25 = 1 }", "configurations.b.blend: the unknown key 'bm25'"),
        ("blend = { als = -1 }", "configurations.b.blend: the weights of als are"),
        ("other_targets = 2", "configurations.b.other_targets: other_targets is 2"),
        ('rp3beta = { score = "jaccard" }', "configurations.b.rp3beta.score: 'jaccard'. Expected: one of cosine"),
        ("als = {", "is no TOML"),
    ],
)
def test_what_is_no_setting_is_refused_with_those_that_are(tmp_path: Path, line: str, told: str) -> None:
    """Before anything is read, and with the place in the file."""
    path = written(tmp_path, f"[configurations.a]\n[configurations.b]\n{line}\n")
    with pytest.raises(InputError) as refused:
        read_configurations(path, TrainingConfig())
    assert told in str(refused.value)


@pytest.mark.parametrize("text", ["", "[configurations.a]\n", "[configuration.a]\n[configuration.b]\n"])
def test_fewer_than_two_are_no_sweep(tmp_path: Path, text: str) -> None:
    """There is nothing to compare; a file that is not there is named."""
    with pytest.raises(InputError, match="configuration"):
        read_configurations(written(tmp_path, text), TrainingConfig())
    with pytest.raises(InputError, match=r"nowhere.toml cannot be read"):
        read_configurations(tmp_path / "nowhere.toml", TrainingConfig())


def test_damaged_lists_are_made_again(tmp_path: Path) -> None:
    """What was kept is what is read back, unless a byte of it changed."""
    kept, key = KeptLists(tmp_path / "kept"), KeptLists.key({"a": 1})
    assert kept.read(key) is None
    kept.write(key, Listed(np.arange(6, dtype=np.int32).reshape(2, 3), 1.5, 0.5), {"a": 1})
    found = kept.read(key)
    assert found is not None
    assert (found.ranked.tolist(), found.fit_seconds, found.list_seconds) == ([[0, 1, 2], [3, 4, 5]], 1.5, 0.5)
    path = tmp_path / "kept" / key / "lists.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert kept.read(key) is None


def test_the_shipped_settings_score_as_they_do_in_an_evaluation(tmp_path: Path) -> None:
    """Metric by metric, also where something is wanted that has a price and does not compete."""
    rows = stored_rows()
    priced = {item: {"price": 2.0} for item in rows["item_id"].unique().drop_nulls()}
    later = as_events([("u00", "later", EventKind.PURCHASE, 12 * DAY, None)])
    home = shop(tmp_path / "shop", pl.concat([rows, later]), described(**priced, later={"price": 50.0}))
    found = run_sweep(written(tmp_path), asked_of(home), TrainingConfig(threads=2), StageLog())
    blend = evaluated(home).metrics["models"]["blend"]
    assert blend["revenue_recall@10"] < 1.0
    shared = {name: value for name, value in found["models"]["shipped"].items() if not name.startswith("stability")}
    assert shared == pytest.approx({name: blend[name] for name in shared}, abs=0, nan_ok=True)
