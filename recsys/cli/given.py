"""Which options a user typed: one that would have no effect is refused."""

from __future__ import annotations

from collections.abc import Collection

import typer


def given(context: typer.Context) -> set[str]:
    """The names of the parameters that were typed."""
    return {
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }


def spelled(context: typer.Context, names: Collection[str]) -> str:
    """These parameters as a user types them, in order."""
    options = {option.name: max(option.opts, key=len) for option in context.command.params}
    return ", ".join(sorted(options[name] for name in names))


def refuse_beside(context: typer.Context, with_: str, allowed: Collection[str]) -> None:
    """InputError where anything but the allowed parameters was typed beside the option `with_`."""
    from recsys.errors import InputError

    ignored = given(context) - {*allowed}
    if ignored:
        raise InputError(
            f"{spelled(context, ignored)} beside {with_}",
            expected=f"{with_} alone, or with {spelled(context, [each for each in allowed if each in context.params])}",
            remedy="leave it away",
        )
