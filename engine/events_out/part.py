"""Events out, wired: the courier, the stream, the calls and the timed jobs of one process."""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from fastapi import APIRouter

from engine import metrics
from engine.doors.keys import Keys, Scope
from engine.doors.web import requires_now
from engine.events_out import feed, queue, subscription_store
from engine.events_out.courier import WebhookCourier
from engine.events_out.payload import Discretion
from engine.events_out.queue import DeliveryState
from engine.events_out.routes import subscription_calls
from engine.events_out.stream import FeedReader, stream_call
from engine.outbound import Outbound
from engine.records import Records
from engine.scheduler import Job
from geofences.sensitive import SensitivePlaces

WAKE_SECONDS = 3600


class EventsOut:
    """Tells others what happened."""

    def __init__(
        self, records: Records, outbound: Outbound, places: SensitivePlaces, now: Callable[[], datetime]
    ) -> None:
        self._records = records
        self._outbound = outbound
        self._now = now
        discretion = Discretion(places)
        self.courier = WebhookCourier(records, outbound, discretion, now)
        self.reader = FeedReader(records, discretion, self.courier.place, now)

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop."""
        self.courier.run(stop)

    forget_subject = staticmethod(feed.forget_subject)

    def routes(self, keys: Keys) -> Iterable[APIRouter]:
        """The calls; consent takes the scope `privacy` as well."""
        consent_permitted = requires_now(keys, Scope.PRIVACY)
        calls = subscription_calls(
            records=self._records,
            now=self._now,
            destinations=self._outbound.destinations,
            consent_permitted=consent_permitted,
        )
        return calls, stream_call(self.reader, requires_now(keys, Scope.SUBSCRIBE), consent_permitted)

    def jobs(self) -> tuple[Job, ...]:
        """The timed jobs."""
        return (
            Job("events out watched", 60, self.watch),
            Job("events out woken", WAKE_SECONDS, self.wake),
        )

    def attention(self) -> list[str]:
        """What an operator should look at."""
        with self._records.reads.connect() as connection:
            ended, missing = subscription_store.in_trouble(connection)
        told = [
            f"subscription {each} was ended by its receiver; POST /v1/subscriptions/{each}/resume"
            for each in ended
        ]
        return told + [
            f"subscription {each} missed changes, as its queue was full; POST /v1/subscriptions/{each}/resume once you know"
            for each in missing
        ]

    def wake(self) -> int:
        """Let go what waits behind deliveries that were kept for too long. Answers how many subjects' that was."""
        woken = 0
        while found := self._orphans():
            with self._records.writes.begin() as connection:
                queue.wake_orphans(connection, found, self._now())
            woken += len(found)
        return woken

    def _orphans(self) -> list[tuple[str, str]]:
        with self._records.reads.connect() as connection:
            return queue.orphans(connection)

    def watch(self) -> None:
        """Stop writing changes down that nobody wants, and tell the metrics what waits."""
        self.courier.place()  # also where no process delivers: what has no position would be kept for ever
        with self._records.writes.begin() as connection:
            feed.judge_wanted(connection, self._now())
        with self._records.reads.connect() as connection:
            counts = queue.counts(connection)
        for state in DeliveryState:
            metrics.WEBHOOKS_WAITING.labels(state).set(sum(each.get(state, 0) for each in counts.values()))
