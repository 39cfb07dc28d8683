from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batch import Batch, packed
from engine.signals import Fix, Heard, HeardBeacon, Ping, Sighting, Signal
from geofences.beacon import RegionChange

TILL = HeardBeacon(namespace="edd1ebeac04e5defa017", instance="0bdb87539b67")

names = st.sampled_from(["ana", "bob", "carl"])
numbers = st.floats(-1e9, 1e9)
maybe = st.none() | st.floats(0, 400)
fixes = st.builds(Fix, numbers, st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 1e6), maybe, maybe)
heards = st.builds(Heard, numbers, st.floats(-127, 20), st.none() | st.floats(-100, 20), st.just(TILL.key))
regions = st.builds(
    Heard, numbers, st.none(), st.none(), st.just(TILL.key), region=st.sampled_from(RegionChange)
)
signals = st.lists(st.builds(Signal, names, numbers, fixes | heards | regions), max_size=12)


@given(signals, signals)
def test_what_goes_in_comes_out_packed_cut_and_put_together(some, more):
    both = Batch.together([Batch.of(some), Batch.decoded(Batch.of(more).encoded())])
    assert list(both) == [*some, *more]
    assert list(both[2:5]) == [*some, *more][2:5]
    odd = list(range(1, len(both), 2))
    assert list(both.only(odd)) == [*some, *more][1::2]


def test_reports_become_signals_in_order_and_a_negative_speed_or_heading_is_unknown():
    pings = [
        Ping("ana", 1.0, 2.0, 3.0, 4.0, speed=-1.0, heading=90.0),
        Ping("bob", 0.5, 2.0, 3.0, 4.0, activity="walking", id="7"),
    ]
    heard = Sighting("ana", 1.5, -70.0, TILL, tx_power=77)
    expected = [
        Signal("ana", 9.0, Fix(1.0, 2.0, 3.0, 4.0, None, 90.0)),
        Signal("bob", 9.0, Fix(0.5, 2.0, 3.0, 4.0, None, None)),
    ]
    assert list(Batch.decoded(packed([9.0, 9.0], pings))) == expected
    left = Sighting("ana", 2.5, beacon=TILL, event=RegionChange.EXIT)
    mixed = Batch.decoded(packed([9.0, 9.0, 10.0, 10.0], [*pings, heard, left]))
    assert list(mixed) == [
        *expected,
        Signal("ana", 10.0, Heard(1.5, -70.0, None, TILL.key)),
        Signal("ana", 10.0, Heard(2.5, None, None, TILL.key, region=RegionChange.EXIT)),
    ]


@pytest.mark.parametrize("speed", [None, -1.0, 3.0])
def test_reports_are_packed_as_signals_are(speed: float | None):
    at = datetime(2026, 1, 2, tzinfo=UTC)
    pings = [Ping("ana", at, 2.0, 3.0, 4.0, speed=speed), Ping("bob", 0.5, 2.0, -0.0, 4.0)]
    packed_ = packed([9.0, 9.5], pings)
    assert packed_ == Batch.decoded(packed_).encoded()
    assert (len(packed_) > 2 * 7 * 8) == (speed == 3.0)  # without columns that say nothing
    assert Batch.decoded(packed_)[0].what.at == at.timestamp()


def test_nothing_is_a_batch_too():
    assert len(Batch.together([])) == len(Batch.of([])) == 0
    assert np.shape(Batch.decoded(Batch.of([]).encoded()).columns)[1] == 0
