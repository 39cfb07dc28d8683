"""The commands about campaigns, under `chaland campaigns`."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.opening import fail, opened

DAYS_BACK = 7


def backtest(
    campaigns: Annotated[
        list[str] | None,
        typer.Argument(help="Campaigns, drafts too; those that are live if none is given."),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="JSON lines that `chaland replay` wrote, .gz allowed."
        ),
    ] = None,
    made_up: Annotated[
        int | None,
        typer.Option(min=1, max=100_000_000, help="So many events by chance, of the shoppers there are."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(help="UTC; of the events that the engine keeps. Default: 7 days ago."),
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="UTC, excluded. Default: now.")] = None,
    days: Annotated[float, typer.Option(min=0.001, help="Over which made-up events are spread.")] = 1.0,
    out: Annotated[Path | None, typer.Option("--json", help="Write the reports there, too.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,  # noqa: FBT002  # an option
) -> None:
    """Try campaigns out on events of the past: who would have got what, when, why not, and at what cost.

    Example:  chaland campaigns backtest croissant --since 2026-11-20
    """
    from engine.recordings.recorded import Unreadable
    from engine.trials.backtest import Backtest, summary
    from engine.trials.trial_runs import NothingToTry, chosen_campaigns, source_of

    if events is not None and made_up is not None:
        fail("--events and --made-up exclude each other")
    with opened() as engine:
        now = engine.now()
        begin = since.replace(tzinfo=now.tzinfo) if since else now - timedelta(days=DAYS_BACK)
        end = until.replace(tzinfo=now.tzinfo) if until else now
        try:
            tried = chosen_campaigns(engine.records, campaigns or [])
            source, total = source_of(
                engine.records,
                tried,
                begin,
                end,
                file=events,
                made_up=made_up,
                length=timedelta(days=days),
            )
            with Backtest(
                engine.records, engine.settings.vault_keys, engine.settings.data_dir, tried, engine.house
            ) as run:
                tally = run.run(source, total=total, quiet=quiet)
                reports = run.reports(engine.report_policy)
        except (NothingToTry, Unreadable) as error:
            fail(str(error))
    typer.echo(f"{tally.events} events, {tally.of_nobody} of nobody who is known")
    for campaign, report in reports.items():
        for line in summary(campaign, report):
            typer.echo(line)
    if out is not None:
        out.write_text(json.dumps(reports, indent=1), encoding="utf-8")
