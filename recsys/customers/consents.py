"""Files of what customers said about being written to: read and judged whole, then kept in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import polars as pl

from recsys.data.importers.delimited import Dialect, read_delimited
from recsys.data.importers.encoding import to_utf8
from recsys.data.importers.json_lines import read_json_lines
from recsys.data.importers.parquet import read_parquet
from recsys.data.importers.source import FileType, open_source
from recsys.data.importers.table import RawTable
from recsys.data.importers.texts import to_text
from recsys.data.importers.times import TimeReading, parse_times
from recsys.data.importers.values import to_flag
from recsys.data.profile import PURPOSE, Consent, check_consent, is_purpose
from recsys.errors import InputError
from recsys.stores.protocols import Store

COLUMNS = ("customer_id", "purpose", "granted", "source", "stated")
"""Of a file, any others are passed over: who, what for, yes or no, where it was said, and when."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a file's statements; the numbers sum to its rows.

    Attributes
    ----------
    added : new statements.
    known : those that were there already.
    forgotten : those of customers who asked to be forgotten; they were left out.
    """

    added: int
    known: int
    forgotten: int


def read_consents(path: Path) -> pl.DataFrame:
    """The statements of a file (CSV, Parquet or JSON lines, plain or compressed), checked, in `COLUMNS`; `stated` in
    milliseconds UTC.

    When something was said decides whether it counts, so that every row has to say it: a list that is sent again brings
    back no yes that was taken back since. Raises InputError with the line of the first row that does not fit.
    """
    table = _table(path)
    missing = [name for name in COLUMNS if name not in table.frame.columns]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}: its columns are {', '.join(table.frame.columns)}",
            expected=f"the columns {', '.join(COLUMNS)}",
        )
    frame = table.frame
    stated = parse_times("stated", frame["stated"], TimeReading("UTC"))
    rows = pl.DataFrame(
        {
            "customer_id": to_text(frame["customer_id"]).str.strip_chars().replace("", None),
            "purpose": to_text(frame["purpose"]),
            "granted": to_flag(frame["granted"]),
            "source": to_text(frame["source"]),
            "stated": stated.ms,
        }
    )
    fits = {
        "customer_id": (rows["customer_id"].str.len_chars().is_between(1, 256), "an id of 1 to 256 characters"),
        "purpose": (_of_each(rows["purpose"], is_purpose), PURPOSE),
        "granted": (rows["granted"].is_not_null(), "true or false"),
        "source": (rows["source"].str.len_chars().is_between(1, 256), "where it was said, in 1 to 256 characters"),
        "stated": (rows["stated"].is_not_null(), "when it was said, such as 2026-03-01T12:00:00Z"),
    }
    for name, (fit, expected) in fits.items():
        bad = (~fit.fill_null(False)).arg_true()
        if len(bad):
            found = frame[name][int(bad[0])]
            raise InputError(f"{path}, line {table.lines[int(bad[0])]}: {name} is {found!r}", expected=expected)
    return rows


def record(store: Store, statements: pl.DataFrame, progress: Callable[[int], None] | None = None) -> Recorded:
    """Keeps statements as `read_consents` gives them, all or none; `progress` is called with how many are done."""
    ids = statements["customer_id"].unique().to_list()
    gone = store.persons.forgotten(ids)
    added = done = forgotten = 0
    with store.transaction():
        for customer_id, rows in groupby(statements.sort("customer_id", "stated").iter_rows(), key=itemgetter(0)):
            consents = [Consent(*said) for _, *said in rows]
            for consent in consents:
                check_consent(consent)
            done += len(consents)
            if customer_id in gone:
                forgotten += len(consents)
                continue
            before = len(store.profiles.statements(customer_id))
            store.profiles.put(customer_id, consents)
            added += len(store.profiles.statements(customer_id)) - before
            if progress and done % 1_000 < len(consents):
                progress(done)
    return Recorded(added, done - added - forgotten, forgotten)


def _table(path: Path) -> RawTable:
    source = open_source(path)
    if source.type is FileType.PARQUET:
        table = read_parquet(path, source.data)
    else:
        data, _ = to_utf8(path, source.data, None, None)
        table = read_json_lines(path, data) if source.type is FileType.JSON_LINES else _delimited(path, data)
    if len(table.broken):
        raise InputError(
            f"{path} has {len(table.broken):,} rows with too many or too few fields", expected="a field for each column"
        )
    return table


def _delimited(path: Path, data: bytes) -> RawTable:
    return read_delimited(path, data, Dialect(separator=None, quoted=True, header=None))


def _of_each(texts: pl.Series, fits: Callable[[str], bool]) -> pl.Series:
    """Whether each text fits, asked once for each distinct one."""
    return texts.is_in([each for each in texts.unique().drop_nulls().to_list() if fits(each)])
