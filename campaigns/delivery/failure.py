"""What follows when a provider says why a message did not arrive: for consent, for the address, for what is still due."""

from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Connection

from campaigns.delivery.channels.twilio_codes import Effect, meaning_of
from campaigns.delivery.outbox import ProviderReport, apply_report, cancel_of_subject, subject_of_report
from consent import ledger, suppression
from consent.address import Failure, note_failure
from consent.entry import Action, Channel, Entry, Purpose
from consent.store import lock_subject, mark_of_subject

ACTOR = "provider"


def heed_code(
    conn: Connection, subject: str, channel: Channel, message: str, code: str | None, now: datetime
) -> Effect:
    """Do what the code of a message calls for; a code that is not in the table calls for nothing. Twice is once.

    The caller holds no lock of the message yet: the subject's comes first.
    """
    line = meaning_of(code)
    if code is None or line.effect not in (Effect.OPTED_OUT, Effect.ADDRESS_DEAD, Effect.STRIKE):
        return line.effect
    if not lock_subject(conn, subject):
        return line.effect  # erased meanwhile: nobody is left to protect
    if line.effect is Effect.OPTED_OUT:
        ledger.record(conn, _withdrawal(subject, channel, message, code, now))
        if channel is Channel.SMS and (mark := mark_of_subject(conn, subject)) is not None:
            suppression.suppress(conn, mark, suppression.Because.PROVIDER, now)
        cancel_of_subject(conn, subject, channel)
    else:
        within = timedelta(days=line.within_days)
        note_failure(conn, subject, channel, Failure(message, code, line.strikes, within, now))
    return line.effect


def heed_report(conn: Connection, report: ProviderReport, now: datetime) -> bool:
    """Take a provider's report into account, and what its code calls for; False if it is about no message of ours."""
    about = subject_of_report(conn, report)
    if about is None:
        return False
    heed_code(conn, about.subject, about.channel, about.message, report.error_code, now)
    return apply_report(conn, report, now)


def _withdrawal(subject: str, channel: Channel, message: str, code: str, now: datetime) -> Entry:
    return Entry(
        id=uuid5(
            NAMESPACE_URL, f"{message}:{code}"
        ).hex,  # derived from its cause: a second report is the same entry
        subject=subject,
        purpose=Purpose.MARKETING,
        channel=channel,
        action=Action.WITHDRAW,
        source=f"provider, code {code}",
        text_version=None,
        at=now,
        recorded_at=now,
        actor=ACTOR,
    )
