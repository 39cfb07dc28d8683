"""A place event: something a phone did at a geofence, with an id that follows from its cause."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b

EVENT_ID_BYTES = 16


class EventKind(StrEnum):
    """What a phone can do at a geofence."""

    ENTER = "enter"
    EXIT = "exit"
    DWELL = "dwell"
    CROSS = "cross"
    """Passed through between two fixes, neither of which lay inside."""
    NEARBY = "nearby"
    APPROACH = "approach"
    STUCK = "stuck"
    UNSTUCK = "unstuck"
    ZONE = "zone"
    """Came near to a beacon, or into the part of the store that it stands for."""


class Revision(StrEnum):
    """Whether an event is told for the first time, told anew with a better estimate, or taken back."""

    SAID = "said"
    AMENDED = "amended"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class PlaceEvent:
    """`at` is when it happened by estimate, `emitted` when it was noticed; both aware. `confidence` is a
    probability. `evidence` holds the figures that it was judged by, never a position. Of an event that is told anew
    or taken back the id stays. A `zone` event names its `beacon`, and the `zone` that this stands for if it has a name.
    """

    id: str
    device: str
    kind: EventKind
    geofence: str
    at: datetime
    emitted: datetime
    confidence: float
    evidence: Mapping[str, float] = field(default_factory=dict, hash=False)
    revision: Revision = Revision.SAID
    beacon: str | None = None
    zone: str | None = None

    def __post_init__(self) -> None:
        if self.at.tzinfo is None or self.emitted.tzinfo is None:
            raise ValueError("a naive datetime has no instant; give `at` and `emitted` a zone")
        if not 0 <= self.confidence <= 1:
            raise ValueError("confidence must be a probability, 0 to 1")


def event_id(device: str, geofence: str, kind: EventKind, cause: str) -> str:
    """The id of the event of this `kind` that `cause` (for example the time of a fix) brought about.

    The same cause gives the same id, so that a replay is noticed: 32 hex digits of BLAKE2b over a JSON list, which
    keeps ("a", "bc") and ("ab", "c") apart.
    """
    told = json.dumps([device, geofence, str(kind), cause])
    return blake2b(told.encode(), digest_size=EVENT_ID_BYTES).hexdigest()
