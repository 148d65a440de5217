"""The evaluations that quality is judged by. Default flags: only what the files are and what is asked is said."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data_sets import VARIABLE

_PAIRS = "customer_id=user,item_id=item"
_KINDS = (
    *("--map", f"{_PAIRS},kind=behavior"),
    *("--kinds-map", "buy=purchase,cart=add_to_cart,fav=like,pv_of_bought=view"),
)
_ALL_KINDS = ("--mask", "purchase,view,add_to_cart,like")
_PURCHASES = ("--kinds", "purchase", "--mask", "purchase")
_INVOICES = ("--format", "online-retail", "--cut", "2010-11-01T00:00:00Z")


@dataclass(frozen=True, slots=True)
class Case:
    """One `bookmatch evaluate`.

    Attributes
    ----------
    name : what the page calls it.
    data_set : a folder of the data sets.
    protocol, train, test : how the history is divided, and its files in that folder; `test` for split alone.
    options : the further arguments, as a user types them.
    """

    name: str
    data_set: str
    protocol: str
    train: str
    test: str | None
    options: tuple[str, ...]

    def arguments(self, folder: Path) -> list[str]:
        """What follows `bookmatch`; `folder` holds the data sets."""
        files = ["--train", str(folder / self.data_set / self.train)]
        if self.test is not None:
            files += ["--test", str(folder / self.data_set / self.test)]
        return ["evaluate", self.protocol, *files, *self.options]

    def shown(self) -> str:
        """The command as a user types it."""
        place = Path("$" + VARIABLE)
        words = [f'"{word}"' if word.startswith("$") else shlex.quote(word) for word in self.arguments(place)]
        return f"bookmatch {' '.join(words)}"

    def option(self, name: str) -> str | None:
        """The value of one of the options, None where it is not given."""
        return self.options[self.options.index(name) + 1] if name in self.options else None


BOOKS, BEAUTY, BASKETS = "amazon-book-kgat", "amazon-beauty", "tafeng-nbr"
SHOP, ROCKET, TMALL = "online-retail-uci", "retailrocket-mb", "tmall-mb"
ALLOWED, BOUGHT = " (repeats allowed)", " (purchases only)"
"""What is added to a data set's name where it is evaluated in two ways."""

_EVENTS = ("train_events.parquet", "test_buy.parquet")
CASES = (
    Case(BOOKS, BOOKS, "split", "train.parquet", "test.parquet", ("--map", _PAIRS, "--event", "purchase")),
    Case(
        BEAUTY,
        BEAUTY,
        "leave-last-out",
        "interactions.parquet",
        None,
        ("--map", f"{_PAIRS},position=pos", "--event", "purchase"),
    ),
    Case(ROCKET, ROCKET, "split", *_EVENTS, (*_KINDS, *_ALL_KINDS)),
    Case(ROCKET + BOUGHT, ROCKET, "split", *_EVENTS, (*_KINDS, *_PURCHASES)),
    Case(TMALL, TMALL, "split", *_EVENTS, (*_KINDS, *_ALL_KINDS)),
    Case(TMALL + BOUGHT, TMALL, "split", *_EVENTS, (*_KINDS, *_PURCHASES)),
    Case(SHOP, SHOP, "time", "transactions.parquet", None, _INVOICES),
    Case(SHOP + ALLOWED, SHOP, "time", "transactions.parquet", None, (*_INVOICES, "--repeats", "allow")),
    Case(
        BASKETS,
        BASKETS,
        "leave-last-out",
        "baskets.parquet",
        None,
        ("--map", f"{_PAIRS},position=basket", "--event", "purchase", "--repeats", "allow"),
    ),
)
DATA_SETS = tuple(dict.fromkeys(case.data_set for case in CASES))
PEERED = BOOKS
"""The case that `implicit` is tuned on, too."""
