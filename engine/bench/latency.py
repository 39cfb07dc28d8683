"""How long from a ping to its event, and to its message, under a steady load that does not wait for answers.

A ping counts from the moment at which its body was due to be sent, so waiting at the door is in. Its event counts
when a process beside us, which waits at the event log, has read it: the live store answers readers only after it has
written to disk, so the event is durable by then. Which ping an event came from is told by its id. A message counts
from the rows of the records store. All on one machine, so on one clock. What is promised at the door counts from the
answer, so that is told too: how long after its ping was accepted an event is durable.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import select

from campaigns.campaign import Campaign, CampaignState
from campaigns.limits.cap import Cap
from campaigns.store import put_campaign
from campaigns.tables import messages
from campaigns.triggers.trigger import Trigger
from consent.entry import Channel as MessageChannel
from engine.bench.event_watch import watching
from engine.bench.installation import Served
from engine.bench.sending import send
from engine.bench.work import Feed, Floats, Work, name_of
from engine.clock import wall_clock
from engine.event_log import decode_event
from engine.records import open_records
from geofences.event import EventKind, PlaceEvent, Revision, event_id

BODY = 100
BLOCK_MS = 50
LATE_SECONDS = 2.0
"""After the last ping, messages are waited for this long."""
CAMPAIGN = Campaign(
    id="bench",
    name="Bench",
    trigger=Trigger(EventKind.ENTER, any=True),
    channel=MessageChannel.SMS,
    template="Hello from {{ geofence }}",
    state=CampaignState.ACTIVE,
    caps=(Cap(1_000_000, 3600),),
    shelf_life_seconds=86_400,
)
"""An offer to whoever enters anywhere."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from pings at one load; `events` of `told` could be traced to their ping, the others come from the
    clock or from pings before.
    """

    pings_per_second: float
    answer_ms: Floats
    event_ms: Floats
    accepted_ms: Floats
    """Of events, from when the ping was answered."""
    message_ms: Floats
    sent_ms: Floats
    told: int
    turned_away: int
    kept_pace: bool

    @property
    def events(self) -> int:
        """How many events could be traced."""
        return len(self.event_ms)

    def table(self) -> dict[str, Any]:
        """The figures as they are written to a file."""
        return {
            "pings_per_second": round(self.pings_per_second),
            "kept_pace": self.kept_pace,
            "events": self.events,
            "events_told": self.told,
            "turned_away": self.turned_away,
            "answer_ms": percentiles(self.answer_ms),
            "event_ms": percentiles(self.event_ms),
            "event_after_answer_ms": percentiles(self.accepted_ms),
            "message_ms": percentiles(self.message_ms),
            "message_sent_ms": percentiles(self.sent_ms),
        }


def percentiles(milliseconds: Floats) -> dict[str, float | None]:
    """The median and the 99th percentile; None where there is nothing."""
    if not len(milliseconds):
        return {"p50": None, "p99": None}
    p50, p99 = np.percentile(milliseconds, (50, 99))
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


@contextmanager
def campaign(served: Served) -> Iterator[None]:
    """Meanwhile everybody who enters is messaged, to the log."""
    _put(served, CAMPAIGN)
    try:
        yield
    finally:
        _put(served, replace(CAMPAIGN, state=CampaignState.ENDED))


def _put(served: Served, campaign: Campaign) -> None:
    records = open_records(served.settings.records_url, served.settings.vault_keys)
    with records.writes.begin() as connection:
        put_campaign(connection, campaign, wall_clock())
    records.close()


def latency(served: Served, work: Work, feed: Feed, per_second: float, seconds: float) -> Latency:
    """Send pings at this pace for so long."""
    rows, bodies = feed.take(int(per_second * seconds) // BODY * BODY, BODY)
    with watching(served.live) as watch:
        ahead = wall_clock().timestamp() - time.monotonic()
        began = time.monotonic()
        sent = send(served, bodies, per_second=per_second / BODY)
        took = time.monotonic() - began
        served.settle()
        told = [(decode_event(data), at) for data, at in watch.read()]
    told = [(event, at) for event, at in told if event.revision is Revision.SAID]
    bodies_of = bodies_of_events(work, rows, feed.began_at, told)
    traced = [(bodies_of[event.id], at) for event, at in told if event.id in bodies_of]
    due = {event: float(sent.due[body]) for event, body in bodies_of.items()}
    message_ms, sent_ms = _of_messages(served, due, ahead)
    return Latency(
        pings_per_second=len(rows) / took,
        answer_ms=(sent.accepted - sent.due) * 1000,
        event_ms=np.array([(at - sent.due[body]) * 1000 for body, at in traced]),
        accepted_ms=np.array([(at - sent.accepted[body]) * 1000 for body, at in traced]),
        message_ms=message_ms,
        sent_ms=sent_ms,
        told=len(told),
        turned_away=sent.turned_away,
        kept_pace=took < seconds * 1.05 + 0.1,
    )


def bodies_of_events(
    work: Work, rows: range, began_at: float, told: Sequence[tuple[PlaceEvent, float]]
) -> dict[str, int]:
    """Event id -> the number of the body with the ping that brought it about."""
    wanted = {event.device for event, _ in told}
    pings: dict[str, list[tuple[float, int]]] = {name: [] for name in wanted}
    for place, (device, at) in enumerate(
        zip(
            work.device[rows.start : rows.stop].tolist(),
            work.at[rows.start : rows.stop].tolist(),
            strict=True,
        )
    ):
        if (name := name_of(device)) in wanted:
            pings[name].append((round(at + began_at, 3), place // BODY))
    bodies: dict[str, int] = {}
    for event, _ in told:
        for at, body in pings[event.device]:
            if event_id(event.device, event.geofence, event.kind, f"{at:.3f}") == event.id:
                bodies[event.id] = body
    return bodies


def _of_messages(served: Served, due: dict[str, float], ahead: float) -> tuple[Floats, Floats]:
    """Milliseconds until messages were recorded, and until they were handed to their channel."""
    records = open_records(served.settings.records_url, served.settings.vault_keys)
    query = select(messages.c.event, messages.c.created_at, messages.c.sent_at)
    waited_until = time.monotonic() + LATE_SECONDS
    while True:
        with records.reads.connect() as connection:
            rows = [row for row in connection.execute(query) if row.event in due]
        if not rows or all(row.sent_at for row in rows) or time.monotonic() > waited_until:
            break
        time.sleep(0.1)
    records.close()
    created = [(row.created_at.timestamp() - ahead - due[row.event]) * 1000 for row in rows]
    handed = [(row.sent_at.timestamp() - ahead - due[row.event]) * 1000 for row in rows if row.sent_at]
    return np.array(created), np.array(handed)
