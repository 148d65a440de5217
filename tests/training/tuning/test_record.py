"""What studies leave behind, whatever happens to the folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.errors import InputError
from recsys.models.blend import BlendWeights
from training.fitting import SHIPPED_BLEND, TrainingConfig
from training.relevance.calibrated import Calibrated
from training.tuning import record as recording
from training.tuning.findings import Findings
from training.tuning.record import FolderRecord, Unrecorded, key_of
from training.tuning.space import Shape, parameters
from training.tuning.trials import Trial

VARIED = parameters(Shape(ordered=True, timed=True, others=(), target=True))
FOUND = Findings(
    {"penalty": 0.1 + 0.2, "dropout": 0.25},
    (None, 0.2),
    7.0,
    BlendWeights((4, 8, 16), {name: (weight, 1.0, 0.1, 3.0) for name, weight in SHIPPED_BLEND.items()}),
    {"settings": "tuned", "trials": 3, "stopped": None, "blend": {"sources": {"als": "weight 0: …"}}},
    Calibrated.unknown("…"),
)


def trial(number: int) -> Trial:
    """A trial that tells its number."""
    each = np.array([number / 3, 0.0, 1.0])
    return Trial({"penalty": 1.0 + number / 7}, (8.0, 1.0), float(each.mean()), each)


def plain(trials: list[Trial]) -> list[tuple[object, ...]]:
    """What a trial is, to be compared."""
    return [(dict(each.settings), each.fading, each.value, each.each.tolist()) for each in trials]


@pytest.fixture
def record(tmp_path: Path) -> FolderRecord:
    """A record in a folder that is not there yet."""
    return FolderRecord(tmp_path / "shop" / "tuning")


def test_what_was_found_comes_back(record: FolderRecord) -> None:
    """To the last bit, through the file; and it makes the same configuration."""
    assert record.last() is None
    record.finish("k", FOUND)
    key, found = record.last() or ("", None)
    assert (key, found) == ("k", FOUND)
    assert found is not None
    assert found.config(TrainingConfig(), VARIED) == FOUND.config(TrainingConfig(), VARIED)


@pytest.mark.parametrize("fading", [None, (None, 1.0), (2.5, 0.5)])
def test_findings_are_what_they_were(fading: tuple[float | None, float] | None) -> None:
    """Findings with every kind of fading survive JSON."""
    one = Findings(FOUND.settings, fading, 30.0, FOUND.blend, FOUND.report, FOUND.relevance)
    assert Findings.from_json(orjson.loads(orjson.dumps(one.to_json()))) == one


def test_what_was_found_decides_the_configuration() -> None:
    """Settings, fading, popularity and blend come from the findings; without a fading the shipped one stays."""
    config = FOUND.config(TrainingConfig(), VARIED)
    assert config.item_item.penalty == 0.1 + 0.2
    assert config.event_weights.half_life_steps is None
    assert (config.popularity.half_life_days, config.blend) == (7.0, FOUND.blend)
    unfaded = Findings({}, None, 30.0, FOUND.blend, {}, FOUND.relevance).config(TrainingConfig(), VARIED)
    assert unfaded.event_weights == TrainingConfig().event_weights


def test_trials_come_back_in_order_per_study(record: FolderRecord) -> None:
    """Each study has its own; what another one tried is not seen."""
    assert record.trials("a") == []
    for number in range(3):
        record.add("a", trial(number))
    record.add("b", trial(9))
    assert plain(record.trials("a")) == plain([trial(number) for number in range(3)])
    assert plain(record.trials("b")) == plain([trial(9)])


def test_a_finished_study_replaces_the_last_and_its_trials(record: FolderRecord) -> None:
    """Nothing of studies under way is left once one is finished."""
    record.add("a", trial(0))
    record.finish("z", Findings({}, None, 30.0, FOUND.blend, {}, FOUND.relevance))
    record.finish("a", FOUND)
    assert record.last() == ("a", FOUND)
    assert record.trials("a") == []
    assert [path.name for path in record.folder.iterdir()] == ["last.json"]


@pytest.mark.parametrize("cut", range(1, 200, 20))
def test_a_line_that_was_not_finished_is_dropped(record: FolderRecord, cut: int) -> None:
    """However much of the end is missing, whole lines count, and the next trial follows them."""
    for number in range(3):
        record.add("a", trial(number))
    path = record.folder / "trials-a.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    left = record.trials("a")
    assert plain(left) == plain([trial(number) for number in range(len(left))])
    assert len(left) == whole[: -cut + 1 or None].count(b"\n")
    record.add("a", trial(7))
    assert plain(record.trials("a")) == plain([*left, trial(7)])


def test_what_follows_a_damaged_line_is_dropped(record: FolderRecord) -> None:
    """Trials depend on those before them: after a hole nothing counts."""
    for number in range(3):
        record.add("a", trial(number))
    path = record.folder / "trials-a.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], lines[1][:-5] + b"\xff}", lines[2]]))
    assert plain(record.trials("a")) == plain([trial(0)])


def test_what_was_changed_or_stored_twice_is_not_believed(record: FolderRecord) -> None:
    """A value that somebody edited, a line that stands there twice: what comes from there on does not count."""
    for number in range(3):
        record.add("a", trial(number))
    path = record.folder / "trials-a.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], lines[0], lines[1]]))
    assert plain(record.trials("a")) == plain([trial(0)])
    edited = lines[1].replace(b'"fading":[', b'"fading":[9')
    assert edited != lines[1]
    path.write_bytes(b"\n".join([lines[0], edited, lines[2]]))
    assert plain(record.trials("a")) == plain([trial(0)])


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null", b"[]", b"17", b"{}"])
def test_a_damaged_record_is_as_none(record: FolderRecord, content: bytes) -> None:
    """Cut off, empty, or something else altogether."""
    record.folder.mkdir(parents=True)
    (record.folder / "last.json").write_bytes(content)
    assert record.last() is None
    (record.folder / "trials-a.jsonl").write_bytes(content + b"\n")
    assert record.trials("a") == []


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, each in inside for place in _places(each, (*path, name)))]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data(), ANYTHING)
def test_whatever_stands_in_the_record_tuning_starts(tmp_path: Path, data: st.DataObject, other: object) -> None:
    """Any part replaced by anything: the record is read as findings or as none, never an error."""
    record = FolderRecord(tmp_path)
    record.finish("k", FOUND)
    content = orjson.loads((tmp_path / "last.json").read_bytes())
    path = data.draw(st.sampled_from(_places(content)[1:]))
    inside = content
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = other
    (tmp_path / "last.json").write_bytes(orjson.dumps(content))
    last = record.last()
    assert last is None or isinstance(last[1], Findings)


def test_a_record_of_another_space_is_no_start(record: FolderRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where parameters changed their meaning, what was found with the old ones says nothing."""
    record.finish("k", FOUND)
    monkeypatch.setattr(recording, "VERSION", recording.VERSION + 1)
    assert record.last() is None


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_there_was(
    record: FolderRecord, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A full disk or a power cut while writing: what there was is still there, and it is told."""
    record.finish("k", FOUND)
    record.add("a", trial(0))

    def refused(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync" if step == "fsync" else "pathlib.Path.replace", refused)
        for write in (lambda: record.finish("other", FOUND), lambda: record.add("a", trial(1))):
            with pytest.raises(InputError, match="No space left"):
                write()
    assert record.last() == ("k", FOUND)
    assert plain(record.trials("a")) == plain([trial(0)])


def test_a_record_that_may_not_be_read_is_told(record: FolderRecord) -> None:
    """A folder where the file should be is no record that can be replaced: the message names it."""
    (record.folder / "last.json").mkdir(parents=True)
    with pytest.raises(InputError, match=r"last\.json"):
        record.last()


def test_nothing_is_kept_of_what_is_not_recorded() -> None:
    """Evaluations start anew."""
    record = Unrecorded()
    record.add("a", trial(0))
    record.finish("a", FOUND)
    assert (record.last(), record.trials("a")) == (None, [])


def test_a_key_depends_on_the_content_alone() -> None:
    """Not on the order in which it is named; any change changes it."""
    content = {"data": ["x", "y"], "seed": 0, "budget": 60.0}
    assert key_of(content) == key_of(dict(reversed(content.items())))
    assert len({key_of(content | change) for change in ({}, {"seed": 1}, {"budget": 5.0}, {"data": ["y", "x"]})}) == 4
