import numpy as np
import pytest

from engine.bench.work import (
    EVERY_SECONDS,
    INSIDE_SHARE,
    ORIGIN,
    RADIUS_M,
    SPREAD,
    STREET_FROM_M,
    Feed,
    make_geofences,
    make_work,
)
from engine.signals import decode_pings
from geofences.index import GeofenceIndex

DEVICES, ROUNDS, GEOFENCES = 4000, 40, 100


def test_the_same_seed_gives_the_same_work():
    first, second = make_work(50, 3, 10), make_work(50, 3, 10)
    assert (first.device == second.device).all()
    assert (first.lon == second.lon).all()
    assert [each.id for each in make_geofences(3)] == ["place-0", "place-1", "place-2"]
    assert make_geofences(3) == make_geofences(3)


def test_one_ping_in_twenty_is_inside_a_geofence_all_along():
    work = make_work(DEVICES, ROUNDS, GEOFENCES)
    index = GeofenceIndex.of(make_geofences(GEOFENCES))
    matches = index.match(work.lon, work.lat, np.zeros(len(work)))
    found = np.zeros(len(work), bool)
    found[matches.ping] = True
    shares = found.reshape(ROUNDS, DEVICES).mean(axis=1)
    assert found.mean() == pytest.approx(INSIDE_SHARE, rel=0.15)
    assert shares.min() > 0.5 * INSIDE_SHARE
    assert (found == work.inside).mean() > 0.99


def test_visitors_come_and_go_and_streets_lead_through_no_geofence():
    work = make_work(DEVICES, ROUNDS, GEOFENCES)
    inside = np.zeros((ROUNDS, DEVICES), bool)
    inside[np.repeat(np.arange(ROUNDS), DEVICES), work.device] = work.inside
    changes = (inside[1:] != inside[:-1]).sum()
    assert changes > 0.0005 * len(work)
    assert STREET_FROM_M > RADIUS_M * (1 + SPREAD)


def test_every_phone_reports_once_a_round_in_random_order():
    work = make_work(20, 4, 4)
    rounds = work.device.reshape(4, 20)
    assert all(sorted(each) == list(range(20)) for each in rounds.tolist())
    assert len({tuple(each) for each in rounds.tolist()}) == 4
    assert (np.diff(work.at.reshape(4, 20).min(axis=1)) > EVERY_SECONDS / 2).all()


def test_a_feed_hands_every_ping_out_once_as_the_door_takes_it():
    work = make_work(30, 2, 4)
    feed = Feed(work, until=1_700_000_000.0)
    rows, bodies = feed.take(50, 20)
    more, last = feed.take(50, 20)
    assert (rows, more, len(feed)) == (range(50), range(50, 60), 0)
    pings = [ping for body in [*bodies, *last] for ping in decode_pings(body, 20)]
    assert [ping.device for ping in pings] == [f"device-{number}" for number in work.device]
    assert max(ping.at for ping in pings) == pytest.approx(1_700_000_000.0, abs=0.001)
    assert [len(decode_pings(body, 20)) for body in bodies] == [20, 20, 10]


def test_moved_geofences_keep_their_ids():
    [moved] = make_geofences(9, only=[4], shift_degrees=0.001)
    index = GeofenceIndex.of([moved])
    lon, lat = ORIGIN[0] + 0.01, ORIGIN[1] + 0.01
    before = index.match(np.array([lon]), np.array([lat]), np.array([-50.0]))
    after = index.match(np.array([lon + 0.001]), np.array([lat + 0.001]), np.array([-50.0]))
    assert (moved.id, len(before.ping), len(after.ping)) == ("place-4", 0, 1)
