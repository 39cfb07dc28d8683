import random
from pathlib import Path

import numpy as np
import pytest

from engine.recordings.ranging_report import calibrated, compare, read_readings, table
from engine.recordings.recorded import Unreadable

SENSORS = {"a": (0, 0, 1), "b": (10, 0, 1), "c": (5, 8, 1)}


@pytest.fixture
def hall(tmp_path: Path) -> Path:
    """Two walks through a hall with three sensors."""
    (tmp_path / "sensors.csv").write_text(
        "mac,x,y,z\n" + "".join(f"{name},{x},{y},{z}\n" for name, (x, y, z) in SENSORS.items())
    )
    for walk in ("one", "two"):
        rng = random.Random(walk)
        lines = ["ts,sensor,beacon,rssi,x,y,z"]
        for second in range(600):
            x, y = 5 + 5 * np.sin(second / 60), 4 + 4 * np.cos(second / 45)
            for name, place in SENSORS.items():
                away = np.linalg.norm(np.array(place) - np.array((x, y, 1)))
                rssi = -60 - 22 * np.log10(max(away, 0.1)) + rng.gauss(0, 6)
                lines.append(f"{second},{name},z,{rssi},{x},{y},1")
        (tmp_path / f"{walk}.csv").write_text("\n".join(lines))
    return tmp_path


def test_the_filter_beats_single_hearings_on_a_walk_that_was_not_fitted(hall: Path):
    radios = calibrated(read_readings(hall / "sensors.csv", hall / "one.csv"))
    plain, filtered = compare(read_readings(hall / "sensors.csv", hall / "two.csv"), radios)
    assert filtered.median_m < plain.median_m / 1.2
    assert filtered.p90_m < plain.p90_m / 1.5
    assert filtered.wrong_sensor < plain.wrong_sensor
    assert filtered.farther_m < plain.farther_m / 1.2
    assert filtered.changes < plain.changes / 3
    assert "factor" in table(plain, filtered)


def test_readings_of_all_sensors_in_one_line_are_the_same_readings(hall: Path):
    long = read_readings(hall / "sensors.csv", hall / "one.csv")
    lines = ["ts,x,y,rssi_a,rssi_b,rssi_c,rssi_stranger"]
    rows = [line.split(",") for line in (hall / "one.csv").read_text().splitlines()[1:]]
    for one, two, three in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        lines.append(f"{int(one[0]) * 10**9 + 10**18},{one[4]},{one[5]},{one[3]},{two[3]},{three[3]},-50")
    lines.append("2000000000000000000,0,0,,,-70,")
    (hall / "wide.csv").write_text("\n".join(lines))
    (hall / "sensors-by-id.csv").write_text((hall / "sensors.csv").read_text().replace("mac", "id"))
    wide = read_readings(hall / "sensors-by-id.csv", hall / "wide.csv", height_m=1.0)
    assert [(each.at - 1e9, *each[1:3]) for each in wide[:-1]] == [each[:3] for each in long]
    assert wide[3].distances_m == long[3].distances_m
    assert wide[-1][:3] == (2e9, "c", -70.0)


def test_a_file_without_a_column_or_with_a_bad_line_is_named(hall: Path):
    (hall / "bad.csv").write_text("ts,sensor,rssi,y,z\n")
    with pytest.raises(Unreadable, match="no column x"):
        read_readings(hall / "sensors.csv", hall / "bad.csv")
    (hall / "bad.csv").write_text("ts,rssi_x,x,y,z\n1,-60,0,0,1\n")
    with pytest.raises(Unreadable, match="nothing that a sensor"):
        read_readings(hall / "sensors.csv", hall / "bad.csv")
    (hall / "bad.csv").write_text("ts,sensor,rssi,x,y,z\n1,a,-60,0,0,1\n2,a,loud,0,0,1\n")
    with pytest.raises(Unreadable, match="line 3"):
        read_readings(hall / "sensors.csv", hall / "bad.csv")
