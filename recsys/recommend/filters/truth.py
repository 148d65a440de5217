"""Truth for each item, or for all alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Holds = Flags | bool
"""For each item, or for all alike."""


def plain(value: Any) -> Holds:
    """An array as it is, a single truth as Python's own."""
    return value if isinstance(value, np.ndarray) and value.ndim else bool(value)


def negated(value: Holds) -> Holds:
    """NOT, of two values."""
    return not value if isinstance(value, bool) else ~value


def both(left: Holds, right: Holds) -> Holds:
    """AND."""
    if isinstance(left, bool):
        return right if left else False
    if isinstance(right, bool):
        return left if right else False
    return left & right


def either(left: Holds, right: Holds) -> Holds:
    """OR."""
    if isinstance(left, bool):
        return True if left else right
    if isinstance(right, bool):
        return True if right else left
    return left | right
