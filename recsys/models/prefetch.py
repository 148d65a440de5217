"""Compiled: memory that is needed soon is asked for now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 16
"""Entries of four bytes in a line of memory."""


def _prefetch(typing: Any, array: Any, place: Any) -> Any:  # noqa: ARG001 - numba's signature
    """What numba puts in the place of a call: its type, and a function that writes the instruction."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.bitcast(builder.gep(found.data, [arguments[1]]), cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        insert: Any = cgutils.get_or_insert_function
        # For reading; to the second level, as the first is too small for all; data.
        builder.call(insert(builder.module, kind, "llvm.prefetch.p0"), [address, number(0), number(2), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


prefetch: Callable[[npt.NDArray[np.generic], int], None] = intrinsic(_prefetch)  # type: ignore[assignment]
"""Asks for the line of memory in which an array, its rows end to end, has the entry of this number; waits for nothing,
reads nothing, and any number is allowed."""
