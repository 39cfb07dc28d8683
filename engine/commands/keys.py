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
        key, secret = engine.keys.create(name, scopes)
    typer.echo(f"{key.id}  {secret}")
    typer.echo("this is the only time the key is shown", err=True)


def list_keys() -> None:
    """List keys, never their secrets."""
    with opened() as engine:
        for key in engine.keys.all():
            state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "live"
            typer.echo(f"{key.id}  {state:24}  {' '.join(sorted(key.scopes)):40}  {key.name}")


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
