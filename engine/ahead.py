"""Scripts that are called ahead of their answers. All go out on one connection, so that the server takes them in the
order in which they were called; what they answer is heard later, in that order too.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Protocol

from hiredis import pack_command

from engine.round_trip import Command, next_answer, raised

if TYPE_CHECKING:
    from redis import Redis

Call = tuple[Sequence[str], Sequence[Any]]
"""The keys and the arguments of one run of a script."""


class Ahead(Protocol):
    """Scripts by name. One thread uses it."""

    def call(self, name: str, calls: Sequence[Call]) -> None:
        """Run a script so many times, each with its keys and arguments, and wait for nothing. Raises `RedisError`."""

    def hear(self) -> list[Any]:
        """What was answered to the oldest call that was not heard yet: for each run what the script answered, or the
        `RedisError` that stopped it. Raises `RedisError` when there is no answer, and then nobody knows what was done.
        """

    def drop(self) -> None:
        """Hear nothing of what was called and not heard; it may be done all the same."""


class AheadOfServer:
    """Of one server."""

    def __init__(self, client: "Redis", scripts: Mapping[str, str]) -> None:
        self._client = client
        self._scripts = scripts
        self._digests = {
            name: sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in scripts.items()
        }
        self._connection: Any = None
        self._under_way: deque[int] = deque()

    def call(self, name: str, calls: Sequence[Call]) -> None:
        """See `Ahead`."""
        self._open()
        digest = self._digests[name]
        packed = [pack_command(("EVALSHA", digest, len(keys), *keys, *args)) for keys, args in calls]
        self._send(b"".join(packed))
        self._under_way.append(len(calls))

    def hear(self) -> list[Any]:
        """See `Ahead`."""
        return self._read(self._under_way.popleft())

    def drop(self) -> None:
        """See `Ahead`."""
        self._under_way.clear()
        if self._connection:
            connection, self._connection = self._connection, None
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def _open(self) -> None:
        """Take a connection for ourselves; a server that it leads to is told of the scripts."""
        if not self._connection:
            self._connection = self._client.connection_pool.get_connection()
            loads: list[Command] = [("SCRIPT", "LOAD", text) for text in self._scripts.values()]
            self._send(b"".join(pack_command(each) for each in loads))
            raised(self._read(len(self._scripts)))

    def _send(self, packed: bytes) -> None:
        try:  # a check of its health would take an answer of ours for its own
            self._connection.send_packed_command([packed], check_health=False)
        except BaseException:
            self.drop()
            raise

    def _read(self, count: int) -> list[Any]:
        try:
            return [next_answer(self._connection) for _ in range(count)]
        except BaseException:
            self.drop()
            raise


class InStep:
    """Of a cluster, whose nodes keep no common order: each call waits for its answer."""

    def __init__(self, scripts: Mapping[str, Callable[[Sequence[Call]], list[Any]]]) -> None:
        self._scripts = scripts
        self._answers: deque[list[Any]] = deque()

    def call(self, name: str, calls: Sequence[Call]) -> None:
        """See `Ahead`."""
        self._answers.append(self._scripts[name](calls))

    def hear(self) -> list[Any]:
        """See `Ahead`."""
        return self._answers.popleft()

    def drop(self) -> None:
        """See `Ahead`."""
        self._answers.clear()
