"""Settings in a file: lines of NAME=value, as service managers read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from recsys.errors import InputError

VARIABLE: Final = "BOOKMATCH_SETTINGS_FILE"
_NOT_HERE: Final = frozenset({VARIABLE, "BOOKMATCH_HOME"})
"""Which file it is and which shop is said where the service is started."""


def with_file(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with what the file says that `VARIABLE` names; the file wins, as only it can be changed while the
    service runs. Raises InputError for a file that cannot be read or a line that is no setting."""
    merged = dict(environment)
    named = environment.get(VARIABLE)
    if not named:
        return merged
    path = Path(named)
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{VARIABLE} names {path}, which cannot be read: {error}", remedy=f"correct {VARIABLE}"
        ) from error
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith(("#", ";")):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier() or name.strip() in _NOT_HERE:
            raise InputError(
                f"line {number} of {path} is {text!r}", expected="NAME=value, such as BOOKMATCH_LOG_LEVEL=info"
            )
        merged[name.strip()] = _unquoted(value.strip())
    return merged


def _unquoted(value: str) -> str:
    """A value without the quotes around it."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
