"""The real process, started as an operator starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx2

KEY = "service-key"


@dataclass(slots=True)
class Served:
    """A running `chaland` and its address; one without a door has none."""

    process: subprocess.Popen[str]
    url: str

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)

    def kill(self) -> None:
        """As kill -9 does: no chance to put anything in order."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """As an operator does, and wait for its end."""
        self.process.terminate()
        try:
            if self.process.stdout and not self.process.stdout.closed:
                self.process.communicate(timeout=30)  # the watch on what is private sees what it printed
        finally:
            self.process.kill()
            self.process.wait()


def start(*command: str, data_dir: Path, port: int = 0, log: IO[str] | None = None, **environ: str) -> Served:
    """Run `chaland COMMAND --port PORT`, and wait until it is up; what it logs goes to `log`, or to our stderr."""
    variables = {
        **os.environ,
        "CHALAND_DATA_DIR": str(data_dir),
        "CHALAND_ADMIN_KEY": KEY,
        "CHALAND_COUNTRY_RULES": "off",  # so that the hour at which tests run makes no difference
        "PYTHONUNBUFFERED": "1",
        **environ,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", *command, "--port", str(port)],
        env={name: value for name, value in variables.items() if value},
        cwd=data_dir,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if url := next((word for word in line.split() if word.startswith("http://")), ""):
            return Served(process, url)
        if line.startswith("Chaland works"):
            return Served(process, "")
    process.wait()
    raise RuntimeError(f"it ended at once, with {process.returncode}")


@contextmanager
def chaland(*command: str, data_dir: Path, **environ: str) -> Iterator[Served]:
    """Run `chaland COMMAND --port 0` until the block ends."""
    served = start(*command, data_dir=data_dir, **environ)
    try:
        yield served
    finally:
        served.stop()
