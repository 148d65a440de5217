"""The lists of every model that is compared, and what making them took."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.training.evaluation.stored_shops import evaluated, shop, stored_rows
from training.evaluation import listing


def test_no_model_pays_for_what_is_loaded_at_the_first_list(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compiled is loaded before the first list that is timed: else the model that happens to be asked first
    looks many times as slow as the others."""
    clock, asked, ranked_by = [0.0], [], listing.rank_all

    def slow_at_first(*arguments: object) -> object:
        clock[0] += 0.001 if asked else 1_000.0
        asked.append(len(arguments[3]))  # type: ignore[arg-type]
        return ranked_by(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(listing, "rank_all", slow_at_first)
    monkeypatch.setattr(listing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    cost = evaluated(shop(tmp_path_factory.mktemp("timed") / "shop", stored_rows())).metrics["cost"]
    assert 0 < cost["blend"]["list_microseconds"] < 1_000
    assert asked[0] == 1
    assert asked.count(1) == 1
