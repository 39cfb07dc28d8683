"""The commands about API keys, under `chaland keys`."""

from typing import Annotated

import typer

from engine.commands.opening import fail, opened


def create_key(
    name: Annotated[str, typer.Argument(help="Who or what will use it.")],
    scope: Annotated[
        list[str],
        typer.Option(help="ingest, marketing, privacy, subscribe, till, operations. May be repeated."),
    ],
    app: Annotated[
        str | None,
        typer.Option(
            help="The id of an app's first key: this becomes its second one, until the old one is revoked."
        ),
    ] = None,
    devices: Annotated[
        str,
        typer.Option(
            help="It speaks of devices alone whose names begin so; every other one is unknown to it."
        ),
    ] = "",
) -> None:
    """Make a key and show it once.

    Example:  chaland keys create "shop app" --scope ingest
    """
    from engine.doors.keys import Scope

    try:
        scopes = [Scope(each) for each in scope]
    except ValueError:
        raise typer.BadParameter(f"one of {', '.join(Scope)}", param_hint="--scope") from None
    with opened() as engine:
        try:
            key, secret = engine.keys.create(name, scopes, app, devices)
        except ValueError as error:
            fail(str(error))
    typer.echo(f"{key.id}  {secret}")
    typer.echo("this is the only time the key is shown", err=True)


def list_keys() -> None:
    """List keys, never their secrets."""
    with opened() as engine:
        for key in engine.keys.all():
            state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "live"
            used = f"used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
            scopes = " ".join(sorted(key.scopes))
            bound = f"  of {key.devices}..." if key.devices else ""
            typer.echo(f"{key.id}  {state:24}  {used:21}  app {key.app}  {scopes:40}  {key.name}{bound}")


def key_secret(key_id: Annotated[str, typer.Argument(help="The id that `keys list` shows.")]) -> None:
    """Print what an app's server signs its calls with, in place of showing the key.

    Example:  chaland keys secret 4f1c2a9b
    """
    from engine.doors.signed_call import secret_text
    from engine.link_key import link_keys

    with opened() as engine:
        if engine.keys.live(key_id) is None:
            fail(f"there is no live key {key_id}; `chaland keys list` shows them")
        typer.echo(secret_text(link_keys(engine.settings)[0], key_id))


def revoke_key(key_id: Annotated[str, typer.Argument(help="The id that `keys list` shows.")]) -> None:
    """End a key at once."""
    with opened() as engine:
        if not engine.keys.revoke(key_id):
            fail(f"there is no live key {key_id}; `chaland keys list` shows them")
    typer.echo(f"{key_id} is revoked")
