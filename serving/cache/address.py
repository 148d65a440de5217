"""Where a shop's Redis is, as one line of text says it: one server, sentinels that know the primary, or a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import Connection, SSLConnection, parse_url

Topology = Literal["standalone", "sentinel", "cluster"]

FORMS: Final = (
    "redis://host:port/number, rediss://…, unix://path, redis+sentinel://host:port,host:port/service/number or "
    "redis+cluster://host:port,host:port (rediss+… with TLS)"
)
_SCHEMES: Final[Mapping[str, Topology]] = {
    "redis": "standalone",
    "rediss": "standalone",
    "unix": "standalone",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
_PORTS: Final[Mapping[Topology, int]] = {"standalone": 6379, "sentinel": 26379, "cluster": 6379}
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")


class AddressError(ValueError):
    """The text is no address of a Redis. The message never quotes it, as it may hold a password."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address that the client library can make connections of.

    Attributes
    ----------
    topology : what stands there.
    nodes : host and port of each sentinel, or of some of a cluster's nodes; one for a single server.
    url : how to connect to one server, as the client library reads it; for sentinels and clusters its host is the first
        node's and says nothing.
    service : the name under which sentinels know the primary; empty elsewhere.
    sentinel_username, sentinel_password : of the sentinels themselves, when they ask for it.
    """

    topology: Topology
    nodes: tuple[tuple[str, int], ...]
    url: str = field(repr=False)
    service: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.url.startswith("rediss:")

    @classmethod
    def parse(cls, text: str) -> RedisAddress:
        """The address that a text means; nothing is connected to. Raises AddressError."""
        try:
            address = _parse(text)
            _try_out(address)
        except AddressError:
            raise
        except (ValueError, TypeError):
            # The library's and urllib's messages may quote the text.
            raise AddressError("it cannot be read") from None
        return address


def _parse(text: str) -> RedisAddress:
    parts = urlsplit(text)
    topology = _SCHEMES.get(parts.scheme)
    if topology is None:
        raise AddressError("its scheme is unknown")
    if parts.scheme == "unix":
        return RedisAddress(topology, (), text)
    user, at, hosts = parts.netloc.rpartition("@")
    if topology == "standalone":
        _number_of(parts.path.strip("/"))
        return RedisAddress(topology, (), text)
    nodes = tuple(_node(host, _PORTS[topology]) for host in hosts.split(","))
    service, number = _service_and_number(parts, topology)
    own = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    if topology == "cluster" and "db" in own:
        raise AddressError("a cluster has no numbered databases")
    ours = {name: own.pop(name) for name in _SENTINEL_OPTIONS if topology == "sentinel" and name in own}
    scheme = parts.scheme.partition("+")[0]
    first = hosts.split(",")[0]
    url = f"{scheme}://{user}{at}{first}/{number}{'?' if own else ''}{urlencode(own)}"
    return RedisAddress(topology, nodes, url, service, **ours)


def _node(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"redis://{text}")
    if not parts.hostname or parts.path or parts.query or parts.fragment:
        raise AddressError("one of its hosts is empty or no host")
    return unquote(parts.hostname), port if parts.port is None else parts.port


def _service_and_number(parts: SplitResult, topology: Topology) -> tuple[str, int]:
    steps = [unquote(step) for step in parts.path.strip("/").split("/")]
    if topology == "cluster":
        if steps not in ([""], ["0"]):
            raise AddressError("a cluster has no numbered databases")
        return "", 0
    if not steps[0] or len(steps) > 2:
        raise AddressError("the service's name must follow the sentinels, and at most a number after it")
    return steps[0], _number_of(steps[1]) if len(steps) == 2 else 0


def _number_of(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise AddressError("the database must be a number")
    return int(text or 0)


def _try_out(address: RedisAddress) -> None:
    """Makes one connection object: the library refuses options that it does not know only then."""
    options = dict(parse_url(address.url))
    default = SSLConnection if address.tls else Connection
    made = options.pop("connection_class", default)
    assert isinstance(made, type)  # noqa: S101 - the library's own answer
    made(**options)
