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
from engine.lines import SECOND_YES, Lines, Short
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
    for outcome in AttemptOutcome:
        metrics.SECOND_YES_CALLS.labels(outcome).set_function(
            _or_unknown(partial(lines.counted, SECOND_YES, outcome))
        )
    for channel in Channel:
        for gauge, figure in _of_line(lines, channel).items():
            gauge.labels(channel).set_function(_or_unknown(figure))
        for line in lines.lines_of(channel):
            is_good = partial(_is_good, lines, line)
            metrics.LINE_OF_APP_CLOSED.labels(channel, line).set_function(_or_unknown(is_good))
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


def _is_good(lines: Lines, line: str) -> bool:
    return lines.standing(line).breaker.state is BreakerState.CLOSED


def troubles(lines: Lines) -> list[str]:
    """What an operator should know of the lines to providers."""
    told = []
    for line in (line for channel in Channel for line in lines.lines_of(channel)):
        standing = lines.standing(line)
        until = standing.breaker.until
        if standing.breaker.state is not BreakerState.CLOSED and until:
            told.append(f"calls over {line} fail; the next is tried at {until:%H:%M:%S} UTC")
        if paused_until := standing.paused_until:
            told.append(f"nothing is called over {line} before {paused_until:%H:%M:%S} UTC")
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
