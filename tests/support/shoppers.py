"""Shoppers who allow everything, for tests with many."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from consent.entry import Action, Channel, Entry, Purpose
from consent.ledger import record
from consent.store import put_subject
from consent.subject import Device, Subject

WELCOME = ((Purpose.LOCATION, None), (Purpose.MARKETING, Channel.SMS), (Purpose.MARKETING, Channel.PUSH))


def device_of(subject: str) -> str:
    """The device of one of them."""
    return f"phone-{subject}"


def welcome_many(connection: Connection, names: Iterable[str], at: datetime) -> None:
    """Each has a number, a phone that takes pushes, and said yes to location and to both channels."""
    for number, name in enumerate(names):
        device = Device(device_of(name), {"token": "x"})
        put_subject(connection, Subject(name, phone=f"+336398{number:05d}", devices=(device,)), at)
        for purpose, channel in WELCOME:
            yes = Entry(
                id=f"{name}-{purpose}-{channel}",
                subject=name,
                purpose=purpose,
                channel=channel,
                action=Action.GRANT,
                source="test",
                text_version="v1",
                at=at,
                recorded_at=at,
                actor="test",
            )
            record(connection, yes)
