"""Forgetting a customer in the plans of campaigns, and in previews of their mails."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np
import orjson
import polars as pl

from recsys.durable import replace_file, sync
from recsys.errors import StoreUnavailableError

PREVIEWS = "previews"
"""The folder in a shop's folder of plans that holds mails to look at."""


def remove_from_plans(plans: Path, ids: Collection[str]) -> int:
    """Removes these customers from every plan in a folder, unfinished ones too, and all previews, which are made anew
    in no time; how many rows. The layout of plans is that of `serving.email.planned`.

    Raises StoreUnavailableError for what cannot be removed; asking again goes on.
    """
    if not plans.is_dir():
        return 0
    try:
        if (plans / PREVIEWS).exists():
            shutil.rmtree(plans / PREVIEWS)
        return sum(_without(path, ids) for path in sorted(plans.glob("*/mails-*.parquet")))
    except (OSError, pl.exceptions.PolarsError, orjson.JSONDecodeError, KeyError) as error:
        raise StoreUnavailableError(
            f"the customer cannot be removed from the plans in {plans}: {error}",
            remedy="see that this user may read and write there, then ask again; or remove the damaged plan",
        ) from error


def _without(path: Path, ids: Collection[str]) -> int:
    """Removes rows from one pair of files. The items stand in the order of the mails, so many for each."""
    named = pl.col("customer_id").is_in(list(ids))
    if pl.scan_parquet(path).filter(named).select(pl.len()).collect().item() == 0:
        return 0
    mails = pl.read_parquet(path, memory_map=False).with_columns(gone=named)
    items_path = path.with_name(path.name.replace("mails-", "items-"))
    kept = mails.filter(~pl.col("gone"))
    if items_path.exists():
        items = pl.read_parquet(items_path, memory_map=False)
        owned = np.repeat(mails["gone"].to_numpy(), mails["items"].fill_null(0).to_numpy())
        _replace(items_path, items.filter(~owned))
    _count_out(path.with_name("plan.json"), mails.filter("gone"))
    _replace(path, kept.drop("gone"))
    return mails.height - kept.height


def _count_out(path: Path, gone: pl.DataFrame) -> None:
    """The totals of a plan still say how many rows there are."""
    if not path.exists():
        return
    said = orjson.loads(path.read_bytes())
    for cause in gone["cause"].to_list():
        said["audience"] -= 1
        if cause is None:
            said["planned"] -= 1
        else:
            said["suppressed"][cause] -= 1
    replace_file(path, orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _replace(path: Path, frame: pl.DataFrame) -> None:
    new = path.with_name(f".{path.name}.new")
    frame.write_parquet(new)
    sync(new)
    new.replace(path)
    sync(path.parent)
