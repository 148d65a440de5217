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
    train : files of events.
    test : a file of events, for `split` alone.
    cut : a time as text, for `time` alone.
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

    def __post_init__(self) -> None:
        for option, given, of in (("--test", self.test, Protocol.SPLIT), ("--cut", self.cut, Protocol.TIME)):
            if (given is None) == (self.protocol is of):
                raise InputError(
                    f"the protocol is {self.protocol}, and {option} is {'missing' if given is None else 'given'}",
                    expected=f"{option} with {of}, and only there",
                )

    def to_json(self) -> dict[str, Any]:
        """For `metrics.json`."""
        rules = self.rules
        return {
            "protocol": str(self.protocol),
            "train": [str(path) for path in self.train],
            "test": None if self.test is None else str(self.test),
            "cut": self.cut,
            "items": None if self.items is None else str(self.items),
            "target": sorted(rules.target),
            "kinds": None if rules.visible is None else sorted(rules.visible),
            "repeats": str(rules.repeats),
            "mask": sorted(rules.placement.mask_kinds),
            "k": list(self.ks),
        }


def parse_rules(target: str, kinds: str, repeats: str, mask: str) -> Rules:
    """The rules from what the user typed: comma-separated kinds, empty for the default; InputError, naming the option,
    for what cannot be one."""
    if repeats not in [str(each) for each in Repeats]:
        raise InputError(f"--repeats is {repeats!r}", expected=f"one of {', '.join(Repeats)}")
    if mask and repeats != Repeats.EXCLUDE:
        raise InputError(
            f"--mask with --repeats {repeats}",
            expected="--mask only with --repeats exclude, the one that masks anything",
            remedy="leave --mask away",
        )
    wanted = parse_kinds(target, "--target")
    if not wanted:
        raise InputError("--target names no kind", expected="one kind or more, such as purchase")
    return Rules(
        target=wanted,
        visible=parse_kinds(kinds, "--kinds") or None,
        repeats=Repeats(repeats),
        mask=parse_kinds(mask, "--mask") or wanted,
    )


def parse_ks(text: str) -> tuple[int, ...]:
    """`10,20` as ascending numbers; InputError for anything else."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--k is {text!r}", expected="whole numbers of 1 or more, such as 10,20")
    return tuple(sorted({int(part) for part in parts}))


def parse_kinds(text: str, option: str) -> frozenset[EventKind]:
    """Comma-separated kinds; InputError, naming the option, for what is none."""
    parts: Sequence[str] = [part.strip() for part in text.split(",") if part.strip()]
    return frozenset(parse_kind(part, option) for part in parts)
