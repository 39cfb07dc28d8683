"""What a caller can do wrong with places, with the words and the HTTP status that tell them what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass

LISTED_ERRORS_LIMIT = 1000
"""An answer lists at most so many field errors; the last one then says how many more there are."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of the input, by its path (``geometry.coordinates[0][3]``), and what was allowed."""

    field: str
    detail: str


class GeofenceError(Exception):
    """Base of what this package raises at its callers; engine answers it as problem+json."""

    status = 400
    code = "geofence_error"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = _listed(errors)


class GeofenceNotFound(GeofenceError):
    """No geofence has this id."""

    status = 404
    code = "geofence_not_found"

    def __init__(self, geofence_id: str) -> None:
        super().__init__(
            f"no geofence has the id {geofence_id!r}; make it with PUT /v1/geofences/{geofence_id}"
        )


class InvalidGeofence(GeofenceError):
    """A GeoJSON feature that describes no geofence; `errors` names every field at fault."""

    status = 422
    code = "invalid_geofence"


class InvalidImport(GeofenceError):
    """An import with something wrong in it, of which nothing was stored; `errors` names every field at fault."""

    status = 422
    code = "invalid_import"


class InvalidCursor(GeofenceError):
    """A page was asked for with a cursor that this list did not give out."""

    status = 422
    code = "invalid_cursor"

    def __init__(self) -> None:
        said = "leave it out for the first page, or repeat the `next` of the page before unchanged"
        super().__init__(f"cursor: {said}", (FieldError("cursor", said),))


class TooManyGeofences(GeofenceError):
    """The store holds as many geofences as it may."""

    status = 409
    code = "too_many_geofences"


class GeofenceHasBeacons(GeofenceError):
    """A geofence cannot be forgotten while beacons hang in it."""

    status = 409
    code = "geofence_has_beacons"

    def __init__(self, geofence_id: str, beacon_id: str) -> None:
        super().__init__(
            f"beacons hang in geofence {geofence_id!r}, {beacon_id!r} for one; delete them first, or put them elsewhere "
            f"(GET /v1/beacons?geofence={geofence_id} lists them)"
        )


class BeaconNotFound(GeofenceError):
    """No beacon has this id."""

    status = 404
    code = "beacon_not_found"

    def __init__(self, beacon_id: str) -> None:
        super().__init__(f"no beacon has the id {beacon_id!r}; make it with PUT /v1/beacons/{beacon_id}")


class InvalidBeacon(GeofenceError):
    """JSON that describes no beacon; `errors` names every field at fault."""

    status = 422
    code = "invalid_beacon"


class RadioIdsTaken(GeofenceError):
    """Another beacon has the same radio ids, so that a phone could not tell them apart."""

    status = 409
    code = "radio_ids_taken"


class TooManyBeacons(GeofenceError):
    """The store holds as many beacons as it may."""

    status = 409
    code = "too_many_beacons"


class UnreadableFile(GeofenceError):
    """A file that is no JSON, or too large; the message names it."""

    status = 422
    code = "unreadable_file"


def _listed(errors: Sequence[FieldError]) -> tuple[FieldError, ...]:
    if len(errors) <= LISTED_ERRORS_LIMIT:
        return tuple(errors)
    more = len(errors) - LISTED_ERRORS_LIMIT + 1
    return (*errors[: LISTED_ERRORS_LIMIT - 1], FieldError("", f"and {more} more errors; mend these first"))
