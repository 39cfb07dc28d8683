import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.advert import Advert, Telemetry, read_advert
from geofences.beacon import EddystoneUid, IBeacon

UUID = "2f234454-cf6d-4a0f-adf2-f4911ba9ffa6"
IDS = "2f234454cf6d4a0fadf2f4911ba9ffa6"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (f"02011a1aff4c000215{IDS}00010002c5", Advert(IBeacon(UUID, 1, 2), -59)),
        (f"02011a1bff1801beac{IDS}00010002c50900", Advert(IBeacon(UUID, 1, 2), -59)),
        (f"02011a1bff1801beac{IDS}00050003be020e0952", Advert(IBeacon(UUID, 5, 3), -66)),
        (f"02011a1aff1801beac{IDS}00010002c5000000", Advert(IBeacon(UUID, 1, 2), -59)),
        (
            "0201061bffaabbbeace2c56db5dffb48d2b060d0f5a71096e000010004c500",
            Advert(IBeacon("e2c56db5-dffb-48d2-b060-d0f5a71096e0", 1, 4), -59),
        ),
        (
            "0201060303aafe1516aafe00e72f234454f4911ba9ffa600000000000100000c0952",
            Advert(EddystoneUid("2f234454f4911ba9ffa6", "000000000001"), -66),
        ),
        (
            "0201060303aafe1116aafe20000bb816800000000a00000064",
            Telemetry(battery_mv=3000, temperature_c=22.5, adverts=10, uptime_seconds=10.0),
        ),
        (
            "0201060303aafe1116aafe2000000080000000000a00000064",
            Telemetry(battery_mv=None, temperature_c=None, adverts=10, uptime_seconds=10.0),
        ),
    ],
)
def test_what_a_beacon_says_is_read(data: str, found: Advert | Telemetry):
    assert read_advert(bytes.fromhex(data)) == found


@pytest.mark.parametrize(
    "data",
    [
        "",
        "00",
        "ff",
        f"02011a1bff1801aabb{IDS}00010002c50900",
        "02011a1bff1801",
        "02010604ffe000be",
        f"02011a16ff1801beac{IDS}00010002c509000000",
        "0201060303aafe0416aafe1000000000",
        "0201060303aafe0d16aafe10e702676f6f676c6500",
        "0201060303aafe1516aafe2001021203130414243405152535",
        "02010603036ffd15166ffd0102030405060708090a0b0c0d0e0f1000000000",
    ],
)
def test_what_is_no_beacons_or_cut_short_is_passed_over(data: str):
    assert read_advert(bytes.fromhex(data)) is None


STARTS = (
    b"",
    b"\x1a\xff\x4c\x00\x02\x15",
    b"\x1b\xff\x18\x01\xbe\xac",
    b"\x15\x16\xaa\xfe\x00",
    b"\x11\x16\xaa\xfe\x20\x00",
)


@given(st.sampled_from(STARTS), st.binary(max_size=64))
def test_no_bytes_raise(start: bytes, data: bytes):
    found = read_advert(start + data)
    assert found is None or isinstance(found, Advert | Telemetry)
    if isinstance(found, Advert):
        assert -169 <= found.power_dbm <= 127
