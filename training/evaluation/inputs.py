"""What an evaluation reads: files, as `bookmatch import` reads them, or a shop's store. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from recsys.bundle import BundleRepository, ModelBundle
from recsys.customers import facts, rules_in
from recsys.data.catalog import CUSTOMER_SCHEMA
from recsys.data.events import EventKind
from recsys.data.importers.importing import read_files
from recsys.data.importers.options import ImportOptions, Subject
from recsys.data.importers.reading import ReadFile
from recsys.data.importers.times import TimeReading, check_zone, parse_times
from recsys.data.interactions import EventTable
from recsys.errors import InputError
from recsys.recommend.placement import DEFAULT_PLACEMENT
from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.frames import event_rows
from recsys.stores.protocols import Store
from training.evaluation.candidates import check_named
from training.fitting import compile_interactions
from training.validation import predicted_kinds

PREDICTED = frozenset({EventKind.PURCHASE})
"""What lists predict, where files are read and nobody says it."""


_ALWAYS, _FOREVER = -(2**62), 2**62
"""Times before and after any event, milliseconds UTC."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was read.

    Attributes
    ----------
    train : in `EVENT_SCHEMA`; of a store without what was taken back by now.
    standing_at : what happened before a time (milliseconds UTC), as it stood then: in `EVENT_SCHEMA`, with what was
        taken back later. None where `train` says that itself, by its undos.
    test : in `EVENT_SCHEMA`; None for protocols that make the test themselves.
    items : String; ids of candidates that may have no events.
    catalogue : in `ITEM_SCHEMA`; what all files say of items, the last row of each.
    customers : in `CUSTOMER_SCHEMA`.
    paid : what was paid for single events of `train`: `customer_id`, `item_id`, `timestamp`, `price` and `currency`.
        None where the rows of `train` say it themselves.
    told_of : of a moment (milliseconds UTC) what customers' purchases before it say of them: `customer_id`, `segment`
        and `tier`. None where there is no shop.
    production : the bundle in force, or why there is none; None where files are read.
    predicted : the kinds that lists predict, where nobody says it.
    masked : the kinds by which a customer has an item, beside these.
    notes : what the reading found, per file.
    """

    train: pl.DataFrame
    test: pl.DataFrame | None
    items: pl.Series
    catalogue: pl.DataFrame
    notes: tuple[str, ...]
    standing_at: Callable[[int], pl.DataFrame] | None = None
    customers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CUSTOMER_SCHEMA))
    paid: pl.DataFrame | None = None
    told_of: Callable[[int], pl.DataFrame] | None = None
    production: ModelBundle | str | None = None
    predicted: frozenset[EventKind] = PREDICTED
    masked: frozenset[EventKind] = frozenset()

    def as_of(self, cut: int) -> pl.DataFrame:
        """The history for a cut: before it as it stood then, from then on as it stands now."""
        if self.standing_at is None:
            return self.train
        later = self.train.filter(pl.col("timestamp").is_null() | (pl.col("timestamp") >= cut))
        return pl.concat([self.standing_at(cut), later])

    def customers_as_of(self, cut: int) -> pl.DataFrame:
        """What is known of customers at a cut: `customers`, as they are now, and beside these `told_of` it."""
        if self.told_of is None:
            return self.customers
        told = self.told_of(cut)
        said = [name for name in told.columns if told[name].null_count() < len(told)]
        return (
            self.customers.join(told.select(said), on="customer_id", how="full", coalesce=True)
            if said
            else self.customers
        )


def read_inputs(
    train: Sequence[Path], test: Path | None, items: Path | None, target: EventKind, options: ImportOptions
) -> Inputs:
    """Reads the files of an evaluation.

    Parameters
    ----------
    target : what a row of the test file is when neither a column nor `options.event` says it.
    options : of all files. The test file and the file of items need not have every mapped column, and `options.event`
        is for the files in which no column says the kind.

    Raises as `importing.import_files` does.
    """
    learned = read_files(train, replace(options, subject=Subject.INTERACTIONS, event_may_yield=test is not None))
    # As in a store, an event that two files hold is one event.
    rows = pl.concat([file.events for file in learned]).unique("event_id", keep="first", maintain_order=True)
    files, tested = list(learned), None
    if test is not None:
        (foreseen,) = read_files(
            [test],
            replace(
                options,
                subject=Subject.INTERACTIONS,
                event=options.event or target,
                columns_may_miss=True,
                event_may_yield=True,
            ),
        )
        files.append(foreseen)
        tested = foreseen.events
    ids = pl.Series("item_id", [], dtype=pl.String)
    if items is not None:
        listed = read_items(items, options, None)
        files.append(listed)
        ids = listed.items["item_id"]
    described = pl.concat([file.items for file in files]).unique("item_id", keep="last", maintain_order=True)
    return Inputs(rows, tested, ids, described, tuple(note for file in files for note in _notes(file)))


def read_items(path: Path, options: ImportOptions, known: Collection[str] | None) -> ReadFile:
    """A list of candidates; InputError as `check_named`."""
    (listed,) = read_files([path], _for_items(options))
    check_named(listed.items["item_id"], listed.twice, known)
    return listed


def read_store(home: Path, items: Path | None, options: ImportOptions) -> Inputs:
    """Everything that a shop's store and repository hold, as training reads it.

    Raises StoreError when there is no store, BundleError when the bundle in force is damaged, InputError as
    `read_items`.
    """
    shop = ShopFolder(home)
    with closing(open_store(shop.store, create=False)) as store:
        summary = store.events.summary()
        table = store.events.read()
        catalogue, customers = store.catalog.read(), store.customers.read()
        paid = _paid(store, table, catalogue)
        # Undone events are gone from what a store reads; as things stood at a cut, some of them were not.
        taken_back = str(EventKind.UNDO) in summary["events"]
    interactions = compile_interactions(table)
    ids = pl.Series("item_id", [], dtype=pl.String)
    notes = [f"store: {table.events.height:,} events of {len(table.customer_ids):,} customers read"]
    if items is not None:
        listed = read_items(items, options, set(table.item_ids) | set(catalogue["item_id"]))
        ids = listed.items["item_id"]
        notes += _notes(listed)
    return Inputs(
        event_rows(table),
        None,
        ids,
        catalogue,
        tuple(notes),
        standing_at=(lambda cut: _standing(home, cut)) if taken_back else None,
        customers=customers,
        paid=paid,
        told_of=lambda cut: _told_of(shop, cut),
        production=_in_force(shop),
        predicted=predicted_kinds(interactions),
        masked=DEFAULT_PLACEMENT.mask_kinds,
    )


def _standing(home: Path, cut: int) -> pl.DataFrame:
    with closing(open_store(ShopFolder(home).store, create=False)) as store:
        return event_rows(store.events.read(as_of=cut)).filter(pl.col("timestamp") < cut)


def _paid(store: Store, table: EventTable, catalogue: pl.DataFrame) -> pl.DataFrame:
    """What was paid, for `Inputs.paid`; nothing is read where the catalogue has the price of every item."""
    listed = catalogue.filter(pl.col("price").is_not_null())["item_id"]
    until = _ALWAYS if table.item_ids.is_in(listed.implode()).all() else _FOREVER
    bought = store.events.period((EventKind.PURCHASE,), _ALWAYS, until)
    return bought.select("customer_id", "item_id", "timestamp", "price", "currency").drop_nulls(["item_id", "price"])


def _told_of(shop: ShopFolder, cut: int) -> pl.DataFrame:
    with closing(open_store(shop.store, create=False)) as store:
        # Never what is kept in the store: that is of today, and has seen the test.
        return facts(store, cut, rules_in(shop.customer_rules)).select("customer_id", "segment", "tier")


def _in_force(shop: ShopFolder) -> ModelBundle | str:
    repository = BundleRepository(shop.models)
    current = repository.current_id()
    return "no bundle was published yet" if current is None else repository.load(current)


def parse_cut(text: str, options: ImportOptions) -> int:
    """A time as the user types it, in milliseconds UTC; InputError when it is none or names no zone."""
    is_number = pl.Series([text]).str.strip_chars().cast(pl.Float64, strict=False).is_not_null().all()
    unit = options.time_unit if is_number else None
    times = parse_times("--cut", pl.Series([text]), TimeReading(_zone(options), unit))
    moment = times.ms[0]
    if not isinstance(moment, int):
        raise InputError(
            f"--cut is {text!r}", expected="a time such as 2024-05-01T00:00:00Z, or a number since 1970 as in the file"
        )
    return moment


def _zone(options: ImportOptions) -> str | None:
    return check_zone(options.timezone) if options.timezone else None


def _for_items(options: ImportOptions) -> ImportOptions:
    """The options for a file of items: of the mapped columns those that items have."""
    columns = {ours: theirs for ours, theirs in options.columns.items() if ours in Subject.ITEMS.fields}
    return replace(
        options, subject=Subject.ITEMS, columns=columns, kinds={}, event=None, columns_may_miss=True, ignore_items=()
    )


def _notes(file: ReadFile) -> list[str]:
    report = file.report
    parts = [f"{cause} {count:,}" for cause, count in (*report.bad.items(), *report.aside.items())]
    left_out = f"; left out: {', '.join(parts)}" if parts else ""
    return [f"{report.path.name}: {report.rows:,} rows read{left_out}"]
