"""The commands about the ledger of consents, under `chaland consent`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from config import Settings
from engine.commands.opening import fail, opened, read_settings


def breaches(
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Check this UTC day now; else those not checked yet."),
    ] = None,
) -> None:
    """Check that every refusal was heeded: nothing went, or waits, to who had said no; exit 1 if something did.

    Example:  chaland consent breaches --day 2026-11-24
    """
    from campaigns.delivery import breach_store

    with opened() as engine:
        if day is None:
            engine.rounds.check_refusals()
            with engine.records.reads.connect() as connection:
                known = breach_store.checks(connection, limit=31)
        else:
            with engine.records.writes.begin() as connection:
                known = [breach_store.check_day(connection, day.date(), engine.now())]
    for check in known:
        typer.echo(
            f"{check.day}  {check.withdrawals} refusals, {check.messages} messages, {len(check.breaches)} breaches"
        )
        for each in check.findings:
            when = each.started_at.isoformat() if each.started_at else "not yet"
            typer.echo(
                f"  {each.kind}: message {each.message}, started {when}, refused {each.refused_at.isoformat()}"
            )
    raise typer.Exit(1 if any(check.breaches for check in known) else 0)


def verify_ledger(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="A checkpoint kept elsewhere. May be repeated."),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Public keys; the log's own if not given."),
    ] = None,
) -> None:
    """Prove the whole consent ledger: every entry, the tree, every checkpoint; exit 1 and name the first that is bad.

    Example:  chaland consent verify

    Example:  chaland consent verify --checkpoint auditor/2026-11.checkpoint --keys auditor/chaland.keys
    """
    from engine.ledger_audit import verify

    settings = read_settings()
    ring = _ring(settings, keys)
    notes = [file.read_text(encoding="utf-8") for file in checkpoint or ()]
    lines, fine = verify(settings, ring, notes)
    for line in lines:
        typer.echo(line)
    raise typer.Exit(0 if fine else 1)


def take_checkpoint(
    out: Annotated[
        Path | None, typer.Argument(help="The file to write; standard output if not given.")
    ] = None,
) -> None:
    """Sign what the consent ledger is now. Give it to somebody else: with it, `verify` proves that nothing was cut back.

    Example:  chaland consent checkpoint auditor/2026-11.checkpoint
    """
    with opened() as engine:
        note = engine.rounds.take_checkpoint()
    if out:
        out.write_text(note, encoding="utf-8")
    else:
        typer.echo(note, nl=False)


def prove_consent(
    subject: Annotated[str, typer.Argument(help="The subject's id.")],
    purpose: Annotated[str, typer.Argument(help="location, marketing, profiling or cart.")],
    channel: Annotated[str | None, typer.Option(help="sms or push, for marketing.")] = None,
    at: Annotated[datetime | None, typer.Option(help="The instant, in UTC; now if not given.")] = None,
) -> None:
    """Print what stood at an instant as JSON: the entry that decided, the text, and the proof that the log holds it.

    Example:  chaland consent proof ana marketing --channel sms --at 2026-11-23T08:00:00
    """
    from engine.ledger_audit import UnknownWord, prove

    with opened() as engine:
        asked = at.replace(tzinfo=UTC) if at else engine.now()
        try:
            found = prove(engine.records, engine.ring, subject, purpose, channel, asked, engine.now())
        except UnknownWord as error:
            fail(str(error))
    typer.echo(json.dumps(found, ensure_ascii=False, indent=1))


def check_receipt(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A receipt, or a proof, as JSON.")
    ],
    keys: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Public keys; the log's own if not given."),
    ] = None,
) -> None:
    """Check a shopper's receipt offline, by the log's public keys alone; exit 1 if it proves nothing.

    Example:  chaland consent check-receipt receipt.json --keys chaland.keys
    """
    from consent.receipt import InvalidReceipt, check

    try:
        proven = check(file.read_bytes(), _ring(read_settings(), keys))
    except InvalidReceipt as error:
        typer.echo(f"proves nothing: {error}")
        raise typer.Exit(1) from None
    for name, value in sorted(proven.told().items()):
        typer.echo(f"{name:14}{value}")
    typer.echo(f"proven: it stood in the log when that was signed at {proven.by:%Y-%m-%d %H:%M} UTC")


def ledger_keys() -> None:
    """Print the public keys of the consent ledger, the newest first: to be published, and given to who audits it.

    Example:  chaland consent keys > chaland.keys
    """
    for key in _ring(read_settings(), None).public:
        typer.echo(str(key))


def rotate_ledger_key() -> None:
    """Sign with a new key from now on; what was signed before can still be checked. Then restart what runs."""
    from consent.signing import InvalidKey
    from engine.ledger_key import rotate

    settings = read_settings()
    try:
        ring = rotate(settings)
    except InvalidKey as error:
        fail(str(error))
    typer.echo(str(ring.public[0]))


def _ring(settings: Settings, keys: Path | None) -> Any:
    """The public keys in a file, or else the log's own ring."""
    from consent.signing import InvalidKey, KeyRing
    from engine.ledger_key import known_ring

    try:
        ring = KeyRing.parse(keys.read_text(encoding="utf-8")) if keys else known_ring(settings)
    except InvalidKey as error:
        fail(str(error))
    if ring is None:
        fail("there are no keys of a consent ledger here: name them with --keys, or see CHALAND_LEDGER_KEY")
    return ring
