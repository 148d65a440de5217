"""`bookmatch keys`: make, list, rotate and revoke the keys that the service asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home, Json

if TYPE_CHECKING:
    from recsys.access.keys import ApiKey, NewKey
    from recsys.stores.protocols import Store

app = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)
KeyId = Annotated[str, typer.Argument(metavar="ID", help="A key's id, as `bookmatch keys list` shows it.")]

LONGEST_NAME = 64


@app.command()
def create(
    role: Annotated[str, typer.Option(metavar="ROLE", help="storefront, events or admin.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="What you call it, up to 64 characters.")],
    home: Home = DEFAULT_HOME,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help="A site whose pages may use it in browsers; only for events; may be repeated."
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="A kind of event that it may write; only for events; may be repeated."),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="How often it may ask, such as 50/s or 600/m.")
    ] = None,
    expires: Annotated[str | None, typer.Option(metavar="SPAN", help="How long it is valid, such as 90d.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once: the store keeps only a hash of it."""
    from recsys.access.audit import Act
    from recsys.access.keys import NewKey, Role, wanted_key
    from recsys.access.origins import parse_origin
    from recsys.access.rates import Rate
    from recsys.cli.auditing import audit_in, now
    from recsys.cli.spans import span_ms
    from recsys.data.events import EventKind
    from recsys.errors import InputError

    if role not in list(Role):
        raise InputError(f"--role is {role!r}", expected=f"one of {', '.join(Role)}")
    if (origin or kind) and role != Role.EVENTS:
        raise InputError(
            f"--origin and --kind do not fit the role {role}",
            expected="them only for the role events: no other key may stand in a web page",
        )
    unknown = sorted(set(kind or ()) - set(EventKind))
    if unknown:
        raise InputError(f"--kind is {unknown[0]!r}", expected=f"one of {', '.join(EventKind)}")
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InputError(f"--name is {name!r}", expected=f"1 to {LONGEST_NAME} printable characters")
    lifetime = None if expires is None else span_ms(expires, "--expires")
    if lifetime == 0:
        raise InputError(f"--expires is {expires!r}", expected="more than 0: such a key would never open anything")
    at = now()
    wanted = wanted_key(
        Role(role),
        name,
        at,
        origins=tuple(dict.fromkeys(parse_origin(each) for each in origin or ())),
        kinds=tuple(EventKind(each) for each in dict.fromkeys(kind or ())),
        rate=None if rate is None else Rate.parse(rate),
        expires=None if lifetime is None else at + lifetime,
    )
    new = NewKey.like(wanted)
    with _opened(home) as store, store.transaction():
        store.keys.add(new.kept)
        audit_in(store, Act.KEY_CREATED, [new.kept.key_id])
    _show_once(new, as_json=as_json)


@app.command("list")
def list_keys(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Show every key there ever was, the oldest first; never the keys themselves."""
    import orjson
    from rich.console import Console
    from rich.table import Table

    from recsys.access.keys import Role
    from recsys.cli.auditing import now
    from recsys.cli.text import utc, verbatim

    with _opened(home) as store:
        keys = store.keys.all()
    at = now()
    if as_json:
        typer.echo(orjson.dumps([_row(key, at) for key in keys], option=orjson.OPT_INDENT_2).decode())
        return
    if not keys:
        typer.echo("no key yet; make one with `bookmatch keys create --role storefront --name NAME`")
        return
    table = Table("id", "role", "name", "state", "created (UTC)", "expires (UTC)", "rate", "origins", "kinds")
    for key in keys:
        kinds = ", ".join(key.kinds) or "all" if key.role == Role.EVENTS else "–"
        times = utc(key.created), utc(key.expires)
        origins = "\n".join(key.origins) or "–"
        table.add_row(
            key.key_id, key.role, verbatim(key.name), _state(key, at), *times, str(key.rate or "–"), origins, kinds
        )
    Console().print(table)


@app.command()
def revoke(key_id: KeyId, home: Home = DEFAULT_HOME) -> None:
    """End a key for good: no request that starts from now on gets in with it."""
    from recsys.access.audit import Act
    from recsys.cli.auditing import audit_in, now

    with _opened(home) as store, store.transaction():
        key = store.keys.revoke(key_id, now())
        audit_in(store, Act.KEY_REVOKED, [key_id])
    typer.echo(f"key {key_id} ({key.name}) is revoked")


@app.command()
def rotate(
    key_id: KeyId,
    home: Home = DEFAULT_HOME,
    overlap: Annotated[str, typer.Option(metavar="SPAN", help="How long the old one stays valid.")] = "24h",
    as_json: Json = False,
) -> None:
    """Make a new key like this one and print it, this once; the old one stays valid for the overlap."""
    from dataclasses import replace

    from recsys.access.audit import Act
    from recsys.access.keys import NewKey
    from recsys.cli.auditing import audit_in, now
    from recsys.cli.spans import span_ms
    from recsys.errors import InputError

    at = now()
    until = at + span_ms(overlap, "--overlap")
    with _opened(home) as store, store.transaction():
        old = next((key for key in store.keys.all() if key.key_id == key_id), None)
        if old is None or not old.is_valid(at):
            found = f"there is no key {key_id!r}" if old is None else f"the key {key_id} is {_state(old, at)}"
            raise InputError(found, expected="the id of a valid key", remedy="see `bookmatch keys list`")
        lifetime = None if old.expires is None else old.expires - old.created
        new = NewKey.like(replace(old, created=at, expires=None if lifetime is None else at + lifetime))
        store.keys.add(new.kept)
        store.keys.expire(key_id, until)
        audit_in(store, Act.KEY_ROTATED, [key_id, new.kept.key_id])
    _show_once(new, as_json=as_json)


@contextmanager
def _opened(home: Path) -> Iterator[Store]:
    from contextlib import closing

    from recsys.shop import ShopFolder
    from recsys.shop_lock import shop_in_use
    from recsys.stores import open_store

    # A restore that has read the keys already would bring back what is revoked now.
    with shop_in_use(home), closing(open_store(ShopFolder(home).store, create=False)) as store:
        yield store


def _show_once(new: NewKey, *, as_json: bool) -> None:
    import orjson

    if as_json:
        shown = {"key": new.text} | _row(new.kept, new.kept.created)
        typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
        return
    # The key alone on standard output, so that a script can put it where it belongs.
    typer.echo(new.text)
    typer.echo(f"This is key {new.kept.key_id} ({new.kept.name}). It is shown this once: keep it now.", err=True)


def _row(key: ApiKey, at: int) -> dict[str, object]:
    return {
        "id": key.key_id,
        "role": key.role,
        "name": key.name,
        "state": _state(key, at),
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
        "rate": None if key.rate is None else str(key.rate),
        "origins": key.origins,
        "kinds": key.kinds,
    }


def _state(key: ApiKey, at: int) -> str:
    if key.is_valid(at):
        return "valid"
    return "expired" if key.revoked is None else "revoked"
