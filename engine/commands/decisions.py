"""The commands about decisions, under `chaland decisions`."""

from collections import Counter
from datetime import datetime
from typing import Annotated

import typer

from engine.commands.opening import opened

SHOWN = 20
"""Differences that are listed."""


def replay(
    campaign: Annotated[str | None, typer.Option(help="Of this campaign alone.")] = None,
    since: Annotated[datetime | None, typer.Option(help="UTC; from then on.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,  # noqa: FBT002  # an option
) -> None:
    """Judge what was decided again, each from its record and its campaign's version; exit 1 if anything differs.

    Example:  chaland decisions replay --campaign croissant --since 2026-11-20
    """
    from tqdm import tqdm

    from campaigns.decision_store import count_decisions
    from campaigns.listing import Filters
    from campaigns.replay import Sameness
    from campaigns.replay_store import replays

    found: Counter[str] = Counter()
    with opened() as engine:
        since = since.replace(tzinfo=engine.now().tzinfo) if since else None
        filters = Filters(campaign=campaign, since=since)
        with engine.records.reads.connect() as connection:
            total = count_decisions(connection, filters)
            with tqdm(unit=" decisions", total=total, disable=quiet, desc="replay") as progress:
                for each in replays(connection, filters):
                    found[each.sameness.value] += 1
                    progress.update()
                    if each.sameness is Sameness.DIFFERS and found[Sameness.DIFFERS] <= SHOWN:
                        told = [
                            f"{one.name} ({one.because})"
                            for one in each.gates
                            if one.sameness is Sameness.DIFFERS
                        ]
                        why = each.because or ", ".join(told)
                        tqdm.write(f"{each.decision.id} of {each.decision.campaign} differs: {why}")
    if found[Sameness.DIFFERS] > SHOWN:
        typer.echo(f"... and {found[Sameness.DIFFERS] - SHOWN} more that differ")
    typer.echo(
        f"{total} decisions: {found[Sameness.SAME]} the same, {found[Sameness.DIFFERS]} differ, "
        f"{found[Sameness.NOT_ENOUGH_RECORDED]} from before enough was recorded"
    )
    raise typer.Exit(1 if found[Sameness.DIFFERS] else 0)
