"""The commands about entries of the logs that could not be read, under `chaland quarantine`."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.opening import fail, opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.quarantine import Quarantined

DROPPED_AT_ONCE = 100

Names = Annotated[list[str] | None, typer.Argument(help="As `list` has them.", show_default=False)]


def list_quarantine() -> None:
    """List what is set aside: name, since when, size, the kind of fault, and whether this version can read it; exit 1 if
    there is anything.

    Each is kept for 24 hours. What it holds is not shown: it is about people.

    Example:  chaland quarantine list
    """
    count = 0
    with opened() as engine:
        for each in engine.quarantine.all():
            count += 1
            size = sum(map(len, each.parts))
            can = "can be read" if each.is_readable else "cannot be read"
            typer.echo(f"{each.name}  {each.since:%Y-%m-%dT%H:%M:%SZ}  {size} bytes  {each.why}  {can}")
    typer.echo(f"{count} entries are set aside", err=True)
    raise typer.Exit(1 if count else 0)


def retry_quarantine(names: Names = None) -> None:
    """Put back into their logs the entries named, or all, that this version can read; the others stay.

    Bring the engines to a version that reads them first. What their devices did meanwhile stays as it is: signals that are
    older are taken in as late ones, and consent is asked again.

    Examples:  chaland quarantine retry    |    chaland quarantine retry signals/3/1795766400000-0
    """
    from engine.quarantine import Of

    back = stay = 0
    with opened() as engine:
        limits = {
            Of.SIGNALS: engine.settings.log_limit_entries,
            Of.EVENTS: engine.settings.event_limit_entries,
        }
        for each in _chosen(engine.quarantine.all(), names):
            done = each.is_readable and engine.quarantine.put_back(each, limits[each.of])
            back += done
            stay += not done
    typer.echo(f"{back} entries were put back, {stay} stay")
    raise typer.Exit(1 if stay else 0)


def drop_quarantine(
    names: Names = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Drop all there are.")] = False,
) -> None:
    """Delete entries for good: what they hold was accepted, and will never be processed.

    Examples:  chaland quarantine drop signals/3/1795766400000-0    |    chaland quarantine drop --all
    """
    if bool(names) == everything:
        fail("say which entries to drop, or --all")
    with opened() as engine:
        chosen = list(_chosen(engine.quarantine.all(), names))
        gone = sum(
            engine.quarantine.drop(chosen[first : first + DROPPED_AT_ONCE])
            for first in range(0, len(chosen), DROPPED_AT_ONCE)
        )
    typer.echo(f"{gone} entries were dropped")


def _chosen(entries: "Iterable[Quarantined]", names: list[str] | None) -> "Iterable[Quarantined]":
    """Those of these names, or all; ends the command at a name that none has."""
    if not names:
        yield from entries
        return
    by_name = {each.name: each for each in entries if each.name in names}
    if missing := [name for name in names if name not in by_name]:
        fail(f"nothing is set aside as {missing[0]}; see `chaland quarantine list`")
    yield from by_name.values()
