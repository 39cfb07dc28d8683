"""Whether an offer finds its reader at the wheel, by the event that brought it about: then a push makes no sound."""

from collections.abc import Mapping

from geofences.event import EventKind

AT_THE_WHEEL = frozenset({EventKind.STUCK, EventKind.UNSTUCK, EventKind.CROSS})
"""What only a vehicle does."""
SURE_ENOUGH = 0.5


def is_driving(kind: EventKind, evidence: Mapping[str, float]) -> bool:
    """`evidence` is the event's; `vehicle` in it is how sure it is that the phone was in one."""
    return kind in AT_THE_WHEEL or evidence.get("vehicle", 0.0) >= SURE_ENOUGH
