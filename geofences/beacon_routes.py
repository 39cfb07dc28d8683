"""HTTP calls about beacons."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response
from sqlalchemy import Engine

from geofences import beacon_store
from geofences.beacon import Beacon
from geofences.beacon_json import beacon_from_json, beacon_json, beacons_from_json
from geofences.errors import BeaconNotFound
from geofences.fleet import Figures, Verdict
from geofences.fleet_json import HEALTH_EXAMPLE, health_json, health_page
from geofences.properties import ID_PATTERN
from geofences.routes import Cursor, Filter, Limit, Now, example

FiguresOf = Callable[[Sequence[Beacon], float], Mapping[str, Figures]]
"""What was heard of these beacons, by id, as known now (unix seconds)."""
BeaconId = Annotated[str, Path(pattern=ID_PATTERN, description="The beacon's id, chosen by you.")]

DOOR = {
    "uuid": "f7826da6-4fa2-4e98-8024-bc5b71e0893e",
    "major": 101,
    "minor": 1,
    "geofence": "bakery",
    "tx_power": -59,
    "path_loss": 2.4,
    "zone": "till",
    "lat": 48.83531,
    "lon": 2.24102,
}
EDDYSTONE = {"namespace": "edd1ebeac04e5defa017", "instance": "0bdb87539b67", "geofence": "bakery"}
ANSWER = {"id": "bakery-till"} | DOOR


def router(*, reads: Engine, writes: Engine, now: Now, figures_of: FiguresOf) -> APIRouter:
    """The routes of beacons."""
    api = APIRouter(tags=["beacons"])
    _add_health(api, reads, now, figures_of)  # before the routes of one beacon, whose path would match too
    _add_beacons(api, reads, writes, now)
    _add_lists(api, reads, writes, now)
    return api


def _add_health(api: APIRouter, reads: Engine, now: Now, figures_of: FiguresOf) -> None:
    @api.get(
        "/v1/beacons/health",
        operation_id="listBeaconHealth",
        summary="Beacons by id, with what is wrong with each, and the figures that say so",
        responses={200: example({"items": [HEALTH_EXAMPLE], "next": None})},
    )
    def list_health(
        limit: Limit = 50, cursor: Cursor = None, geofence: Filter = None, verdict: Verdict | None = None
    ) -> dict[str, Any]:
        """Numbers of phones below five are null. `verdict` lists only those with this verdict."""
        at = now().timestamp()
        with reads.connect() as connection:
            found, following = health_page(
                lambda after, size: beacon_store.page(connection, after, size, geofence),
                lambda beacons: figures_of(beacons, at),
                cursor,
                limit,
                verdict,
            )
        return {"items": [health_json(*each) for each in found], "next": following}


def _add_beacons(api: APIRouter, reads: Engine, writes: Engine, now: Now) -> None:
    @api.put(
        "/v1/beacons/{beacon_id}",
        operation_id="putBeacon",
        summary="Save a beacon: how it is heard, and where it hangs",
        responses={200: example(ANSWER), 201: {"description": "It is new."}},
    )
    def put_beacon(
        beacon_id: BeaconId,
        beacon: Annotated[dict[str, Any], Body(examples=[DOOR, EDDYSTONE])],
        response: Response,
    ) -> dict[str, Any]:
        read = beacon_from_json(beacon, beacon_id)
        with writes.begin() as connection:
            response.status_code = 201 if beacon_store.put(connection, read, now()) else 200
        return beacon_json(read)

    @api.get(
        "/v1/beacons/{beacon_id}",
        operation_id="getBeacon",
        summary="One beacon",
        responses={200: example(ANSWER)},
    )
    def get_beacon(beacon_id: BeaconId) -> dict[str, Any]:
        with reads.connect() as connection:
            beacon = beacon_store.get(connection, beacon_id)
        if beacon is None:
            raise BeaconNotFound(beacon_id)
        return beacon_json(beacon)

    @api.delete(
        "/v1/beacons/{beacon_id}", operation_id="deleteBeacon", summary="Forget a beacon", status_code=204
    )
    def delete_beacon(beacon_id: BeaconId) -> None:
        with writes.begin() as connection:
            if not beacon_store.delete(connection, beacon_id):
                raise BeaconNotFound(beacon_id)


def _add_lists(api: APIRouter, reads: Engine, writes: Engine, now: Now) -> None:
    @api.get(
        "/v1/beacons",
        operation_id="listBeacons",
        summary="Beacons by id",
        responses={200: example({"items": [ANSWER], "next": None})},
    )
    def list_beacons(limit: Limit = 50, cursor: Cursor = None, geofence: Filter = None) -> dict[str, Any]:
        with reads.connect() as connection:
            found, following = beacon_store.page(connection, cursor, limit, geofence)
        return {"items": [beacon_json(beacon) for beacon in found], "next": following}

    @api.post(
        "/v1/beacons/import",
        operation_id="importBeacons",
        summary="Save a list of beacons, all or none; one without an `id` gets its radio ids as one",
        responses={200: example({"imported": 2})},
    )
    def import_beacons(beacons: Annotated[list[Any], Body(examples=[[DOOR, EDDYSTONE]])]) -> dict[str, Any]:
        placed, errors = beacons_from_json(beacons)
        with writes.begin() as connection:
            beacon_store.put_many(connection, placed, now(), errors)
        return {"imported": len(placed)}
