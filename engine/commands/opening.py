"""How a command opens the engine, waits, and fails."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import typer

from config import InvalidSettings, Settings, load_settings


def read_settings(**given: Any) -> Settings:
    """The settings from the environment, with those `given` in their place; a mistake in them ends the command."""
    try:
        return load_settings(os.environ, **given)
    except InvalidSettings as error:
        fail(str(error))


@contextlib.contextmanager
def opened(**given: Any) -> Iterator[Any]:
    """The engine, open but not started; what keeps it from opening ends the command, in words."""
    from consent.keyring import KeyMissing, UnreadableKeys
    from consent.processor import InvalidProcessors
    from consent.signing import InvalidKey
    from engine.app import Engine
    from engine.live import LiveStoreMismatch
    from engine.push_apps import InvalidPushApps
    from engine.valkey import ValkeyDidNotStart
    from geofences.errors import GeofenceError

    engine = Engine(read_settings(**given))
    try:
        engine.open()
    except GeofenceError as error:
        fail_with_fields(error)
    except (
        InvalidKey,
        InvalidProcessors,
        KeyMissing,
        InvalidPushApps,
        LiveStoreMismatch,
        UnreadableKeys,
        ValkeyDidNotStart,
    ) as error:
        fail(str(error))
    try:
        yield engine
    finally:
        engine.close()


def wait_for_signal() -> None:
    """Return when the process is told to end."""
    import signal

    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    done.wait()


def fail_with_fields(error: Any) -> NoReturn:
    """End the command with what is wrong, field by field."""
    fail("\n".join([error.detail, *(f"  {each.field}: {each.detail}" for each in error.errors)]))


def fail(message: str) -> NoReturn:
    """End the command with a message; the exit code 2 says that it was asked wrongly, or cannot work here."""
    typer.echo(message, err=True)
    raise typer.Exit(2)
