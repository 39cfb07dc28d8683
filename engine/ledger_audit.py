"""Audits the consent ledger, and proves consents, for the command line."""

import sys
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from config import Settings
from consent.audit import Report, audit
from consent.entry import Channel, Purpose
from consent.proof import proof
from consent.signing import KeyRing
from engine.ledger_key import kept_checkpoint
from engine.records import Records, open_records
from engine.schema import current_step, newest_step

FLAWS_SHOWN_LIMIT = 20


class UnknownWord(ValueError):
    """A purpose or a channel that there is not."""


def verify(settings: Settings, ring: KeyRing, notes: list[str]) -> tuple[list[str], bool]:
    """Lines to print, and whether the ledger holds. The checkpoint beside the key counts as one kept elsewhere."""
    beside = kept_checkpoint(settings)
    records = open_records(settings.records_url)
    try:
        at_one_moment = "REPEATABLE READ" if records.reads.dialect.name == "postgresql" else None
        reads = (
            records.reads.execution_options(isolation_level=at_one_moment) if at_one_moment else records.reads
        )
        with reads.connect() as connection, tqdm(unit=" leaves", disable=not sys.stderr.isatty()) as progress:
            if (step := current_step(connection)) != newest_step():
                return [
                    f"the records stand at schema {step}; start chaland once to bring them up to date"
                ], False
            report = audit(connection, ring, [*notes, *([beside] if beside else [])], progress.update)
    except SQLAlchemyError as error:
        return [f"the records cannot be read ({type(error).__name__})"], False
    finally:
        records.close()
    return _lines(report), not report.flaws


def prove(
    records: Records,
    ring: KeyRing,
    subject: str,
    purpose: str,
    channel: str | None,
    at: datetime,
    now: datetime,
) -> dict[str, Any]:
    """What stood, and the receipt of the entry that decided, as JSON values. Raises UnknownWord."""
    try:
        asked, over = Purpose(purpose), Channel(channel) if channel else None
    except ValueError as error:
        raise UnknownWord(str(error)) from None
    with records.reads.connect() as connection:
        stands, receipt = proof(connection, ring, subject, asked, over, at, now)
    told = {
        "purpose": asked.value,
        "channel": channel,
        "allowed": stands.allowed,
        "reason": stands.reason.value,
    }
    return {"subject": subject, "at": at.isoformat(), "standing": told, "receipt": receipt}


def _lines(report: Report) -> list[str]:
    told = f"{report.size} leaves, {report.erased} of them erased, {report.checkpoints} checkpoints"
    if not report.flaws:
        return [f"the consent ledger holds: {told}", f"root {report.root.hex()}"]
    shown = [f"  {flaw.place}: {flaw.what}" for flaw in report.flaws[:FLAWS_SHOWN_LIMIT]]
    more = len(report.flaws) - len(shown)
    first = f"the consent ledger does NOT hold; the first bad entry is {report.flaws[0].place} ({told})"
    return [first, *shown, *([f"  and {more} more"] if more else [])]
