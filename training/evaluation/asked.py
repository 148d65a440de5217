"""What an evaluation is told, checked before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from recsys.data.events import EventKind
from recsys.data.importers.options import ImportOptions, parse_kind
from recsys.errors import InputError
from training.evaluation.held_out import Repeats, Rules
from training.evaluation.windows import Rolling

MOST_PLACES = 1_000
"""Nobody looks further down a list, and every model's lists are that long for every customer."""


class Protocol(StrEnum):
    """How a history is divided; see `training.evaluation.protocols`."""

    SPLIT = "split"
    LEAVE_LAST_OUT = "leave-last-out"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One evaluation.

    Attributes
    ----------
    protocol, rules : how the history is divided, and what counts.
    train : files of events; none where the shop's store is read.
    home : the shop's folder; None where files are read.
    test : a file of events, for `split` alone.
    cut : a time as text, for `time` alone; None: what `windows_of` does without one.
    days, windows : how long each window is and how many there are, for `time` alone; see `Rolling`.
    items : a file of further candidates, or None.
    ks : how many places of the lists are looked at, ascending, each 1 or more.
    options : how the files are to be read.
    """

    protocol: Protocol
    rules: Rules
    train: tuple[Path, ...]
    test: Path | None
    cut: str | None
    items: Path | None
    ks: tuple[int, ...]
    options: ImportOptions
    days: float | None = None
    windows: int = 1
    home: Path | None = None

    def __post_init__(self) -> None:
        if bool(self.train) == (self.home is not None):
            raise InputError(
                "files to train on and a shop" if self.train else "neither files to train on nor a shop",
                expected="--train FILE, or the store of a shop (--home), and not both",
            )
        if (self.test is None) == (self.protocol is Protocol.SPLIT):
            self._misplaced("--test", Protocol.SPLIT, given=self.test is not None)
        if self.protocol is Protocol.SPLIT and self.home is not None:
            raise InputError("the protocol is split, and a store is read", expected="two files: --train and --test")
        timed = {"--cut": self.cut is not None, "--days": self.days is not None, "--windows": self.windows != 1}
        for option, given in timed.items():
            if given and self.protocol is not Protocol.TIME:
                self._misplaced(option, Protocol.TIME, given=True)
        Rolling(None, self.days, self.windows)

    def _misplaced(self, option: str, of: Protocol, *, given: bool) -> None:
        raise InputError(
            f"the protocol is {self.protocol}, and {option} is {'given' if given else 'missing'}",
            expected=f"{option} with {of}, and only there",
        )

    def to_json(self, rules: Rules) -> dict[str, Any]:
        """For `metrics.json`; `rules` as they turned out to be."""
        return {
            "protocol": str(self.protocol),
            "train": [str(path) for path in self.train],
            "home": None if self.home is None else str(self.home),
            "test": None if self.test is None else str(self.test),
            "cut": self.cut,
            "days": self.days,
            "windows": self.windows,
            "items": None if self.items is None else str(self.items),
            "target": sorted(rules.target),
            "kinds": None if rules.visible is None else sorted(rules.visible),
            "repeats": str(rules.repeats),
            "mask": sorted(rules.placement.mask_kinds),
            "k": list(self.ks),
        }


def parse_rules(target: str, kinds: str, repeats: str, mask: str) -> Rules:
    """The rules from what the user typed: comma-separated kinds, empty for the default; InputError, naming the option,
    for what cannot be one. Without a target, target and mask are left empty, for `Rules.settled`."""
    if repeats not in [str(each) for each in Repeats]:
        raise InputError(f"--repeats is {repeats!r}", expected=f"one of {', '.join(Repeats)}")
    if mask and repeats != Repeats.EXCLUDE:
        raise InputError(
            f"--mask with --repeats {repeats}",
            expected="--mask only with --repeats exclude, the one that masks anything",
            remedy="leave --mask away",
        )
    wanted = parse_kinds(target, "--target")
    if target and not wanted:
        raise InputError("--target names no kind", expected="one kind or more, such as purchase")
    return Rules(
        target=wanted,
        visible=parse_kinds(kinds, "--kinds") or None,
        repeats=Repeats(repeats),
        mask=parse_kinds(mask, "--mask") or wanted,
    )


def parse_ks(text: str) -> tuple[int, ...]:
    """`10,20` as ascending numbers, `MOST_PLACES` at most; InputError for anything else."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and 0 < int(part) <= MOST_PLACES for part in parts):
        raise InputError(f"--k is {text!r}", expected=f"whole numbers from 1 to {MOST_PLACES:,}, such as 10,20")
    return tuple(sorted({int(part) for part in parts}))


def parse_kinds(text: str, option: str) -> frozenset[EventKind]:
    """Comma-separated kinds; InputError, naming the option, for what is none."""
    parts: Sequence[str] = [part.strip() for part in text.split(",") if part.strip()]
    return frozenset(parse_kind(part, option) for part in parts)
