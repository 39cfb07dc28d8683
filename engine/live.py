"""The live store: opens it (a Valkey child of ours, or any Redis/Valkey by URL), and names every key in it.

Every key of a partition carries the hash tag ``{pNN}``, so that one atomic script reaches all of them, on a
cluster too.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha1
from importlib import resources
from pathlib import Path
from typing import Any, cast
from zlib import crc32

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from engine.round_trip import ask
from engine.valkey import ValkeyChild, start_valkey

PARTITIONS_KEY = "chaland:partitions"
WORKERS_KEY = "chaland:workers"
FLEET_PREFIX = "{fleet}:"
"""Of all keys that hold figures of beacons: b:BEACON (hash), p:GEOFENCE (hash: hours in which it was heard), salt:DAY,
and d:DAY:BEACON (hash) with :heard, :near and :far (HyperLogLogs of phones)."""

Script = Callable[..., Any]
BatchedScript = Callable[[Sequence[tuple[Sequence[str], Sequence[Any]]]], list[Any]]


class LiveStoreMismatch(RuntimeError):
    """The live store was made with another number of partitions."""


@dataclass(slots=True)
class Live:
    """A connection to the live store, and the server child when it is ours."""

    client: "Redis"
    partitions: int
    child: ValkeyChild | None

    def close(self) -> None:
        """Close the connections and, if we started the server, stop it."""
        self.client.close()
        if self.child:
            self.child.stop()

    def script(self, name: str) -> Script:
        """The Lua script ``engine/lua/<name>.lua``, callable with ``keys=`` and ``args=``."""
        text = resources.files("engine").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
        return cast("Script", self.client.register_script(text))

    def batched(self, name: str) -> BatchedScript:
        """The Lua script ``engine/lua/<name>.lua``, to be called many times in one round trip: each call its keys and
        arguments; each answer what the script answered, or the `RedisError` that stopped it.
        """
        text = resources.files("engine").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()

        def once(calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
            commands = [("EVALSHA", digest, len(keys), *keys, *args) for keys, args in calls]
            try:
                return ask(self.client, commands)
            except RedisError as error:
                return [error] * len(calls)

        def call(calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
            answers = once(calls)
            missing = [place for place, each in enumerate(answers) if isinstance(each, NoScriptError)]
            if missing:
                self._load(text)
                for place, answer in zip(missing, once([calls[place] for place in missing]), strict=True):
                    answers[place] = answer
            return answers

        return call

    def _load(self, text: str) -> None:
        """Send a script to the server; where it does not answer, the next call says so."""
        with suppress(RedisError):
            self.client.script_load(text)

    def answers(self) -> bool:
        """Whether the server answers now."""
        try:
            return bool(self.client.ping())
        except RedisError:
            return False

    def version(self) -> str:
        """The server's kind and version, as it tells them."""
        info = self.client.info("server")
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"


def open_live(url: str, data_dir: Path, partitions: int) -> Live:
    """Open the live store at `url`, or a Valkey child that keeps its data in `data_dir` when the URL is empty.

    Raises `LiveStoreMismatch` when the store already has data for another number of partitions: a device
    would then land in another partition than its state.
    """
    child = None if url else start_valkey(data_dir)
    address = f"unix://{child.socket}" if child else url
    # No silent retry: a script whose answer was lost may have run; each caller knows what to do about it.
    client = Redis.from_url(address, socket_timeout=30, health_check_interval=30, retry=Retry(NoBackoff(), 0))
    live = Live(client=client, partitions=partitions, child=child)
    try:
        client.set(PARTITIONS_KEY, partitions, nx=True)
        found = int(cast("bytes", client.get(PARTITIONS_KEY)))
        if found != partitions:
            raise LiveStoreMismatch(
                f"the live store was made with {found} partitions and CHALAND_PARTITIONS says {partitions}; "
                f"set it to {found}, or start with an empty live store"
            )
    except BaseException:
        live.close()
        raise
    return live


def partition_of(device: str, partitions: int) -> int:
    """The partition that a device's signals always land in."""
    return crc32(device.encode()) % partitions


def tag(partition: int) -> str:
    """The hash tag that every key of a partition carries."""
    return f"{{p{partition:02d}}}"


def gate_key(partition: int) -> str:
    """Hash: device -> 1 if its subject allows location, else 0; a device not in it is unknown."""
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


def lease_key(partition: int) -> str:
    """String with a time to live: who owns the partition, and its fencing token."""
    return f"{tag(partition)}:lease"


def fence_key(partition: int) -> str:
    """Counter that the fencing tokens are drawn from."""
    return f"{tag(partition)}:fence"
