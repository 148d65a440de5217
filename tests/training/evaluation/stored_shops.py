"""A small shop in a store, whose customers keep to one shelf and buy some things again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys.bundle import BundleRepository, ModelBundle
from recsys.bundle.bundle import bundle_arrays
from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.events import EVENT_SCHEMA, EventKind
from recsys.data.importers.options import build_options
from recsys.shop import ShopFolder
from recsys.stores import open_store
from tests.training.evaluation.divided_worlds import DAY, rules
from training.evaluation.asked import Asked, Protocol
from training.evaluation.evaluating import Evaluation
from training.evaluation.held_out import Repeats, Rules
from training.evaluation.protocols import moment
from training.evaluation.running import Report, run
from training.fitting import TrainingConfig
from training.stages import StageLog

CUT = 10 * DAY
"""Purchases go from day 1 to day 13."""

UNTOLD = Rules(target=frozenset(), visible=None, repeats=Repeats.EXCLUDE, mask=frozenset())
"""What the command makes of a target that nobody names."""


def stored_rows(customers: int = 36) -> pl.DataFrame:
    """In `EVENT_SCHEMA`. Customer `u<n>` buys a book of shelf `n mod 3` a day, a staple of theirs every third day, and
    rates some; customers `late<n>` come after `CUT` alone."""
    rows: list[tuple[str, str, EventKind, int, float | None]] = []
    for number in range(customers):
        rng = np.random.default_rng(number)
        who, shelf = f"u{number:02}", "cgt"[number % 3]
        for day, book in enumerate(rng.permutation(16)[:13], start=1):
            rows.append((who, f"{shelf}{book:02}", EventKind.PURCHASE, day * DAY + number, None))
            if day % 3 == 0:
                rows.append((who, f"staple-{shelf}", EventKind.PURCHASE, day * DAY + number, None))
                rows.append(
                    (who, f"{shelf}{book:02}", EventKind.RATE, day * DAY + number + 1, 1.0 + (day + number) % 5)
                )
    rows += [(f"late{number}", f"c{number:02}", EventKind.PURCHASE, 12 * DAY, None) for number in range(3)]
    return as_events(rows)


def as_events(rows: Sequence[tuple[str, str, EventKind, int, float | None]]) -> pl.DataFrame:
    """Events of (customer, item, kind, milliseconds, rating)."""
    records = [
        {
            "event_id": f"{customer}|{item}|{kind}|{at}",
            "customer_id": customer,
            "item_id": item,
            "kind": str(kind),
            "timestamp": at,
            "quantity": 1.0,
            "rating": rating,
        }
        for customer, item, kind, at, rating in rows
    ]
    return pl.DataFrame(records, schema=EVENT_SCHEMA)


def described(**items: dict[str, Any]) -> pl.DataFrame:
    """A catalogue: what is said of each item by id."""
    return pl.DataFrame([{"item_id": item} | said for item, said in items.items()], schema=ITEM_SCHEMA)


def shop(home: Path, rows: pl.DataFrame, catalogue: pl.DataFrame | None = None) -> Path:
    """A shop's folder with these events and items."""
    with closing(open_store(ShopFolder(home).store)) as store:
        store.events.ingest(rows)
        if catalogue is not None:
            store.catalog.put(catalogue)
    return home


def in_force(home: Path, bundle: ModelBundle) -> str:
    """Publishes a bundle as it is."""
    models = (
        bundle.popularity, bundle.interest, bundle.item_item, bundle.als, bundle.spectral, bundle.content,
        bundle.repeat, bundle.related,
    )  # fmt: skip
    arrays = bundle_arrays(bundle.items, models, bundle.rp3beta)
    return BundleRepository(ShopFolder(home).models).publish(bundle.manifest, arrays, {"at": 0}, 0)


def evaluated(home: Path, *, cut: int | None = CUT, told: Rules | None = None, **further: Any) -> Report:
    """An evaluation of a shop with the shipped settings."""
    folder = further.pop("folder", None)
    asked = asked_of(home, cut=cut, told=told, **further)
    return run(asked, TrainingConfig(threads=2), folder, StageLog(), budget=0)


def asked_of(home: Path, *, cut: int | None = CUT, told: Rules | None = None, **further: Any) -> Asked:
    """What is asked of a shop."""
    values: dict[str, Any] = {
        "protocol": Protocol.TIME,
        "rules": rules() if told is None else told,
        "train": (),
        "test": None,
        "cut": None if cut is None else moment(cut),
        "items": None,
        "ks": (5, 10),
        "options": build_options(now=100 * DAY),
        "home": home,
    }
    return Asked(**(values | further))


def listed(evaluation: Evaluation, repeats: Repeats, window: int = 0) -> dict[str, dict[str, list[str]]]:
    """Per model and customer the ids of the list."""
    track = evaluation.windows[window].tracks[repeats]
    assert not isinstance(track, str)
    items = track.test.training.items
    return {
        name: {
            customer: [items[int(each)] for each in row if each >= 0]
            for customer, row in zip(track.test.customer_ids, ranked, strict=True)
        }
        for name, ranked in track.lists.items()
        if ranked is not None
    }
