"""A Redis or Valkey Cluster, spoken to as if it were one server: each command goes to the master of its key's slot, and
a pipeline to all the masters it concerns at once.

Nothing is sent again behind the caller's back but what certainly did not run: a command that another node has to
answer (MOVED, ASK). Whatever else goes wrong is an error, and a look at who is master before the next round.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.client import Pipeline
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import ConnectionPool, parse_url
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer

from engine.durability import Durability
from engine.round_trip import Command

SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
"""Of URLs that name a cluster by some of its nodes: ``redis+cluster://user:password@host:port,host:port``."""
REDIRECTIONS = 3
LOOK_SECONDS = 0.25
"""Who is master is asked no more often than this."""
KEYLESS = ("PING", "INFO", "TIME")
"""Commands that any master may answer; all others that are used here name a key."""

Order = tuple[Command, dict[str, Any] | None]
"""A command, and the options by which redis-py reads its answer; None leaves the answer as it came."""


def names_cluster(url: str) -> bool:
    """Whether a live store's URL is that of a cluster."""
    return urlsplit(url).scheme in SCHEMES


def open_cluster(url: str, **options: Any) -> "ClusterClient":
    """The cluster that a URL names; `options` are those of redis-py's connections. Raises `RedisError`."""
    scheme, _, rest = url.partition("://")
    hosts, slash, tail = rest.partition("/")
    user, at, hosts = hosts.rpartition("@")
    read: Callable[[str], dict[str, Any]] = parse_url
    known = [read(f"{SCHEMES[scheme]}://{user}{at}{host}{slash}{tail}") for host in hosts.split(",")]
    node: Callable[[str, int], ClusterNode] = ClusterNode
    nodes = [node(each["host"], each.get("port", 6379)) for each in known]
    login = {name: known[0][name] for name in ("username", "password") if name in known[0]}
    try:
        topology = RedisCluster(
            startup_nodes=nodes,
            require_full_coverage=False,
            ssl=scheme == "rediss+cluster",
            **login,
            **options,
        )
    except RedisClusterException as error:
        raise NoConnection(str(error)) from error
    return ClusterClient(topology)


class ClusterClient(Redis):
    """A client of every master. `RedisCluster` knows who is master of what; commands go out in rounds of our own."""

    def __init__(self, topology: RedisCluster) -> None:
        super().__init__(connection_pool=ConnectionPool())  # it never connects: each node has its own
        self._topology: Any = topology  # its methods carry no types
        self._lock = threading.Lock()
        self._doubtful: str | None = None
        """Set when it is to be asked who is master: the name of a node to ask last, or ""."""
        self._looked_at = 0.0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """One command. Raises what went wrong."""
        [answer] = self.round([(args, options)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self, transaction: bool = False, shard_hint: Any = None) -> "Round":  # noqa: ARG002, FBT001, FBT002  # redis-py's signature
        """Commands that go out together. There is no transaction over several nodes."""
        if transaction:
            raise NotImplementedError("a cluster has no transactions; write a script")
        return Round(self, None)

    def nodes(self) -> list[Redis]:
        """A client of each node, replicas too."""
        return [self._topology.get_redis_connection(node) for node in self._topology.get_nodes()]

    def close(self) -> None:
        """Close every connection."""
        self._topology.close()

    def round(self, commands: Sequence[Order], durability: Durability | None = None) -> list[Any]:
        """Send each command to its node, all nodes at once. Answers what each command answered, or the `RedisError`
        that stopped it, which may be that its node did not make it durable enough.
        """
        if self._doubtful is not None:
            self._look()
        answers: list[Any] = [None] * len(commands)
        left: Sequence[int] = range(len(commands))
        for _ in range(REDIRECTIONS):
            left = self._once(commands, left, answers, durability)
            if not left:
                break
        return answers

    def _once(
        self,
        commands: Sequence[Order],
        wanted: Sequence[int],
        answers: list[Any],
        durability: Durability | None,
    ) -> list[int]:
        """Send the wanted commands. Answers those that are to be sent again, to another node."""
        visits: dict[str, _Visit] = {}
        for place in wanted:
            try:
                node = self._node_of(commands[place][0])
            except RedisClusterException as error:  # nobody serves this slot
                answers[place] = NoConnection(str(error))
                self._doubtful = ""
                continue
            visit = visits.setdefault(
                node.name, _Visit(self._topology.get_redis_connection(node), durability)
            )
            visit.places.append(place)
        for visit in visits.values():
            visit.send([commands[place] for place in visit.places])
        again: list[int] = []
        for name, visit in visits.items():
            for place, answer in zip(visit.places, visit.hear(), strict=True):
                answers[place] = answer
                if isinstance(answer, RedisError) and self._learn(answer, name):
                    again.append(place)
                elif isinstance(answer, AskError):
                    answers[place] = self._asked(commands[place], answer, durability)
        return again

    def _learn(self, error: RedisError, node: str) -> bool:
        """Take up what an error says of who is master. Answers whether the command is to be sent again."""
        if isinstance(error, MovedError):
            self._doubtful = self._doubtful or ""
            with suppress(KeyError):
                self._topology.nodes_manager.move_slot(error)
            return True
        if isinstance(error, (NoConnection, NoAnswer, ClusterDownError)):
            self._doubtful = "" if isinstance(error, BusyLoadingError) else node
        return False

    def _asked(self, command: Order, error: AskError, durability: Durability | None) -> Any:
        """What the node answers that is just taking the slot over."""
        node = self._topology.nodes_manager.get_node(error.host, error.port)
        if node is None:
            self._doubtful = ""
            return error
        visit = _Visit(self._topology.get_redis_connection(node), durability)
        visit.send([(("ASKING",), None), command])
        return visit.hear()[1]

    def _node_of(self, words: Sequence[Any]) -> ClusterNode:
        key = _key_of(words)
        node: ClusterNode = (
            self._topology.get_primaries()[0]
            if key is None
            else self._topology.nodes_manager.get_node_from_slot(
                key_slot(key if isinstance(key, bytes) else key.encode())
            )
        )
        return node

    def _look(self) -> None:
        """Ask who is master, unless somebody just has."""
        with self._lock:
            if self._doubtful is None or time.monotonic() - self._looked_at < LOOK_SECONDS:
                return
            doubtful, self._doubtful = self._doubtful, None
            try:
                self._topology.nodes_manager.initialize(last_failed_node_name=doubtful or None)
            except (RedisClusterException, RedisError):
                self._doubtful = doubtful
            self._looked_at = time.monotonic()


class Round(Pipeline):
    """A pipeline over the nodes of a cluster."""

    def __init__(self, client: ClusterClient, durability: Durability | None) -> None:
        super().__init__(
            client.connection_pool, client.response_callbacks, transaction=False, shard_hint=None
        )
        self._client = client
        self._durability = durability

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  # redis-py's signature
        """Send what was collected. Answers one answer, or error, per command."""
        commands: list[Order] = list(self.command_stack)
        self.reset()
        answers = self._client.round(commands, self._durability)
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers


class _Visit:
    """One round's dealings with one node."""

    def __init__(self, client: Redis, durability: Durability | None) -> None:
        self.places: list[int] = []
        self._client: Any = client
        self._durability = durability
        self._commands: Sequence[Order] = ()
        self._connection: Any = None
        self._failed: RedisError | None = None

    def send(self, commands: Sequence[Order]) -> None:
        self._commands = commands
        words = [each for each, _ in commands]
        if self._durability:
            words.append(self._durability.command())
        try:
            self._connection = self._client.connection_pool.get_connection()
            self._connection.send_packed_command(self._connection.pack_commands(words))
        except (NoConnection, NoAnswer) as error:
            self._failed = error

    def hear(self) -> list[Any]:
        """The answers in order, or errors. The connection is given back."""
        whole = False
        try:
            heard = [self._next(words[0], options) for words, options in self._commands]
            if self._durability:
                heard = self._durability.judged(heard, self._next("", None))
            whole = not self._failed
        finally:
            if self._connection:
                if not whole:
                    self._connection.disconnect()
                self._client.connection_pool.release(self._connection)
        return heard

    def _next(self, name: Any, options: dict[str, Any] | None) -> Any:
        if self._failed:
            return self._failed
        try:
            if options is None:
                return self._connection.read_response()
            return self._client.parse_response(self._connection, name, **options)
        except BusyLoadingError as error:
            return error
        except (NoConnection, NoAnswer) as error:
            self._failed = error
            return error
        except RedisError as error:
            return error


def _key_of(words: Sequence[Any]) -> Any:
    """The first key among a command's words; None when it has none."""
    if words[0] in KEYLESS:
        return None
    if words[0] in ("EVALSHA", "EVAL"):
        return words[3]
    return words[words.index("STREAMS") + 1] if words[0] == "XREAD" else words[1]
