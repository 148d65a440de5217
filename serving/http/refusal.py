"""A request that is not let in."""

from __future__ import annotations

from serving.http.problems import Fault, Problem


class Refusal(Exception):  # noqa: N818 - a decision and no error
    """Not let in. `cause` is one of few, for the metrics."""

    def __init__(self, cause: str, problem: Problem) -> None:
        self.cause = cause
        self.problem = problem
        super().__init__(cause)


def forbidden(detail: str, fault: Fault) -> Problem:
    """The problem of a key that does not open what was asked for."""
    return Problem(403, "forbidden", detail, faults=[fault])
