"""Delivers: places what changed, queues it for who wants it, and calls receivers.

Any number of processes may do so: one places at a time, and what one took to deliver the others leave alone for a minute.
A receiver hears everything at least once, each subject's changes in order, the same again under the same id.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from consent.standard_webhook import key_of, signed_headers
from engine import metrics
from engine.events_out import feed, queue, subscription_store
from engine.events_out.change import Change
from engine.events_out.payload import Discretion, payloads
from engine.events_out.queue import Delivery
from engine.events_out.subscription import Subscription, SubscriptionState
from engine.events_out.webhook import GONE, pause_seconds
from engine.outbound import CallFailed, Outbound
from engine.records import Records

logger = logging.getLogger(__name__)

TURN = 20
"""Calls that run side by side for one receiver."""
RECEIVERS_AT_ONCE = 8
IDLE_SECONDS = 0.5
RETRY_SECONDS = 2.0
LONGEST_REST_SECONDS = 300
PATIENCE = frozenset({429, 503})
"""Answers whose Retry-After is heeded."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a call: the HTTP status or the kind of failure. `body` None: it may not be told, and was not."""

    delivery: Delivery
    answer: str
    taken: bool = False
    gone: bool = False
    retry_after: str | None = None


class WebhookCourier:
    """Delivers what is in the feed to the receivers that subscribed."""

    def __init__(
        self, records: Records, outbound: Outbound, discretion: Discretion, now: Callable[[], datetime]
    ) -> None:
        self._records = records
        self._outbound = outbound
        self._discretion = discretion
        self._now = now
        self._busy: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop. A receiver that is slow holds up only itself."""
        with ThreadPoolExecutor(RECEIVERS_AT_ONCE, "webhooks") as pool:
            while not stop.is_set():
                try:
                    placed = self.place()
                    for subscription in self._due():
                        if subscription not in self._busy and len(self._busy) < RECEIVERS_AT_ONCE:
                            self._busy.add(subscription)
                            pool.submit(self._turns_alone, subscription, stop)
                    if not placed:
                        stop.wait(IDLE_SECONDS)
                except Exception as error:  # noqa: BLE001  # nobody would deliver any more
                    logger.warning("webhooks: a round failed (%s)", type(error).__name__)
                    stop.wait(RETRY_SECONDS)

    def run_once(self) -> int:
        """Place what there is and give each receiver one turn; answers how many changes and calls that were."""
        return self.place() + sum(self.turn(each) for each in self._due())

    def place(self) -> int:
        """Give the oldest changes their positions and queue them for who wants them. Answers how many."""
        with self._records.reads.connect() as connection:
            if not feed.has_unplaced(connection):
                return 0
        with self._records.writes.begin() as connection:
            now = self._now()
            placed = feed.place(connection, now)
            if placed:
                for subscription in subscription_store.every(connection):
                    wanted = [each for each in placed if subscription.wanted.has(each)]
                    if wanted and subscription.state is not SubscriptionState.DISABLED:
                        self._enqueue(connection, subscription.id, wanted, now)
        return len(placed)

    def turn(self, subscription_id: str) -> int:
        """Call one receiver with what is due; answers how many calls that were."""
        with self._records.writes.begin() as connection:
            now = self._now()
            subscription = subscription_store.get(connection, subscription_id)
            if subscription is None or not subscription.may_be_called(now):
                return 0
            taken = queue.take(connection, subscription_id, now, 1 if subscription.failing else TURN)
        with self._records.reads.connect() as connection:
            # What is not wanted any more was queued for an earlier wish, maybe for another address.
            wanted = [each.change for each in taken if subscription.wanted.has(each.change)]
            said = payloads(connection, wanted, self._discretion, now)
        bodies = [
            (each, json.dumps(said[each.change.seq]).encode()) for each in taken if each.change.seq in said
        ]
        withheld = [each for each in taken if each.change.seq not in said]
        results = asyncio.run(self._call_all(subscription, bodies)) if bodies else []
        with self._records.writes.begin() as connection:
            self._settle(connection, subscription_id, results, withheld)
        return len(taken)

    def _due(self) -> Sequence[str]:
        with self._records.reads.connect() as connection:
            return queue.due_subscriptions(connection, self._now())

    def _turns_alone(self, subscription: str, stop: threading.Event) -> None:
        """Turns of one receiver, as long as there is something due."""
        try:
            while not stop.is_set() and self.turn(subscription):
                pass
        except Exception as error:  # noqa: BLE001  # what was taken is due again in a minute
            logger.warning("webhooks: a turn failed (%s)", type(error).__name__)
        finally:
            self._busy.discard(subscription)

    def _enqueue(
        self, connection: Connection, subscription_id: str, wanted: Sequence[Change], now: datetime
    ) -> None:
        held = subscription_store.get(connection, subscription_id, lock=True)
        if held is None:
            return
        missed = queue.enqueue(connection, subscription_id, wanted, now)
        if missed:
            subscription_store.note(connection, subscription_id, missed=held.missed + missed)
            metrics.WEBHOOKS.labels("missed").inc(missed)

    async def _call_all(
        self, subscription: Subscription, bodies: Sequence[tuple[Delivery, bytes]]
    ) -> list[Result]:
        return list(await asyncio.gather(*(self._call(subscription, *each) for each in bodies)))

    async def _call(self, subscription: Subscription, delivery: Delivery, body: bytes) -> Result:
        now = self._now()
        keys = [key_of(each) for each in subscription.keys(now)]
        headers = {
            "content-type": "application/json",
            **signed_headers(keys, delivery.id, now, body),
        }
        try:
            answer = await self._outbound.post_async(subscription.url, body, headers)
        except CallFailed as failed:
            return Result(delivery, failed.failure.value)
        return Result(
            delivery,
            str(answer.status),
            taken=answer.taken,
            gone=answer.status == GONE,
            retry_after=answer.headers.get("retry-after") if answer.status in PATIENCE else None,
        )

    def _settle(
        self,
        connection: Connection,
        subscription_id: str,
        results: Sequence[Result],
        withheld: Sequence[Delivery],
    ) -> None:
        held = subscription_store.get(connection, subscription_id, lock=True)
        if held is None:
            return  # removed meanwhile, with all that waited
        now = self._now()
        for delivery in withheld:
            queue.done(connection, delivery, now)
            metrics.WEBHOOKS.labels("withheld").inc()
        for result in results:
            outcome = _settle_one(connection, result, now)
            metrics.WEBHOOKS.labels(outcome).inc()
        if results:
            subscription_store.note(connection, subscription_id, **_condition(held, results, now))


def _settle_one(connection: Connection, result: Result, now: datetime) -> str:
    delivery = result.delivery
    if result.taken:
        queue.done(connection, delivery, now)
        return "taken"
    if result.gone:
        queue.given_back(connection, delivery, result.answer, now)
        return "gone"
    pause = pause_seconds(delivery.id, delivery.attempts, result.retry_after)
    if pause is None:
        queue.bury(connection, delivery, result.answer, now)
        logger.warning(
            "webhook %s to %s is dead after %s calls", delivery.id, delivery.subscription, delivery.attempts
        )
        return "dead"
    queue.again(connection, delivery, result.answer, now + timedelta(seconds=pause))
    return "failed"


def _condition(subscription: Subscription, results: Sequence[Result], now: datetime) -> dict[str, object]:
    """How the receiver fares: while it takes nothing it gets one call a turn, and longer rests between them, so that those
    days of patience are not used up by a crowd of subjects at once.
    """
    if any(each.gone for each in results):
        because = "the receiver answered 410 Gone"
        return {"state": SubscriptionState.DISABLED.value, "because": because, "changed_at": now}
    if any(each.taken for each in results):
        return {"failing": 0, "rest_until": None}
    failing = min(subscription.failing + 1, 30)
    rest = timedelta(seconds=min(2**failing, LONGEST_REST_SECONDS))
    return {"failing": failing, "rest_until": now + rest}


def resumed(subscription: Subscription, now: datetime) -> Subscription:
    """The subscription, active again, and tried at once; what it missed is known now."""
    return replace(
        subscription,
        state=SubscriptionState.ACTIVE,
        because=None,
        changed_at=now,
        missed=0,
        failing=0,
        rest_until=None,
    )
