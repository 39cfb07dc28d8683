"""What the metrics tell of sending, read from both stores when they are asked for: every process tells of all."""

import math
from collections.abc import Callable
from datetime import datetime
from functools import partial

from prometheus_client import Gauge
from redis.exceptions import RedisError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from campaigns.delivery.breaker import NEW, BreakerState
from campaigns.delivery.dead_letter import count_dead
from campaigns.delivery.outbox import AttemptOutcome, oldest_due
from campaigns.gates import Reason
from consent.entry import Channel
from engine import metrics
from engine.clock import Now
from engine.lines import Lines, Short
from engine.records import Records


def tell_sending(records: Records, lines: Lines, now: Now) -> None:
    """Have the gauges of sending ask; a store that does not answer makes theirs not a number."""

    def recorded(figure: Callable[[Connection, datetime], float]) -> Callable[[], float]:
        def read() -> float:
            with records.reads.connect() as connection:
                return figure(connection, now())

        return _or_unknown(read)

    metrics.OLDEST_DUE.set_function(recorded(_oldest_age_seconds))
    metrics.DEAD_LETTERS.set_function(recorded(count_dead))
    for channel in Channel:
        for gauge, figure in _of_line(lines, channel).items():
            gauge.labels(channel).set_function(_or_unknown(figure))
        for outcome in AttemptOutcome:
            metrics.CALLS.labels(channel, outcome).set_function(
                _or_unknown(partial(lines.counted, channel, outcome))
            )
        for reason in (Reason.COUNTRY_NOT_ALLOWED, Reason.NOT_A_MOBILE, Reason.PREFIX_VELOCITY):
            refused = metrics.DESTINATIONS_REFUSED.labels(channel, reason)
            refused.set_function(_or_unknown(partial(lines.counted, channel, reason)))


def _of_line(lines: Lines, channel: Channel) -> dict[Gauge, Callable[[], float]]:
    return {
        metrics.LINE_CLOSED: lambda: lines.breakers().get(channel, NEW).state is BreakerState.CLOSED,
        metrics.DAY_USED_UP: lambda: Short.DAY in lines.used_up(channel),
        metrics.SPEND_USED_UP: lambda: Short.SPEND in lines.used_up(channel),
    }


def troubles(lines: Lines) -> list[str]:
    """What an operator should know of the lines to providers."""
    told = [
        f"calls over {channel} fail; the next is tried at {kept.until:%H:%M:%S} UTC"
        for channel, kept in lines.breakers().items()
        if kept.state is not BreakerState.CLOSED and kept.until
    ]
    words = {Short.DAY: "messages", Short.SPEND: "money"}
    told += [
        f"nothing is left today of the {words[short]} for {channel}; what is due waits, and may expire"
        for channel in Channel
        for short in sorted(lines.used_up(channel))
    ]
    return told


def _oldest_age_seconds(connection: Connection, now: datetime) -> float:
    since = oldest_due(connection, now)
    return (now - since).total_seconds() if since else 0.0


def _or_unknown(read: Callable[[], float]) -> Callable[[], float]:
    def told() -> float:
        try:
            return read()
        except (RedisError, SQLAlchemyError):
            return math.nan

    return told
