"""The real process, started as an operator starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

KEY = "service-key"


@dataclass(slots=True)
class Served:
    """A running `chaland` and its address."""

    process: subprocess.Popen[str]
    url: str

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)

    def kill(self) -> None:
        """As kill -9 does: no chance to put anything in order."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def chaland(*command: str, data_dir: Path, **environ: str) -> Iterator[Served]:
    """Run `chaland COMMAND --port 0` until the block ends."""
    variables = {
        **os.environ,
        "CHALAND_DATA_DIR": str(data_dir),
        "CHALAND_ADMIN_KEY": KEY,
        "PYTHONUNBUFFERED": "1",
        **environ,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "engine.cli", *command, "--port", "0"],
        env={name: value for name, value in variables.items() if value},
        cwd=data_dir,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            url = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
            yield Served(process, url)
        finally:
            process.terminate()
            process.wait(timeout=30)
