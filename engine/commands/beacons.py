"""The commands about beacons, under `chaland beacons`."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.opening import fail_with_fields, opened


def import_beacons(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="JSON list of beacons, .gz allowed.")
    ],
) -> None:
    """Bring beacons in, all or none; every one that is wrong is named. Without an `id`, its radio ids are one.

    Example:  chaland beacons import beacons.json
    """
    from engine.transfer import import_beacons as import_file
    from geofences.errors import GeofenceError

    with opened() as engine:
        try:
            count = import_file(engine.records, file, engine.now())
        except GeofenceError as error:
            fail_with_fields(error)
    typer.echo(f"{count} beacons imported")


def export_beacons(
    out: Annotated[
        Path | None, typer.Argument(help="The file to write; standard output if not given.")
    ] = None,
) -> None:
    """Take every beacon out as one JSON list.

    Example:  chaland beacons export beacons.json
    """
    from engine.transfer import export_beacons as export_to

    with (
        opened() as engine,
        out.open("w", encoding="utf-8") if out else contextlib.nullcontext(sys.stdout) as target,
    ):
        count = export_to(engine.records, target)
    typer.echo(f"{count} beacons exported", err=True)


def beacons_health() -> None:
    """List the beacons with which something is wrong, and why; exit 1 if there are any.

    Example:  chaland beacons health
    """
    with opened() as engine:
        unhealthy = engine.rounds.unhealthy_beacons()
    for beacon, _, findings in unhealthy:
        for finding in findings:
            typer.echo(f"{beacon.id}  {beacon.geofence}  {finding.verdict}: {finding.reason}")
    typer.echo(f"{len(unhealthy)} beacons need a look", err=True)
    raise typer.Exit(1 if unhealthy else 0)
