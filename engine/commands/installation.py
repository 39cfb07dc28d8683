"""The commands that run an installation: `chaland serve`, `demo`, `check`."""

import contextlib
import os
from typing import Annotated, Any

import typer

from config import DEMO_TWILIO_TOKEN, Settings
from engine.commands.opening import opened, read_settings, wait_for_signal

KEY_FILE = "development.key"

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")]


def serve(
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="What this process does: all, api, engine, sender, scheduler, console. May be repeated."
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
) -> None:
    """Run the engine.

    Examples:  chaland serve    |    chaland serve --role api --host 0.0.0.0    |    chaland serve --role engine
    """
    from engine.app import Role
    from engine.runtime import settle_in

    try:
        roles = {Role(each) for each in role or ["all"]}
    except ValueError:
        raise typer.BadParameter(f"one of {', '.join(Role)}", param_hint="--role") from None
    with opened() as engine:
        _greet(engine)
        settle_in()
        engine.start(roles)
        if roles & {Role.ALL, Role.API, Role.CONSOLE}:
            _serve_http(engine, host, port, with_console=bool(roles & {Role.ALL, Role.CONSOLE}))
        else:
            typer.echo(f"Chaland works as {', '.join(sorted(roles))}  (Ctrl-C stops it)")
            wait_for_signal()


def demo(
    seconds: Annotated[int | None, typer.Option(help="Stop after so long, and print what happened.")] = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    phone_port: Annotated[
        int | None, typer.Option(help="Port of the pretend phone; 8010, or a free one if --port is 0.")
    ] = None,
) -> None:
    """Run everything in one process with a sample town, at http://127.0.0.1:8000 ; a link is printed that opens its page.

    Simulated shoppers, all of them consenting to location, walk and drive about. Nobody real is messaged: their texts
    arrive on a pretend phone at http://127.0.0.1:8010, from which one can text STOP, unless CHALAND_SMS_CHANNEL is set.

    Examples:  chaland demo    |    chaland demo --seconds 30 --port 0
    """
    from engine.app import Role
    from engine.commands.provider import demo_phone
    from engine.demo.show import run_town
    from engine.runtime import settle_in

    token = os.environ.get("CHALAND_TWILIO_AUTH_TOKEN", DEMO_TWILIO_TOKEN)
    rules = None if "CHALAND_COUNTRY_RULES" in os.environ else "off"  # its shoppers are awake at any hour
    phone_port = (8010 if port else 0) if phone_port is None else phone_port
    with contextlib.ExitStack() as stack:
        phone = (
            None
            if "CHALAND_SMS_CHANNEL" in os.environ
            else stack.enter_context(demo_phone(host, phone_port, token))
        )
        through = phone.engine_settings if phone else {}
        engine = stack.enter_context(opened(twilio_auth_token=token, country_rules=rules, **through))
        key = _greet(engine)
        settle_in()
        engine.start({Role.ALL})
        run_town(engine, key, host, port, seconds, phone)


def check() -> None:
    """Tell what is configured, and whether the stores answer; exit 1 if one does not."""
    from engine.check import check_stores

    settings = read_settings()
    fine = True
    for line, good in check_stores(settings):
        typer.echo(f"{'ok   ' if good else 'FAILS'}  {line}")
        fine &= good
    raise typer.Exit(0 if fine else 1)


def _greet(engine: Any) -> str:
    """Make sure that there is a key in development; answers one that may do everything, or an empty string."""
    settings: Settings = engine.settings
    if settings.admin_key:
        return settings.admin_key
    file = settings.data_dir / KEY_FILE
    if file.exists():
        return file.read_text(encoding="utf-8").strip()
    if engine.keys.all():
        return ""
    from engine.doors.keys import EVERY_SCOPE

    _, secret = engine.keys.create("development", EVERY_SCOPE)
    file.touch(mode=0o600)
    file.write_text(secret + "\n", encoding="utf-8")
    typer.echo(f"made a first key, and wrote it to {file}:  {secret}")
    return str(secret)


def _serve_http(engine: Any, host: str, port: int, *, with_console: bool) -> None:
    from engine.doors.serving import Server

    server = Server(engine.web(with_console=with_console), host, port)
    typer.echo(f"Chaland is at {server.url}  (Ctrl-C stops it)")
    server.run()
