"""From a batch of fixes to place events: match the whole batch in one pass, then step each phone in order.

Nothing here depends on how a stream was cut into batches: the same fixes in the same order give the same
events, which is what makes a replay after a crash harmless.
"""

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from geofences.event import EventKind, PlaceEvent, event_id
from geofences.geofence import Kind
from geofences.index import GeofenceIndex
from geofences.presence import (
    STORE_PRESENCE,
    Evidence,
    Presence,
    PresencePolicy,
    Transition,
    reach_m,
    step,
    stranger,
)

FORGET_AFTER_SECONDS = 1800.0
"""A phone silent for longer (by its own clock) is met as a new one."""
Floats = NDArray[np.float64]


class DeviceState(msgspec.Struct, array_like=True, gc=False):
    """All that detection remembers of a phone: no position, only what it believes of the places around it."""

    last_at: float
    presences: dict[str, Presence]


@dataclass(frozen=True, slots=True)
class Fixes:
    """A batch of fixes in order of arrival, as columns: unix seconds, degrees, metres."""

    devices: Sequence[str]
    at: Floats
    received_at: Floats
    lat: Floats
    lon: Floats
    accuracy_m: Floats

    def __len__(self) -> int:
        return len(self.devices)

    def only(self, devices: Container[str]) -> "Fixes":
        """The fixes of these devices, in the same order."""
        rows = [row for row, device in enumerate(self.devices) if device in devices]
        if len(rows) == len(self.devices):
            return self
        return Fixes(
            devices=[self.devices[row] for row in rows],
            at=self.at[rows],
            received_at=self.received_at[rows],
            lat=self.lat[rows],
            lon=self.lon[rows],
            accuracy_m=self.accuracy_m[rows],
        )


@dataclass(frozen=True, slots=True)
class Detection:
    """What a batch brought: the states that changed, the events, and how many fixes came too late to count."""

    states: Mapping[str, DeviceState]
    events: Sequence[PlaceEvent]
    late: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(DeviceState)


def encode_state(state: DeviceState) -> bytes:
    """A phone's state as the live store keeps it."""
    return _encoder.encode(state)


def decode_state(data: bytes) -> DeviceState:
    """The state that `encode_state` wrote."""
    return _decoder.decode(data)


def detect(
    index: GeofenceIndex,
    states: Mapping[str, DeviceState],
    fixes: Fixes,
    policy: PresencePolicy = STORE_PRESENCE,
) -> Detection:
    """Step every phone of the batch through its fixes. `states` is not changed; new states are answered."""
    near = _near(index, fixes, states, policy)
    changed: dict[str, DeviceState] = {}
    events: list[PlaceEvent] = []
    late = 0
    for row, device in enumerate(fixes.devices):
        at = float(fixes.at[row])
        state = _remembered(changed.get(device) or _copy(states.get(device)), at)
        if at <= state.last_at:
            late += 1
            continue
        changed[device] = _take(index, state, fixes, row, near[row], policy, events)
    return Detection(states=changed, events=events, late=late)


def _take(
    index: GeofenceIndex,
    state: DeviceState,
    fixes: Fixes,
    row: int,
    near: Sequence[tuple[int, float]],
    policy: PresencePolicy,
    events: list[PlaceEvent],
) -> DeviceState:
    at, accuracy_m = float(fixes.at[row]), float(fixes.accuracy_m[row])
    reach = reach_m(accuracy_m, policy)
    previous_at = state.last_at if at - state.last_at < FORGET_AFTER_SECONDS else at
    for slot, distance_m in near:
        geofence = index.geofence(slot)
        was = state.presences.get(geofence.id)
        if was is None:
            if distance_m > reach:
                continue
            was = stranger(previous_at, policy)
        now, transitions = step(was, Evidence(at, distance_m, accuracy_m, geofence.dwell_seconds), policy)
        if now.inside or distance_m <= reach:
            state.presences[geofence.id] = now
        else:
            state.presences.pop(geofence.id, None)
        events += [_event(fixes, row, geofence.id, each, distance_m) for each in transitions]
    state.last_at = at
    return state


def _near(
    index: GeofenceIndex, fixes: Fixes, states: Mapping[str, DeviceState], policy: PresencePolicy
) -> list[list[tuple[int, float]]]:
    """For each fix, (slot, signed distance) of every geofence that it, or its phone's state, is concerned with."""
    reaches = np.array([reach_m(float(each), policy) for each in fixes.accuracy_m])
    matches = index.match(fixes.lon, fixes.lat, reaches)
    concerned: dict[str, set[int]] = defaultdict(set)
    for ping, slot in zip(matches.ping.tolist(), matches.slot.tolist(), strict=True):
        if index.geofence(slot).kind is not Kind.CATCHMENT:
            concerned[fixes.devices[ping]].add(slot)
    for device in set(fixes.devices):
        if state := states.get(device):
            concerned[device].update(_slots(index, state))
    wanted = [(row, slot) for row, device in enumerate(fixes.devices) for slot in sorted(concerned[device])]
    near: list[list[tuple[int, float]]] = [[] for _ in fixes.devices]
    if wanted:
        rows, slots = (np.array(column, dtype=np.int64) for column in zip(*wanted, strict=True))
        distances = index.distances(fixes.lon[rows], fixes.lat[rows], slots)
        for (row, slot), distance_m in zip(wanted, distances.tolist(), strict=True):
            near[row].append((slot, distance_m))
    return near


def _slots(index: GeofenceIndex, state: DeviceState) -> Iterator[int]:
    for geofence in state.presences:
        slot = index.slot(geofence)
        if slot is not None:
            yield slot


def _copy(state: DeviceState | None) -> DeviceState:
    if state is None:
        return DeviceState(last_at=float("-inf"), presences={})
    return DeviceState(last_at=state.last_at, presences=dict(state.presences))


def _remembered(state: DeviceState, at: float) -> DeviceState:
    """The state, or a stranger's when the phone was silent for too long before `at`."""
    return state if at - state.last_at <= FORGET_AFTER_SECONDS else _copy(None)


def _event(fixes: Fixes, row: int, geofence: str, transition: Transition, distance_m: float) -> PlaceEvent:
    kind, at, confidence = transition
    device = fixes.devices[row]
    return PlaceEvent(
        id=event_id(device, geofence, EventKind(kind), f"{float(fixes.at[row]):.3f}"),
        device=device,
        kind=EventKind(kind),
        geofence=geofence,
        at=_instant(at),
        emitted=_instant(float(fixes.received_at[row])),
        confidence=round(confidence, 4),
        evidence={
            "distance_m": round(distance_m, 1),
            "accuracy_m": round(float(fixes.accuracy_m[row]), 1),
        },
    )


def _instant(unix_seconds: float) -> datetime:
    return datetime.fromtimestamp(unix_seconds, UTC)
