"""Geofences and beacons in bulk, in and out, with a progress bar where someone is watching."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import IO

from tqdm import tqdm

from engine.records import Records
from geofences import beacon_store, store
from geofences.beacon import Beacon
from geofences.beacon_json import beacon_json, beacons_from_json
from geofences.errors import FieldError, InvalidImport
from geofences.files import load_json
from geofences.geofence import Geofence
from geofences.geojson import Check, feature_from_geofence, load_file, read_features

PAGE = 200


def read_file(file: Path, check: Check | None = None) -> list[Geofence]:
    """The geofences of a GeoJSON file. Raises `GeofenceError` that names every feature and field that is wrong."""
    geofences: list[Geofence] = []
    errors: list[FieldError] = []
    for each in tqdm(
        read_features(load_file(file), check), unit=" features", desc="read", disable=not sys.stderr.isatty()
    ):
        if isinstance(each, Geofence):
            geofences.append(each)
        else:
            name = f"features[{each.index}]" + (f" ({each.id})" if each.id else "")
            errors += [FieldError(f"{name}.{error.field}", error.detail) for error in each.errors]
    if errors:
        raise InvalidImport(f"{file}: nothing was taken, for something is wrong:", errors)
    return geofences


def import_file(records: Records, file: Path, at: datetime, check: Check) -> int:
    """Store every geofence of a GeoJSON file in one transaction. Raises `GeofenceError` that lists what is wrong."""
    geofences = read_file(file, check)
    with records.writes.begin() as connection:
        store.put_many(connection, geofences, at)
    return len(geofences)


def export_to(records: Records, target: IO[str]) -> int:
    """Write every geofence as one FeatureCollection, a feature a line."""
    written, cursor = 0, None
    with records.reads.connect() as connection:
        total = store.count(connection)
        target.write('{"type":"FeatureCollection","features":[\n')
        with tqdm(total=total, unit=" geofences", desc="export", disable=not sys.stderr.isatty()) as progress:
            while True:
                page, cursor = store.page(connection, cursor, PAGE)
                for geofence in page:
                    target.write(",\n" if written else "")
                    target.write(json.dumps(feature_from_geofence(geofence), ensure_ascii=False))
                    written += 1
                progress.update(len(page))
                if cursor is None:
                    break
        target.write("\n]}\n")
    return written


def read_beacons(file: Path) -> list[Beacon]:
    """The beacons of a JSON list. Raises `GeofenceError` that names every index and field that is wrong."""
    placed, errors = beacons_from_json(load_json(file))
    if errors:
        raise InvalidImport(f"{file}: nothing was taken, for something is wrong:", errors)
    return list(placed.values())


def import_beacons(records: Records, file: Path, at: datetime) -> int:
    """Store every beacon of a JSON list in one transaction. Raises `GeofenceError` that lists what is wrong."""
    placed, errors = beacons_from_json(load_json(file))
    with records.writes.begin() as connection:
        beacon_store.put_many(connection, placed, at, errors)
    return len(placed)


def export_beacons(records: Records, target: IO[str]) -> int:
    """Write every beacon as one JSON list, a beacon a line."""
    with records.reads.connect() as connection:
        fleet = beacon_store.read_all(connection)
    lines = [json.dumps(beacon_json(beacon), ensure_ascii=False) for beacon in fleet]
    target.write("[\n" + ",\n".join(lines) + "\n]\n")
    return len(lines)
