"""The commands that run detection over recorded files."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.opening import fail


def replay(
    geofences: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="GeoJSON FeatureCollection.")],
    pings: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="JSON lines, .gz allowed, by received_at.")
    ],
    sightings: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Beacon sightings.")
    ] = None,
    beacons: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Where the beacons hang.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Events as JSON lines; standard output if not given.")
    ] = None,
) -> None:
    """Run the engine's detection over recorded files, in arrival order, never looking ahead.

    Example:  chaland replay --geofences shops.geojson --pings pings.jsonl.gz --out events.jsonl

    Example:  chaland replay --geofences shops.geojson --pings p.jsonl --sightings s.jsonl --beacons beacons.json
    """
    from engine.recordings.recorded import Unreadable
    from engine.recordings.replay import Recording
    from engine.recordings.replay import replay as run_replay
    from geofences.errors import GeofenceError

    if bool(sightings) != bool(beacons):
        fail("--sightings and --beacons go together: what was heard, and where it hangs")
    try:
        with out.open("w", encoding="utf-8") if out else contextlib.nullcontext(sys.stdout) as target:
            counts = run_replay(Recording(geofences, pings, sightings, beacons), target)
    except (Unreadable, GeofenceError) as error:
        fail(str(error))
    typer.echo(", ".join(f"{value} {name}" for name, value in counts.items()), err=True)


def ablation(
    geofences: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="GeoJSON FeatureCollection.")],
    pings: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="JSON lines, .gz allowed.")],
    truth: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="What happened, as JSON lines.")],
    sightings: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    beacons: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
) -> None:
    """Score detection on a labelled recording: whole, and without each of its parts.

    Example:  chaland ablation --geofences shops.geojson --pings pings.jsonl.gz --truth truth.jsonl.gz
    """
    from engine.recordings import labelled
    from engine.recordings.recorded import Unreadable
    from engine.recordings.replay import Recording
    from geofences.errors import GeofenceError

    try:
        happened = labelled.read_truth(truth)
        typer.echo(labelled.ablation_head())
        for part, scores in labelled.ablation(Recording(geofences, pings, sightings, beacons), happened):
            typer.echo(labelled.ablation_line(part, scores))
    except (Unreadable, GeofenceError) as error:
        fail(str(error))


def nearness(
    geofences: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="GeoJSON FeatureCollection.")],
    pings: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="JSON lines, .gz allowed.")],
    tracks: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="True positions, CSV: device, t, lat, lon; .gz allowed."
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="What happened; tells nothing of nearby.")
    ] = None,
    sightings: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    beacons: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
) -> None:
    """Score nearby, approach and cross where it is known when phones were inside geofences.

    Example:  chaland nearness --geofences shops.geojson --pings pings.jsonl.gz --tracks tracks.csv.gz
    """
    from engine.recordings import labelled, nearness_report
    from engine.recordings.recorded import Unreadable
    from engine.recordings.replay import Recording, open_world
    from geofences.errors import GeofenceError

    recording = Recording(geofences, pings, sightings, beacons)
    try:
        if tracks and not truth:
            stays = nearness_report.read_tracks(tracks, open_world(recording).index)
        elif truth and not tracks:
            stays = nearness_report.stays_of(labelled.read_truth(truth))
        else:
            fail("one of --tracks and --truth is needed")
        typer.echo(nearness_report.table(nearness_report.measure(recording, stays)))
    except (Unreadable, GeofenceError) as error:
        fail(str(error))


def ranging(
    sensors: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="CSV: mac or id, x, y, z.")],
    calibrate: Annotated[
        list[Path],
        typer.Option(exists=True, dir_okay=False, help="Readings to fit the radios on; may be repeated."),
    ],
    readings: Annotated[
        Path,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="CSV: ts, x, y, perhaps z, and sensor and rssi, or rssi_NAME for each sensor; .gz allowed.",
        ),
    ],
    height: Annotated[float, typer.Option(help="Metres, of a radio whose readings have no z.")] = 1.0,
) -> None:
    """Compare told distances with measured ones: the ranging filter against single hearings.

    Example:  chaland ranging --sensors sensors.csv --calibrate walk-1.csv --readings walk-2.csv
    """
    from engine.recordings import ranging_report
    from engine.recordings.recorded import Unreadable

    try:
        fitted = [each for file in calibrate for each in ranging_report.read_readings(sensors, file, height)]
        radios = ranging_report.calibrated(fitted)
        scored = ranging_report.read_readings(sensors, readings, height)
        plain, filtered = ranging_report.compare(scored, radios)
    except (Unreadable, ValueError) as error:
        fail(str(error))
    typer.echo(ranging_report.table(plain, filtered))


def fit_jams(
    towns: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            file_okay=False,
            help="Folders with fences.geojson, pings.jsonl.gz, sightings.jsonl.gz, beacons.json, truth.jsonl.gz.",
        ),
    ],
) -> None:
    """Fit the weights of the jam model to labelled recordings and print them, as engine/traffic/weights.py has them.

    Each recording is taken whole, and once more as if only some of its phones were there, so that the model also learns
    what a jam looks like where few phones tell of it.

    Example:  chaland fit-jams recordings/harbour recordings/old-town
    """
    from engine.recordings import labelled
    from engine.recordings.replay import Recording
    from engine.traffic.fit import THIN_SHARE, fit

    found = []
    for town in towns:
        recording = Recording(
            town / "fences.geojson",
            town / "pings.jsonl.gz",
            town / "sightings.jsonl.gz",
            town / "beacons.json",
        )
        truth = labelled.read_truth(town / "truth.jsonl.gz")
        found += [labelled.examples(recording, truth, share) for share in (1.0, THIN_SHARE)]
    for feature, weight in fit(found).items():
        typer.echo(f'    "{feature}": {weight},')
