"""Runs the door, and what is behind it, until a signal, and lets the caller's clean-up happen whatever the signal was."""

import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn

from engine.doors.door import SignalDoor
from engine.doors.lane import SignalLane

SHUTDOWN_SECONDS = 5


class Server:
    """One listening socket, bound at once, so that the URL is known before anything runs."""

    def __init__(self, door: SignalDoor, host: str, port: int) -> None:
        http: Any = partial(SignalLane, door=door)  # made for each connection, as a class would be
        config = uvicorn.Config(
            door,
            http=http,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        self._socket = config.bind_socket()
        self._socket.listen(config.backlog)  # who connects early waits in the queue
        self._server = uvicorn.Server(config)
        self._when_up: Callable[[], None] | None = None
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"

    def when_up(self, then: Callable[[], None]) -> None:
        """Call `then` once the server is about to answer."""
        self._when_up = then

    def run(self, seconds: float | None = None) -> None:
        """Serve until Ctrl-C or SIGTERM, or for so many seconds."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        timers = [threading.Timer(seconds, self._end)] if seconds is not None else []
        if self._when_up:
            timers.append(
                threading.Timer(0.2, self._when_up)
            )  # requests wait in the socket's queue until then
        for timer in timers:
            timer.daemon = True
            timer.start()
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            pass
        finally:
            for timer in timers:
                timer.cancel()
            self._socket.close()

    def _end(self) -> None:
        self._server.should_exit = True
