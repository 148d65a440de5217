"""Which policy is scored: whose models, whose rules, and which of the models speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from recsys.errors import InputError
from recsys.recommend.placement import NAMED_SOURCES, Placement

CURRENT: Final = "current"
_PARTS: Final = ("bundle", "placement", "model")


@dataclass(frozen=True, slots=True)
class PolicyNamed:
    """A policy as it was asked for.

    Attributes
    ----------
    bundle : the id of a published bundle; `CURRENT` is the one in force.
    placement : the name of a placement of the file in force; None is the one whose lists were logged.
    model : the one source that speaks; None: those of the placement.
    """

    bundle: str = CURRENT
    placement: str | None = None
    model: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `bundle:ID`, `placement:NAME`, `model:NAME`, or several of these with commas between; InputError for
        anything else."""
        said: dict[str, str] = {}
        for part in text.split(","):
            name, colon, value = part.strip().partition(":")
            if not (colon and value) or name not in _PARTS or name in said:
                raise InputError(
                    f"--replay is {text!r}",
                    expected="bundle:ID, placement:NAME, model:NAME, or several of them with commas between",
                    remedy=f"bundle:{CURRENT} is the bundle in force",
                )
            said[name] = value
        if said.get("model", "als") not in NAMED_SOURCES:
            raise InputError(
                f"--replay names the model {said['model']!r}", expected=f"one of {', '.join(sorted(NAMED_SOURCES))}"
            )
        return cls(said.get("bundle", CURRENT), said.get("placement"), said.get("model"))

    def rules(self, placements: Mapping[str, Placement], logged: str) -> Placement:
        """The placement whose rules make the lists, `logged` unless another one is named; what it explores is left out:
        its lists are scored as they are without. InputError for a name that no placement has."""
        name = self.placement or logged
        if name not in placements:
            raise InputError(
                f"there is no placement {name!r}",
                expected=f"one of {', '.join(sorted(placements))}, of the file in force",
            )
        found = replace(placements[name], exploration=None)
        return found if self.model is None else replace(found, sources=frozenset({self.model}), weights=None)

    def to_json(self) -> dict[str, str | None]:
        """For the report."""
        return {"bundle": self.bundle, "placement": self.placement, "model": self.model}
