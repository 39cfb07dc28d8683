"""The command `chaland story`."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.opening import fail


def story(files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)]) -> None:
    """Play text stories against a fresh engine; print each expectation met or missed; exit 1 on a miss.

    Example:  chaland story tests/stories/first_light.story
    """
    from engine.stage import Stage
    from engine.stories.story import FIRST_DAY, StoryError, report, tell

    logging.getLogger().setLevel(logging.WARNING)
    missed = 0
    for file in files:
        typer.echo(f"{file}")
        try:
            with Stage(datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)) as stage:
                results = tell(file.read_text(encoding="utf-8"), stage)
        except StoryError as error:
            fail(f"{file}: {error}")
        for line in report(results):
            typer.echo(f"  {line}")
        missed += sum(not each.met for each in results)
    raise typer.Exit(1 if missed else 0)
