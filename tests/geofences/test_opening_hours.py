from datetime import date, datetime

import pytest

from geofences.opening_hours import Unreadable, is_open

CHRISTMAS = date(2026, 12, 25)  # a Friday
FAIR = date(2026, 11, 26)  # a Thursday


def opened(hours: str, local: str) -> bool:
    return is_open(hours, datetime.fromisoformat(local), lambda day: day == CHRISTMAS)


@pytest.mark.parametrize(
    ("hours", "local", "is_so"),
    [
        ("Mo-Sa 08:30-20:00", "2026-11-26 08:29", False),
        ("Mo-Sa 08:30-20:00", "2026-11-26 08:30", True),
        ("Mo-Sa 08:30-20:00", "2026-11-26 19:59", True),
        ("Mo-Sa 08:30-20:00", "2026-11-26 20:00", False),
        ("Mo-Sa 08:30-20:00", "2026-11-29 12:00", False),
        ("Mo-Fr 08:00-12:00,14:00-19:00; Sa 09:00-13:00", "2026-11-26 13:00", False),
        ("Mo-Fr 08:00-12:00,14:00-19:00; Sa 09:00-13:00", "2026-11-26 14:00", True),
        ("Mo-Fr 08:00-12:00, Fr 14:00-19:00", "2026-11-27 15:00", True),
        ("Mo-Fr 08:00-12:00, Fr 14:00-19:00", "2026-11-27 09:00", True),
        ("Mo-Fr 08:00-12:00, Fr 14:00-19:00", "2026-11-26 15:00", False),
        ("Fr-Mo 10:00-12:00", "2026-11-29 11:00", True),
        ("Fr-Mo 10:00-12:00", "2026-11-26 11:00", False),
        ("Fr 20:00-02:00", "2026-11-28 01:59", True),
        ("Fr 20:00-02:00", "2026-11-28 02:00", False),
        ("Fr 20:00-02:00", "2026-11-27 01:00", False),
        ("Fr 20:00-26:00", "2026-11-28 01:59", True),
        ("24/7", "2026-12-25 04:00", True),
        ("08:00-20:00", "2026-11-26 12:00", True),
        ("08:00-20:00; Th off", "2026-11-26 12:00", False),
        ("Mo-Su 08:00-20:00", "2026-12-25 12:00", False),
        ("Mo-Su,PH 08:00-20:00", "2026-12-25 12:00", True),
        ("Mo-Su 08:00-20:00; PH 10:00-12:00", "2026-12-25 09:00", False),
        ("PH 10:00-12:00; Mo-Su 08:00-20:00", "2026-12-25 11:00", True),
        ("PH 10:00-12:00; Mo-Su 08:00-20:00", "2026-12-25 13:00", False),
        ("Mo-Su 08:00-20:00; Dec 25 08:00-12:00", "2026-12-25 11:00", True),
        ("Mo-Su 08:00-20:00; Dec 24-26 off", "2026-12-24 11:00", False),
        ("Nov-Feb Mo-Fr 09:00-17:00; Mar-Oct Mo-Fr 08:00-20:00", "2026-11-26 08:30", False),
        ("Nov-Feb: Mo-Fr 09:00-17:00", "2026-11-26 09:30", True),
        ("Mo-Sa 09:00-19:00; Nov 26 off", "2026-11-26 09:30", False),
    ],
)
def test_a_place_is_open_by_its_own_words(hours: str, local: str, is_so: bool):  # noqa: FBT001
    assert opened(hours, local) is is_so


@pytest.mark.parametrize(
    "hours",
    [
        "sunrise-sunset",
        "Mo-Fr 18:00+",
        "SH 10:00-12:00",
        "nach Vereinbarung",
        "",
        "Mo 25:00-26:00",
        "PH-Mo off",
    ],
)
def test_hours_in_other_words_are_not_guessed_at(hours: str):
    with pytest.raises(Unreadable):
        opened(hours, "2026-11-26 12:00")
