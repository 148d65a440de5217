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
from recsys.processes import runs

PREVIEWS = "previews"
"""The folder in a shop's folder of plans that holds mails to look at."""
UNFINISHED = ".unfinished-"
"""Before the id of the process in the name of a folder whose plan is not whole yet."""


def remove_from_plans(plans: Path, ids: Collection[str]) -> int:
    """Removes these customers from every plan in a folder, and all previews, which are made anew in no time; how many
    rows. What killed planning left goes as a whole; planning that is under way looks itself, when it is done, who was
    forgotten meanwhile. The layout of plans is that of `serving.email.planned`.

    Raises StoreUnavailableError for what cannot be removed; asking again goes on.
    """
    if not plans.is_dir():
        return 0
    try:
        if (plans / PREVIEWS).exists():
            shutil.rmtree(plans / PREVIEWS)
        for folder in plans.glob(f".*{UNFINISHED}*"):
            # Nobody will finish what a dead process began, and half a file cannot be read.
            if not runs(int(folder.name.rpartition("-")[2])):
                shutil.rmtree(folder)
        finished = [path for path in sorted(plans.glob("*/mails-*.parquet")) if UNFINISHED not in path.parent.name]
        return sum(_without(path, ids) for path in finished)
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
        # Fewer: an earlier call was ended between the two files.
        if items.height != kept["items"].sum():
            _replace(items_path, items.filter(~np.repeat(mails["gone"].to_numpy(), mails["items"].to_numpy())))
    _count(path.parent, named)
    _replace(path, kept.drop("gone"))
    return mails.height - kept.height


def _count(plan: Path, gone: pl.Expr) -> None:
    """The totals of a plan say how many rows there are without those that are gone: counted, not taken off, so that
    asking again after a crash is right."""
    path = plan / "plan.json"
    if not path.exists():
        return
    said = orjson.loads(path.read_bytes())
    kept = pl.scan_parquet(plan / "mails-*.parquet").filter(~gone).group_by("cause").len().collect()
    counts: dict[str | None, int] = dict(kept.iter_rows())
    said["audience"], said["planned"] = sum(counts.values()), counts.get(None, 0)
    said["suppressed"] = {cause: counts.get(cause, 0) for cause in said["suppressed"]}
    replace_file(path, orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _replace(path: Path, frame: pl.DataFrame) -> None:
    new = path.with_name(f".{path.name}.new")
    frame.write_parquet(new)
    sync(new)
    new.replace(path)
    sync(path.parent)
