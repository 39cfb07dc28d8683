"""HTTP calls about geofences."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from sqlalchemy import Engine

from geofences import store
from geofences.errors import FieldError, GeofenceNotFound, InvalidGeofence, InvalidImport
from geofences.geofence import ID_LIMIT_CHARS, Geofence, Kind
from geofences.geojson import (
    Check,
    RejectedFeature,
    feature_from_geofence,
    geofence_from_feature,
    read_collection,
)
from geofences.properties import ID_PATTERN

Now = Callable[[], datetime]
GeofenceId = Annotated[str, Path(pattern=ID_PATTERN, description="The geofence's id, chosen by you.")]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before")]
Filter = Annotated[str | None, Query(max_length=ID_LIMIT_CHARS, pattern=r"^[^\x00]*$")]


FEATURE = {
    "type": "Feature",
    "id": "bakery",
    "properties": {
        "name": "Bakery",
        "kind": "store",
        "radius": 40,
        "tags": ["city-centre"],
        "dwell_seconds": 300,
    },
    "geometry": {"type": "Point", "coordinates": [2.241, 48.8353]},
}
COLLECTION = {"type": "FeatureCollection", "features": [FEATURE]}


def router(*, reads: Engine, writes: Engine, now: Now, check: Check) -> APIRouter:
    """The routes of geofences; `check` is asked before one is saved."""
    api = APIRouter()
    _add_geofences(api, reads, writes, now, check)
    _add_import(api, writes, now, check)
    return api


def _add_geofences(api: APIRouter, reads: Engine, writes: Engine, now: Now, check: Check) -> None:
    @api.put(
        "/v1/geofences/{geofence_id}",
        operation_id="putGeofence",
        summary="Save a geofence, a GeoJSON Feature",
        tags=["geofences"],
        responses={200: example(FEATURE), 201: {"description": "It is new."}},
    )
    def put_geofence(
        geofence_id: GeofenceId,
        feature: Annotated[dict[str, Any], Body(examples=[FEATURE])],
        response: Response,
    ) -> dict[str, Any]:
        geofence = geofence_from_feature(feature, geofence_id)
        if faults := check(geofence):
            listed = "; ".join(f"{each.field}: {each.detail}" for each in faults[:3])
            raise InvalidGeofence(f"feature {geofence_id!r} is not saved: {listed}", faults)
        with writes.begin() as connection:
            response.status_code = 201 if store.put(connection, geofence, now()) else 200
        return feature_from_geofence(geofence)

    @api.get(
        "/v1/geofences/{geofence_id}",
        operation_id="getGeofence",
        summary="One geofence",
        tags=["geofences"],
        responses={200: example(FEATURE)},
    )
    def get_geofence(geofence_id: GeofenceId) -> dict[str, Any]:
        with reads.connect() as connection:
            geofence = store.get(connection, geofence_id)
        if geofence is None:
            raise GeofenceNotFound(geofence_id)
        return feature_from_geofence(geofence)

    @api.delete(
        "/v1/geofences/{geofence_id}",
        operation_id="deleteGeofence",
        summary="Forget a geofence",
        tags=["geofences"],
        status_code=204,
    )
    def delete_geofence(geofence_id: GeofenceId) -> None:
        with writes.begin() as connection:
            if not store.delete(connection, geofence_id, now()):
                raise GeofenceNotFound(geofence_id)

    @api.get(
        "/v1/geofences",
        operation_id="listGeofences",
        summary="Geofences by id, as a FeatureCollection",
        tags=["geofences"],
        responses={200: example(COLLECTION | {"next": None})},
    )
    def list_geofences(
        limit: Limit = 50, cursor: Cursor = None, kind: Kind | None = None, tag: Filter = None
    ) -> dict[str, Any]:
        with reads.connect() as connection:
            found, following = store.page(connection, cursor, limit, kind, tag)
        features = [feature_from_geofence(geofence) for geofence in found]
        return {"type": "FeatureCollection", "features": features, "next": following}


def _add_import(api: APIRouter, writes: Engine, now: Now, check: Check) -> None:
    @api.post(
        "/v1/geofences/import",
        operation_id="importGeofences",
        summary="Save the geofences of a FeatureCollection; all or none, or with `partial` those that are right",
        tags=["geofences"],
        responses={200: example({"imported": 1, "rejected": []})},
    )
    def import_geofences(
        collection: Annotated[dict[str, Any], Body(examples=[COLLECTION])],
        *,
        partial: bool = False,
    ) -> dict[str, Any]:
        geofences, rejected = read_collection(collection, check)
        if rejected and not partial:
            raise InvalidImport(
                f"nothing was imported: {len(rejected)} of the features are wrong; mend them, or add ?partial=true",
                [error for each in rejected for error in _placed(each)],
            )
        _save(writes, geofences, now())
        return {"imported": len(geofences), "rejected": [_rejected_json(each) for each in rejected]}


def _save(writes: Engine, geofences: list[Geofence], at: datetime) -> None:
    with writes.begin() as connection:
        store.put_many(connection, geofences, at)


def _placed(rejected: RejectedFeature) -> list[FieldError]:
    place = f"features[{rejected.index}]"
    return [FieldError(f"{place}.{error.field}".rstrip("."), error.detail) for error in rejected.errors]


def _rejected_json(rejected: RejectedFeature) -> dict[str, Any]:
    errors = [{"field": error.field, "detail": error.detail} for error in rejected.errors]
    return {"index": rejected.index, "id": rejected.id, "errors": errors}


def example(value: Any) -> dict[str, Any]:
    """An answer as the API document shows it."""
    return {"content": {"application/json": {"example": value}}}
