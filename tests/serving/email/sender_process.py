"""Sends a mailing in a process of its own, which a test kills: HOME PORT CUSTOMERS [again]."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.email.campaign import Restraint
from serving.email.deliver import SendClocks
from serving.email.sending import send
from tests.serving.email.mailings import NOW, TestPlan, mail, settings


def main(home: Path, port: int, customers: int, again: bool) -> None:
    """One run over the plan that the test knows."""
    store = open_store(ShopFolder(home).store)
    plan = TestPlan([mail(f"c{number:04}") for number in range(customers)], [("held", "holdout")])
    clocks = SendClocks(now=lambda: NOW, monotonic=time.monotonic)
    print("ready", flush=True)
    done = send(ShopFolder(home), store, plan, Restraint(), settings(port), clocks, resend_uncertain=again)
    print(done.sending.stopped or "done", flush=True)
    store.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Whoever runs the tests may have it ignored.
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), again="again" in sys.argv[4:])
