"""The command `chaland bench`."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer


def bench(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="End within 50 seconds.")] = False,  # noqa: FBT002  # a flag
    postgis: Annotated[
        str, typer.Option(metavar="URL", help="A PostGIS to compare with; needs temporary tables only.")
    ] = "",
    tile38: Annotated[str, typer.Option(metavar="HOST:PORT", help="A Tile38 to compare with.")] = "",
    growth: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Measure up to a million geofences and ten million phones besides, and draw pictures into "
            "this folder. Takes half an hour, and 16 GiB of memory.",
        ),
    ] = None,
) -> None:
    """Measure what a ping costs, end to end and stage by stage, its latency, memory, and peers on the same work.

    Everything runs on data of its own in a temporary folder.

    Example:  chaland bench --quick --json figures.json

    Example:  chaland bench --postgis postgresql://localhost/bench --tile38 localhost:9851

    Example:  chaland bench --growth docs
    """
    import signal

    from tqdm import tqdm

    from engine.bench import growth as growing
    from engine.bench.plan import FULL, QUICK
    from engine.bench.report import table
    from engine.bench.run import Peers, measure, steps

    logging.getLogger().setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    plan = QUICK if quick else FULL
    more = growing.STEPS if growth else 0
    with tqdm(total=steps(plan) + more, unit=" steps", disable=not sys.stderr.isatty()) as progress:

        def say(what: str) -> None:
            progress.set_description(what)
            progress.update()

        figures = measure(plan, Peers(postgis, tile38), say)
        if growth:
            grown = growing.grow(say)
            growing.write(growth, grown, figures["scaling"])
            figures["growth"] = grown.table()
    typer.echo(table(figures))
    if json_file:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
