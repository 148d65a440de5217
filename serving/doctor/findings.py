"""What a check found: in the project's words, what was found, what was expected and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from recsys.errors import BookmatchError


class Severity(StrEnum):
    """How bad a finding is, the mildest first."""

    OK = "ok"
    NOTE = "note"
    """Advice; nothing is wrong."""
    WARNING = "warning"
    """The service answers, and something will hurt or already costs."""
    PROBLEM = "problem"
    """The service does not answer as it should, or will stop to."""


_ORDER: Final = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result.

    Attributes
    ----------
    check : the name of the check, as docs/operations.md lists it.
    severity : how bad it is.
    found : what is there.
    expected : what should be; empty when it is so.
    remedy : what to do; empty when there is nothing to do.
    """

    check: str
    severity: Severity
    found: str
    expected: str = ""
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """As `--json` prints it."""
        return {
            "check": self.check,
            "severity": str(self.severity),
            "found": self.found,
            "expected": self.expected,
            "remedy": self.remedy,
        }


def well(check: str, found: str) -> Finding:
    """All is as it should be."""
    return Finding(check, Severity.OK, found)


def note(check: str, found: str, remedy: str = "") -> Finding:
    """Nothing is wrong, but it is good to know."""
    return Finding(check, Severity.NOTE, found, remedy=remedy)


def warning(check: str, found: str, expected: str, remedy: str) -> Finding:
    """See `Severity.WARNING`."""
    return Finding(check, Severity.WARNING, found, expected, remedy)


def problem(check: str, found: str, expected: str, remedy: str) -> Finding:
    """See `Severity.PROBLEM`."""
    return Finding(check, Severity.PROBLEM, found, expected, remedy)


def problem_of(check: str, error: BookmatchError) -> Finding:
    """An error of the domain as a finding."""
    return problem(check, error.found, error.expected, error.remedy)


def worst(findings: Iterable[Finding]) -> Severity:
    """The worst of some findings; ok of none."""
    return max((finding.severity for finding in findings), key=_ORDER.index, default=Severity.OK)


def mib(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"
