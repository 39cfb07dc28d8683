"""The live store: opens it (a Valkey child of ours, any Redis or Valkey by URL, or a cluster), and names every key in it.

Every key of a partition carries the hash tag ``{pNN}``, so that one atomic script reaches all of them, on a
cluster too.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any, cast
from zlib import crc32

from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from engine.ahead import Ahead, AheadOfServer, Call, InStep
from engine.cluster import ClusterClient, Round, names_cluster, open_cluster
from engine.durability import Durability, DurablePipeline
from engine.round_trip import Command, ask, digest_of, raised
from engine.valkey import ValkeyChild, start_valkey

PARTITIONS_KEY = "chaland:partitions"
WORKERS_KEY = "chaland:workers"
FLEET_PREFIX = "{fleet}:"
"""Of all keys that hold figures of beacons: b:BEACON (hash), p:GEOFENCE (hash: hours in which it was heard), salt:DAY,
and d:DAY:BEACON (hash) with :heard, :near and :far (HyperLogLogs of phones)."""

LIVE_TIMEOUT_SECONDS = 5.0
"""A server that takes longer to answer counts as away."""
POLL_SECONDS = 0.005
"""Streams on several nodes of a cluster cannot be waited for in one command; they are looked at so often."""

Script = Callable[..., Any]
BatchedScript = Callable[[Sequence[Call]], list[Any]]


Stream = tuple[bytes, Any]
"""Its key, and entries: an id each, and names and values in turn."""


class LiveStoreMismatch(RuntimeError):
    """The live store was made with another number of partitions."""


@dataclass(slots=True)
class Live:
    """A connection to the live store, and the server child when it is ours."""

    client: "Redis"
    partitions: int
    child: ValkeyChild | None
    durability: Durability = field(default_factory=Durability)
    """Of the writes that something is promised on: appended signals, and the consent gate."""

    def close(self) -> None:
        """Close the connections and, if we started the server, stop it."""
        self.client.close()
        if self.child:
            self.child.stop()

    def servers(self) -> list[Redis]:
        """Each server that we know of and that keeps files of its own."""
        return self.client.nodes() if isinstance(self.client, ClusterClient) else [self.client]

    def pipeline(self, *, durable: bool = False) -> Pipeline:
        """Commands that go out in one round trip, each on a single partition; a durable one ends in an error when not
        as many replicas hold its writes as are asked for.
        """
        durability = self.durability if durable and self.durability.replicas else None
        if isinstance(self.client, ClusterClient):
            return Round(self.client, durability)
        return (
            DurablePipeline(self.client, durability)
            if durability
            else self.client.pipeline(transaction=False)
        )

    def script(self, name: str) -> Script:
        """The Lua script ``engine/lua/<name>.lua``, callable with ``keys=`` and ``args=``."""
        batched = self.batched(name)

        def call(*, keys: Sequence[str], args: Sequence[Any]) -> Any:
            [answer] = raised(batched([(keys, args)]))
            return answer

        return call

    def batched(self, name: str, *, durable: bool = False, as_one: bool = False) -> BatchedScript:
        """The Lua script ``engine/lua/<name>.lua``, to be called many times in one round trip: each call its keys and
        arguments; each answer what the script answered, or the `RedisError` that stopped it.

        A script that is called `as_one` takes the keys of several calls one after the other, and their arguments, and
        answers a list with one for each. One server runs it once for all of them, so that who waits for streams that it
        writes is answered once, with all that it wrote.
        """
        text = _text_of(name)
        digest = digest_of(text)
        together = as_one and not isinstance(self.client, ClusterClient)

        def once(calls: Sequence[Call], command: str, script: str) -> list[Any]:
            runs = [_as_one(calls)] if together else calls
            try:
                answers = self.ask(
                    [(command, script, len(keys), *keys, *args) for keys, args in runs], durable=durable
                )
            except RedisError as error:
                return [error] * len(calls)
            return _of_each(answers, len(calls)) if as_one else answers

        def call(calls: Sequence[Call]) -> list[Any]:
            answers = once(calls, "EVALSHA", digest)
            missing = [place for place, each in enumerate(answers) if isinstance(each, NoScriptError)]
            if missing:  # a server that is new to it: sent whole, it is known from now on
                for place, answer in zip(
                    missing, once([calls[place] for place in missing], "EVAL", text), strict=True
                ):
                    answers[place] = answer
            return answers

        return call

    def ahead(self, *names: str) -> Ahead:
        """Lua scripts by name, to be called without waiting for what they answer."""
        if isinstance(self.client, ClusterClient):
            return InStep({name: self.batched(name) for name in names})
        return AheadOfServer(self.client, {name: _text_of(name) for name in names})

    def ask(self, commands: Sequence[Command], *, durable: bool = False) -> list[Any]:
        """What is answered to each command, as it came, all in one round trip; an error stands in its place. Durable
        ones are errors when not as many replicas hold their writes as are asked for. Raises `RedisError` when there is
        no answer at all.
        """
        durability = self.durability if durable and self.durability.replicas else None
        if isinstance(self.client, ClusterClient):
            return self.client.round([(command, None) for command in commands], durability)
        if durability is None:
            return ask(self.client, commands)
        *answers, held = ask(self.client, [*commands, durability.command()])
        return durability.judged(answers, held)

    def reader(self) -> "Reader":
        """To read streams ahead of time, in one thread."""
        return Reader(self)

    def read(self, streams: Mapping[bytes, bytes], count: int, block_ms: int) -> list[Stream]:
        """Up to `count` entries after each stream's id, by stream; waits up to `block_ms` for some, 0 not at all."""
        if not isinstance(self.client, ClusterClient):
            return _pairs(raised(self.ask([_reading(streams, count, block_ms)])))
        until = time.monotonic() + block_ms / 1000
        commands = [_reading({stream: after}, count, 0) for stream, after in streams.items()]
        while not (pairs := _pairs(raised(self.ask(commands)))) and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        return pairs

    def answers(self) -> bool:
        """Whether every partition can be reached now."""
        try:
            with self.pipeline() as pipeline:
                for partition in range(self.partitions):
                    pipeline.exists(cursor_key(partition))
                pipeline.execute()
        except RedisError:
            return False
        return True

    def version(self) -> str:
        """The server's kind and version, as it tells them."""
        info = self.client.info("server")
        kind = "Valkey" if "valkey_version" in info else "Redis"
        cluster = " cluster" if isinstance(self.client, ClusterClient) else ""
        return f"{kind} {info[f'{kind.lower()}_version']}{cluster}"


class Reader:
    """Streams that are read while something else is done. One thread uses it."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._line = None if isinstance(live.client, ClusterClient) else AheadOfServer(live.client, {})
        self._asked: tuple[Mapping[bytes, bytes], int, int] = {}, 0, 0

    def ask(self, streams: Mapping[bytes, bytes], count: int, block_ms: int) -> None:
        """Begin what `Live.read` does; `hear` ends it. A cluster, of which streams are polled, is not asked before."""
        self._asked = streams, count, block_ms
        if self._line:
            self._line.drop_if_over()
            self._line.order([_reading(streams, count, block_ms)])

    def hear(self) -> list[Stream]:
        """What `Live.read` answers to what was asked."""
        return _pairs(raised(self._line.hear())) if self._line else self._live.read(*self._asked)

    def drop(self) -> None:
        """Hear nothing of what was asked."""
        if self._line:
            self._line.drop()


def open_live(
    url: str,
    data_dir: Path,
    partitions: int,
    timeout_seconds: float = LIVE_TIMEOUT_SECONDS,
    durability: Durability | None = None,
) -> Live:
    """Open the live store at `url`, or a Valkey child that keeps its data in `data_dir` when the URL is empty.

    Raises `LiveStoreMismatch` when the store already has data for another number of partitions: a device
    would then land in another partition than its state.
    """
    child = None if url else start_valkey(data_dir)
    client: Redis | None = None
    try:
        client = _client(f"unix://{child.socket}" if child else url, timeout_seconds)
        client.set(PARTITIONS_KEY, partitions, nx=True)
        found = int(cast("bytes", client.get(PARTITIONS_KEY)))
        if found != partitions:
            raise LiveStoreMismatch(
                f"the live store was made with {found} partitions and CHALAND_PARTITIONS says {partitions}; "
                f"set it to {found}, or start with an empty live store"
            )
    except BaseException:
        if client:
            client.close()
        if child:
            child.stop()
        raise
    return Live(client=client, partitions=partitions, child=child, durability=durability or Durability())


def _text_of(script: str) -> str:
    return resources.files("engine").joinpath("lua", f"{script}.lua").read_text(encoding="utf-8")


def _client(url: str, timeout_seconds: float) -> Redis:
    """No silent retry: a script whose answer was lost may have run; each caller knows what to do about it."""
    if names_cluster(url):
        return open_cluster(url, socket_timeout=timeout_seconds, health_check_interval=30)
    return Redis.from_url(
        url, socket_timeout=timeout_seconds, health_check_interval=30, retry=Retry(NoBackoff(), 0)
    )


def _as_one(calls: Sequence[Call]) -> Call:
    keys, args = zip(*calls, strict=True) if calls else ((), ())
    return [*chain.from_iterable(keys)], [*chain.from_iterable(args)]


def _of_each(answers: Sequence[Any], calls: int) -> list[Any]:
    """What was answered to each call, of scripts that answer several at once, each as many as the others."""
    return [
        each
        for answer in answers
        for each in (answer if isinstance(answer, list) else [answer] * (calls // len(answers)))
    ]


def _reading(streams: Mapping[bytes, bytes], count: int, block_ms: int) -> Command:
    wait = ("BLOCK", block_ms) if block_ms else ()  # to the server, 0 is for ever
    return ("XREAD", "COUNT", count, *wait, "STREAMS", *streams, *streams.values())


def _pairs(answers: Iterable[Any]) -> list[Stream]:
    """Streams with their entries: a map in protocol 3, pairs in protocol 2, nothing where there are none."""
    return [pair for each in answers if each for pair in (each.items() if isinstance(each, dict) else each)]


def without_password(url: str) -> str:
    """A live store's URL, fit to be shown."""
    return re.sub(r"(?<=//)[^@/]*@", "***@", url)


def partition_of(device: str, partitions: int) -> int:
    """The partition that a device's signals always land in."""
    return crc32(device.encode()) % partitions


def tag(partition: int) -> str:
    """The hash tag that every key of a partition carries."""
    return f"{{p{partition:02d}}}"


def gate_key(partition: int) -> str:
    """Hash: device -> if its subject allows location 1 and after it what the gate's edits were when that began (older
    entries may lack it), else 0; a device not in it is unknown.
    """
    return f"{tag(partition)}:gate"


def gate_edits_key(partition: int) -> str:
    """Counter that goes up whenever the gate closes for a device."""
    return f"{tag(partition)}:gate:edits"


def log_key(partition: int) -> str:
    """Stream: accepted signals not yet processed."""
    return f"{tag(partition)}:log"


def cursor_key(partition: int) -> str:
    """String: id of the last log entry that was processed."""
    return f"{tag(partition)}:cursor"


def done_key(partition: int) -> str:
    """Counter of the log entries that were ever processed."""
    return f"{tag(partition)}:done"


def device_prefix(partition: int) -> str:
    """Prefix of one string per device: its encoded state, which expires when it is silent."""
    return f"{tag(partition)}:dev:"


def due_key(partition: int) -> str:
    """Sorted set: device -> when its next timer is due, in unix milliseconds of our clock."""
    return f"{tag(partition)}:due"


def events_key(partition: int) -> str:
    """Stream: place events not yet decided upon."""
    return f"{tag(partition)}:events"


def quarantine_key(stream: str) -> str:
    """Stream beside the one of this key: its entries that could not be read, each with why."""
    return f"{stream}:quarantine"


def lease_key(partition: int) -> str:
    """String with a time to live: who owns the partition, and its fencing token."""
    return f"{tag(partition)}:lease"


def fence_key(partition: int) -> str:
    """Counter that the fencing tokens are drawn from."""
    return f"{tag(partition)}:fence"


@cache
def commit_keys(partition: int) -> Sequence[str]:
    """All that a commit of a partition touches, in the order in which its script takes them."""
    return (
        lease_key(partition),
        cursor_key(partition),
        done_key(partition),
        log_key(partition),
        gate_key(partition),
        gate_edits_key(partition),
        events_key(partition),
        due_key(partition),
        device_prefix(partition),
    )
