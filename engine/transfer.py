"""Geofences in bulk, in and out, with a progress bar where someone is watching."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import IO

from tqdm import tqdm

from engine.records import Records
from geofences import store
from geofences.errors import FieldError, InvalidImport
from geofences.geofence import Geofence
from geofences.geojson import feature_from_geofence, load_file, read_features

PAGE = 200


def read_file(file: Path) -> list[Geofence]:
    """The geofences of a GeoJSON file. Raises `GeofenceError` that names every feature and field that is wrong."""
    geofences: list[Geofence] = []
    errors: list[FieldError] = []
    for each in tqdm(
        read_features(load_file(file)), unit=" features", desc="read", disable=not sys.stderr.isatty()
    ):
        if isinstance(each, Geofence):
            geofences.append(each)
        else:
            name = f"features[{each.index}]" + (f" ({each.id})" if each.id else "")
            errors += [FieldError(f"{name}.{error.field}", error.detail) for error in each.errors]
    if errors:
        raise InvalidImport(f"{file}: nothing was taken, for something is wrong:", errors)
    return geofences


def import_file(records: Records, file: Path, at: datetime) -> int:
    """Store every geofence of a GeoJSON file in one transaction. Raises `GeofenceError` that lists what is wrong."""
    geofences = read_file(file)
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
