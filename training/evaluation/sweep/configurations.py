"""A file of configurations: each a table of the settings in which it differs from the shipped ones."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, get_type_hints

from recsys.errors import InputError
from recsys.models.blend import BlendWeights
from training.fitting import SHIPPED_BLEND, TrainingConfig

MODELS: Final = ("popularity", "item_item", "als", "spectral", "rp3beta", "content", "repeat")
"""The tables of settings; each has those of its model."""

BLEND, OTHER_TARGETS = "blend", "other_targets"
ALLOWED: Final = (*MODELS, BLEND, OTHER_TARGETS)
_TABLE: Final = "configurations"

C = TypeVar("C")


def read_configurations(path: Path, shipped: TrainingConfig) -> dict[str, TrainingConfig]:
    """The configurations of a file, by name and in its order; what one does not say is as in `shipped`.

    Raises InputError for a file that cannot be read or is no TOML, for fewer than two configurations, and for the first
    key or value that is none, with those that are.
    """
    try:
        said = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", expected="a TOML file of configurations") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}", expected=f"tables such as [{_TABLE}.wider]") from error
    _known(str(path), said, (_TABLE,))
    table = said.get(_TABLE)
    if not isinstance(table, Mapping) or len(table) < 2:
        _refuse(
            _TABLE, "fewer than two tables", f"two or more, [{_TABLE}.NAME] each; the first is compared with the rest"
        )
    return {str(name): _configuration(f"{_TABLE}.{name}", each, shipped) for name, each in table.items()}


def _configuration(key: str, said: object, shipped: TrainingConfig) -> TrainingConfig:
    settings = _mapping(key, said)
    _known(key, settings, ALLOWED)
    config = shipped
    for name in MODELS:
        if name in settings:
            changed = _changed(f"{key}.{name}", getattr(shipped, name), settings[name])
            config = replace(config, **{name: changed})
    if BLEND in settings:
        config = replace(config, blend=_blend(f"{key}.{BLEND}", settings[BLEND]))
    if OTHER_TARGETS in settings:
        number = _value(f"{key}.{OTHER_TARGETS}", settings[OTHER_TARGETS], float)
        config = _made(f"{key}.{OTHER_TARGETS}", config, {OTHER_TARGETS: number})
    return config


def _changed(key: str, shipped: C, said: object) -> C:
    """A model's settings with what is said of them."""
    if not is_dataclass(shipped) or isinstance(shipped, type):
        raise TypeError(f"{type(shipped).__name__} is no set of settings")
    settings = _mapping(key, said)
    types = get_type_hints(type(shipped))
    _known(key, settings, [each.name for each in fields(shipped)])
    return _made(key, shipped, {name: _value(f"{key}.{name}", each, types[name]) for name, each in settings.items()})


def _made(key: str, shipped: C, changes: Mapping[str, Any]) -> C:
    try:
        return replace(shipped, **changes)  # type: ignore[type-var]
    except InputError as error:
        _refuse(key, error.found, error.expected)


def _blend(key: str, said: object) -> BlendWeights:
    """Weights that are the same for all lengths of history; those of sources that are not named are as shipped."""
    weights = _mapping(key, said)
    _known(key, weights, list(SHIPPED_BLEND))
    own = {name: float(_value(f"{key}.{name}", each, float)) for name, each in weights.items()}
    try:
        return BlendWeights.constant(SHIPPED_BLEND | own)
    except InputError as error:
        _refuse(key, error.found, error.expected)


def _value(key: str, said: object, wanted: Any) -> Any:
    """A value of the type that the setting has."""
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        if not isinstance(said, str) or said not in list(wanted):
            _refuse(key, repr(said), f"one of {', '.join(wanted)}")
        return wanted(said)
    if wanted is float and isinstance(said, int) and not isinstance(said, bool):
        return float(said)
    if not isinstance(said, wanted) or (wanted is not bool and isinstance(said, bool)):
        _refuse(
            key, repr(said), {int: "a whole number", float: "a number", bool: "true or false"}.get(wanted, "a text")
        )
    return said


def _mapping(key: str, said: object) -> Mapping[str, object]:
    if not isinstance(said, Mapping):
        _refuse(key, repr(said), "a table")
    return said


def _known(key: str, said: Mapping[str, object], names: Any) -> None:
    for name in said:
        if name not in names:
            _refuse(key, f"the unknown key {name!r}", f"one of {', '.join(names)}")


def _refuse(key: str, found: str, expected: str) -> NoReturn:
    raise InputError(f"{key}: {found}", expected=expected)
