"""A real cluster on loopback: masters and one replica each, from the server that the package carries."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from engine.valkey import server_path

SLOTS = 16_384
NODE_TIMEOUT_MS = 1000
START_SECONDS = 30.0


@dataclass(slots=True)
class Node:
    """One server of the cluster."""

    port: int
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, or start it again with what it has on disk."""
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "cluster-enabled": "yes",
            "cluster-port": self.port + 1,
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            "cluster-replica-validity-factor": 0,
            "repl-diskless-sync-delay": 0,
            "dir": self.folder,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "logfile": self.folder / "valkey.log",
        }
        self.process = subprocess.Popen(
            [
                str(server_path()),
                *(str(word) for name, each in options.items() for word in (f"--{name}", each)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def client(self) -> Redis:
        return Redis(port=self.port, socket_timeout=5)

    def signal(self, number: int) -> None:
        if self.process:
            self.process.send_signal(number)

    def kill(self) -> None:
        """As kill -9 does."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        self.signal(signal.SIGCONT)
        self.kill()


@dataclass(slots=True)
class Cluster:
    """All its servers; which of them are masters changes."""

    nodes: list[Node]

    @property
    def url(self) -> str:
        """Two of its nodes, as an operator might name them."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])

    def masters(self) -> list[Node]:
        """The nodes that say of themselves that they are masters with slots, and run."""
        return [node for node in self.nodes if node.process and _role(node) == b"master"]

    def master_of(self, key: str) -> Node:
        """The node that serves a key, as one of the masters says."""
        for node in self.masters():
            with suppress(RedisError), node.client() as client:
                slot = int(client.execute_command("CLUSTER KEYSLOT", key))
                for first, last, master, *_ in client.execute_command("CLUSTER SLOTS"):
                    if int(first) <= slot <= int(last):
                        return next(each for each in self.nodes if each.port == int(master[1]))
        raise LookupError("nobody serves this key")

    def await_ok(self) -> None:
        """Until every running node says that all slots are served, and every master has its replica."""
        _await(self._is_ok, "the cluster is not whole")

    def _is_ok(self) -> bool:
        for node in self.nodes:
            with node.client() as client:
                info = _text(client, "CLUSTER INFO")
                replication = client.info("replication")
                if "cluster_state:ok" not in info or replication.get("master_link_status", "up") != "up":
                    return False
        return len(self.masters()) == len(self.nodes) // 2


@contextmanager
def valkey_cluster(folder: Path, masters: int = 3) -> Iterator[Cluster]:
    """Run a cluster until the block ends."""
    nodes = [Node(port, folder / str(port)) for port in _free_ports(2 * masters)]
    cluster = Cluster(nodes)
    try:
        for node in nodes:
            node.folder.mkdir()
            node.start()
        _await(lambda: all(_answers(node) for node in nodes), "a node does not answer")
        _form(nodes, masters)
        cluster.await_ok()
        yield cluster
    finally:
        for node in nodes:
            node.stop()


def _form(nodes: list[Node], masters: int) -> None:
    share = -(-SLOTS // masters)
    for number, node in enumerate(nodes):
        with node.client() as client:
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number < masters:
                last = min((number + 1) * share, SLOTS) - 1
                client.execute_command("CLUSTER ADDSLOTSRANGE", number * share, last)
            client.execute_command("CLUSTER MEET", "127.0.0.1", nodes[0].port, nodes[0].port + 1)
    _await(lambda: all(len(_known(node)) == len(nodes) for node in nodes), "the nodes have not met")
    for number, node in enumerate(nodes[masters:]):
        with nodes[number].client() as client:
            name = client.execute_command("CLUSTER MYID")
        with node.client() as client:
            client.execute_command("CLUSTER REPLICATE", name)


def _known(node: Node) -> list[str]:
    with node.client() as client:
        return [line for line in _text(client, "CLUSTER NODES").splitlines() if "handshake" not in line]


def _text(client: Redis, command: str) -> str:
    """What the server says, as it says it."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command(command)
        return connection.read_response().decode()
    finally:
        client.connection_pool.release(connection)


def _role(node: Node) -> bytes:
    with suppress(RedisError), node.client() as client:
        return bytes(client.execute_command("ROLE")[0])
    return b""


def _answers(node: Node) -> bool:
    try:
        with node.client() as client:
            return bool(client.ping())
    except RedisError:
        return False


def _free_ports(count: int) -> list[int]:
    """Pairs of free ports, one for clients and the next one up for the other nodes."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            with suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + 1))
                if not {port, port + 1} & {each + more for each in found for more in (0, 1)}:
                    found.append(port)
    return found


def _await(holds: Callable[[], bool], failure: str) -> None:
    """Real servers find each other in real time."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(RedisError):
            if holds():
                return
        time.sleep(0.05)
    raise TimeoutError(failure)
