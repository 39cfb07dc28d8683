from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.countries.hours import Day, Window, is_open, minute_of
from consent.countries.pack import rules_in_force
from consent.countries.place import Concerned, Origin, Store, concerned
from consent.countries.rule import Hours, Reach
from consent.countries.ruling import holds_by_hours, next_opening
from consent.entry import Channel
from consent.phone import origin_of
from tests.consent.countries.oracle import OFFSETS, easter_by_moon, nth_weekday, wall_clock_in

SECOND = timedelta(seconds=1)
PARIS = Store("Europe/Paris", None, 2.35, 48.86)
STRASBOURG = Store("Europe/Paris", None, 7.75, 48.58)
MADRID = Store("Europe/Madrid", "ES-MD", -3.7, 40.4)
CANARY = Store("Atlantic/Canary", "ES-CN", -15.4, 28.1)
NEW_YORK = Store("America/New_York", "US-NY", -73.98, 40.75)
MIAMI = Store("America/New_York", None, -80.19, 25.76)
FRENCH = origin_of("+33639980001")
STORES = {
    "Europe/Paris": (PARIS, 8, 20),
    "Europe/Madrid": (MADRID, 8, 20),
    "Atlantic/Canary": (CANARY, 8, 20),
    "America/New_York": (NEW_YORK, 8, 21),
}


def allowed(store, at, origin=None, reach=Reach.DEFAULT):
    return next(holds_by_hours(concerned(store, origin), at, Channel.SMS, reach), None) is None


def held_by(store, at, origin=None):
    return {hold.rule for hold in holds_by_hours(concerned(store, origin), at, Channel.SMS, Reach.DEFAULT)}


def instants(zone, shown):
    """Every instant at which the clocks of the zone show this, by the oracle: none, one, or two."""
    guesses = {shown.replace(tzinfo=UTC) - timedelta(hours=hours) for hours in range(-6, 4)}
    return sorted(at for at in guesses if wall_clock_in(zone, at) == shown)


def changes(zone, year):
    """The days on which the clocks of the zone are changed."""
    if zone == "America/New_York":
        return nth_weekday(year, 3, 6, 2), nth_weekday(year, 11, 6, 1)
    return nth_weekday(year, 3, 6, -1), nth_weekday(year, 10, 6, -1)


@pytest.mark.parametrize("zone", OFFSETS)
def test_edges_to_the_second_around_every_change_of_the_clocks_in_twenty_years(zone):
    store, opens, closes = STORES[zone]
    looked_at = 0
    for year in range(2026, 2047):
        for change in changes(zone, year):
            for day in (change + timedelta(days=ahead) for ahead in range(-3, 4)):
                sunday = zone != "America/New_York" and day.weekday() == 6
                if sunday or _is_feast(zone, day):
                    continue
                midnight = datetime.combine(day, datetime.min.time())
                [first] = instants(zone, midnight + timedelta(hours=opens))
                [end] = instants(zone, midnight + timedelta(hours=closes))
                assert not allowed(store, first - SECOND)
                assert allowed(store, first)
                assert allowed(store, end - SECOND), "the last second"
                assert not allowed(store, end), "the first forbidden one"
                looked_at += 1
    assert looked_at > 200


def _is_feast(zone, day):
    if zone == "America/New_York":
        return False
    easter = easter_by_moon(day.year)
    near = {easter + timedelta(days=days) for days in (-3, -2, 1)}
    return day in near or (day.month, day.day) in {(11, 1), (3, 19)}


@pytest.mark.parametrize("zone", OFFSETS)
@given(data=st.data())
def test_hours_of_any_window_are_those_of_the_oracle(zone, data):
    """Also in the hour that spring skips and in the one that autumn repeats, to the second."""
    year = data.draw(st.integers(2026, 2046))
    change = data.draw(st.sampled_from(changes(zone, year)))
    opens = data.draw(st.integers(0, 300))
    closes = data.draw(st.integers(opens + 1, 400))
    window = Window(frozenset(Day), opens, closes)
    start = datetime.combine(change, datetime.min.time(), UTC) - timedelta(hours=4)
    at = start + timedelta(seconds=data.draw(st.integers(0, 16 * 3600)))
    shown = wall_clock_in(zone, at)
    minute = shown.hour * 60 + shown.minute
    assert is_open([window], at, zone) == (opens <= minute < closes)


@pytest.mark.parametrize("zone", OFFSETS)
def test_the_missing_hour_never_opens_and_the_repeated_one_opens_twice(zone):
    for year in range(2026, 2047):
        spring, autumn = (datetime.combine(day, datetime.min.time()) for day in changes(zone, year))
        missing = timedelta(hours=1 if zone == "Atlantic/Canary" else 2)
        repeated = timedelta(hours={"Atlantic/Canary": 1, "America/New_York": 1}.get(zone, 2))
        assert instants(zone, spring + missing) == []
        first, second = instants(zone, autumn + repeated)
        assert second - first == timedelta(hours=1)
        start = int(repeated.total_seconds()) // 60
        window = [Window(frozenset(Day), start, start + 30)]
        for at in (first, second):
            assert not is_open(window, at - SECOND, zone)
            assert is_open(window, at, zone)
            assert is_open(window, at + timedelta(minutes=30) - SECOND, zone)
            assert not is_open(window, at + timedelta(minutes=30), zone)


@pytest.mark.parametrize("department", ["57", "67", "68"])
def test_alsace_and_moselle_keep_good_friday_and_the_second_day_of_christmas(department):
    store = Store("Europe/Paris", f"FR-{department}", 7.0, 48.5)
    for year in range(2026, 2047):
        good_friday = easter_by_moon(year) - timedelta(days=2)
        for day in (good_friday, date(year, 12, 26)):
            noon = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=11)
            assert not allowed(store, noon)
            assert allowed(PARIS, noon) == (day.weekday() != 6)


def test_a_french_store_that_may_lie_in_alsace_counts_as_if_it_did():
    boxing_day = datetime(2026, 12, 26, 11, tzinfo=UTC)
    assert held_by(STRASBOURG, boxing_day) == {"fr.holidays"}
    assert allowed(Store("Europe/Paris", "FR-54", 6.18, 48.69), boxing_day), "its owner says it is Nancy"


def test_the_strictest_of_the_store_and_of_every_zone_of_the_number_counts():
    at = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)  # 08:30 in Madrid and Paris, 07:30 in the Canaries
    assert allowed(MADRID, at, FRENCH)
    spanish = origin_of("+34612345678")
    assert spanish.zones == ("Atlantic/Canary", "Europe/Madrid")
    assert held_by(MADRID, at, spanish) == {"es.hours"}
    half_past = at + timedelta(minutes=30)
    assert not allowed(PARIS, half_past - SECOND, spanish)
    assert allowed(PARIS, half_past, spanish)


def test_federal_store_and_number_all_count_in_the_united_states():
    def evening(hour):  # New York time, a Tuesday
        return datetime(2026, 11, 25, hour - 19, 30, tzinfo=UTC)

    new_yorker, floridian, texan = map(origin_of, ("+12125550123", "+13055550123", "+12105550123"))
    assert "US-FL" in floridian.areas
    assert allowed(NEW_YORK, evening(20), new_yorker)
    assert held_by(NEW_YORK, evening(20), floridian) == {"us.fl.hours"}
    assert held_by(MIAMI, evening(20), new_yorker) == {"us.fl.hours"}
    assert held_by(NEW_YORK, evening(21), new_yorker) == {"us.hours"}
    sunday_noon = datetime(2026, 11, 29, 16, 30, tzinfo=UTC)  # 11:30 in New York, 10:30 in Texas
    assert allowed(NEW_YORK, sunday_noon, new_yorker)
    assert held_by(NEW_YORK, sunday_noon, texan) == {"us.tx.hours"}


@pytest.mark.parametrize(
    ("state", "lon", "lat", "number"),
    [
        ("FL", -80.19, 25.76, "+13055550123"),
        ("OK", -97.52, 35.47, "+14055550123"),
        ("MD", -76.61, 39.29, "+14105550123"),
        ("WA", -122.33, 47.61, "+12065550123"),
        ("CT", -72.68, 41.76, "+18605550123"),
        ("TX", -95.37, 29.76, "+17135550123"),
        ("NJ", -74.17, 40.73, "+19735550123"),
        ("KY", -85.76, 38.25, "+15025550123"),
        ("RI", -71.41, 41.82, "+14015550123"),
        ("MA", -71.06, 42.36, "+16175550123"),
        ("AL", -86.80, 33.52, "+12055550123"),
        ("MS", -90.18, 32.30, "+16015550123"),
        ("LA", -90.07, 29.95, "+15045550123"),
    ],
)
def test_a_state_is_known_by_where_the_store_is_and_by_the_area_code(state, lon, lat, number):
    zone = origin_of(number).zones[0]
    assert f"US-{state}" in concerned(Store(zone, None, lon, lat), None).areas
    assert f"US-{state}" in origin_of(number).areas


def test_an_unknown_zone_is_closed():
    noon = datetime(2026, 11, 24, 11, tzinfo=UTC)
    assert held_by(PARIS, noon, Origin((), frozenset())) == {"no_zone_for_number"}
    assert held_by(None, noon, FRENCH) == {"no_store"}
    at_sea = Store("Etc/GMT-2", None, 30.0, 0.0)
    assert held_by(at_sea, noon, FRENCH) == {"no_rules_for_store"}
    assert held_by(Store("Asia/Tokyo", None, 139.7, 35.7), noon, FRENCH) == {"no_rules_for_store"}
    lost = Concerned(("Europe/Paris", "Mars/Olympus"), frozenset({"FR"}))
    assert [hold.rule for hold in holds_by_hours(lost, noon, Channel.SMS, Reach.DEFAULT)] == ["unknown_zone"]
    assert next_opening(lost, noon, Channel.SMS, Reach.DEFAULT) is None


def test_a_tourist_from_a_country_without_rules_is_awake_by_their_own_clock_too():
    japanese = origin_of("+819012345678")
    noon = datetime(2026, 11, 24, 11, tzinfo=UTC)  # 20:00 in Tokyo
    assert held_by(PARIS, noon, japanese) == {"fr.hours"}
    assert allowed(PARIS, noon - timedelta(hours=1), japanese)


def test_the_version_in_force_is_chosen_by_the_day():
    def latest(day):
        [rule] = [
            rule
            for rule in rules_in_force(frozenset({"FR"}), day, Channel.SMS)
            if isinstance(rule.content, Hours)
        ]
        return rule.version, max(window.closes_minute for window in rule.content.latest)

    assert latest(date(2024, 8, 31)) == ("2018-05-25", minute_of("20:00"))
    assert latest(date(2024, 9, 1)) == ("2024-09-01", minute_of("22:00"))
    texas = frozenset({"US-TX"})
    assert rules_in_force(texas, date(2025, 8, 31), Channel.SMS) == ()
    assert [each.name for each in rules_in_force(texas, date(2025, 9, 1), Channel.SMS)] == [
        "us.tx.hours@2025-09-01"
    ]


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([PARIS, STRASBOURG, MADRID, CANARY, NEW_YORK, MIAMI]),
    st.sampled_from([None, FRENCH, origin_of("+34612345678"), origin_of("+12125550123")]),
    st.sampled_from(Reach),
)
def test_the_next_opening_is_open_and_nothing_before_it_is(at, store, origin, reach):
    opening = next_opening(concerned(store, origin), at, Channel.SMS, reach)
    assert opening is not None
    assert opening >= at
    assert allowed(store, opening, origin, reach)
    if opening > at:
        assert not allowed(store, opening - SECOND, origin, reach)
        steps = int((opening - at) / timedelta(minutes=15))
        assert not any(
            allowed(store, at + timedelta(minutes=15) * step, origin, reach) for step in range(steps)
        )


def test_the_next_opening_after_the_hour_that_spring_skips():
    """A shop of night owls: open from 02:30 on, which spring skips: it opens when the clocks jump to 03:00."""
    from consent.countries.hours import possible_openings

    found = set(possible_openings("Europe/Paris", date(2027, 3, 28), [minute_of("02:30")]))
    assert found == {datetime(2027, 3, 28, 1, 0, tzinfo=UTC)}
    twice = set(possible_openings("Europe/Paris", date(2026, 10, 25), [minute_of("02:30")]))
    assert twice == {
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    }
