"""What the metrics tell of sending, read from both stores when they are asked for: every process tells of all."""

import math
from collections.abc import Callable
from datetime import datetime
from itertools import product

from redis.exceptions import RedisError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from campaigns.dead_letter import count_dead
from campaigns.outbox import AttemptOutcome, oldest_due
from consent.entry import Channel
from engine import metrics
from engine.clock import Now
from engine.lines import Lines
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
    for channel, outcome in product(Channel, AttemptOutcome):

        def counted(channel: Channel = channel, outcome: AttemptOutcome = outcome) -> float:
            return lines.counted(channel, outcome)

        metrics.CALLS.labels(channel, outcome).set_function(_or_unknown(counted))


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
