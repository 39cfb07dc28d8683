"""What an entry of the event log holds: the place event that a worker committed, for the decider to judge."""

import msgspec

from geofences.event import PlaceEvent


def decode_event(data: bytes) -> PlaceEvent:
    """A place event as the event log holds it. Raises `msgspec.DecodeError` for what is none, or is newer than we are."""
    return msgspec.msgpack.decode(data, type=PlaceEvent)
