"""A plan's folder, written part by part; it appears when it is whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.customers.planned_mails import UNFINISHED
from recsys.data.vocabulary import Vocabulary
from recsys.durable import sync, write_file
from recsys.errors import InputError
from serving.email.campaign import ShopFacts
from serving.email.planned import (
    CAMPAIGN,
    LISTED_SCHEMA,
    MAIL_SCHEMA,
    NAMED,
    NAMED_SCHEMA,
    PLAN,
    PlanHeader,
    items_file,
    mails_file,
)


class PlanFolder:
    """A context manager. Raises InputError where the folder is there already, or cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished = folder.with_name(f".{folder.name}{UNFINISHED}{os.getpid()}")
        self.parts = 0

    def __enter__(self) -> Self:
        if self._folder.exists():
            raise InputError(
                f"{self._folder} is there already", expected="a folder that does not exist yet: a plan never changes"
            )
        try:
            shutil.rmtree(self._unfinished, ignore_errors=True)
            self._unfinished.mkdir(parents=True)
        except OSError as error:
            raise self._cannot(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def part(self, mails: pl.DataFrame, items: pl.DataFrame) -> None:
        """The next pair of files."""
        self._write(mails_file(self.parts), mails.select(*MAIL_SCHEMA))
        self._write(items_file(self.parts), items.select(*LISTED_SCHEMA))
        self.parts += 1

    def finish(self, header: PlanHeader, campaign: str, named: pl.DataFrame) -> None:
        """The folder is whole, on disk, and has its name."""
        self._write(NAMED, named.select(*NAMED_SCHEMA))
        try:
            write_file(self._unfinished / CAMPAIGN, campaign.encode())
            write_file(self._unfinished / PLAN, header.to_json())
            for path in self._unfinished.iterdir():
                sync(path)
            sync(self._unfinished)
            self._unfinished.rename(self._folder)
            sync(self._folder.parent)
        except OSError as error:
            raise self._cannot(error) from error

    def _write(self, name: str, frame: pl.DataFrame) -> None:
        try:
            frame.write_parquet(self._unfinished / name, compression="zstd", compression_level=1)
        except (OSError, pl.exceptions.ComputeError) as error:
            raise self._cannot(error) from error

    def _cannot(self, error: Exception) -> InputError:
        return InputError(
            f"the plan {self._folder} cannot be written: {error}", expected="a place with room that may be written to"
        )


def named_items(
    catalogue: pl.DataFrame, items: Vocabulary, which: npt.NDArray[np.bool_], shop: ShopFacts
) -> pl.DataFrame:
    """What mails say of some items, in `NAMED_SCHEMA`, by id: those of the catalogue's `attributes` `url`, `image` and
    `series` that are texts, else the addresses that the shop makes of the id."""
    ids = [items[position] for position in np.flatnonzero(which).tolist()]
    rows = pl.DataFrame({"item_id": pl.Series(ids, dtype=pl.String)}).join(
        catalogue, on="item_id", how="left", maintain_order="left"
    )
    own = {name: pl.col("attributes").str.json_path_match(f"$.{name}") for name in ("url", "image", "series")}
    made = {"url": shop.item_url, "image": shop.image_url}
    return rows.with_columns(
        **{name: pl.coalesce(said, _address(made.get(name))) for name, said in own.items()}
    ).select(pl.col(name).cast(dtype) for name, dtype in NAMED_SCHEMA.items())


def _address(pattern: str | None) -> pl.Expr:
    """An item's address by a pattern; what no address may hold of the id is escaped."""
    if pattern is None:
        return pl.lit(None, pl.String)
    before, _, after = pattern.partition("{item_id}")
    return pl.lit(before) + pl.col("item_id").map_elements(_quoted, pl.String) + pl.lit(after.replace("{item_id}", ""))


def _quoted(item_id: str) -> str:
    from urllib.parse import quote

    return quote(item_id, safe="")
