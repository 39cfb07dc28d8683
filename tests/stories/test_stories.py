"""Every story in this folder is told on a real engine; each expectation in it is one that must be met."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.stage import Stage
from engine.story import FIRST_DAY, StoryError, parse, report, tell

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
    assert any("instead: enter bakery; refused: no consent" in line for line in report(results))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ana enters bakery", "begins with no time"),
        ("09:00  ana dances", "is none of: allows"),
        ("place bakery square 1 2 3", "could be `place bakery circle"),
    ],
)
def test_a_line_that_is_no_story_is_named(text: str, words: str):
    with pytest.raises(StoryError, match=words), Stage(START) as stage:
        tell(text, stage)


def test_comments_and_blank_lines_are_left_out_and_lines_keep_their_numbers():
    [line] = parse("# a comment\n\n 9:05 ana enters bakery -> nothing ; enter bakery\n")
    assert (line.number, line.time, line.expected) == (3, "9:05", ("nothing", "enter bakery"))
