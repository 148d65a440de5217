"""Real redis-servers of the test's own, to be paused, filled and killed: one, one with a sentinel, a cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import redis

from tests.serving.processes import free_port, wait_until


def require_redis() -> str:
    """The path of redis-server; skips without one, fails without one where CI=true."""
    program = shutil.which("redis-server")
    if program is None:
        reason = "redis-server is not installed (on Debian: apt-get install redis-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return program


QUICK_REPLICA = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
"""Options of servers that need not wait for others to come."""

SENTINEL_TIMES = (("down-after-milliseconds", 300), ("failover-timeout", 2000))


class RedisServer:
    """One server on a free port; keeps nothing on disk."""

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self._program = program
        self._folder = folder
        self._options = options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """As BOOKMATCH_REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A client for the test itself."""
        return redis.Redis(port=self.port, socket_timeout=5)

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        options = ["--port", str(self.port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        self._run([*options, *self._options])

    def _run(self, options: list[str]) -> None:
        self._process = subprocess.Popen(
            [self._program, *options], cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, what="redis-server answering")

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.exceptions.ConnectionError:
                return False

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It accepts connections and never answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)

    def resume(self) -> None:
        """It answers again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def configure(self, name: str, value: str) -> None:
        """CONFIG SET."""
        with self.client() as client:
            client.config_set(name, value)

    def clear(self) -> None:
        """Forgets everything and all limits."""
        with self.client() as client:
            client.config_set("maxmemory", "0")
            client.flushall()

    def info(self, section: str) -> dict[str, object]:
        """INFO of a section."""
        with self.client() as client:
            found: dict[str, object] = client.info(section)
            return found


class WatchedRedis:
    """A primary, its replica and a sentinel that makes the replica primary when the first is gone."""

    SERVICE = "lists"

    def __init__(self, program: str, folder: Path) -> None:
        self.primary = RedisServer(program, folder, *QUICK_REPLICA)
        self.replica = RedisServer(program, folder, "--replicaof", f"127.0.0.1 {self.primary.port}", *QUICK_REPLICA)
        wait_until(lambda: self.replica.info("replication")["master_link_status"] == "up", what="a replica in step")
        watch = f"sentinel monitor {self.SERVICE} 127.0.0.1 {self.primary.port} 1"
        timing = [f"sentinel {name} {self.SERVICE} {ms}" for name, ms in SENTINEL_TIMES]
        self._configuration = folder / "sentinel.conf"
        self._configuration.write_text("\n".join([watch, *timing]) + "\n")
        # The configuration must come first: a sentinel writes to it what it finds out.
        self.sentinel = SentinelServer(program, folder, self._configuration)
        wait_until(self._knows_the_replica, what="a sentinel that knows the replica")

    @property
    def url(self) -> str:
        """As BOOKMATCH_REDIS_URL."""
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{self.SERVICE}"

    def client(self) -> redis.Redis:
        """A client of the first primary."""
        return self.primary.client()

    def clear(self) -> None:
        """Forgets everything."""
        self.primary.clear()

    def kill(self) -> None:
        """Ends all of them."""
        for server in (self.sentinel, self.replica, self.primary):
            server.kill()

    def swap(self) -> None:
        """Makes the replica primary and the primary its replica, and tells the sentinel."""
        with self.replica.client() as client:
            client.replicaof("NO", "ONE")
        with self.primary.client() as client:
            client.replicaof("127.0.0.1", self.replica.port)
        with self.sentinel.client() as client:
            client.execute_command("SENTINEL", "REMOVE", self.SERVICE)
            client.execute_command("SENTINEL", "MONITOR", self.SERVICE, "127.0.0.1", self.replica.port, 1)

    def _knows_the_replica(self) -> bool:
        with self.sentinel.client() as client:
            return any(found["is_slave"] for found in client.sentinel_slaves(self.SERVICE))


class SentinelServer(RedisServer):
    """A sentinel with its configuration."""

    def __init__(self, program: str, folder: Path, configuration: Path) -> None:
        self._configuration = configuration
        super().__init__(program, folder)

    def start(self) -> None:
        """Starts the sentinel and waits until it answers."""
        options = [str(self._configuration), "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1"]
        self._run(options)


class ClusterOfRedis:
    """Three primaries that share the slots; the first has a replica where the test asks for one."""

    SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))

    def __init__(self, program: str, folder: Path, replicas: int = 0) -> None:
        self.nodes = [self._node(program, folder) for _ in range(len(self.SLOTS) + replicas)]
        first = self.nodes[0]
        for node, (start, end) in zip(self.nodes, self.SLOTS, strict=False):
            node.say("CLUSTER", "ADDSLOTSRANGE", start, end)
        for node in self.nodes[1:]:
            first.say("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        wait_until(lambda: all(self._knows(node) for node in self.nodes), what="a cluster")
        for node in self.nodes[len(self.SLOTS) :]:
            node.say("CLUSTER", "REPLICATE", first.node_id)
            wait_until(lambda: node.info("replication").get("master_link_status") == "up", what="a replica in step")  # noqa: B023

    @property
    def url(self) -> str:
        """As BOOKMATCH_REDIS_URL; one of the addresses is of nobody."""
        return f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{self.nodes[0].port},127.0.0.1:{self.nodes[1].port}"

    def clear(self) -> None:
        """Forgets everything."""
        for node in self.nodes[: len(self.SLOTS)]:
            node.clear()

    def kill(self) -> None:
        """Ends all of them."""
        for node in self.nodes:
            node.kill()

    @staticmethod
    def _node(program: str, folder: Path) -> ClusterNodeServer:
        return ClusterNodeServer(program, folder, free_port())

    def _knows(self, node: ClusterNodeServer) -> bool:
        about = node.say("CLUSTER", "INFO")
        return b"cluster_state:ok" in about and b"cluster_known_nodes:%d" % len(self.nodes) in about


class ClusterNodeServer(RedisServer):
    """One node of a cluster."""

    def __init__(self, program: str, folder: Path, bus_port: int) -> None:
        self.bus_port = bus_port
        options = {
            "cluster-enabled": "yes",
            "cluster-config-file": f"nodes-{bus_port}.conf",
            "cluster-port": str(bus_port),
            "cluster-node-timeout": "500",
            "cluster-require-full-coverage": "no",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        super().__init__(program, folder, *flags, *QUICK_REPLICA)

    @property
    def node_id(self) -> str:
        """As the cluster's commands name it."""
        return self.say("CLUSTER", "MYID").decode()

    def say(self, *command: str | int) -> bytes:
        """One command and the server's bare answer."""
        with self.client() as client:
            client.response_callbacks.clear()
            answer: bytes = client.execute_command(*command)
            return answer
