"""LIKE: % is any text, _ any one character; capitals differ from small letters."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.recommend.filters.error import FilterError


def like_lookup(texts: pl.Series, pattern: str, escape: str | None, at: int) -> npt.NDArray[np.bool_]:
    """Which texts are of a pattern: bool, as many. Raises FilterError for a pattern that ends within an escape."""
    if not len(texts):
        return np.zeros(0, dtype=np.bool_)
    # The expressions of this library take time in proportion to the text, whatever the pattern.
    return texts.str.contains(_expression(pattern, escape, at)).to_numpy()


def like_one(text: str, pattern: str, escape: str | None, at: int) -> bool:
    """Whether one text is of a pattern. Raises as above."""
    return bool(like_lookup(pl.Series([text], dtype=pl.String), pattern, escape, at)[0])


def _expression(pattern: str, escape: str | None, at: int) -> str:
    parts, escaped = [], False
    for character in pattern:
        if not escaped and character == escape:
            escaped = True
            continue
        any_text = not escaped and character == "%"
        any_one = not escaped and character == "_"
        parts.append(".*" if any_text else "." if any_one else re.escape(character))
        escaped = False
    if escaped:
        raise FilterError(f"a pattern that ends with its escape {escape}", at=at, expected="a character behind it")
    return f"^(?s:{''.join(parts)})$"
