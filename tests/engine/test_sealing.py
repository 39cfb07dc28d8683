"""An installation from before the vault: what it holds in clear is sealed at the next start, also after interruptions."""

import json
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

import campaigns.tables
from campaigns.listing import Filters
from campaigns.message_store import messages_page
from consent import store
from consent.subject import Device, Subject
from engine import events, schema, sealing
from engine.records import open_records
from geofences.store import EventFilters
from geofences.tables import place_events
from tests.consent.cast import minute
from tests.support.traces import traces

VALUES = {
    "phone": "+33639983577",
    "device": "anas-old-handset",
    "token": "t0k3n-from-before",
    "name": "Anémone",
}
PEOPLE = ("ana", "ben", "cem")


@pytest.fixture
def old(database_url, tmp_path):
    """A database at the step before the vault, with three people."""
    records = open_records(database_url, tmp_path / "vault.keys")
    with records.writes.begin() as connection:
        command.upgrade(schema._config(connection), "0004")
        for number, who in enumerate(PEOPLE):
            fill(connection, who, number)
    yield records
    records.close()


def own(number):
    """Each has values of their own; ana's are those looked for."""
    return {name: value if number == 0 else f"{value}{number}" for name, value in VALUES.items()}


SUBJECT = """INSERT INTO subjects (id, phone, attributes, created_at, updated_at)
VALUES (:who, :phone, CAST(:attributes AS {json}), :at, :at)"""
DEVICE = """INSERT INTO devices (device, subject, position, push)
VALUES (:device, :who, 0, CAST(:push AS {json}))"""
EVENT = """INSERT INTO place_events
(id, device, subject, kind, geofence, at, emitted, confidence, evidence, recorded_at)
VALUES (:who, :device, :who, 'enter', 'bakery', :at, :at, 0.9, CAST('{{}}' AS {json}), :at)"""
MESSAGE = """INSERT INTO messages
(id, event, campaign, subject, channel, text, created_at, valid_until, state, next_at)
VALUES (:who, :who, 'bread', :who, 'sms', :name || ', bread?', :at, :at, 'sent', :at)"""


def fill(connection, who, number):
    on_sqlite = connection.dialect.name == "sqlite"
    values = own(number) | {"who": who, "phone": f"+3363998357{7 - number}"}
    values["at"] = minute(0).replace(tzinfo=None) if on_sqlite else minute(0)
    values["attributes"] = json.dumps({"first_name": values["name"]}, ensure_ascii=False)
    values["push"] = json.dumps({"token": values["token"]})
    for statement in (SUBJECT, DEVICE, EVENT, MESSAGE):
        connection.execute(text(statement.format(json="TEXT" if on_sqlite else "JSON")), values)


def check(records):
    with records.reads.connect() as connection:
        for number, who in enumerate(PEOPLE):
            values = own(number)
            phone = f"+3363998357{7 - number}"
            assert store.get_subject(connection, who) == Subject(
                id=who,
                phone=phone,
                attributes={"first_name": values["name"]},
                devices=(Device(values["device"], {"token": values["token"]}),),
            )
            assert store.subjects_with_phone(connection, phone) == [who]
            assert store.subject_of_device(connection, values["device"]) == who
            [message] = messages_page(connection, Filters(subject=who), 5).items
            assert message.text == f"{values['name']}, bread?"
            [event] = events.page(connection, EventFilters(device=values["device"]), None, 5)[0]
            assert (event["id"], event["device"]) == (who, values["device"])


def dump(records, file: Path):
    with records.reads.connect() as connection:
        tables = (*store.metadata.sorted_tables, *campaigns.tables.metadata.sorted_tables, place_events)
        rows = [str(row) for table in tables for row in connection.execute(table.select())]
    file.write_text("\n".join(rows))
    return [file, *(each for each in file.parent.iterdir() if each.name.startswith("records.sqlite"))]


def test_what_stood_in_clear_is_sealed_and_no_file_keeps_it(old, tmp_path):
    schema.upgrade(old)
    assert sealing.seal_existing(old) == 3
    check(old)
    assert traces(dump(old, tmp_path / "dump"), VALUES) == set()
    assert sealing.seal_existing(old) == 0


def test_sealing_may_be_interrupted(old, monkeypatch):
    schema.upgrade(old)
    monkeypatch.setattr(sealing, "SUBJECTS_AT_ONCE", 1)
    sealed = sealing._seal_history

    def fails_at_ben(connection, subject, key):
        sealed(connection, subject, key)
        if subject == "ben":
            raise KeyboardInterrupt

    monkeypatch.setattr(sealing, "_seal_history", fails_at_ben)
    with pytest.raises(KeyboardInterrupt):
        sealing.seal_existing(old)
    monkeypatch.setattr(sealing, "_seal_history", sealed)
    assert sealing.seal_existing(old) == 2
    check(old)
