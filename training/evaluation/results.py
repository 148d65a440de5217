"""What an evaluation asks of a history, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from recsys.bundle.bundle import ModelBundle
from recsys.bundle.manifest import Manifest
from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.data.vocabulary import UNKNOWN
from recsys.metrics.ranking import Ranked
from recsys.metrics.uncertainty import Interval
from training.evaluation.candidates import Offer
from training.evaluation.comparison import Comparison, Measured, Scored
from training.evaluation.facts import Facts, facts_of
from training.evaluation.held_out import HeldOut, Repeats
from training.evaluation.leaks import LeakCheck
from training.evaluation.protocols import Division, Part
from training.evaluation.windows import Window

TRACKS: Mapping[str, Repeats] = {"discovery": Repeats.EXCLUDE, "repeat": Repeats.ONLY}
"""What the report always holds apart: what is new to a customer, and what they have already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One division of a history, and what there is beside events.

    Attributes
    ----------
    rows : the whole history that is divided, in `EVENT_SCHEMA`, what was done after the cut too.
    tested : the events of a test file, in `EVENT_SCHEMA`; None where the test comes from `rows`.
    divide : divides.
    offer : which items may compete.
    window : None where customers have their own cuts, or the test is a file of its own.
    production : the bundle in force, or why it cannot be compared here; None where there is no shop.
    customers : in `CUSTOMER_SCHEMA`; further columns are further attributes.
    paid : as `Inputs` has it.
    """

    rows: pl.DataFrame
    divide: Callable[[], Division]
    offer: Offer
    tested: pl.DataFrame | None = None
    window: Window | None = None
    production: ModelBundle | str | None = None
    customers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CUSTOMER_SCHEMA))
    paid: pl.DataFrame | None = None

    def facts(self, test: HeldOut, learned: pl.DataFrame) -> Facts:
        """What metrics and slices need to know; `learned` are the rows of the part that models learn from."""
        paid = learned
        if self.paid is not None:
            # Of what was paid only what models may learn from: never a price of the test.
            paid = self.paid.join(learned, on=["customer_id", "item_id", "timestamp"], how="semi")
        return facts_of(test, paid, self.offer.catalogue, self.customers)


@dataclass(frozen=True, slots=True)
class Track:
    """What one rule about repeats leaves to be foreseen, and how every model did.

    Attributes
    ----------
    lists : per name of a model the lists, the blend's first; None for one that the data does not allow, and why stands
        in `causes`.
    measured : the same as metrics, customer by customer.
    """

    test: HeldOut
    lists: Mapping[str, Ranked | None]
    causes: Mapping[str, str]
    facts: Facts
    measured: Measured

    @property
    def customers(self) -> pl.DataFrame:
        """One row per scored customer, in the order of the metrics: `customer_id`, `known` (to training) and
        `test_items`."""
        known = pl.Series("known", self.test.row != UNKNOWN)
        return pl.DataFrame([self.test.customer_ids, known, pl.Series("test_items", self.test.relevant.size)])


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What was found in one window, or in the one division that there is.

    Attributes
    ----------
    tracks : by rule about repeats; a text says why nobody could be asked.
    part : what was learned from, and what had to be foreseen.
    bundle : the models that all tracks were asked of.
    candidates : how many items competed.
    validation : the number of `customers` and `pairs` that settings were chosen on, zeros without validation.
    leaks : what was looked for, all of it passed.
    fit_seconds, list_microseconds : per model what fitting took where it can be told, and one list.
    seconds : of `compile`, `tune`, `fit` and `score`.
    """

    setting: Setting
    tracks: Mapping[Repeats, Track | str]
    part: Part
    bundle: ModelBundle
    candidates: int
    validation: Mapping[str, int]
    leaks: tuple[LeakCheck, ...]
    fit_seconds: Mapping[str, float]
    list_microseconds: Mapping[str, float]
    seconds: Mapping[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pooled:
    """One track over all windows.

    Attributes
    ----------
    customers : as `Track.customers`, each customer once: test items of all windows, `known` in any of them.
    causes : why a model is not there; one that some window does not allow is not.
    comparison : what all windows together say.
    """

    customers: pl.DataFrame
    causes: Mapping[str, str]
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found in all windows together, by the rule about repeats that was asked for.

    A customer who is in several windows counts once, with the mean of what the windows found: the interval of a
    difference is about customers, and what one customer does in two windows is not two independent observations.

    Attributes
    ----------
    repeats : the rule about repeats that was asked for; everything but `windows` and `pooled` is by it.
    windows : one by one.
    pooled : all windows together, by rule about repeats; a text says why nobody could be asked.
    models : per name the metrics, None for a model that the data does not allow; why stands in `causes`.
    differences : `blend` minus each other model that there is.
    customer_ids, test_items, known : of the scored customers: who, the number of test items, and whether training knows
        them.
    items : the number of candidates, in the newest window.
    validation : the number of `customers` and `pairs` that settings were chosen on, zeros without validation.
    manifest : of the models of the newest window, without arrays.
    seconds : of `compile`, `tune`, `fit` (the blend's final fit alone) and `score`.
    notes : what a reader of the result should know.
    """

    repeats: Repeats
    windows: tuple[WindowResult, ...]
    pooled: Mapping[Repeats, Pooled | str]
    models: Mapping[str, Scored | None]
    causes: Mapping[str, str]
    differences: Mapping[str, Mapping[str, Interval]]
    customer_ids: pl.Series
    test_items: pl.Series
    known: pl.Series
    items: int
    validation: Mapping[str, int]
    manifest: Manifest
    seconds: Mapping[str, float]
    notes: tuple[str, ...]
