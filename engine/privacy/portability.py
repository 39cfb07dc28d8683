"""Takes in a shopper's export from another installation: who they are, and what they said, each entry as it was said.

What other installations did with the data (visits, decisions, messages) stays with them.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from consent.desk import Desk
from consent.entry import Action, Channel, Entry, Purpose
from consent.errors import ConsentError, FieldError, InvalidConsent
from consent.subject import Device, Subject

ENTRIES_LIMIT = 10_000
_INSTANTS = frozenset({"at", "recorded_at"})


class SubjectKnown(ConsentError):
    """The subject is known here already; what they said here is not mixed with what they said elsewhere."""

    def __init__(self) -> None:
        super().__init__(
            409, "subject_known", "this subject is known here; an export is taken in for a new one only"
        )


def take_in(desk: Desk, export: Mapping[str, Any]) -> tuple[str, int]:
    """Make the subject of an export known, and write their entries into the ledger; answers the id and how many. Raises
    SubjectKnown, and InvalidConsent for what is no export.
    """
    try:
        subject = _subject(export["subject"])
        entries = [_entry(each) for each in export["consents"][:ENTRIES_LIMIT]]
    except (KeyError, TypeError, ValueError, AttributeError):
        said = "must be what `chaland consent export` wrote"
        raise InvalidConsent("invalid_export", [FieldError("file", said)]) from None
    if any(entry.subject != subject.id for entry in entries):
        said = "must all be of the subject of the export"
        raise InvalidConsent("invalid_export", [FieldError("consents", said)])
    if desk.is_known(subject.id):
        raise SubjectKnown
    desk.put(subject)
    for entry in entries:
        desk.record(replace(entry, recorded_at=desk.now()))
    return subject.id, len(entries)


def _subject(told: Mapping[str, Any]) -> Subject:
    devices = tuple(Device(each["device"], each["push"]) for each in told["devices"])
    return Subject(told["id"], told["phone"], told["locale"], told["timezone"], told["attributes"], devices)


def _entry(told: Mapping[str, Any]) -> Entry:
    said: dict[str, Any] = {each.name: told[each.name] for each in fields(Entry) if each.name in told}
    said |= {name: datetime.fromisoformat(said[name]) for name in _INSTANTS}
    channel = said["channel"]
    return Entry(
        **said
        | {
            "purpose": Purpose(said["purpose"]),
            "channel": None if channel is None else Channel(channel),
            "action": Action(said["action"]),
            "seq": None,
        }
    )
