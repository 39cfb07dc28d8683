"""Tries campaigns out on events of the past: the very judgement of the engine, in a records store that is thrown away.

Nothing leaves that store: a message counts as sent at the instant at which it is decided. Events are judged in portions in
which nobody occurs at two instants, each at its own instant; as what is known of one shopper does not depend on what others did, that
comes to the same as one after another.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any, Self

from sqlalchemy import Connection
from tqdm import tqdm

from campaigns import decision_store, message_store
from campaigns.campaign import Campaign, CampaignState
from campaigns.decide import Decision, Outcome
from campaigns.delivery import outbox
from campaigns.message import Message, MessageState
from campaigns.reporting.report import ReportPolicy
from campaigns.reporting.store import read_report
from campaigns.triggers import held_store
from consent import store as consent_store
from consent.data_keys import keys_of
from engine.decider import Judge
from engine.facts import House
from engine.judgement import Judged, record_new
from engine.records import Records
from engine.releaser import Releaser
from engine.trials.past_events import Told
from engine.trials.scratch import make_scratch

BLOCK_EVENTS = 2000
PREFIX = "backtest-"
SPAN = timedelta(minutes=15)
"""A portion lies in one such stretch of the clock: what is read for it begins at its first instant, reaches an hour beyond,
and is of one day.
"""
LEFT_BEHIND = timedelta(days=1)
JUST_AFTER = timedelta(microseconds=1)


@dataclass(slots=True)
class Tally:
    """How many events there were, of whom how many belonged to nobody, and from when until when."""

    events: int = 0
    of_nobody: int = 0
    first: datetime | None = None
    last: datetime | None = None


@dataclass(slots=True)
class Book:
    """Where the judge's decisions and messages are written down, many at a time. Gates are not kept."""

    decisions: list[Decision] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    def record(self, connection: Connection, judged: Judged) -> bool:
        """As `record_new`; every decision counts as new. One that is held, or counted by budgets, is written at once."""
        decision, message = judged.decision, judged.message
        if decision.outcome is Outcome.HELD or judged.counted:
            return record_new(connection, judged)
        self.decisions.append(replace(decision, gates=()))
        if message is not None:
            self.messages.append(replace(message, state=MessageState.SENT, sent_at=message.created_at))
        return True

    def write(self, connection: Connection) -> None:
        """Write down what was recorded meanwhile."""
        decision_store.insert_decisions(connection, self.decisions)
        keys = keys_of(connection, {each.subject for each in self.messages})
        message_store.insert_messages(connection, self.messages, keys)
        self.decisions.clear()
        self.messages.clear()


class Backtest:
    """A run over events, in a store of its own. Use it as a context: leaving it throws the store away."""

    def __init__(
        self, records: Records, keys: Path, folder: Path, campaigns: Sequence[Campaign], house: House
    ) -> None:
        self._records = records
        self._keys = keys
        self._campaigns = [as_if_running(campaign) for campaign in campaigns]
        self._judge = Judge(house, record=(book := Book()).record)
        self._book = book
        self._house = house
        self._folder = TemporaryDirectory(prefix=PREFIX, dir=folder)
        self.scratch: Records | None = None
        self.tally = Tally()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.scratch is not None:
            self.scratch.close()
        self._folder.cleanup()

    def run(self, events: Iterable[Told], *, total: int | None = None, quiet: bool = True) -> Tally:
        """Judge all events, which come in the order of their instants."""
        rest = iter(events)
        first = next(rest, None)
        if first is None:
            return self.tally
        folder = Path(self._folder.name)
        self.scratch = make_scratch(self._records, self._keys, folder, self._campaigns, first.at)
        self.tally.first = first.at
        with tqdm(unit=" events", total=total, disable=quiet, desc="backtest") as progress:
            for block in _blocks(chain([first], rest)):
                self._judge_block(self.scratch, block)
                progress.update(len(block))
        while self.tally.last and (due := self._next_due(self.scratch)) and due <= self.tally.last:
            self._release(self.scratch, due)
        return self.tally

    def reports(self, policy: ReportPolicy) -> Mapping[str, dict[str, Any]]:
        """What came of each campaign, as its report tells it."""
        if self.scratch is None or self.tally.first is None or self.tally.last is None:
            return {}
        until = self.tally.last + JUST_AFTER
        with self.scratch.reads.connect() as connection:
            return {
                each.id: read_report(connection, each, policy, self.tally.first, until).json()
                for each in self._campaigns
            }

    def _judge_block(self, scratch: Records, block: Sequence[Told]) -> None:
        with scratch.reads.connect() as connection:
            owners = consent_store.subjects_of_devices(
                connection, sorted({told.event.device for told in block})
            )
        for portion in portions(block, owners):
            for stretch in self._between_releases(scratch, portion):
                self._judge_portion(scratch, stretch, owners)
        self.tally.events += len(block)
        self.tally.of_nobody += sum(told.event.device not in owners for told in block)
        self.tally.last = block[-1].at

    def _judge_portion(self, scratch: Records, portion: Sequence[Told], owners: Mapping[str, str]) -> None:
        instants = {told.event.id: told.at for told in portion}
        devices = {told.event.device for told in portion}
        own = {device: owners[device] for device in devices & owners.keys()}
        with scratch.writes.begin() as connection:
            self._judge.judge(
                connection, [told.event for told in portion], own, lambda event: instants[event.id]
            )
            self._book.write(connection)

    def _between_releases(self, scratch: Records, portion: Sequence[Told]) -> Iterator[Sequence[Told]]:
        """A portion in stretches during which no held moment falls due; those that do are released in between."""
        rest = portion
        while rest:
            due = self._next_due(scratch)
            ready = sum(1 for told in rest if due is None or told.at < due)
            if due is not None and not ready:
                self._release(scratch, due)
                continue
            yield rest[:ready]
            rest = rest[ready:]

    def _next_due(self, scratch: Records) -> datetime | None:
        if not any(campaign.trigger.delay for campaign in self._campaigns):
            return None
        with scratch.reads.connect() as connection:
            return held_store.next_due(connection)

    def _release(self, scratch: Records, at: datetime) -> None:
        """Let go what is due at an instant; what becomes of it is sent then."""
        releaser = Releaser(scratch, lambda: at, self._house)
        while releaser.run_once():
            pass
        with scratch.writes.begin() as connection:
            outbox.send_at_once(connection)


def clear_leftovers(folder: Path, now: datetime) -> int:
    """Remove the stores of backtests that were killed: nobody has written in them for a day. Answers how many."""
    left = [
        each for each in folder.glob(f"{PREFIX}*") if each.is_dir() and _written(each) < now - LEFT_BEHIND
    ]
    for each in left:
        rmtree(each, ignore_errors=True)
    return len(left)


def _written(folder: Path) -> datetime:
    times = [each.stat().st_mtime for each in (folder, *folder.iterdir())]
    return datetime.fromtimestamp(max(times), UTC)


def as_if_running(campaign: Campaign) -> Campaign:
    """The campaign as it is tried out: active; and a draft without its dates, as it has not run yet."""
    if campaign.state is CampaignState.DRAFT:
        return replace(campaign, state=CampaignState.ACTIVE, starts_at=None, ends_at=None)
    return replace(campaign, state=CampaignState.ACTIVE)


def portions(block: Sequence[Told], owners: Mapping[str, str]) -> Iterator[list[Told]]:
    """A block in parts in which nobody occurs at two instants, and that are short."""
    part: list[Told] = []
    met: dict[str, datetime] = {}
    for told in block:
        owner = owners.get(told.event.device, told.event.device)
        if met.get(owner, told.at) != told.at or (part and _span(told) != _span(part[0])):
            yield part
            part, met = [], {}
        part.append(told)
        met[owner] = told.at
    if part:
        yield part


def _span(told: Told) -> float:
    return told.at.timestamp() // SPAN.total_seconds()


def _blocks(events: Iterable[Told]) -> Iterator[list[Told]]:
    rest = iter(events)
    while block := list(islice(rest, BLOCK_EVENTS)):
        yield block


def summary(campaign: str, report: Mapping[str, Any]) -> Iterator[str]:
    """A report as lines to read: who, when, why not, and at what cost; aggregates only."""
    if report["withheld"]:
        yield f"{campaign}: fewer than {report['minimum_group']} people came into question; nothing is told"
        return
    steps = {each["step"]: each for each in report["funnel"]}
    counts = {name: each["count"] for name, each in steps.items()}
    yield f"{campaign}: {counts['entered']} moments of {report['people']} people"
    yield f"  messages     {counts['sent']} of {counts['eligible']} eligible, {counts['held']} held back"
    lost = (
        Counter(steps["eligible"]["lost"]) + Counter(steps["held"]["lost"]) + Counter(steps["sent"]["lost"])
    )
    yield f"  why not      {', '.join(f'{reason} {count}' for reason, count in lost.most_common()) or 'nothing'}"
    for name in ("hour", "geofence", "variant"):
        told = [
            f"{group[name]} {next(step['count'] for step in group['funnel'] if step['step'] == 'sent')}"
            for group in report[f"by_{name}"][:24]
        ]
        if told:
            yield f"  by {name:10}{', '.join(told)}"
    cost = report["cost"]
    price = f", {cost['amount']:.2f} {cost['currency']}" if cost["amount"] is not None else ", price not set"
    yield f"  cost         {cost['messages']} messages, {cost['segments']} segments{price}"
