"""The commands of the data-protection officer, under `chaland consent`."""

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.opening import fail, opened

SubjectId = Annotated[str, typer.Argument(help="The subject's id.")]
Out = Annotated[Path | None, typer.Argument(help="The file to write; standard output if not given.")]
Overdue = Annotated[bool, typer.Option("--overdue", help="Only those that had to be answered.")]
ACTOR = "command"
SHOWN_LIMIT = 1000


def export(subject: SubjectId, out: Out = None) -> None:
    """Write everything held about a subject, in every table and in the live store, as JSON.

    Example:  chaland consent export ana ana.json
    """
    from consent.errors import ConsentError

    with opened() as engine:
        try:
            held = engine.privacy.export(subject)
        except ConsentError as error:
            fail(error.detail)
        engine.privacy.note_access(ACTOR, subject, "export", None)
    _write(json.dumps(held, ensure_ascii=False, indent=1), out)


def link(subject: SubjectId) -> None:
    """Print a shopper's signed links: to the preference page, and to unsubscribe.

    Example:  chaland consent link ana
    """
    from consent.errors import ConsentError

    with opened() as engine:
        try:
            links = engine.privacy.links(subject)
        except ConsentError as error:
            fail(error.detail)
    for name, made in links.items():
        typer.echo(f"{name:12}  {made['url']}  until {made['expires_at']}")


def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What `consent export` wrote.")],
) -> None:
    """Take in a shopper's export from another installation: who they are, and what they allowed and withdrew.

    Example:  chaland consent import ana.json
    """
    from consent.errors import ConsentError
    from engine.privacy.portability import take_in

    try:
        export = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        fail(f"{file}: is no JSON")
    with opened() as engine:
        try:
            subject, count = take_in(engine.desk, export)
        except ConsentError as error:
            fail(error.detail)
    typer.echo(f"{subject} is known now, with {count} entries", err=True)


def erase(
    subject: SubjectId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002  # a flag
) -> None:
    """Erase a subject, and tell the processors; the ledger keeps the proof of what they allowed.

    Example:  chaland consent erase ana
    """
    from consent.errors import ConsentError

    if not yes:
        typer.confirm(f"erase all that is held about {subject}, for ever?", abort=True)
    with opened() as engine:
        try:
            engine.privacy.rights.erase(subject, "command line", ACTOR)
        except ConsentError as error:
            fail(error.detail)
    typer.echo(f"{subject} is erased", err=True)


def requests(
    overdue: Overdue = False,  # noqa: FBT002  # a flag
) -> None:
    """List open requests of shoppers, those due first on top; exit 1 if any is overdue.

    Example:  chaland consent requests --overdue
    """
    from consent import request_store

    with opened() as engine:
        now = engine.now()
        with engine.records.reads.connect() as conn:
            late = request_store.page(conn, overdue_at=now, limit=SHOWN_LIMIT)
            listed = late if overdue else request_store.page(conn, open_only=True, limit=SHOWN_LIMIT)
    for each in listed:
        left = (each.due_at - now) // timedelta(days=1)
        said = f"overdue since {each.due_at:%Y-%m-%d}" if each.is_overdue(now) else f"due in {left} days"
        typer.echo(f"{each.id}  {each.kind:13}  {each.subject}  received {each.received_at:%Y-%m-%d}, {said}")
    typer.echo(f"{len(listed)} open, {len(late)} overdue", err=True)
    raise typer.Exit(1 if late else 0)


def notices(
    done: Annotated[str, typer.Option(metavar="ID", help="This one's processor has erased, you say.")] = "",
) -> None:
    """List erasures that processors have not confirmed, or confirm one that was done by hand.

    Example:  chaland consent notices    |    chaland consent notices --done 5b0c6a4e9d3f4f0e8f6f0f6f0f6f0f6f
    """
    from consent import processor_store

    with opened() as engine:
        if done:
            with engine.records.writes.begin() as conn:
                if not processor_store.done_by_hand(conn, done, ACTOR, engine.now()):
                    fail(f"there is no notice {done} that waits; `chaland consent notices` lists them")
        with engine.records.reads.connect() as conn:
            waiting = processor_store.waiting(conn, SHOWN_LIMIT)
    for each in waiting:
        last = each.last_answer or "not called yet"
        typer.echo(f"{each.id}  {each.state:6}  {each.processor}  since {each.created_at:%Y-%m-%d}, {last}")
    typer.echo(f"{len(waiting)} wait", err=True)


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,  # noqa: FBT002  # a flag
) -> None:
    """Remove what has been kept for its whole period, and shoppers who have been silent for years.

    Example:  chaland consent purge --dry-run
    """
    from tqdm import tqdm

    with opened() as engine:
        now, retention = engine.now(), engine.privacy.retention
        expired, silent = retention.expired(now), sum(1 for _ in retention.inactive(now))
        for each in expired:
            typer.echo(f"{each.rows:>9}  {each.name}")
        typer.echo(f"{silent:>9}  subjects silent for {retention.inactive_days} days")
        if dry_run:
            typer.echo("nothing was removed", err=True)
            return
        total = sum(each.rows for each in expired) + silent
        with tqdm(total=total, unit=" rows", disable=not sys.stderr.isatty()) as progress:
            rows = retention.purge(now, progress.update)
            erased = retention.erase_inactive(engine.desk, now, progress.update)
    typer.echo(f"{rows} rows removed, {erased} subjects erased", err=True)


def dpia(out: Out = None) -> None:
    """Write the data-protection sheet of this installation, in Markdown, from its live configuration.

    Example:  chaland consent dpia sheet.md
    """
    with opened() as engine:
        sheet = engine.privacy.sheet(engine.settings)
    _write(sheet, out)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text)
        return
    out.touch(mode=0o600)
    out.write_text(text + "\n", encoding="utf-8")
