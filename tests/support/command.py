"""The command as it is typed, run within this process: to start another takes two seconds."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from engine.cli import app
from tests.support.leaks import look_at_process


def chaland(*words: str, data_dir: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `chaland` in a data directory. An exception is raised here; a process would print it and exit 1."""
    with contextlib.chdir(data_dir):
        ran = CliRunner().invoke(app, words, env={"CHALAND_DATA_DIR": str(data_dir), **environ})
    if ran.exception and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    look_at_process(words, ran.stdout, ran.stderr)
    return subprocess.CompletedProcess(words, ran.exit_code, ran.stdout, ran.stderr)


def chaland_process(*words: str, data_dir: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "engine.cli", *words],
        env=os.environ | {"CHALAND_DATA_DIR": str(data_dir)} | environ,
        cwd=data_dir,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
