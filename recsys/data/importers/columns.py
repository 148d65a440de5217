"""Which of the file's columns is which of ours, and what to say when one is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys.data.importers.layouts import Layout, loose, matched_columns
from recsys.data.importers.options import ImportOptions, Subject
from recsys.errors import InputError

_OFTEN_CALLED: Mapping[str, tuple[str, ...]] = {
    "customer_id": ("user", "userid", "customer", "customerid", "visitorid", "visitor", "member", "uid", "household",
                    "householdid", "account", "orgid"),
    "item_id": ("item", "itemid", "product", "productid", "sku", "asin", "parentasin", "article", "articleid",
                "stockcode", "movieid", "bookid", "isbn"),
    "kind": ("behavior", "behaviour", "event", "eventtype", "action", "type", "feedbacktype"),
    "timestamp": ("time", "date", "datetime", "createdat", "invoicedate", "transactiontimestamp"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """How a file's columns are used.

    Attributes
    ----------
    ours : our column → the file's; those of the layout's hooks included.
    extras : the file's columns that nothing names.
    """

    ours: dict[str, str]
    extras: tuple[str, ...]


def resolve_columns(
    path: Path, columns: Sequence[str], subject: Subject, layout: Layout | None, options: ImportOptions
) -> ColumnUse:
    """The use of a file's columns: what the layout says, or our own names, and over it what the user maps.

    Raises InputError when the user maps a column that is not there, or one that this subject does not have, or when a
    column is missing that every row needs.
    """
    ours = matched_columns(layout, columns) if layout else {name: name for name in subject.fields if name in columns}
    for name, theirs in options.columns.items():
        if name not in subject.fields:
            raise InputError(
                f"--map names {name}, which {subject} do not have", expected=f"one of {', '.join(subject.fields)}"
            )
        if not theirs:
            ours.pop(name, None)
        elif theirs not in columns and options.columns_may_miss:
            continue
        elif theirs not in columns:
            raise InputError(
                f"--map {name}={theirs}, but {path} has no column {theirs!r}",
                expected=f"one of its columns: {', '.join(columns)}",
                remedy="names are compared exactly, capitals included",
            )
        else:
            ours[name] = theirs
    needed = {"items": "item_id", "customers": "customer_id", "interactions": "customer_id"}[subject]
    if needed not in ours:
        raise missing_column(path, needed, columns, ours, subject)
    used = set(ours.values())
    return ColumnUse(ours, tuple(column for column in columns if column not in used))


def missing_column(
    path: Path, needed: str, columns: Sequence[str], ours: Mapping[str, str], subject: Subject
) -> InputError:
    """The error for a column that every row needs, with the option that would supply it."""
    wanted = [needed]
    if subject is Subject.INTERACTIONS:
        wanted += [name for name in ("customer_id", "item_id", "kind") if name != needed and name not in ours]
    pairs = [
        f"{name}={_guess(name, columns) or '<its column>'}"
        for name in wanted
        if name != "kind" or _guess(name, columns)
    ]
    suggestion = f"--map {','.join(pairs)}" if pairs else ""
    if "kind" in wanted and not _guess("kind", columns):
        suggestion = f"{suggestion} --event purchase".strip()
    return InputError(
        f"{path} has no column {needed}; its columns are {', '.join(columns)}",
        expected=f"a column {needed}" + (", or --event for the kind of all rows" if needed == "kind" else ""),
        remedy=f"say which column it is, for example {suggestion}; or name the file's --format",
    )


def _guess(name: str, columns: Sequence[str]) -> str | None:
    return next((column for column in columns if loose(column) in _OFTEN_CALLED.get(name, ())), None)
