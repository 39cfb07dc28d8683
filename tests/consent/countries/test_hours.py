from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.countries.hours import WEEK, Day, Window, is_open, window_from_json, window_json

ZONES = ["Europe/Paris", "America/New_York", "Europe/Madrid", "Atlantic/Canary"]
EVERY_DAY = frozenset(Day)


def weekly(opens: str, closes: str, *days: str) -> Window:
    return window_from_json({"days": days or list(Day), "from": opens, "to": closes})


def local(zone: str, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


@pytest.mark.parametrize("zone", ZONES)
def test_it_is_closed_exactly_at_its_end_and_open_one_second_before(zone):
    windows = [weekly("08:00", "20:00")]
    assert not is_open(windows, local(zone, 2026, 11, 24, 7, 59, 59), zone)
    assert is_open(windows, local(zone, 2026, 11, 24, 8, 0, 0), zone)
    assert is_open(windows, local(zone, 2026, 11, 24, 19, 59, 59), zone)
    assert not is_open(windows, local(zone, 2026, 11, 24, 20, 0, 0), zone)


def test_the_same_instant_is_open_in_madrid_and_closed_in_the_canaries():
    at = local("Europe/Madrid", 2026, 11, 24, 8, 30)
    windows = [weekly("08:00", "20:00")]
    assert is_open(windows, at, "Europe/Madrid")
    assert not is_open(windows, at, "Atlantic/Canary")  # 07:30 there


@pytest.mark.parametrize(
    ("zone", "day", "hour"),
    [
        ("Europe/Paris", date(2027, 3, 28), 2),
        ("Europe/Madrid", date(2027, 3, 28), 2),
        ("Atlantic/Canary", date(2027, 3, 28), 1),
        ("America/New_York", date(2027, 3, 14), 2),
    ],
)
def test_a_window_inside_the_hour_that_spring_skips_does_not_open_that_day(zone, day, hour):
    inside = [weekly(f"{hour:02d}:15", f"{hour:02d}:45")]
    assert minutes_open(inside, zone, day) == 0
    assert minutes_open(inside, zone, day + timedelta(days=1)) == 30
    around = [weekly("00:00", "04:00")]
    assert minutes_open(around, zone, day) == 180
    assert not is_open(around, local(zone, day.year, day.month, day.day, 4), zone)


@pytest.mark.parametrize(
    ("zone", "day", "hour"),
    [
        ("Europe/Paris", date(2026, 10, 25), 2),
        ("Europe/Madrid", date(2026, 10, 25), 2),
        ("Atlantic/Canary", date(2026, 10, 25), 1),
        ("America/New_York", date(2026, 11, 1), 1),
    ],
)
def test_a_window_inside_the_hour_that_autumn_repeats_opens_in_both(zone, day, hour):
    inside = [weekly(f"{hour:02d}:15", f"{hour:02d}:45")]
    parts = (day.year, day.month, day.day, hour)
    assert minutes_open(inside, zone, day) == 60
    for fold in (0, 1):
        assert is_open(inside, local(zone, *parts, 15, fold=fold), zone)
        assert not is_open(inside, local(zone, *parts, 45, fold=fold), zone)
    assert minutes_open([weekly("00:00", "24:00")], zone, day) == 25 * 60


def minutes_open(windows: list[Window], zone: str, day: date) -> int:
    """Real minutes of that local day in which it is open."""
    start = local(zone, day.year, day.month, day.day)
    following = day + timedelta(days=1)
    end = local(zone, following.year, following.month, following.day)
    minutes = int((end - start).total_seconds()) // 60
    return sum(is_open(windows, start + timedelta(minutes=m), zone) for m in range(minutes))


def test_a_window_across_midnight_belongs_to_the_day_on_which_it_opens():
    friday_night = [weekly("22:00", "02:00", "fri")]
    zone = "Europe/Paris"
    assert is_open(friday_night, local(zone, 2026, 11, 27, 22, 0), zone)
    assert is_open(friday_night, local(zone, 2026, 11, 28, 1, 59, 59), zone)
    assert not is_open(friday_night, local(zone, 2026, 11, 28, 2, 0), zone)
    assert not is_open(friday_night, local(zone, 2026, 11, 27, 1, 0), zone)
    assert not is_open(friday_night, local(zone, 2026, 11, 28, 22, 0), zone)


def test_sunday_night_runs_into_monday():
    sunday_night = [weekly("23:00", "01:00", "sun")]
    assert is_open(sunday_night, local("Europe/Paris", 2026, 11, 30, 0, 30), "Europe/Paris")
    assert not is_open(sunday_night, local("Europe/Paris", 2026, 12, 1, 0, 30), "Europe/Paris")


def test_a_window_up_to_midnight_ends_with_its_day():
    for closes in ("24:00", "00:00"):
        monday = [weekly("20:00", closes, "mon")]
        assert is_open(monday, local("Europe/Paris", 2026, 11, 23, 23, 59, 59), "Europe/Paris")
        assert not is_open(monday, local("Europe/Paris", 2026, 11, 24, 0, 0), "Europe/Paris")


@pytest.mark.parametrize(
    "zone", [None, "", "Mars/Olympus", "../../etc/passwd", "Europe", "/etc/localtime", "a\0b"]
)
def test_an_unknown_zone_is_closed_unless_any_time_will_do(zone):
    at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert not is_open([weekly("00:00", "24:00")], at, zone)
    assert is_open([], at, zone)


def test_a_naive_instant_is_refused():
    with pytest.raises(ValueError, match="naive"):
        is_open([weekly("08:00", "20:00")], datetime(2026, 11, 24, 12), "Europe/Paris")  # noqa: DTZ001


@pytest.mark.parametrize(("opens", "closes"), [("08:00", "08:00"), ("00:00", "00:00")])
def test_a_window_that_closes_when_it_opens_is_refused(opens, closes):
    with pytest.raises(ValueError, match="whole day"):
        weekly(opens, closes)


@given(
    st.sets(st.sampled_from(WEEK), min_size=1),
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(ZONES),
)
def test_open_and_shut_share_every_day_between_them(days, opens, closes, at, zone):
    """A window and the one that begins where it ends cover the week exactly once, on every wall clock."""
    if opens == closes or (opens, closes) == (0, 1440):
        return
    window = Window(frozenset(days), opens, closes)
    assert window_from_json(window_json(window)) == window
    every_day = Window(EVERY_DAY, opens, closes)
    rest = Window(EVERY_DAY, closes % 1440, opens) if closes % 1440 != opens else None
    assert is_open([every_day], at, zone) != (rest is not None and is_open([rest], at, zone))
    if is_open([window], at, zone):
        assert is_open([every_day], at, zone)
