import random

import pytest

from engine.beliefs import FORGET_AFTER_SECONDS, STANDARD, DetectionPolicy, Sign
from engine.detection import World, detect, tick
from engine.signals import Fix, Heard, Signal
from engine.track import AMENDED_SECONDS, TAIL_LIMIT, Track, decode_track, encode_track, take
from geofences.beacon import Beacon, IBeacon, RegionChange
from geofences.beacons import Beacons
from geofences.event import PlaceEvent, Revision
from geofences.geojson import geofence_from_feature
from geofences.index import GeofenceIndex
from geofences.zones import Radio

LAT, LON = 48.8353, 2.2410
AWAY = 0.003


def circle(name: str, lon: float, kind: str = "store", **more: object):
    return geofence_from_feature(
        {
            "type": "Feature",
            "id": name,
            "properties": {
                "name": name,
                "kind": kind,
                "radius": 40,
                "dwell_seconds": 60,
                "timezone": "UTC",
            }
            | more,
            "geometry": {"type": "Point", "coordinates": [lon, LAT]},
        }
    )


INDEX = GeofenceIndex.of(
    [circle("bakery", LON), circle("cafe", LON + AWAY), circle("around", LON, "catchment", store="bakery")]
)


def fixes(rows: list[tuple[str, float, float]], delay: float = 1.0) -> list[Signal]:
    """Rows of (device, time, longitude), in order of arrival."""
    return [Signal(device, at + delay, Fix(at, LAT, lon, 8.0, None, None)) for device, at, lon in rows]


def final(events: list[PlaceEvent]) -> list[tuple[str, str, str, float]]:
    """What remains after corrections: each event as it was told last, without those taken back."""
    last = {event.id: event for event in events}
    return sorted(
        (event.device, str(event.kind), event.geofence, round(event.at.timestamp(), 3))
        for event in last.values()
        if event.revision is not Revision.RETRACTED
    )


def same(one: list[tuple[str, str, str, float]], other: list[tuple[str, str, str, float]]) -> bool:
    """Whether both are the same events; an estimate that moved by less than is told may differ."""
    return [each[:3] for each in one] == [each[:3] for each in other] and all(
        abs(a[3] - b[3]) <= AMENDED_SECONDS for a, b in zip(one, other, strict=True)
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


def run(
    rows: list[tuple[str, float, float]], cuts: list[int], policy: DetectionPolicy = STANDARD
) -> tuple[list[PlaceEvent], dict[str, Track]]:
    tracks: dict[str, Track] = {}
    events: list[PlaceEvent] = []
    world = World(INDEX)
    for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        if start < end:
            detection = detect(world, tracks, fixes(rows[start:end]), policy)
            tracks |= {name: decode_track(encode_track(each)) for name, each in detection.tracks.items()}
            events += detection.events
    return events, tracks


ALONE = DetectionPolicy(crowd=False, roads=False)
"""Other phones count as they are known when a signal comes, so they are left out where the order of arrival varies."""


@pytest.mark.parametrize("seed", range(10))
def test_how_a_stream_is_cut_into_batches_changes_nothing(seed: int):
    rows = stream(seed)
    whole = final(run(rows, [], ALONE)[0])
    assert len(whole) > 5
    cuts = sorted(random.Random(seed).sample(range(len(rows)), 40))
    assert same(final(run(rows, cuts, ALONE)[0]), whole)
    assert same(final(run(rows, list(range(1, len(rows))), ALONE)[0]), whole)


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_arrival_within_the_lateness_bound_changes_nothing_in_the_end(seed: int):
    rng = random.Random(seed)
    distinct = {(device, at): (device, at, lon) for device, at, lon in stream(seed)}.values()
    rows = sorted(distinct, key=lambda row: row[1])
    one_by_one = list(range(1, len(rows)))
    in_order = final(run(rows, one_by_one, ALONE)[0])
    assert len(in_order) > 5
    late = sorted(rows, key=lambda row: row[1] + rng.uniform(0, STANDARD.lateness_seconds - 1))
    assert late != rows
    assert same(final(run(late, one_by_one, ALONE)[0]), in_order)


def test_a_fix_told_twice_or_too_late_counts_once():
    rows = [("ana", 1000.0 + 10 * number, LON) for number in range(40)]
    told = detect(World(INDEX), {}, fixes(rows))
    again = detect(World(INDEX), told.tracks, fixes([*rows[-10:], ("ana", 995.0, LON + AWAY)]))
    assert len(again.late) == 11
    assert again.events == []
    assert again.tracks["ana"].tip == told.tracks["ana"].tip


@pytest.mark.parametrize("step_seconds", [0.1, -0.1])
def test_a_track_does_not_grow_by_late_fixes_either(step_seconds: float):
    def sign(at: float) -> Sign:
        return Sign(at, "", (("bakery", -1.0),), LON, LAT, 8.0)

    was = Track()
    for at in [1100.0, *(1050 + step_seconds * number for number in range(TAIL_LIMIT + 50))]:
        taken = take(was, sign(at), 1101.0, INDEX.catalogue.get, STANDARD)
        was = taken[0] if taken else was
        assert was.tail.count < TAIL_LIMIT
    assert decode_track(encode_track(was)).tail.signs == was.tail.signs


def test_a_late_fix_that_shows_a_visit_to_be_none_takes_it_back():
    out = LON + AWAY / 2
    rows = [("ana", 1000.0 + 10 * number, out) for number in range(6)]
    rows += [("ana", 1080.0, LON), ("ana", 1079.0, out), ("ana", 1078.0, out), ("ana", 1082.0, out)]
    told = run(rows, list(range(1, len(rows))))[0]
    assert [(event.kind, event.revision) for event in told] == [("enter", "said"), ("enter", "retracted")]
    assert told[0].id == told[1].id
    assert final(told) == []


def test_a_catchment_is_not_entered():
    events, tracks = run([("ana", 1000.0 + 10 * number, LON) for number in range(20)], [])
    assert {(event.kind, event.geofence) for event in events} == {("enter", "bakery"), ("dwell", "bakery")}
    assert set(tracks["ana"].tip.presences) == {"bakery"}


def test_tracks_given_are_not_changed():
    before = run([("ana", 1000.0, LON), ("ana", 1010.0, LON)], [])[1]
    kept = encode_track(before["ana"])
    detect(World(INDEX), before, fixes([("ana", 1020.0 + 10 * number, LON) for number in range(9)]))
    assert encode_track(before["ana"]) == kept


def test_what_is_kept_of_a_signal_is_all_of_it():
    street = Sign(1000.0, "", (("bakery", -3.5),), LON, LAT, 8.0, 1.5)
    road = Sign(
        1010.0, "", (), LON, LAT, 8.0, surroundings=(1.0, 2.0, 0.0), road=(9.5, 30.0, 4.0), by_road=True
    )
    passed = Sign(1020.0, "", (), LON, LAT, 8.0, crossed=(("cafe", 1011.0, 1015.0, 12.0, 1),))
    ahead = Sign(1030.0, "", (), LON, LAT, 8.0, None, (("bakery", 120.0),))
    told = Sign(1040.0, "door", (("bakery", 0.0),), region=RegionChange.ENTER)
    loud = Sign(1050.0, "door", (("bakery", 2.0),), radio=Radio(-60.0, -59.0, 2.5, "door"))
    track = Track()
    for sign in (street, road, passed, ahead, told, loud):
        track, _ = take(track, sign, sign.at, INDEX.get, STANDARD) or (track, [])
    kept = decode_track(encode_track(track))
    assert kept.tail.signs == [street, road, passed, ahead, told, loud]
    assert decode_track(encode_track(kept)).tail.signs == kept.tail.signs


def test_a_phone_silent_for_long_is_met_as_a_new_one():
    rows = [("ana", 1000.0 + 10 * number, LON) for number in range(10)]
    later = [(name, at + FORGET_AFTER_SECONDS + 100, lon) for name, at, lon in rows]
    kinds = [event.kind for event in run(rows + later, [])[0]]
    assert kinds == ["enter", "dwell", "enter", "dwell"]


def test_a_silent_phone_dwells_by_the_clock_and_a_later_contradiction_takes_it_back():
    world = World(INDEX)
    entered = detect(world, {}, fixes([("ana", 1000.0 + 10 * number, LON) for number in range(5)]))
    assert [event.kind for event in entered.events] == ["enter"]
    assert tick(world, entered.tracks, 1055.0).events == []
    due = tick(world, entered.tracks, 1066.0)
    assert [(event.kind, event.emitted.timestamp()) for event in due.events] == [("dwell", 1066.0)]
    assert tick(world, due.tracks, 1080.0).events == []
    gone = [("ana", 1045.0 + 5 * number, LON + AWAY / 2) for number in range(12)]
    left = detect(world, due.tracks, fixes(gone))
    assert [(event.kind, event.revision) for event in left.events] == [
        ("dwell", "retracted"),
        ("exit", "said"),
    ]
    assert left.events[0].id == due.events[0].id


def test_a_dwell_by_the_clock_is_told_once_when_the_phone_bears_it_out():
    world = World(INDEX)
    entered = detect(world, {}, fixes([("ana", 1000.0 + 10 * number, LON) for number in range(5)]))
    due = tick(world, entered.tracks, 1066.0)
    assert len(due.events) == 1
    stayed = detect(world, due.tracks, fixes([("ana", 1070.0 + 10 * number, LON) for number in range(5)]))
    assert stayed.events == []


def test_a_tunnel_makes_no_events():
    """Ten minutes without a ping between two places, then on as before."""
    out = LON + AWAY / 2
    rows = [("ana", at, out) for at in (1000.0, 1010.0, 1020.0, 1620.0, 1630.0, 1640.0)]
    assert run(rows, [1, 2, 3, 4, 5])[0] == []


def test_one_sure_and_wrong_fix_makes_no_event():
    out = LON + AWAY / 2
    rows = [("ana", 1000.0 + 10 * number, LON if number == 7 else out) for number in range(15)]
    assert run(rows, list(range(1, 15)))[0] == []


def test_a_teleport_is_not_driven():
    far = LON + 0.5
    rows = [("ana", 1000.0 + 10 * number, far if number == 7 else LON + AWAY / 2) for number in range(10)]
    drive = run(rows, [])[1]["ana"].tip.drive
    assert drive is not None
    assert drive.drove_m == 0
    assert drive.last.lon == LON + AWAY / 2


@pytest.mark.parametrize("start", [LON, LON + AWAY / 2], ids=["from inside", "from the street"])
def test_a_teleport_is_not_believed_until_it_is_borne_out(start: float):
    index = GeofenceIndex.of([circle("bakery", LON), circle("london", LON - 2.4)])
    rows = [("ana", 1000.0 + 30 * number, start) for number in range(6)]
    before = [event.kind for event in detect(World(index), {}, fixes(rows)).events]
    there_and_back = [*rows, ("ana", 1180.0, LON - 2.4), ("ana", 1210.0, start)]
    assert [event.kind for event in detect(World(index), {}, fixes(there_and_back)).events] == before
    gone = [*rows, *(("ana", 1180.0 + 30 * number, LON - 2.4) for number in range(4))]
    assert ("enter", "london") in [
        (event.kind, event.geofence) for event in detect(World(index), {}, fixes(gone)).events
    ]


def test_a_batch_that_a_phone_kept_while_offline_is_dated_by_the_phone():
    lons = [LON + AWAY / 2] * 3 + [LON] * 15 + [LON + AWAY / 2] * 8
    signals = [
        Signal("ana", 1300.0, Fix(1000.0 + 10 * number, LAT, lon, 8.0, None, None))
        for number, lon in enumerate(lons)
    ]
    told = {event.kind: event.at.timestamp() for event in detect(World(INDEX), {}, signals).events}
    assert told == pytest.approx({"enter": 1025, "dwell": 1085, "exit": 1175}, abs=6)


@pytest.mark.parametrize("off", [60.0, -60.0])
def test_a_clock_that_is_off_is_put_right(off: float):
    rows = [("ana", 1000.0 + 10 * number + off, LON) for number in range(12)]
    signals = [Signal(each.device, each.received_at - off, each.what) for each in fixes(rows)]
    events = [event for signal in signals for event in _one(signal)]
    dwell = next(event for event in events if event.kind == "dwell")
    assert dwell.at.timestamp() == pytest.approx(1060, abs=8)
    _tracks.clear()


_tracks: dict[str, Track] = {}


def _one(signal: Signal) -> list[PlaceEvent]:
    detection = detect(World(INDEX), _tracks, [signal])
    _tracks.update(detection.tracks)
    return list(detection.events)


DOOR, TILL = (IBeacon("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", 1, minor) for minor in (2, 3))
FLEET = Beacons.of(
    [
        Beacon("door", DOOR, "bakery", tx_power_dbm=-59),
        Beacon("bakery-till", TILL, "bakery", tx_power_dbm=-59, zone="till"),
    ]
)


def heard(at: float, rssi: float, beacon: IBeacon = DOOR) -> Signal:
    return Signal("ana", at, Heard(at, rssi, None, beacon.key))


def region(at: float, change: RegionChange, beacon: IBeacon = DOOR) -> Signal:
    return Signal("ana", at, Heard(at, None, None, beacon.key, region=change))


def told(signals: list[Signal]) -> list[tuple[str, float]]:
    """Kind and time of every event, each signal taken on its own."""
    world, tracks, events = World(INDEX, FLEET), dict[str, Track | None](), list[PlaceEvent]()
    for signal in signals:
        detection = detect(world, tracks, [signal])
        tracks |= {name: each and decode_track(encode_track(each)) for name, each in detection.tracks.items()}
        events += detection.events
    return [(str(event.kind), event.at.timestamp()) for event in events]


def test_a_beacon_in_the_store_is_heard_and_makes_the_visit():
    world = World(INDEX, FLEET)
    signals = [heard(at, -75.0) for at in range(1000, 1050, 5)]
    assert [event.kind for event in detect(world, {}, signals).events] == ["enter"]
    strange = [Signal("ana", at, Heard(at, -40.0, None, "unknown:1:2")) for at in range(1000, 1050, 5)]
    assert detect(world, {}, strange).events == []


def test_whoever_comes_near_a_beacon_is_in_its_zone_and_the_event_says_how_that_was_judged():
    signals = [heard(at, -85.0, TILL) for at in range(1000, 1030, 5)]
    signals += [heard(at, -62.0, TILL) for at in range(1030, 1060, 5)]
    events = detect(World(INDEX, FLEET), {}, signals).events
    assert [event.kind for event in events] == ["enter", "zone"]
    zone = events[-1]
    assert (zone.geofence, zone.beacon, zone.zone) == ("bakery", "bakery-till", "till")
    assert zone.evidence["distance_m"] < 4
    assert zone.evidence["near"] == pytest.approx(zone.confidence, abs=0.01)
    assert zone.evidence["hearings"] > 6
    assert 1030 <= zone.at.timestamp() <= 1055
    nameless = detect(World(INDEX, FLEET), {}, [heard(at, -62.0) for at in range(1000, 1020, 5)]).events[-1]
    assert (nameless.kind, nameless.beacon, nameless.zone) == ("zone", "door", None)


def shopping(seed: int) -> list[Signal]:
    """From the street past the door to the till and out again; the phone hears, says what it hears, and has fixes."""
    rng = random.Random(seed)
    signals = [region(1032.0, RegionChange.ENTER), region(1180.5, RegionChange.EXIT, TILL)]
    for at in range(1005, 1305, 3):
        if at % 15 == 0:
            lon = LON if 1030 <= at < 1250 else LON + AWAY / 2
            signals.append(Signal("ana", at, Fix(at, LAT, lon + rng.gauss(0, 5e-5), 8.0, None, None)))
        elif 1030 <= at < 1250:
            beacon = rng.choice([DOOR, TILL])
            near = (at < 1110) == (beacon is DOOR) and at < 1200
            signals.append(heard(at, (-60.0 if near else -82.0) + rng.gauss(0, 3), beacon))
    return sorted(signals, key=lambda signal: signal.received_at)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_heard_may_be_cut_anyhow(seed: int):
    signals = shopping(seed)
    whole = detect(World(INDEX, FLEET), {}, signals, ALONE)
    assert not whole.late, "a region event is no hearing told twice"
    kinds = sorted((str(event.kind), event.at.timestamp()) for event in whole.events)
    assert kinds == sorted(told(signals))
    assert {kind for kind, _ in kinds} >= {"enter", "dwell", "exit", "zone"}


@pytest.mark.parametrize("seed", range(10))
def test_what_is_heard_may_come_in_any_order_within_the_bound(seed: int):
    rng = random.Random(seed)
    in_order = shopping(seed)
    late = sorted(in_order, key=lambda signal: signal.received_at + rng.uniform(0, 100))
    assert late != in_order
    ends = []
    for signals in (in_order, late):
        world, tracks, events = World(INDEX, FLEET), dict[str, Track | None](), list[PlaceEvent]()
        for signal in signals:
            detection = detect(world, tracks, [signal], ALONE)
            tracks |= {
                name: each and decode_track(encode_track(each)) for name, each in detection.tracks.items()
            }
            events += detection.events
        last = {event.id: event for event in events}
        left = [each for each in last.values() if each.revision is not Revision.RETRACTED]
        ends.append((final(events), sorted(str(each.beacon) for each in left if each.kind == "zone")))
    assert same(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1] == ["bakery-till", "door"]


def test_a_phone_that_only_tells_of_regions_comes_and_goes():
    street = fixes([("ana", 1000.0, LON + AWAY / 2)])
    visit = [region(1100.0, RegionChange.ENTER), region(1400.0, RegionChange.EXIT)]
    [(enter, entered), (dwell, _), (exited, left)] = told([*street, *visit])
    assert (enter, dwell, exited) == ("enter", "dwell", "exit")
    assert 1000 <= entered <= 1100 < left <= 1400
    short = [region(1100.0, RegionChange.ENTER), region(1160.0, RegionChange.EXIT)]
    assert told([*street, *short])[-1][0] == "exit"


def test_a_region_of_all_beacons_of_a_store_is_the_store():
    street = fixes([("ana", 1000.0, LON + AWAY / 2)])
    uuid_and_major = DOOR.key.rpartition(":")[0]
    visit = [
        Signal("ana", at, Heard(at, None, None, uuid_and_major, region=change))
        for at, change in ((1100.0, RegionChange.ENTER), (1400.0, RegionChange.EXIT))
    ]
    assert [kind for kind, _ in told([*street, *visit])] == ["enter", "dwell", "exit"]
    stranger = Signal("ana", 1100.0, Heard(1100.0, None, None, "elsewhere", region=RegionChange.ENTER))
    assert told([*street, stranger]) == []


def test_leaving_one_beacon_is_no_leaving_while_another_is_heard():
    street = fixes([("ana", 1000.0, LON + AWAY / 2)])
    visit = [
        region(1100.0, RegionChange.ENTER),
        region(1120.0, RegionChange.ENTER, TILL),
        region(1200.0, RegionChange.EXIT),
        region(1800.0, RegionChange.EXIT, TILL),
    ]
    assert [kind for kind, _ in told([*street, *visit[:3]])] == ["enter", "dwell"]
    assert [kind for kind, _ in told([*street, *visit])] == ["enter", "dwell", "exit"]


def test_regions_do_not_outdo_fixes():
    inside = fixes([("ana", 1000.0 + 10 * number, LON) for number in range(20)])
    away = fixes([("ana", 1000.0 + 10 * number, LON + AWAY / 2) for number in range(20)])
    assert [kind for kind, _ in told([*inside, region(1192.0, RegionChange.EXIT)])] == ["enter", "dwell"]
    assert [kind for kind, _ in told([*inside, region(1260.0, RegionChange.EXIT)])] == ["enter", "dwell"]
    assert told([*away, region(1192.0, RegionChange.ENTER)]) == []


def test_across_the_antimeridian_a_visit_is_one_visit():
    index = GeofenceIndex.of([circle("fiji", 180.0)])
    lons = [179.9999, -179.9999, 179.9999, -179.9999, 179.9998, -179.9999] * 3
    rows = [("ana", 1000.0 + 10 * number, lon) for number, lon in enumerate(lons)]
    detection = detect(World(index), {}, fixes(rows))
    assert [event.kind for event in detection.events] == ["enter", "dwell"]
    drive = detection.tracks["ana"].tip.drive
    assert drive is not None
    assert drive.mean_60_mps < 2


def test_an_edit_of_the_places_reaches_a_phone_that_is_inside():
    world = World(GeofenceIndex.of([circle("bakery", LON)]))
    inside = detect(world, {}, fixes([("ana", 1000.0 + 10 * number, LON) for number in range(6)]))
    world.index.remove("bakery")
    after = detect(world, inside.tracks, fixes([("ana", 1100.0 + 10 * number, LON) for number in range(9)]))
    assert after.events == []


def drive(
    index: GeofenceIndex, lons: list[float], every: float, speed: float, heading: float | None = None
) -> list[PlaceEvent]:
    world = World()
    world.follow(index, Beacons())
    signals = [
        Signal("ana", at + 1, Fix(at, LAT, lon, 8.0, speed, heading))
        for at, lon in ((1000 + every * number, lon) for number, lon in enumerate(lons))
    ]
    return list(detect(world, {}, signals).events)


def test_whoever_comes_near_a_store_and_heads_for_it_is_told_once_of_each():
    index = GeofenceIndex.of(
        [circle("bakery", LON), circle("around", LON, "catchment", store="bakery", radius=400)]
    )
    metre = 1 / 73_200
    on_foot = [LON + (600 - 14 * number) * metre for number in range(42)]
    events = drive(index, on_foot, every=10, speed=1.4)
    told = [(event.kind, event.geofence) for event in events if event.kind in ("nearby", "approach")]
    assert told == [("nearby", "around"), ("approach", "bakery")]
    approach = next(event for event in events if event.kind == "approach")
    assert 0 < approach.evidence["eta_seconds"] <= 120
    nearby = next(event for event in events if event.kind == "nearby")
    assert "walking" in nearby.evidence
    assert 250 < nearby.evidence["distance_m"] < 400


def test_who_is_met_inside_a_catchment_has_not_come_to_it():
    index = GeofenceIndex.of(
        [circle("bakery", LON), circle("around", LON, "catchment", store="bakery", radius=400)]
    )
    metre = 1 / 73_200
    at_home = [LON + 250 * metre] * 20
    assert "nearby" not in [event.kind for event in drive(index, at_home, every=30, speed=0.0)]
    out_and_back = [*at_home, *[LON + 700 * metre] * 3, *at_home]
    assert [event.kind for event in drive(index, out_and_back, every=30, speed=0.0)].count("nearby") == 1


@pytest.mark.parametrize(("aside_m", "told"), [(0, True), (150, False), (400, False)])
def test_only_who_heads_for_the_store_itself_is_announced(aside_m: int, told: bool):  # noqa: FBT001
    metre = 1 / 73_200
    index = GeofenceIndex.of(
        [
            circle("bakery", LON),
            circle("around", LON, "catchment", store="bakery", radius=1400),
        ]
    )
    world = World(index)
    signals = [
        Signal(
            "ana",
            1001.0 + 10 * number,
            Fix(
                1000.0 + 10 * number,
                LAT + aside_m / 111_320,
                LON + (2000 - 120 * number) * metre,
                8.0,
                12.0,
                None,
            ),
        )
        for number in range(30)
    ]
    approaches = [event for event in detect(world, {}, signals).events if event.kind == "approach"]
    assert [event.geofence for event in approaches] == (["bakery"] if told else [])
    for event in approaches:
        assert event.evidence["eta_seconds"] >= 30
        assert event.evidence["aim_m"] == pytest.approx(40, abs=6)


@pytest.mark.parametrize(
    ("heading", "eastward", "told"),
    [(90.0, True, True), (270.0, True, False), (None, True, True), (90.0, False, False)],
)
def test_a_service_area_is_announced_upstream_on_its_own_carriageway(
    heading: float | None,
    eastward: bool,  # noqa: FBT001
    told: bool,  # noqa: FBT001
):
    more = {} if heading is None else {"heading": heading}
    index = GeofenceIndex.of([circle("aire", LON + 0.2, "service_area", radius=150, **more)])
    metre = 1 / 73_200
    lons = [LON + (320 * number if eastward else 30_000 - 320 * number) * metre for number in range(40)]
    if not eastward:
        lons = [lon - 0.25 for lon in lons]
    events = drive(index, lons, every=10, speed=32.0)
    assert [(event.kind, event.geofence) for event in events if event.kind == "approach"] == (
        [("approach", "aire")] if told else []
    )


def queue(stop_and_go: bool, **catchment: object) -> list[PlaceEvent]:  # noqa: FBT001
    """A car drives up eastwards for five minutes and then hardly moves for six; or it goes on driving."""
    around = circle("around", LON + 0.01, "catchment", store="bakery", radius=400, **catchment)
    index = GeofenceIndex.of([circle("bakery", LON), around])
    metre = 1 / 73_200
    rng = random.Random(4)
    signals, at, where = [], 1000.0, LON + 0.01 - 4000 * metre
    for number in range(80):
        jammed = stop_and_go and 30 < number < 70
        speed = (rng.choice([0.0, 0.0, 0.0, 1.5]) if jammed else 12.0) + rng.uniform(0, 0.2)
        at, where = at + 10, where + speed * 10 * metre
        signals.append(Signal("ana", at + 1, Fix(at, LAT, where, 10.0, speed, None)))
    return list(detect(World(index), {}, signals).events)


def test_a_car_in_stop_and_go_traffic_is_stuck_and_then_no_more():
    events = [event for event in queue(stop_and_go=True) if event.kind in ("stuck", "unstuck")]
    assert [(event.kind, event.geofence) for event in events] == [("stuck", "around"), ("unstuck", "around")]
    stuck, unstuck = events
    assert stuck.evidence["slow_seconds"] >= 100
    assert unstuck.at.timestamp() == pytest.approx(1700, abs=30)
    assert not any(event.kind == "stuck" for event in queue(stop_and_go=False))


@pytest.mark.parametrize(("heading", "told"), [(90, True), (140, True), (180, False), (270, False)])
def test_a_catchment_with_a_heading_is_about_one_direction_of_travel(heading: float, told: bool):  # noqa: FBT001
    kinds = [event.kind for event in queue(stop_and_go=True, heading=heading)]
    assert ("stuck" in kinds) == told


def test_a_fast_passer_with_a_ping_a_minute_crosses_and_does_not_enter():
    metre = 1 / 73_200
    index = GeofenceIndex.of([circle("bakery", LON)])
    lons = [LON + (-2300 + 1500 * number) * metre for number in range(4)]
    events = drive(index, lons, every=60, speed=25.0)
    [crossed] = [event for event in events if event.kind in ("cross", "enter", "exit")]
    assert crossed.kind == "cross"
    assert crossed.at.timestamp() == pytest.approx(1000 + 2260 / 25, abs=2)
    assert crossed.evidence["seconds"] == pytest.approx(80 / 25, abs=0.5)
    assert crossed.confidence > 0.95


def test_a_walk_around_a_place_does_not_cross_it():
    index = GeofenceIndex.of([circle("bakery", LON)])
    assert [event.kind for event in drive(index, [LON + 0.002] * 20, every=60, speed=0.2)] == []
