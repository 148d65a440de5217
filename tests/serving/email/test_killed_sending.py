"""A sender that is killed, and one whose disk is full: no mail is lost, and none is sent twice."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.ledger import MailState
from serving.email.sending import mailing_name
from tests.serving.email.catcher import ROOT, catcher, taken
from tests.serving.email.mailings import TestPlan, shop_of

CUSTOMERS = 200
NAME = mailing_name(TestPlan([]).header)


def sender(home: Path, port: int, *further: str) -> subprocess.Popen[bytes]:
    """A process that sends the whole mailing."""
    command = [
        sys.executable,
        "-m",
        "tests.serving.email.sender_process",
        str(home),
        str(port),
        str(CUSTOMERS),
        *further,
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})


def by_state(home: Path) -> dict[str, set[str]]:
    """The Message-IDs in each state, and whether the totals add up."""
    with closing(open_store(ShopFolder(home).store)) as store:
        rows = store.ledger.rows(NAME)
        assert store.ledger.totals(NAME).reconciles
        assert rows.height == CUSTOMERS + 1
    return {state: set(rows.filter(state=state)["message_id"]) for state in map(str, MailState)}


@pytest.mark.parametrize("seed", [1])
def test_a_killed_sender_loses_nothing_and_sends_nothing_twice(tmp_path: Path, seed: int) -> None:
    """Killed at random moments again and again: what the server took is sent or uncertain at every moment, no
    Message-ID is taken twice, and resending what is uncertain keeps the Message-IDs."""
    draw = random.Random(seed)
    mails = tmp_path / "mails"
    shop_of(tmp_path, [f"c{number:04}" for number in range(CUSTOMERS)]).close()
    with catcher(mails, failing=0.05) as port:
        for _ in range(3):
            before = len(taken(mails))
            goal = before + draw.randint(0, CUSTOMERS // 5)
            with sender(tmp_path, port) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n"
                while len(taken(mails)) < goal and process.poll() is None:
                    time.sleep(0.001)
                time.sleep(draw.random() * 0.02)
                process.send_signal(signal.SIGKILL)
            states = by_state(tmp_path) if (tmp_path / "store.db").exists() and taken(mails) else {}
            accepted = {identifier for identifier, _ in taken(mails)}
            if states:
                assert accepted <= states["sent"] | states["sending"] | states["uncertain"]
                assert states["sent"] <= accepted
        with sender(tmp_path, port) as process:
            assert process.wait(120) == 0
        states = by_state(tmp_path)
        accepted_once = [identifier for identifier, _ in taken(mails)]
        assert max(Counter(accepted_once).values()) == 1
        assert states["sent"] <= set(accepted_once) <= states["sent"] | states["uncertain"]
        assert len(states["sent"]) + len(states["uncertain"]) == CUSTOMERS
        assert states["uncertain"]
        with sender(tmp_path, port, "again") as process:
            assert process.wait(120) == 0
    after = Counter(identifier for identifier, _ in taken(mails))
    assert set(after) == states["sent"] | states["uncertain"]
    assert {identifier for identifier, times in after.items() if times > 1} <= states["uncertain"]
    assert len(by_state(tmp_path)["sent"]) == CUSTOMERS


def test_a_key_that_is_pressed_ends_a_run_between_mails(tmp_path: Path) -> None:
    """What is under way is brought to its end and written down, and nothing more is begun: no mail is in doubt."""
    mails = tmp_path / "mails"
    shop_of(tmp_path, [f"c{number:04}" for number in range(CUSTOMERS)]).close()
    with catcher(mails) as port, sender(tmp_path, port) as process:
        while len(taken(mails)) < 20 and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
    states = by_state(tmp_path)
    assert states["sent"] == {identifier for identifier, _ in taken(mails)}
    assert states["waiting"]
    assert not states["sending"] | states["uncertain"]


def test_a_full_disk_stops_sending_and_is_told(tmp_path: Path) -> None:
    """The files of this process may not grow: nothing more is handed over than the ledger has as under way, and with
    space again the rest is sent once."""
    mails = tmp_path / "mails"
    shop_of(tmp_path, [f"c{number:04}" for number in range(CUSTOMERS)]).close()
    with catcher(mails) as port:
        with sender(tmp_path, port) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            while len(taken(mails)) < 20 and process.poll() is None:
                time.sleep(0.001)
            log = max(path.stat().st_size for path in tmp_path.glob("store.db*") if path.is_file())
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (log + 60_000, log + 60_000))
            assert process.wait(60) == 1
        states = by_state(tmp_path)
        accepted = {identifier for identifier, _ in taken(mails)}
        assert states["waiting"]
        assert states["sent"] <= accepted <= states["sent"] | states["sending"]
        with sender(tmp_path, port) as process:
            assert process.wait(120) == 0
    assert max(Counter(identifier for identifier, _ in taken(mails)).values()) == 1
    states = by_state(tmp_path)
    assert {identifier for identifier, _ in taken(mails)} <= states["sent"] | states["uncertain"]
    assert len(states["sent"]) + len(states["uncertain"]) == CUSTOMERS
