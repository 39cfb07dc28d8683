"""Every story in this folder is told on a real engine; each expectation in it is one that must be met."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.stage import Stage
from engine.stories.expectation import Happened, is_expectation, is_met
from engine.stories.story import FIRST_DAY, StoryError, parse, report, tell

STORIES = sorted(Path(__file__).parent.glob("*.story"))
START = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)


@pytest.mark.parametrize("file", STORIES, ids=lambda file: file.stem)
def test_story(file: Path):
    with Stage(START) as stage:
        results = tell(file.read_text(encoding="utf-8"), stage)
    assert results
    assert all(each.met for each in results), "\n".join(report(results))


def test_a_story_that_is_not_true_is_a_miss():
    text = """
        09:00  ana allows location
        09:01  ana enters bakery   -> sms to ana: Fresh bread until ten; enter bakery
    """
    with Stage(START) as stage:
        results = tell(text, stage)
    assert [each.met for each in results] == [False, True]
    assert any("instead: enter bakery at 09:00:52; refused: no consent" in line for line in report(results))


ALLOWED = "09:00  ana allows location\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ana enters bakery", "line 1: .* begins with no time"),
        ("09:00  ana dances", "line 1: 'ana dances' is none of:\n  ana allows"),
        ("place bakery square 1 2 3", "could be `place bakery circle"),
        ("place bakery circle 95 2 40", "line 1: the engine refuses it"),
        ("09:00  ana enters bakery", "line 1: ana has not been met"),
        (ALLOWED + "place cafe circle 48 2 40", "line 2: places stand before the first time"),
        (ALLOWED + "09:01  ana enters butcher", "line 2: there is no place 'butcher', only bakery"),
        (ALLOWED + "08:59  ana enters bakery", "line 2: 08:59 is earlier than 09:00:00"),
        (ALLOWED + "09:75  ana enters bakery", "line 2: minute must be in 0..59"),
        (ALLOWED + "09:05  ana's phone is silent until 09:04", "line 2: 09:04 is not after 09:05:00"),
        (ALLOWED + "09:05  ana's phone is 150 m off for one fix", "line 2: nobody knows where ana is"),
        (ALLOWED + "09:05  ana enters bakery -> entr bakery", "line 2: 'entr bakery' cannot be expected"),
        (ALLOWED + "09:05  campaign Cake is paused", "line 2: there is no campaign 'Cake'"),
    ],
)
def test_a_line_that_is_no_story_is_named(text: str, words: str):
    with pytest.raises(StoryError, match=words), Stage(START) as stage:
        tell(text, stage)


def test_comments_and_blank_lines_are_left_out_and_lines_keep_their_numbers():
    [line] = parse("# a comment\n\n 9:05 ana enters bakery -> nothing ; enter bakery\n")
    assert (line.number, line.time, line.expected) == (3, "9:05", ("nothing", "enter bakery"))


NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
ENTERED = [Happened("enter bakery", NINE), Happened("refused: no consent")]


@pytest.mark.parametrize(
    ("text", "beside", "met"),
    [
        ("enter bakery", [], True),
        ("enter bakery at 09:00:50", [], True),
        ("enter bakery at 09:00:50 (within 30 s)", [], False),
        ("enter bakery retracted", [], False),
        ("enter cafe", [], False),
        ("refused: no consent", [], True),
        ("nothing", [], False),
        ("no other event", ["enter bakery at 09:00"], True),
        ("no other event", ["enter bakery", "exit bakery"], False),
        ("no other event", [], False),
    ],
)
def test_an_expectation_is_met_by_what_happened(text: str, beside: list[str], met: bool):  # noqa: FBT001
    assert is_expectation(text)
    assert is_met(text, ENTERED, [*beside, text], NINE) is met
