"""A Redis Cluster: each key on the server that keeps its slot.

The client library knows the slots, the servers and their connections; the way of one command is ours. The library's own
would look for servers, sleep and try again within the call, which costs more than the answer that the call was to save.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog
from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisClusterException, SlotNotCoveredError
from redis.exceptions import ConnectionError as RedisConnectionError

from serving.cache.address import RedisAddress
from serving.cache.servers import UNKNOWN, Argument, Search

log = structlog.get_logger("bookmatch.serving")


class ClusterServers:
    """The primaries of a cluster, found through any of the nodes in its address."""

    def __init__(self, address: RedisAddress, connect_timeout: float, connections: int) -> None:
        # As in `client_of`: everything once, no timeouts but the caller's.
        self._client: RedisCluster = RedisCluster.from_url(
            address.url,
            startup_nodes=[ClusterNode(*node) for node in address.nodes],
            max_connections=connections,
            socket_timeout=None,
            socket_connect_timeout=connect_timeout,
            protocol=2,
            driver_info=None,
            require_full_coverage=False,
        )
        self._search = Search(self._look)

    def name_of(self, key: str) -> str:
        """See `Servers`."""
        node = self._node(key)
        return UNKNOWN if node is None else node.name

    def names(self) -> Collection[str]:
        """See `Servers`."""
        return {node.name for node in self._client.get_nodes()} or (UNKNOWN,)

    async def execute(self, key: str, *command: Argument) -> object:
        """See `Servers`. Follows one redirection."""
        node = self._node(key)
        if node is None:
            await self._search.wait()
            node = self._node(key)
        if node is None:
            raise RedisConnectionError("no server of the cluster keeps this key's slot")
        try:
            try:
                return await node.execute_command(*command)
            except MovedError as moved:
                await self._client.nodes_manager.move_slot(moved)
                return await self._known(moved).execute_command(*command)
            except AskError as asked:
                return await _asking(self._known(asked), command)
        except (AskError, ClusterDownError) as error:
            # Said by a server, but not by one that could serve: like one that is not there.
            raise RedisConnectionError(str(error)) from error

    def look_again(self) -> None:
        """See `Servers`."""
        self._search.begin()

    async def close(self) -> None:
        """See `Servers`."""
        await self._search.close()
        await self._client.nodes_manager.aclose()
        await self._client.nodes_manager.aclose("startup_nodes")

    def _node(self, key: str) -> ClusterNode | None:
        try:
            return self._client.get_node_from_key(key)
        except SlotNotCoveredError:
            return None

    def _known(self, redirection: AskError) -> ClusterNode:
        node = self._client.get_node(host=redirection.host, port=redirection.port)
        if node is None:
            raise RedisConnectionError("the cluster redirects to a server that it did not name before")
        return node

    async def _look(self) -> None:
        before = {node.name for node in self._client.get_primaries()}
        try:
            await self._client.nodes_manager.initialize()
        except RedisClusterException as error:
            # The library wraps what went wrong with the last node; unwrapped it says whether anybody was there.
            raise error.__cause__ or error from None
        now = {node.name for node in self._client.get_primaries()}
        if before and now != before:
            log.warning("the cache's primaries are others", before=sorted(before), now=sorted(now))


async def _asking(node: ClusterNode, command: tuple[Argument, ...]) -> object:
    """A command about a key whose slot is on its way to this server; permission and command share a connection."""
    asked = PipelineCommand(1, *command)
    await node.execute_pipeline([PipelineCommand(0, "ASKING"), asked])
    if isinstance(asked.result, Exception):
        raise asked.result
    answer: object = asked.result
    return answer
