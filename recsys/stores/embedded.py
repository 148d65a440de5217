"""The embedded store as files: for whoever copies, replaces or upgrades it as a whole. A server's database has its own
tools for that."""

from __future__ import annotations

from recsys.stores.sqlite.carrying_on import CarriedOn, carry_on
from recsys.stores.sqlite.checkup import Survey, faults, store_version, survey
from recsys.stores.sqlite.copying import (
    NEWEST_VERSION,
    StoreFile,
    archive_of,
    check_store_file,
    copy_store,
    read_store_file,
    settle_log,
)
from recsys.stores.sqlite.forgetting_again import forget_again
from recsys.stores.sqlite.upgrading import Upgraded, rehearse, upgrade

__all__ = [
    "NEWEST_VERSION",
    "CarriedOn",
    "StoreFile",
    "Survey",
    "Upgraded",
    "archive_of",
    "carry_on",
    "check_store_file",
    "copy_store",
    "faults",
    "forget_again",
    "read_store_file",
    "rehearse",
    "settle_log",
    "store_version",
    "survey",
    "upgrade",
]
