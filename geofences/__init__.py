"""What a place is, and how one is entered and left."""

from geofences.errors import FieldError, GeofenceError, InvalidGeofence
from geofences.event import EventKind, PlaceEvent, event_id
from geofences.geofence import Geofence, Kind
from geofences.geojson import feature_from_geofence, geofence_from_feature
from geofences.index import GeofenceIndex, Matches

__all__ = [
    "EventKind",
    "FieldError",
    "Geofence",
    "GeofenceError",
    "GeofenceIndex",
    "InvalidGeofence",
    "Kind",
    "Matches",
    "PlaceEvent",
    "event_id",
    "feature_from_geofence",
    "geofence_from_feature",
]
