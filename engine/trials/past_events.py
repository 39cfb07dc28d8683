"""Place events to try campaigns out on: those that the records store holds, those of a file, or made-up ones. Each comes with
the instant at which the engine learned of it, and in that order.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, func, or_, select

from consent.data_keys import keys_of
from engine.events import EVENT_DEVICE
from engine.recordings.recorded import RecordedEvent, Unreadable, read_lines
from geofences.event import EventKind, PlaceEvent, Revision, event_id
from geofences.tables import place_events

ROWS_AT_ONCE = 2000


class Told(NamedTuple):
    """An event, and when the engine learned of it."""

    event: PlaceEvent
    at: datetime


def count_recorded(conn: Connection, since: datetime, until: datetime) -> int:
    """How many events the records store learned of from `since` until before `until`."""
    then = (place_events.c.recorded_at >= since) & (place_events.c.recorded_at < until)
    return conn.scalar(select(func.count()).select_from(place_events).where(then)) or 0


def recorded_events(conn: Connection, since: datetime, until: datetime) -> Iterator[Told]:
    """Events of the records store, by when they were first told, and taken back where they were. Better estimates that came
    later are known from the start, as the first ones are not kept. Those of erased subjects are gone.
    """
    table = place_events.c
    told = (table.recorded_at >= since) & (table.recorded_at < until)
    taken_back = (table.retracted_at >= since) & (table.retracted_at < until)
    query = select(place_events).where(or_(told, taken_back)).order_by(table.recorded_at, table.at, table.id)
    later: list[Told] = []
    for rows in conn.execute(query.execution_options(yield_per=ROWS_AT_ONCE)).partitions():
        keys = keys_of(conn, {row.subject for row in rows if row.subject})
        for row in rows:
            if row.subject not in keys:
                continue
            event = PlaceEvent(
                row.id,
                keys[row.subject].open_alike(EVENT_DEVICE, row.device),
                EventKind(row.kind),
                row.geofence,
                row.at,
                row.emitted,
                row.confidence,
                row.evidence,
                beacon=row.beacon,
                zone=row.zone,
            )
            while later and later[0].at <= row.recorded_at:
                yield later.pop(0)
            if row.recorded_at >= since:
                yield Told(event, row.recorded_at)
            if row.retracted_at is not None and row.retracted_at < until:
                later.append(Told(_revised(event, Revision.RETRACTED), row.retracted_at))
                later.sort(key=lambda told: told.at)
    yield from later


def events_of_file(path: Path) -> Iterator[Told]:
    """The JSON lines that `chaland replay` wrote, by `emitted`. Raises `Unreadable`."""
    newest: dict[tuple[str, str, EventKind], PlaceEvent] = {}
    for line in read_lines(path, RecordedEvent):
        at, emitted = (datetime.fromtimestamp(each, UTC) for each in (line.at, line.emitted))
        if line.of is not None:
            was = newest.get((line.device, line.geofence, line.of))
            if was is None:
                raise Unreadable(f"{path}: an event is {line.kind} that was not told before")
            revised = PlaceEvent(
                was.id, was.device, was.kind, was.geofence, at, emitted, was.confidence, beacon=was.beacon
            )
            yield Told(_revised(revised, Revision(line.kind)), emitted)
            continue
        kind = EventKind(line.kind)
        cause = f"{line.at}/{line.emitted}"
        event = PlaceEvent(
            line.id or event_id(line.device, line.geofence, kind, cause),
            line.device,
            kind,
            line.geofence,
            at,
            emitted,
            1.0,
            beacon=line.beacon,
            zone=line.zone,
        )
        newest[line.device, line.geofence, kind] = event
        yield Told(event, emitted)


def made_up_events(
    devices: Sequence[str],
    moments: Sequence[tuple[EventKind, str]],
    count: int,
    start: datetime,
    length: timedelta,
    seed: int = 1,
) -> Iterator[Told]:
    """So many events, one after another over `length`, each of a device and a moment (kind and geofence) by chance."""
    dice, step = random.Random(seed), length / count  # noqa: S311  # no secret
    for number in range(count):
        at = start + number * step
        kind, geofence = dice.choice(moments)
        device = dice.choice(devices)
        event = PlaceEvent(event_id(device, geofence, kind, str(number)), device, kind, geofence, at, at, 1.0)
        yield Told(event, at)


def _revised(event: PlaceEvent, revision: Revision) -> PlaceEvent:
    return PlaceEvent(
        event.id,
        event.device,
        event.kind,
        event.geofence,
        event.at,
        event.emitted,
        event.confidence,
        event.evidence,
        revision,
        event.beacon,
        event.zone,
    )
