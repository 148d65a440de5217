"""`bookmatch related --relation` and `bookmatch train --related-score`, as typed."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from recsys.cli.app import main
from recsys.cli.related import RelationName
from recsys.cli.train import RelatedScoreName
from recsys.models.related import Relation
from recsys.models.similarity import SimilarityScore
from recsys.stores import open_store
from tests.worlds import two_tastes


def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints; it must succeed."""
    monkeypatch.setattr("sys.argv", ["bookmatch", *words])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    return capsys.readouterr().out


def test_every_relation_and_score_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shops that train with a score get similar items from it; books of a shelf come after each other by day."""
    home = ("--home", str(tmp_path))
    store = open_store(tmp_path / "store.db")
    store.events.ingest(two_tastes(36))
    store.close()
    typed(monkeypatch, capsys, "train", "--related-score", "expected", *home)
    similar = orjson.loads(typed(monkeypatch, capsys, "related", "c0", "--json", *home))
    assert similar["relation"] == "similar"
    assert similar["sources"] == ["similar"]
    assert {item["item_id"] for item in similar["items"]} <= {"c1", "c2", "c3", "c4", "c5", "bestseller"}
    assert similar["items"][0]["item_id"] != "bestseller"
    after = orjson.loads(typed(monkeypatch, capsys, "related", "c0", "--relation", "after", "--json", *home))
    assert after["items"][0]["item_id"] in {"c1", "c2"}
    assert "is bought after c0" in typed(monkeypatch, capsys, "related", "c0", "--relation", "after", *home)


def test_names_are_those_of_the_models() -> None:
    """What can be typed is what there is."""
    assert [str(each) for each in RelationName] == [str(each) for each in Relation]
    assert [str(each) for each in RelatedScoreName] == ["blend", *(str(each) for each in SimilarityScore)]
