"""That the watch on what is private finds what is planted, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.planted_values import LAT, LON, PHONE, TEXT, TOKEN
from tests.support.private import Kind, kinds_in, known

PLANTED = {
    "test_phone_in_a_log": "a phone number in a log record (planted)",
    "test_phone_without_its_plus_in_a_log": "a phone number in a log record (planted)",
    "test_phone_in_a_traceback": "a phone number in a log record (planted)",
    "test_coordinate_in_a_log": "a coordinate in a log record (planted)",
    "test_one_coordinate_in_a_log": "a coordinate in a log record (planted)",
    "test_text_in_an_error": "a message text in an error body (422)",
    "test_phone_in_an_error": "a phone number in an error body (422)",
    "test_token_in_metrics": "a token in /metrics",
    "test_push_token_printed": "a token in its output",
    "test_phone_from_a_process": "a phone number in a process's output",
}


def run(*more: str, folder: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.leaks", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "--noconftest", f"--basetemp={folder}", "tests/support/planted.py", *more],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_every_planted_leak_fails_the_run_and_is_named_without_its_value(tmp_path, workers):
    ran = run(*workers, folder=tmp_path / "run")
    assert f"{len(PLANTED) + 2} passed" in ran.stdout
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    named = dict(re.findall(r"planted\.py::(\w+): (.*)", ran.stdout))
    assert named == PLANTED
    for value in (PHONE, PHONE[1:], PHONE[3:], TOKEN, TEXT, str(LAT), f"{LON:.5f}"):
        assert value not in ran.stdout + ran.stderr


def test_a_clean_run_passes_and_says_what_was_looked_at(tmp_path):
    ran = run("-k", "clean", folder=tmp_path / "run")
    assert ran.returncode == pytest.ExitCode.OK
    assert "nothing private was found" in ran.stdout
    assert "2 of a log record" in ran.stdout


@given(st.floats(0, 1000), st.floats(0, 1000), st.integers(1, 12))
def test_measurements_are_no_coordinates(one, other, places):
    private = known()
    for number in range(200):
        private.learn_position(48.8353 + number * 1.37e-5, 2.2410 + number * 1.91e-5)
    line = f"took {one:.{places}f} s, p50 {other:.{places}f} ms"
    if not (48.8 < one < 48.9 or 48.8 < other < 48.9):
        assert kinds_in(line, private) == set()


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-25T13:12:42.123456+00:00 INFO 12 of 4096 in 0.12345678 s",
        "message 5f0c2a91d3b84e77a1c2d3e4f5061728 of campaign bread sent",
        "entry 1764076362123-0, partition 3, 172,008 signals in 30.9 s",
        "python_gc_objects_collected_total 1.0512345e+07",
        "127.0.0.1:45678 GET /v1/messages?limit=200 200",
        "chaland_breach_checked_timestamp_seconds 1.7640763621234567e+09",
    ],
)
def test_ordinary_lines_hold_nothing(line):
    assert kinds_in(line, known([PHONE], [TEXT])) == set()


@pytest.mark.parametrize(
    "line",
    [
        "to +33639980777",
        "to 33639980777",
        "to 0033639980777",
        "06 39 98 07 77",
        "From=%2B33639980777",
        "tel:+33639980777",
    ],
)
def test_a_phone_is_found_however_it_is_written(line):
    assert kinds_in(line, known([PHONE])) == {Kind.PHONE}


@pytest.mark.parametrize(
    "line",
    [
        '{"lat": 48.8353, "lon": 2.2411}',
        "lat=48.83",
        "POINT (2.24 48.83)",
        "48.83531,2.24107",
        "2.24107 48.83531",
    ],
)
def test_a_position_is_found_by_its_name_or_side_by_side(line):
    private = known()
    private.learn_position(LAT, LON)
    assert kinds_in(line, private) == {Kind.COORDINATE}
