"""The commands about what shoppers write, under `chaland consent`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.opening import fail, opened


def classify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines with `text`.")],
) -> None:
    """Tell what each text a shopper wrote means: opt_out, opt_in, help, ambiguous or other.

    Example:  chaland consent classify texts.jsonl
    """
    from consent.keywords import classify as verdict_of

    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            text = fields["text"]
        except (ValueError, KeyError, TypeError):
            fail(f"{file}, line {number}: a JSON object with the field `text` is needed")
        typer.echo(json.dumps(fields | {"verdict": verdict_of(str(text))}, ensure_ascii=False))


def list_reviews() -> None:
    """List the texts that were taken for an opt-out in doubt: JSON lines, with the words that are in doubt.

    Example:  chaland consent reviews
    """
    from consent import review

    with opened() as engine, engine.records.reads.connect() as connection:
        for text in review.waiting(connection, limit=1000):
            shown = {"sid": text.sid, "received_at": text.received_at.isoformat(), "language": text.language}
            typer.echo(
                json.dumps(shown | {"subjects": text.subjects, "words": text.words}, ensure_ascii=False)
            )


def settle_review(
    sid: Annotated[str, typer.Argument(help="The text's id, as `consent reviews` shows it.")],
    decision: Annotated[str, typer.Argument(help="confirm (it was an opt-out) or reinstate (it was none).")],
) -> None:
    """Say whether a text in doubt was an opt-out; if it was none, what was granted before stands again.

    Example:  chaland consent settle SM0123 confirm
    """
    from consent import review
    from consent.errors import ConsentError

    try:
        said = review.Decision(decision)
    except ValueError:
        raise typer.BadParameter("one of confirm, reinstate", param_hint="DECISION") from None
    with opened() as engine:
        try:
            with engine.records.writes.begin() as connection:
                again = review.settle(connection, sid, said, "command line", engine.now())
        except ConsentError as error:
            fail(error.detail)
    typer.echo(f"{sid} is settled; {len(again)} grants stand again")
