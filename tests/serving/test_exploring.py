"""A worker's beliefs follow the store, and only while something explores."""

from __future__ import annotations

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from recsys.bundle import ModelBundle
from recsys.data.events import Event, EventKind
from recsys.stores import open_store
from serving.http.background import Background
from serving.http.exploring import Explorer
from tests.worlds import DAY, START, published, two_tastes

NOW = START + 40 * DAY


def explorer(path: Path, bundle: ModelBundle | None, *, wanted: bool = True) -> Explorer:
    """One that looks when it is told to."""
    return Explorer(path, lambda: bundle, lambda: wanted, lambda: NOW, Background())


def shown(number: int, item: str = "c1") -> Event:
    """An impression."""
    return Event(event_id=f"x{number}", customer_id="ann", kind=EventKind.IMPRESSION, item_id=item, timestamp=NOW - 1)


def test_what_was_shown_is_believed_after_the_next_look(tmp_path: Path) -> None:
    """One look after another counts what is new; another bundle is believed nothing of before a look."""
    bundle, other = (published(tmp_path / name, two_tastes()) for name in ("one", "two"))
    path = tmp_path / "store.db"
    with_store = open_store(path)
    exploring = explorer(path, bundle)
    assert exploring.believed(bundle) is None
    for times in (1, 2):
        with_store.events.append([shown(times)])
        asyncio.run(exploring.look())
        followed = exploring.believed(bundle)
        assert followed is not None
        assert followed.responses.rows() == [("c1", times, 0, 0)]
    assert exploring.believed(other) is None
    with_store.close()


def test_nothing_is_read_while_nothing_explores(tmp_path: Path) -> None:
    """Without a placement that explores, or without a bundle, a store that is not there is no trouble."""
    bundle = published(tmp_path, two_tastes())
    for idle in (explorer(tmp_path / "none.db", bundle, wanted=False), explorer(tmp_path / "none.db", None)):
        asyncio.run(idle.look())
        assert (idle.trouble, idle.believed(bundle)) == (None, None)


def test_a_store_that_is_gone_is_said_and_beliefs_stay(tmp_path: Path) -> None:
    """The log has the cause, and what was believed before is believed still."""
    bundle, path = published(tmp_path, two_tastes()), tmp_path / "store.db"
    open_store(path).close()
    exploring = explorer(path, bundle)
    asyncio.run(exploring.look())
    before = exploring.believed(bundle)
    path.rename(tmp_path / "elsewhere.db")
    with capture_logs() as logs:
        asyncio.run(exploring.look())
    assert exploring.believed(bundle) is before is not None
    assert exploring.trouble is not None
    assert str(path) in logs[0]["cause"]


def test_another_store_in_its_place_is_read_from_the_start(tmp_path: Path) -> None:
    """What was counted in the first one is not added to the second's."""
    bundle, path = published(tmp_path, two_tastes()), tmp_path / "store.db"
    first = open_store(path)
    first.events.append([shown(1), shown(2), shown(3)])
    exploring = explorer(path, bundle)
    asyncio.run(exploring.look())
    first.close()
    for file in tmp_path.glob("store.db*"):
        file.rename(tmp_path / f"old-{file.name}")
    second = open_store(path)
    second.events.append([shown(1, "g1")])
    asyncio.run(exploring.look())
    followed = exploring.believed(bundle)
    assert followed is not None
    assert followed.responses.rows() == [("g1", 1, 0, 0)]
    second.close()
