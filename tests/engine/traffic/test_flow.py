import pytest

from engine.traffic import flow
from engine.traffic.drive import Point
from engine.traffic.flow import FRESH_SECONDS, LIMIT_LOG_ODDS, Flow, Reading

METRE = 1 / 111_320


def reading(
    speed: float, *, at: float = 1000.0, north_m: float = 0.0, heading: float | None = 0.0
) -> Reading:
    place = Point(at, 0.0, north_m * METRE, 0.0)
    return Reading(f"stretch-{north_m}", place, at, speed, 14.0, 300.0, heading)


HERE = Point(1000.0, 0.0, 0.0, 10.0)


def test_slow_traffic_speaks_for_a_jam_and_free_traffic_against_it():
    assert reading(2.0).log_odds > 1
    assert reading(7.0).log_odds == pytest.approx(0)
    assert reading(14.0).log_odds < -1
    assert reading(0.0).log_odds == LIMIT_LOG_ODDS


def test_only_fresh_news_of_this_stretch_and_direction_counts():
    feed = Flow()
    assert feed.log_odds(HERE, 0.0, 1.0, 1000) == 0
    feed.put(reading(2.0))
    assert feed.log_odds(HERE, 0.0, 1.0, 1010) > 1
    assert feed.log_odds(HERE, 0.0, -1.0, 1010) == 0
    assert feed.log_odds(HERE, 0.0, 0.0, 1010) > 1
    assert feed.log_odds(Point(1000.0, 0.0, 400 * METRE, 10.0), 0.0, 1.0, 1010) == 0
    assert feed.log_odds(HERE, 0.0, 1.0, 1001 + FRESH_SECONDS) == 0
    assert feed.log_odds(HERE, 0.0, 1.0, 990) == 0


def test_the_nearest_stretch_speaks_and_an_older_reading_replaces_none():
    feed = Flow()
    feed.put(reading(2.0))
    feed.put(reading(14.0, north_m=200))
    assert feed.log_odds(HERE, 0.0, 1.0, 1010) > 1
    feed.put(reading(14.0, at=900.0))
    assert feed.log_odds(HERE, 0.0, 1.0, 1010) > 1


def test_it_stays_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flow, "READINGS_LIMIT", 5)
    feed = Flow()
    for number in range(50):
        feed.put(reading(2.0, north_m=float(number)))
    assert len(feed._readings) == 5


@pytest.mark.parametrize("wrong", [(-1.0, 14.0), (2.0, 0.0)])
def test_speeds_that_cannot_be_are_refused(wrong: tuple[float, float]):
    with pytest.raises(ValueError, match="free speed"):
        Reading("a", HERE, 0.0, *wrong, 300.0)
