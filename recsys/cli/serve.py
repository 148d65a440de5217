"""`bookmatch serve`: check that there is something to serve, bind, run the workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli.options import DEFAULT_HOME, Home

if TYPE_CHECKING:
    import socket

    from recsys.cli.serve_access import Access
    from recsys.cli.serve_hints import Examples
    from recsys.shop import ShopFolder

APPLICATION = "serving.http.app:create_app_from_environment"


def serve(
    home: Home = DEFAULT_HOME,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is all of them.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer; they share the models' memory.")] = 1,
    hints: Annotated[bool, typer.Option("--hints", help="Print three requests to try.")] = False,
    no_keys: Annotated[
        bool, typer.Option("--no-keys", help="Never ask for a key: whoever reaches the address may do everything.")
    ] = False,
) -> None:
    """Answer over HTTP until stopped. Settings come from BOOKMATCH_… variables: see docs/operations.md."""
    import gc
    import os
    import threading

    # Hundreds of thousands of objects are made while everything is imported, and none of them is garbage: looking for
    # some again and again took a quarter of that time. Each process that answers looks again when it has started.
    gc.disable()

    from recsys.cli.serve_access import Access, announce_access
    from recsys.errors import InputError
    from recsys.shop import ShopFolder
    from recsys.shop_lock import shop_in_use
    from serving.http.logs import configure_logging
    from serving.http.settings import Settings
    from serving.http.settings_file import with_file

    # Workers are processes of their own: what they need to know reaches them through the environment.
    os.environ["BOOKMATCH_HOME"] = str(home)
    os.environ["BOOKMATCH_WORKERS"] = str(workers)
    if no_keys:
        os.environ["BOOKMATCH_NO_KEYS"] = "1"
    settings = Settings.from_environment(with_file(os.environ))
    configure_logging(settings.logging_level, settings.log_format)
    with shop_in_use(home):
        examples, access = _checked(ShopFolder(home), want_examples=hints, no_keys=settings.no_keys)
        listener = _bound(host, port)
        try:
            announce_access(access, listener.getsockname()[0], home)
        except InputError:
            listener.close()
            raise
        if examples is not None:
            from recsys.cli.serve_hints import announce

            address = listener.getsockname()[:2]
            with_key = access is Access.KEYS
            threading.Thread(target=announce, args=(address, examples, with_key), daemon=True).start()
        code = _run(listener, workers, settings.drain_seconds)
    raise typer.Exit(code)


def _checked(shop: ShopFolder, *, want_examples: bool, no_keys: bool) -> tuple[Examples | None, Access]:
    """What the hints are made from, and whom the service answers.

    Raises StoreError or BundleError when there is nothing to serve.
    """
    from recsys.bundle import BundleRepository
    from recsys.cli.serve_access import access_of
    from recsys.cli.serve_hints import pick_examples
    from recsys.errors import BundleError
    from recsys.stores import open_store

    # Opened for writing, so that a store of an older version is brought to this one before the workers read it.
    store = open_store(shop.store, create=False)
    try:
        repository = BundleRepository(shop.models)
        current = repository.current_id()
        if current is None:
            raise BundleError(f"there is no model in {shop.models}", remedy="train one with `bookmatch train`")
        repository.manifest(current)
        return pick_examples(store) if want_examples else None, access_of(store, no_keys=no_keys)
    finally:
        store.close()


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket; InputError when the address cannot be had."""
    import socket

    from recsys.errors import InputError

    remedy = "choose another with --host and --port, or stop what listens there"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"{host} is no address to listen on: {error}", remedy=remedy) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Listening already here is what makes a second service on this port fail now and not in its workers.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise InputError(f"cannot listen on {host} port {port}: {error.strerror}", remedy=remedy) from error
    listener.set_inheritable(True)
    return listener


def _run(listener: socket.socket, workers: int, drain_seconds: float) -> int:
    """Serves until it is asked to stop; the exit code."""
    import gc
    import signal
    import sys

    from uvicorn import Config

    from serving.http.protocol import ProblemProtocol
    from serving.process.server import GracefulServer
    from serving.process.urgency import of_people
    from serving.process.workers import Workers, fork_workers

    config = Config(
        APPLICATION,
        factory=True,
        workers=workers,
        loop="uvloop",
        http=ProblemProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing here depends on who the client is.
        proxy_headers=False,
    )
    # Until the server itself listens to signals: stopping is a success, and there is nothing to look for yet.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        if workers == 1:
            GracefulServer(config, drain_seconds, of_people).run(sockets=[listener])
            return 0
        with _shared_metrics():
            fork_workers()
            gc.enable()
            return Workers(config, [listener], drain_seconds).run()
    except KeyboardInterrupt:
        return 0
    finally:
        listener.close()


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """A folder in which the workers add up their metrics; it must be named before they import the metrics library."""
    import os
    import tempfile

    from serving.http.settings import METRICS_FOLDER_VARIABLE

    with tempfile.TemporaryDirectory(prefix="bookmatch-metrics-") as folder:
        os.environ[METRICS_FOLDER_VARIABLE] = folder
        yield
