"""The real data sets that the documents show, and how each is imported. The folder is named by BOOKMATCH_DATA."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "BOOKMATCH_DATA"

NON_ITEMS = "POST,DOT,M,C2,C3,D,S,B,PADS,ADJUST*,AMAZONFEE,BANK CHARGES,CRUK,GIFT,TEST*,gift_*,SP1002"
"""Postage, manual corrections, fees, adjustments, vouchers and test codes of the gift shop's invoices."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set: what it is, and the arguments of each `bookmatch import` after the folder's name."""

    name: str
    about: str
    imports: tuple[tuple[str, ...], ...]


DATA_SETS = (
    DataSet(
        "online-retail-uci",
        "A British gift shop's invoices, December 2009 to December 2010, with titles, prices and returns "
        "(Chen 2019, UCI Machine Learning Repository, Online Retail II, CC BY 4.0).",
        (("transactions.parquet", "--format", "online-retail", "--ignore-items", NON_ITEMS),),
    ),
    DataSet(
        "retailrocket-mb",
        "Views, carts and purchases of an online shop, 2015 (RetailRocket, CC BY-NC-SA 4.0, prepared by HKUDS/SSLRec).",
        (("train_events.parquet", "--format", "retailrocket"),),
    ),
    DataSet(
        "movielens-100k",
        "Ratings of films, 1997 and 1998 (Harper and Konstan 2015, GroupLens).",
        (
            ("items.parquet", "--format", "movielens", "--as", "items"),
            ("users.parquet", "--format", "movielens", "--as", "customers"),
            ("ratings.parquet", "--format", "movielens"),
        ),
    ),
    DataSet(
        "amazon-book-kgat",
        "Book reviews as implicit feedback, without times (Wang et al. 2019, KGAT's preparation of Amazon 2014).",
        (
            ("items.parquet", "--as", "items", "--map", "item_id=item,author=authors"),
            ("train.parquet", "--map", "customer_id=user,item_id=item", "--event", "purchase"),
        ),
    ),
)


def data_folder() -> Path:
    """The folder of data sets; ends the program with what to do when it is not there."""
    folder = os.environ.get(VARIABLE)
    if not folder or not Path(folder).is_dir():
        sys.exit(f"{VARIABLE} is {folder!r}: set it to the folder that holds the data sets, one folder each")
    return Path(folder)
