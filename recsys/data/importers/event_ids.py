"""Ids for events that have none: the same row gets the same id, every time and from every type of file."""

from __future__ import annotations

import base64
from hashlib import blake2b

import numpy as np
import polars as pl

from recsys.data.events import EVENT_SCHEMA

_SEPARATOR = "\x1f"
_DIGEST_BYTES = 16
_CHARACTERS = 22  # of base64 that hold 16 bytes
_PREFIX = "~"


def _canonical_column(column: pl.Series) -> pl.Series | pl.Expr:
    """A column as text that depends on its values alone: floats by the bits of the number, nothing as ""."""
    if column.null_count() == len(column):
        return pl.lit("")
    if column.dtype == pl.Float64:
        # -0.0 + 0.0 is 0.0: equal numbers have equal bits. A library's decimal text may change; the bits do not.
        bits = pl.Series(column.name, (column.fill_null(0.0).to_numpy() + 0.0).view(np.int64))
        column = bits.set(column.is_null(), None) if column.null_count() else bits
    return column.cast(pl.String).fill_null("")


def canonical_rows(events: pl.DataFrame) -> pl.Series:
    """Each event as one text: all columns but `event_id` in the order of `EVENT_SCHEMA`, joined by 0x1f.

    The frame is not empty. No checked id holds 0x1f, and the context, which might, is JSON, which escapes it: different
    rows differ as text.
    """
    names = [name for name in EVENT_SCHEMA if name != "event_id"]
    columns = [_canonical_column(events[name]) for name in names]
    return events.select(pl.concat_str(columns, separator=_SEPARATOR)).to_series()


def derive_event_ids(events: pl.DataFrame) -> pl.Series:
    """An id per row of a frame in `EVENT_SCHEMA` (its `event_id` is not looked at): `~` and 22 characters.

    The id is base64url of a 128-bit BLAKE2b over the canonical row, 0x1f and how many equal rows stand before it.
    """
    if not events.height:
        return pl.Series("event_id", [], dtype=pl.String)
    rows = canonical_rows(events)
    repeated = rows.is_duplicated()
    occurrence: pl.Series | pl.Expr = pl.lit("0")
    if repeated.any():
        twins = pl.DataFrame({"row": rows, "place": pl.int_range(len(rows), eager=True)}).filter(repeated)
        number = twins.select("place", pl.int_range(pl.len()).over("row").alias("number"))
        counted = np.zeros(len(rows), dtype=np.int64)
        counted[number["place"].to_numpy()] = number["number"].to_numpy()
        occurrence = pl.Series(counted).cast(pl.String)
    keyed = pl.select(pl.concat_str([rows, occurrence], separator=_SEPARATOR)).to_series().cast(pl.Binary)
    digests = b"".join([blake2b(key, digest_size=_DIGEST_BYTES).digest() for key in keyed.to_list()])
    return pl.Series("event_id", _as_text(digests), dtype=pl.Binary).cast(pl.String)


def _as_text(digests: bytes) -> list[bytes]:
    """Each 16 bytes as `~` and base64url without padding.

    Padded to 18 bytes each, the digests encode to 24 characters each, so one call encodes them all.
    """
    raw = np.frombuffer(digests, dtype=np.uint8).reshape(-1, _DIGEST_BYTES)
    padded = np.zeros((len(raw), 18), dtype=np.uint8)
    padded[:, :_DIGEST_BYTES] = raw
    encoded = np.frombuffer(base64.urlsafe_b64encode(padded.tobytes()), dtype=np.uint8).reshape(-1, 24)
    text = np.empty((len(raw), 1 + _CHARACTERS), dtype=np.uint8)
    text[:, 0] = ord(_PREFIX)
    text[:, 1:] = encoded[:, :_CHARACTERS]
    return text.view(f"S{1 + _CHARACTERS}").ravel().tolist()
