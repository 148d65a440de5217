"""What `bookmatch serve --hints` prints: three requests that work, with ids from the shop itself."""

from __future__ import annotations

import http.client
import shlex
import time
from dataclasses import dataclass
from urllib.parse import quote

import orjson
import polars as pl
import typer

from recsys.stores.protocols import Store

TELLING_HISTORY = 20
"""Events; the customer whose history is closest to this long shows best what the models do."""

MOST_EVENTS = 2_000_000
"""Of a larger shop the hints name nobody: finding an example would take longer than starting."""

WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Examples:
    """A customer with a telling history and an item of theirs."""

    customer_id: str
    item_id: str


def pick_examples(store: Store) -> Examples:
    """The same ones for the same store; placeholders for a shop that is empty or very large."""
    nobody = Examples("CUSTOMER", "ITEM")
    if sum(store.events.summary()["events"].values()) > MOST_EVENTS:
        return nobody
    table = store.events.read()
    if table.events.is_empty():
        return nobody
    lengths = (
        table.events.group_by("customer").len().with_columns(off=(pl.col("len").cast(pl.Int64) - TELLING_HISTORY).abs())
    )
    customer = int(lengths.sort("off", "customer")["customer"][0])
    items = table.events.filter(pl.col("customer") == customer).sort("timestamp", "item", nulls_last=False)["item"]
    return Examples(str(table.customer_ids[customer]), str(table.item_ids[int(items[-1])]))


def hints(url: str, examples: Examples, *, with_key: bool = False) -> list[str]:
    """Three `curl` lines: recommendations, related items, posting an event; with a key from the variables STORE_KEY and
    EVENTS_KEY where the service asks for one."""
    customer, item = quote(examples.customer_id, safe=""), quote(examples.item_id, safe="")
    event = {"customer_id": examples.customer_id, "kind": "view", "item_id": examples.item_id}
    body = shlex.quote(orjson.dumps({"events": [event]}).decode())
    reading, writing = (f' -H "X-API-Key: ${name}"' if with_key else "" for name in ("STORE_KEY", "EVENTS_KEY"))
    return [
        f"curl '{url}/v1/customers/{customer}/recommendations?limit=5'{reading}",
        f"curl '{url}/v1/items/{item}/related?limit=5'{reading}",
        f"curl '{url}/v1/events'{writing} -H 'Content-Type: application/json' -d {body}",
    ]


def announce(address: tuple[str, int], examples: Examples, with_key: bool) -> None:
    """Waits until the service is ready, then prints what to try. Says nothing when it never is: the log does."""
    host, port = address
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    if not _ready(reachable, port):
        return
    url = f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"
    typer.echo(f"\nBookmatch answers on {url} (its API is described at {url}/docs). Try:\n")
    if with_key:
        typer.echo("  # with STORE_KEY and EVENTS_KEY: keys of the roles storefront and events\n")
    for line in hints(url, examples, with_key=with_key):
        typer.echo(f"  {line}")
    typer.echo("\nCtrl-C stops it.")


def _ready(host: str, port: int) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(host, port, timeout=WAIT_SECONDS)
        try:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    return False
