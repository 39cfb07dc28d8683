"""The people of these tests, so that each test says only what differs."""

from datetime import datetime, timedelta
from itertools import count

from consent.entry import Action, Channel, Entry, Purpose
from consent.subject import Device, Subject
from tests.conftest import MONDAY_NINE

ANAS_PHONE = "+33639980001"
ANA = Subject(
    id="ana", phone=ANAS_PHONE, locale="fr-FR", timezone="Europe/Paris", devices=(Device("phone-1"),)
)
BEN = Subject(id="ben", phone="+447700900123", locale="en-GB", devices=(Device("phone-2"),))

_numbers = count(1)


def minute(minutes: float) -> datetime:
    """So many minutes after Monday, nine o'clock in Paris."""
    return MONDAY_NINE + timedelta(minutes=minutes)


def entry(
    action: Action,
    at: datetime,
    *,
    purpose: Purpose = Purpose.MARKETING,
    channel: Channel | None = Channel.SMS,
    id: str | None = None,  # noqa: A002
    subject: str = "ana",
    source: str = "till",
    recorded_at: datetime | None = None,
    text_version: str | None = "offers-1-fr",
) -> Entry:
    return Entry(
        id=id or f"e{next(_numbers)}",
        subject=subject,
        purpose=purpose,
        channel=channel if purpose is Purpose.MARKETING else None,
        action=action,
        source=source,
        text_version=text_version,
        at=at,
        recorded_at=recorded_at or at,
        actor="key:crm",
    )


def grant(at: datetime, **differing) -> Entry:
    return entry(Action.GRANT, at, **differing)


def withdraw(at: datetime, **differing) -> Entry:
    return entry(Action.WITHDRAW, at, **differing)
