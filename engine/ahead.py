"""Scripts that are called, and streams that are read, ahead of their answers. All calls go out on one connection, so that
the server takes them in the order in which they were called; what they answer is heard later, in that order too. What
waits for streams has a connection of its own.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Protocol

from hiredis import pack_command
from redis.exceptions import RedisError

from engine.round_trip import Command, digest_of, next_answer, raised

if TYPE_CHECKING:
    from redis import Redis

Call = tuple[Sequence[str], Sequence[Any]]
"""The keys and the arguments of one run of a script."""
Part = tuple[Sequence[str], bytes]
"""The keys of one part of a run, and what it says: a MessagePack value."""
AS_ONE_BYTES = 4_000_000
"""Parts that are longer together go out as several runs: a server takes arguments of some hundred megabytes at most, and
answers nobody else while a script runs.
"""


def packed_texts(words: Iterable[str | bytes | int]) -> bytes:
    """A MessagePack list of texts, which Lua may read whatever their bytes are: it does not know the binary type."""
    texts = [each if isinstance(each, bytes) else str(each).encode() for each in words]
    heads = map(_TEXT.pack, repeat(0xDB), map(len, texts))
    return b"".join(
        chain((_LIST.pack(0xDD, len(texts)),), chain.from_iterable(zip(heads, texts, strict=True)))
    )


_LIST = _TEXT = struct.Struct(">BI")


class Ahead(Protocol):
    """Scripts by name. One thread uses it."""

    def call_as_one(self, name: str, parts: Sequence[Part]) -> None:
        """Run a script that takes several parts and answers each of them: its keys are those of all parts, its argument
        a MessagePack list of what they say. Raises `RedisError`.
        """

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
        self._digests = {name: digest_of(text) for name, text in scripts.items()}
        self._connection: Any = None
        self._under_way: deque[tuple[int, bool]] = deque()
        """Of each call how many answers come, and whether each of them is a list of answers to parts."""

    def call(self, name: str, calls: Sequence[Call]) -> None:
        """See `Ahead`."""
        digest = self._digests[name]
        self.order([("EVALSHA", digest, len(keys), *keys, *args) for keys, args in calls])

    def order(self, commands: Sequence[Command]) -> None:
        """The same with any commands."""
        self._open()
        self._send(b"".join(map(pack_command, commands)))
        self._under_way.append((len(commands), False))

    def call_as_one(self, name: str, parts: Sequence[Part]) -> None:
        """See `Ahead`."""
        runs = [_as_one(each) for each in _divided(parts)]
        self.call(name, runs)
        self._under_way[-1] = (len(runs), True)

    def hear(self) -> list[Any]:
        """See `Ahead`."""
        count, as_one = self._under_way.popleft()
        answers = self._read(count)
        return list(chain.from_iterable(raised(answers))) if as_one else answers

    def drop(self) -> None:
        """See `Ahead`."""
        self._under_way.clear()
        if self._connection:
            connection, self._connection = self._connection, None
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def drop_if_over(self) -> None:
        """Drop a connection that was closed while nothing was asked, as servers and balancers do with those that are idle,
        so that the next call takes another. For calls that rest on nothing that was heard before.
        """
        if self._connection and not self._under_way:
            try:
                over = self._connection.can_read(0)
            except RedisError:
                over = True
            if over:
                self.drop()

    def _open(self) -> None:
        """Take a connection for ourselves; a server that it leads to is told of the scripts."""
        if not self._connection:
            self._connection = self._client.connection_pool.get_connection()
            loads: list[Command] = [("SCRIPT", "LOAD", text) for text in self._scripts.values()]
            self._send(b"".join(pack_command(each) for each in loads))
            raised(self._read(len(self._scripts)))

    def _send(self, commands: bytes) -> None:
        try:  # a check of its health would take an answer of ours for its own
            self._connection.send_packed_command([commands], check_health=False)
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

    def call_as_one(self, name: str, parts: Sequence[Part]) -> None:
        """See `Ahead`. The parts may be on several nodes, so that each goes out by itself."""
        answers = self._scripts[name]([_as_one([part]) for part in parts])
        self._answers.append([each[0] if isinstance(each, list) else each for each in answers])

    def hear(self) -> list[Any]:
        """See `Ahead`."""
        return self._answers.popleft()

    def drop(self) -> None:
        """See `Ahead`."""
        self._answers.clear()


def _divided(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """The parts in order, so many at a time as are not too long together; one that is so alone stays whole."""
    first = size = 0
    for place, (_, value) in enumerate(parts):
        size += len(value)
        if size > AS_ONE_BYTES and place > first:
            yield parts[first:place]
            first, size = place, len(value)
    yield parts[first:]


def _as_one(parts: Sequence[Part]) -> Call:
    keys = [key for keys, _ in parts for key in keys]
    return keys, [_LIST.pack(0xDD, len(parts)) + b"".join(value for _, value in parts)]
