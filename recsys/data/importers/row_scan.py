"""Where the rows of delimited text begin and end, found in one vectorised pass over its bytes.

A line break or a separator counts when an even number of quotes stands before it (RFC 4180). That holds exactly when
every quote is well placed: an opening one at the start of a field, a closing one at its end, or both as `""` within.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_LF, _CR, _QUOTE, _NUL = 10, 13, 34, 0
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RowScan:
    """The rows of a text, blank ones too, in order. Every array has shape (rows,).

    Attributes
    ----------
    start, end : byte offsets; `end` is that of the line break or the end of the text.
    line : the line on which the row begins, from 1.
    fields : how many fields it has; 0 for a blank row.
    nul : whether it holds a NUL byte.
    well_quoted : whether all quotes of the text are well placed; the other values hold only then.
    """

    start: Positions
    end: Positions
    line: Positions
    fields: Positions
    nul: npt.NDArray[np.bool_]
    well_quoted: bool


def _where(text: npt.NDArray[np.uint8], byte: int) -> Positions:
    return np.flatnonzero(text == byte)


def _well_placed(text: npt.NDArray[np.uint8], quotes: Positions, separator: int) -> bool:
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    before = np.where(opening > 0, text[opening - 1], _LF)
    after = np.full(len(closing), _LF, dtype=np.uint8)
    inside = closing + 1 < len(text)
    after[inside] = text[closing[inside] + 1]
    return bool(np.isin(before, (separator, _LF, _QUOTE)).all() and np.isin(after, (separator, _LF, _CR, _QUOTE)).all())


def scan_rows(data: bytes, separator: int, *, quoted: bool) -> RowScan:
    """The rows of `data`; `separator` is one byte; without `quoted`, a quote is a character like any other."""
    text = np.frombuffer(data, dtype=np.uint8)
    breaks, separators = _where(text, _LF), _where(text, separator)
    quotes = _where(text, _QUOTE) if quoted and b'"' in data else np.empty(0, dtype=np.int64)
    row_ends = breaks
    well_quoted = True
    if len(quotes):
        well_quoted = _well_placed(text, quotes, separator)
        row_ends = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
        separators = separators[np.searchsorted(quotes, separators) % 2 == 0]
    ends = row_ends if len(row_ends) and row_ends[-1] == len(text) - 1 else np.append(row_ends, len(text))
    starts = np.concatenate(([0], ends[:-1] + 1)).astype(np.int64)
    carriage = (ends > starts) & (text[np.maximum(ends - 1, 0)] == _CR)
    blank = ends - carriage <= starts
    fields = np.searchsorted(separators, ends) - np.searchsorted(separators, starts) + 1
    nul = np.zeros(len(starts), dtype=np.bool_)
    if b"\x00" in data:
        nul[np.searchsorted(starts, _where(text, _NUL), side="right") - 1] = True
    return RowScan(
        start=starts,
        end=ends,
        line=np.searchsorted(breaks, starts) + 1,
        fields=np.where(blank, 0, fields),
        nul=nul,
        well_quoted=well_quoted,
    )
