"""How much memory a sender takes as it sends message after message: `python -m tests.service.steady --messages 100000`.

The real client calls a local provider in a process of its own. A line for every tenth: messages sent, resident memory in MiB, the
sender's seconds of CPU.
"""

import argparse
import contextlib
import multiprocessing
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
from sqlalchemy import func, select

import geofences.store
from campaigns.country_rules import CountryRules
from campaigns.delivery.channels.sms_twilio import TwilioSms
from campaigns.message import MessageState
from campaigns.message_store import insert_message
from campaigns.store import put_campaign
from campaigns.tables import messages
from consent.entry import Channel
from consent.ledger import record_all
from consent.store import put_subject
from consent.subject import Subject
from engine.clock import wall_clock
from engine.handover import open_handovers
from engine.lines import LineLimits, Lines
from engine.live import open_live
from engine.provider.provider import Provider
from engine.provider.twilio_api import ACCOUNT_SID, AUTH_TOKEN
from engine.records import Records, open_records
from engine.schema import upgrade
from engine.sender import Sender
from tests.campaigns.cast import BAKERY, BREAD, decided
from tests.service.faults import GRANTED, NUMBER, granted_entry

OFTEN = replace(BREAD, caps=())
SUBJECTS = 500
PORTION = 1000
WIDE = LineLimits(
    sender=NUMBER,
    per_second=1e6,
    sender_per_second=1e6,
    messages_per_day=10**9,
    spend_per_day=1e9,
    segment_price=0.1,
    texts_per_prefix=10**9,
    prefix_window_seconds=600,
)


def provide(where: Connection) -> None:
    """A provider that forgets, until it is told to end."""
    with Provider() as provider:
        where.send(provider.url)
        while where.recv():
            provider.twilio.forget()


def people(records: Records) -> None:
    at = datetime.now(UTC)
    with records.writes.begin() as connection:
        geofences.store.put(connection, BAKERY, at)
        put_campaign(connection, OFTEN, at)
        for number in range(SUBJECTS):
            put_subject(connection, Subject(f"s{number}", phone=f"+336{number:08d}"), at)
        record_all(
            connection, [granted_entry(n, purpose, at) for n in range(SUBJECTS) for purpose in GRANTED]
        )


def add(records: Records, start: int, count: int) -> None:
    at = datetime.now(UTC)
    with records.writes.begin() as connection:
        for number in range(start, start + count):
            _, message = decided(f"fix-{number}", campaign=OFTEN, subject=f"s{number % SUBJECTS}")
            assert message
            insert_message(connection, replace(message, created_at=at, valid_until=at + timedelta(hours=1)))


def tell(records: Records, this: psutil.Process) -> None:
    with records.reads.connect() as connection:
        was_sent = messages.c.state == MessageState.SENT.value
        sent = connection.scalar(select(func.count()).select_from(messages).where(was_sent))
    times = this.cpu_times()
    seconds = times.user + times.system
    print(f"{sent:7} sent  {this.memory_info().rss / 2**20:6.1f} MiB  {seconds:6.0f} s of CPU", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    total = parser.parse_args().messages
    ours, theirs = multiprocessing.Pipe()
    provider = multiprocessing.get_context("spawn").Process(target=provide, args=(theirs,))
    provider.start()
    with tempfile.TemporaryDirectory(prefix="chaland-steady-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        records = open_records(f"sqlite:///{folder / 'records.sqlite'}", folder / "vault.keys")
        stack.callback(records.close)
        upgrade(records)
        people(records)
        live = open_live("", folder, 1)
        stack.callback(live.close)
        sms = TwilioSms(ACCOUNT_SID, AUTH_TOKEN, from_=NUMBER, api_url=ours.recv())
        sender = Sender(
            reads=records.reads,
            writes=records.writes,
            channels={Channel.SMS: sms},
            place_of=geofences.store.get,
            handovers=open_handovers(records),
            now=wall_clock,
            rules=CountryRules(enforced=False),
            lines=Lines(live, {Channel.SMS: WIDE}, wall_clock),
        )
        this, added = psutil.Process(), 0
        while added < total:
            add(records, added, PORTION)
            added += PORTION
            while sender.run_once():
                pass
            ours.send(True)
            if added % (total // 10) == 0:
                tell(records, this)
    ours.send(False)
    provider.join()


if __name__ == "__main__":
    main()
