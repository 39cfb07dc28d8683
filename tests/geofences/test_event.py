from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.event import EventKind, PlaceEvent, event_id

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def event(**given_fields):
    fields = {
        "id": "e1",
        "device": "ana-phone",
        "kind": EventKind.ENTER,
        "geofence": "bakery",
        "at": AT,
        "emitted": AT,
        "confidence": 0.9,
    }
    return PlaceEvent(**(fields | given_fields))


def test_an_id_follows_from_its_cause_for_ever():
    assert (
        event_id("ana-phone", "bakery", EventKind.ENTER, "1700000000.000")
        == "fd5886693e518311f6ae9d81d0ec9ee9"
    )


@given(st.lists(st.text(), min_size=3, max_size=3), st.lists(st.text(), min_size=3, max_size=3))
def test_two_causes_have_two_ids(one, other):
    ids = {event_id(device, geofence, EventKind.EXIT, cause) for device, geofence, cause in (one, other)}
    assert len(ids) == (1 if one == other else 2)
    assert event_id(one[0], one[1], EventKind.ENTER, one[2]) not in ids


@pytest.mark.parametrize("field", ["at", "emitted"])
def test_a_naive_time_is_refused(field):
    with pytest.raises(ValueError, match="naive"):
        event(**{field: AT.replace(tzinfo=None)})


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_a_confidence_is_a_probability(confidence):
    with pytest.raises(ValueError, match="probability"):
        event(confidence=confidence)
