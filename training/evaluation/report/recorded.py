"""The content of `metrics.json` as typed values: what a page is made from, whether just measured or read from a file.

Whatever is absent has an empty default, so that a report of few facts is a page all the same. `null` is a number that
could not be computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

Numbers = dict[str, float | None]
"""Metric → value."""
Point = tuple[float, float]


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_as_text)]
"""A moment or an id that a program may have written as a number."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Estimate(_Part):
    """A mean with its 95 % interval and, of a difference, what it says once chance is allowed for."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    verdict: str | None = None


Differences = dict[str, dict[str, Estimate]]
"""Model → metric → the blend minus it."""


class Slice(_Part):
    """A part of the customers or of the items."""

    customers: int = 0
    models: dict[str, Numbers | None] = Field(default_factory=dict)
    differences: Differences = Field(default_factory=dict)


class Curves(_Part):
    """`popularity`: model → (share of items, share of places); `coverage`: model → k → share of the candidates."""

    popularity: dict[str, list[Point]] = Field(default_factory=dict)
    coverage: dict[str, Numbers] = Field(default_factory=dict)


class Track(_Part):
    """One rule about repeats: what every model found under it."""

    repeats: str = ""
    customers: int = 0
    test_pairs: int = 0
    cause: str | None = None
    models: dict[str, Numbers | None] = Field(default_factory=dict)
    causes: dict[str, str] = Field(default_factory=dict)
    not_applicable: dict[str, str] = Field(default_factory=dict)
    intervals: dict[str, dict[str, Estimate]] = Field(default_factory=dict)
    differences: Differences = Field(default_factory=dict)
    slices: dict[str, dict[str, Slice]] = Field(default_factory=dict)
    curves: Curves = Curves()

    def scored(self) -> dict[str, Numbers]:
        """The models that the data allows."""
        return {name: metrics for name, metrics in self.models.items() if metrics is not None}


class Window(_Part):
    """One stretch of time that was foreseen from what was before it."""

    cut: Text | None = None
    until: Text | None = None
    customers: int = 0
    tracks: dict[str, Track] = Field(default_factory=dict)


class LeakCheck(_Part):
    """One way in which the future could have been seen."""

    name: str
    passed: bool
    detail: str = ""
    window: Text | None = None


class DataCheck(_Part):
    """One oddity of the data; none found when `count` is 0."""

    name: str
    count: int = 0
    share: float | None = None
    detail: str = ""
    examples: list[JsonValue] = Field(default_factory=list)


class Checks(_Part):
    """What was looked for that could make the numbers wrong."""

    leaks: list[LeakCheck] = Field(default_factory=list)
    data: list[DataCheck] = Field(default_factory=list)


class Cost(_Part):
    """What one model takes: to fit, and for one list."""

    fit_seconds: float | None = None
    list_microseconds: float | None = None


class Past(_Part):
    """One event of a customer's history."""

    item_id: Text
    title: str | None = None
    kind: str = ""
    at: Text | None = None


class Shown(_Part):
    """One item of a list."""

    item_id: Text
    title: str | None = None
    hit: bool = False
    reason: str | None = None


class Wanted(_Part):
    """One item that a customer went on to want."""

    item_id: Text
    title: str | None = None


class Example(_Part):
    """A customer with their history, what they went on to want, and lists; `chosen` says why this one."""

    customer_id: Text
    chosen: str = ""
    history: list[Past] = Field(default_factory=list)
    wanted: list[Wanted] = Field(default_factory=list)
    further_wanted: int = 0
    lists: dict[str, list[Shown]] = Field(default_factory=dict)


class Mover(_Part):
    """A customer for whom one model is far better than the other; both values are of `Movers.metric`."""

    customer_id: Text
    test_items: int = 0
    blend: float | None = None
    other: float | None = None


class ItemMover(_Part):
    """An item that one model brings to far more of those who want it: how many wanted it, and found it in each."""

    item_id: Text
    title: str | None = None
    wanted: int = 0
    blend: int = 0
    other: int = 0


class Movers(_Part):
    """Who and what gains and loses most where the blend takes the place of `against`."""

    against: str = ""
    metric: str = ""
    winners: list[Mover] = Field(default_factory=list)
    losers: list[Mover] = Field(default_factory=list)
    item_winners: list[ItemMover] = Field(default_factory=list)
    item_losers: list[ItemMover] = Field(default_factory=list)


class Recorded(_Part):
    """All of `metrics.json` that a page shows."""

    models: dict[str, Numbers | None] = Field(default_factory=dict)
    causes: dict[str, str] = Field(default_factory=dict)
    differences: Differences = Field(default_factory=dict)
    customers: int = 0
    unknown_customers: int = 0
    test_pairs: int = 0
    items: int = 0
    validation: dict[str, int] = Field(default_factory=dict)
    seconds: Numbers = Field(default_factory=dict)
    peak_rss_bytes: int | None = None
    config: dict[str, JsonValue] = Field(default_factory=dict)
    seed: int | None = None
    notes: list[str] = Field(default_factory=list)
    tracks: dict[str, Track] = Field(default_factory=dict)
    windows: list[Window] = Field(default_factory=list)
    checks: Checks = Checks()
    cost: dict[str, Cost] = Field(default_factory=dict)
    examples: list[Example] = Field(default_factory=list)
    movers: Movers | None = None
    reproduce: dict[str, JsonValue] = Field(default_factory=dict)

    @classmethod
    def of(cls, metrics: Mapping[str, object]) -> Self:
        """Exactly what `metrics.json` will hold, NaN and infinity as null. Raises pydantic's ValidationError."""
        return cls.model_validate_json(orjson.dumps(metrics, option=orjson.OPT_SERIALIZE_NUMPY))

    def all_tracks(self) -> dict[str, Track]:
        """The tracks by name and, where `--repeats` asked for one that is not among them, that one too."""
        asked = self.config.get("repeats")
        name = str(asked) if isinstance(asked, str) else "asked"
        if not self.models or any(track.repeats == name for track in self.tracks.values()):
            return self.tracks
        if self.tracks and name == "asked":
            return self.tracks
        own = Track(
            repeats=name,
            customers=self.customers,
            test_pairs=self.test_pairs,
            models=self.models,
            causes=self.causes,
            differences=self.differences,
        )
        return {name: own} | self.tracks
