"""One column of numbers in files: only what differs from the rule is written, and nothing is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_RULE_SHARE = 0.5
"""A value (or nothing) that stands in more of the rows than this is the rule, and the others are written one by one."""


def save(folder: Path, name: str, array: npt.NDArray[np.generic]) -> None:
    """Writes `<name>.npy`, which must not be there."""
    with (folder / f"{name}.npy").open("xb") as file:
        np.save(file, array, allow_pickle=False)


def load(folder: Path, name: str) -> npt.NDArray[Any]:
    """What `save` wrote, mapped into memory."""
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of n numbers, some of them missing.

    Attributes
    ----------
    rule : what every row holds that is not in `rows`; None is nothing.
    values, missing : shape (n,) where `rows` is None, else those of `rows`; `missing` None where nothing is. What
        stands in `values` where something is missing does not matter.
    rows : int64, ascending; the rows that differ from the rule. None: every row is in `values`.
    """

    dtype: npt.DTypeLike
    rule: float | int | None
    values: Numbers | None
    missing: Mask | None
    rows: npt.NDArray[np.uint32] | None

    @classmethod
    def write(cls, folder: Path, name: str, values: Numbers, missing: Mask | None) -> Mapping[str, object]:
        """Writes a column into a folder; what `open` needs to know besides."""
        dtype = values.dtype.str
        of_rule = _rows_of_rule(values, missing)
        if of_rule is None:
            save(folder, name, values)
            if missing is not None:
                save(folder, f"{name}.missing", missing)
            return {"dtype": dtype, "form": "rows", "masked": missing is not None}
        first = int(np.argmax(of_rule))
        rule = None if missing is not None and missing[first] else values[first].item()
        differing = np.flatnonzero(~of_rule).astype(np.uint32)
        if len(differing):
            save(folder, f"{name}.rows", differing)
            save(folder, name, values[differing])
            missing = missing[differing] if missing is not None else None
            missing = missing if missing is not None and missing.any() else None
            if missing is not None:
                save(folder, f"{name}.missing", missing)
        form = "differing" if len(differing) else "rule"
        return {"dtype": dtype, "form": form, "rule": rule, "masked": bool(len(differing)) and missing is not None}

    @classmethod
    def open(cls, folder: Path, name: str, told: Mapping[str, Any]) -> Self:
        """The column that `write` wrote and described."""
        form = told["form"]
        return cls(
            dtype=told["dtype"],
            rule=told.get("rule"),
            values=None if form == "rule" else load(folder, name),
            missing=load(folder, f"{name}.missing") if told["masked"] else None,
            rows=load(folder, f"{name}.rows") if form == "differing" else None,
        )

    def part(self, start: int, stop: int) -> tuple[Numbers, Mask | None]:
        """Rows `start` to `stop`: values, and which are missing (None: none is)."""
        if self.values is not None and self.rows is None:
            return self.values[start:stop], None if self.missing is None else self.missing[start:stop]
        values = np.full(stop - start, 0 if self.rule is None else self.rule, dtype=self.dtype)
        missing = np.full(stop - start, self.rule is None)
        if self.rows is not None and self.values is not None:
            first, last = np.searchsorted(self.rows, (start, stop))
            at = self.rows[first:last].astype(np.int64) - start
            values[at] = self.values[first:last]
            missing[at] = False if self.missing is None else self.missing[first:last]
        return values, missing if missing.any() else None


def _rows_of_rule(values: Numbers, missing: Mask | None) -> Mask | None:
    """The rows that hold the rule; None where there is no rule."""
    if missing is not None and np.count_nonzero(missing) > _RULE_SHARE * len(values):
        return missing
    # By bits: 0.0 and -0.0 are two values.
    bits = values.view(np.int64)
    same = np.asarray(bits == bits[0])
    if missing is not None:
        same &= ~missing
    return same if np.count_nonzero(same) > _RULE_SHARE * len(values) else None
