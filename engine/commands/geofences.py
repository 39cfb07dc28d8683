"""The commands about geofences, under `chaland geofences`."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.opening import fail_with_fields, opened


def import_geofences(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="GeoJSON FeatureCollection, .gz allowed.")
    ],
) -> None:
    """Bring geofences in, all or none; every feature that is wrong is named.

    Example:  chaland geofences import shops.geojson
    """
    from engine.transfer import import_file
    from geofences.errors import GeofenceError

    with opened() as engine:
        try:
            count = import_file(engine.records, file, engine.now(), engine.sensitive.faults)
        except GeofenceError as error:
            fail_with_fields(error)
    typer.echo(f"{count} geofences imported")


def export_geofences(
    out: Annotated[
        Path | None, typer.Argument(help="The file to write; standard output if not given.")
    ] = None,
) -> None:
    """Take every geofence out as one GeoJSON FeatureCollection.

    Example:  chaland geofences export shops.geojson
    """
    from engine.transfer import export_to

    with (
        opened() as engine,
        out.open("w", encoding="utf-8") if out else contextlib.nullcontext(sys.stdout) as target,
    ):
        count = export_to(engine.records, target)
    typer.echo(f"{count} geofences exported", err=True)
