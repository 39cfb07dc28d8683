from datetime import UTC, datetime

import numpy as np

from engine.bench.latency import BODY, bodies_of_events, percentiles
from engine.bench.sending import Sent
from engine.bench.work import Feed, make_work, name_of
from engine.signals import decode_pings
from geofences.event import EventKind, PlaceEvent, event_id

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def event_of(device: str, cause: str) -> PlaceEvent:
    identity = event_id(device, "place-1", EventKind.ENTER, cause)
    return PlaceEvent(identity, device, EventKind.ENTER, "place-1", NOW, NOW, 0.9)


def test_an_event_is_traced_to_the_body_of_the_ping_that_brought_it_about():
    work = make_work(120, 5, 4)
    feed = Feed(work, NOW.timestamp())
    feed.take(2 * BODY, BODY)
    rows, bodies = feed.take(3 * BODY, BODY)
    third = decode_pings(bodies[2], BODY)[7]  # as the door reads it
    traced, by_clock = event_of(third.device, f"{third.at:.3f}"), event_of(name_of(1), "123.000")
    bodies_of = bodies_of_events(work, rows, feed.began_at, [(traced, 3.5), (by_clock, 3.6)])
    assert bodies_of == {traced.id: 2}


def test_percentiles_of_nothing_are_nothing():
    assert percentiles(np.array([])) == {"p50": None, "p99": None}
    assert percentiles(np.arange(101.0)) == {"p50": 50.0, "p99": 99.0}


def test_bodies_that_were_not_sent_do_not_count():
    sent = Sent(due=np.array([1.0, 2.0, np.nan]), accepted=np.array([1.5, 2.5, np.nan]), turned_away=0)
    assert sent.bodies == 2
