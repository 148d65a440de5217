"""Redis: whether it answers in time, makes room by itself, is new enough, and has the same time."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from serving.cache.address import RedisAddress
from serving.doctor.circumstances import Circumstances
from serving.doctor.findings import Finding, mib, note, problem, warning, well

_OLDEST: Final = (6, 0)
_SKEW_SECONDS: Final = 2.0
_PINGS: Final = 15
_CONNECT_SECONDS: Final = 2.0


def cache(seen: Circumstances) -> list[Finding]:
    """Every server that keeps lists; one finding where Redis is not used."""
    url = seen.settings.redis_url
    if url is None:
        return [well("redis", f"not used: each worker keeps up to {seen.settings.cache_size} MiB of lists by itself")]
    try:
        with ExitStack() as stack:
            servers = _servers(RedisAddress.parse(url), stack)
            return [finding for name, server in servers.items() for finding in _server(name, server, seen)]
    except (RedisError, OSError) as error:
        # The message names hosts and ports, never the password.
        return [
            problem(
                "redis",
                f"no server can be reached: {error}",
                "a Redis that answers; without one every list is computed",
                "see that it runs, that BOOKMATCH_REDIS_URL and its password are right",
            )
        ]


def _servers(address: RedisAddress, stack: ExitStack) -> Mapping[str, Redis]:
    """The servers by name; they are closed with the stack."""
    options: dict[str, Any] = {
        "socket_timeout": _CONNECT_SECONDS,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if address.topology == "cluster":
        nodes = [ClusterNode(*node) for node in address.nodes]  # type: ignore[no-untyped-call]
        cluster = RedisCluster.from_url(address.url, startup_nodes=nodes, **options)
        stack.callback(cluster.close)
        primaries = cluster.get_primaries()  # type: ignore[no-untyped-call]
        return {str(node.name): cluster.get_redis_connection(node) for node in primaries}
    server: Redis = Redis.from_url(address.url, **options)
    name = "the server"
    if address.topology == "sentinel":
        own = {"username": address.sentinel_username, "password": address.sentinel_password, "ssl": address.tls}
        sentinel = Sentinel(address.nodes, sentinel_kwargs=own | options)  # type: ignore[no-untyped-call]
        host, port = sentinel.discover_master(address.service)  # type: ignore[no-untyped-call]
        server.connection_pool.connection_kwargs |= {"host": host, "port": port}
        name = f"{host}:{port}"
    stack.callback(server.close)
    return {name: server}


def _server(name: str, server: Redis, seen: Circumstances) -> Iterator[Finding]:
    round_trip, skew = _times(server, seen)
    told = server.info()
    assert isinstance(told, dict)  # noqa: S101 - the client is not asynchronous
    yield _version(name, told)
    yield from _role(name, told)
    yield _policy(name, told)
    yield from _persistence(name, told)
    yield _latency(name, round_trip, seen.settings.redis_timeout_ms / 1000)
    yield _skew(name, skew)


def _times(server: Redis, seen: Circumstances) -> tuple[float, float]:
    """The median of some round trips, and by how much the server's clock is ahead; in seconds."""
    server.ping()
    taken = []
    for _ in range(_PINGS):
        started = seen.timer()
        server.ping()
        taken.append(seen.timer() - started)
    whole, millionths = server.time()
    round_trip = statistics.median(taken)
    return round_trip, whole + millionths / 1e6 + round_trip / 2 - seen.now() / 1000


def _version(name: str, told: Mapping[str, Any]) -> Finding:
    version = str(told.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= _OLDEST:
        return well("redis version", f"{name} is {version}")
    oldest = ".".join(map(str, _OLDEST))
    return warning("redis version", f"{name} is {version}", f"{oldest} or newer, which the tests run with", "update it")


def _role(name: str, told: Mapping[str, Any]) -> Iterator[Finding]:
    if told.get("role") == "slave":
        yield problem(
            "redis role",
            f"{name} is a replica of {told.get('master_host')}:{told.get('master_port')}",
            "a primary: nothing can be kept on a replica",
            "name the primary, or sentinels that know it, in BOOKMATCH_REDIS_URL",
        )


def _policy(name: str, told: Mapping[str, Any]) -> Finding:
    most, policy = int(told.get("maxmemory", 0)), str(told.get("maxmemory_policy", "unknown"))
    remedy = "set maxmemory, and maxmemory-policy allkeys-lru"
    if not most:
        return warning(
            "redis policy",
            f"{name} has no maxmemory, and uses {mib(int(told.get('used_memory', 0)))}",
            "a limit: without one it grows until the system ends it",
            remedy,
        )
    if policy == "noeviction":
        return problem(
            "redis policy",
            f"{name} takes nothing more when its {mib(most)} are full ({policy})",
            "a policy that makes room: allkeys-lru, or any but noeviction",
            remedy,
        )
    return well("redis policy", f"{name}: {policy} at {mib(most)}")


def _persistence(name: str, told: Mapping[str, Any]) -> Iterator[Finding]:
    if int(told.get("aof_enabled", 0)):
        yield note(
            "redis persistence",
            f"{name} writes every change to disk (appendonly), and lists need not be kept",
            "set appendonly no and save '' unless others use this server for what must last",
        )
    if told.get("rdb_last_bgsave_status") == "err":
        yield warning(
            "redis persistence",
            f"{name} could not write its last copy to disk",
            "a server that takes writes: by default it refuses them from then on",
            "set save '' as lists need not be kept, or free space on its disk",
        )


def _latency(name: str, round_trip: float, timeout: float) -> Finding:
    found = f"{name} answers in {round_trip * 1000:.2f} ms"
    if round_trip > timeout / 2:
        return warning(
            "redis latency",
            found,
            f"at most half of BOOKMATCH_REDIS_TIMEOUT_MS ({timeout * 1000:g} ms), or calls are given up",
            "bring it nearer, or raise the timeout",
        )
    return well("redis latency", found)


def _skew(name: str, skew: float) -> Finding:
    found = f"the clock of {name} is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
    if abs(skew) > _SKEW_SECONDS:
        return warning(
            "redis clock",
            found,
            f"at most {_SKEW_SECONDS:g} s: machines that share lists must agree on what is published and expired",
            "set both clocks by NTP",
        )
    return well("redis clock", found)
