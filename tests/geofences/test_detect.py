import random

import numpy as np
import pytest

from geofences.detect import FORGET_AFTER_SECONDS, DeviceState, Fixes, decode_state, detect, encode_state
from geofences.geojson import geofence_from_feature
from geofences.index import GeofenceIndex

LAT, LON = 48.8353, 2.2410
AWAY = 0.003


def circle(name: str, lon: float, kind: str = "store"):
    return geofence_from_feature(
        {
            "type": "Feature",
            "id": name,
            "properties": {"name": name, "kind": kind, "radius": 40, "dwell_seconds": 60, "timezone": "UTC"},
            "geometry": {"type": "Point", "coordinates": [lon, LAT]},
        }
    )


INDEX = GeofenceIndex.of(
    [circle("bakery", LON), circle("cafe", LON + AWAY), circle("around", LON, "catchment")]
)


def fixes(rows: list[tuple[str, float, float]]) -> Fixes:
    """Rows of (device, time, longitude)."""
    return Fixes(
        devices=[device for device, _, _ in rows],
        at=np.array([at for _, at, _ in rows], dtype=float),
        received_at=np.array([at + 1 for _, at, _ in rows], dtype=float),
        lat=np.full(len(rows), LAT),
        lon=np.array([lon for _, _, lon in rows]),
        accuracy_m=np.full(len(rows), 8.0),
    )


def stream(seed: int) -> list[tuple[str, float, float]]:
    """Five phones between the two places and the street, now and then late or told twice."""
    rng = random.Random(seed)
    rows: list[tuple[str, float, float]] = []
    for number in range(400):
        device = f"phone-{rng.randrange(5)}"
        where = rng.choice([0.0, AWAY, AWAY / 2]) if number % 40 < 10 else AWAY * (number // 100 % 2)
        late = rng.uniform(-90, -5) if rng.random() < 0.05 else 0.0
        rows.append((device, 1000 + number * 5 + late, LON + where + rng.gauss(0, 5e-5)))
        if rng.random() < 0.05:
            rows.append(rows[-1])
    return rows


def run(rows: list[tuple[str, float, float]], cuts: list[int]) -> tuple[list, dict]:
    states: dict[str, DeviceState] = {}
    events = []
    for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        if start < end:
            detection = detect(INDEX, states, fixes(rows[start:end]))
            states |= {name: decode_state(encode_state(state)) for name, state in detection.states.items()}
            events += detection.events
    return events, states


@pytest.mark.parametrize("seed", range(10))
def test_how_a_stream_is_cut_into_batches_changes_nothing(seed: int):
    rows = stream(seed)
    whole = run(rows, [])
    assert len(whole[0]) > 5
    cuts = sorted(random.Random(seed).sample(range(len(rows)), 40))
    assert run(rows, cuts) == whole
    assert run(rows, list(range(1, len(rows)))) == whole


def test_a_fix_told_twice_or_late_counts_once():
    rows = [("ana", 1000.0 + 10 * number, LON) for number in range(10)]
    detection = detect(INDEX, {}, fixes([*rows, *rows, ("ana", 995.0, LON + AWAY)]))
    assert detection.late == len(rows) + 1
    assert detection.events == detect(INDEX, {}, fixes(rows)).events
    assert detection.states["ana"] == detect(INDEX, {}, fixes(rows)).states["ana"]


def test_a_catchment_is_not_entered():
    events, states = run([("ana", 1000.0 + 10 * number, LON) for number in range(20)], [])
    assert {(event.kind, event.geofence) for event in events} == {("enter", "bakery"), ("dwell", "bakery")}
    assert set(states["ana"].presences) == {"bakery"}


def test_states_given_are_not_changed():
    before = run([("ana", 1000.0, LON), ("ana", 1010.0, LON)], [])[1]
    kept = encode_state(before["ana"])
    detect(INDEX, before, fixes([("ana", 1020.0 + 10 * number, LON) for number in range(9)]))
    assert encode_state(before["ana"]) == kept


def test_a_phone_silent_for_long_is_met_as_a_new_one():
    rows = [("ana", 1000.0 + 10 * number, LON) for number in range(10)]
    later = [(name, at + FORGET_AFTER_SECONDS + 100, lon) for name, at, lon in rows]
    kinds = [event.kind for event in run(rows + later, [])[0]]
    assert kinds == ["enter", "dwell", "enter", "dwell"]


def test_nothing_remembered_holds_a_position():
    _, states = run([("ana", 1000.0 + 10 * number, LON) for number in range(10)], [])
    kept = states["ana"]
    numbers = [
        kept.last_at,
        *(getattr(kept.presences["bakery"], name) for name in ("log_odds", "since", "seen_at")),
    ]
    assert not any(abs(number - LON) < 0.01 or abs(number - LAT) < 0.01 for number in numbers)


def test_an_edit_of_the_places_reaches_a_phone_that_is_inside():
    index = GeofenceIndex.of([circle("bakery", LON)])
    inside = detect(index, {}, fixes([("ana", 1000.0 + 10 * number, LON) for number in range(6)]))
    index.remove("bakery")
    after = detect(index, inside.states, fixes([("ana", 1100.0 + 10 * number, LON) for number in range(9)]))
    assert after.events == []
