"""What the daily check of refusals reads, and what is remembered of each. The caller owns the transaction."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from campaigns.delivery.breach import (
    BreachCheck,
    Handled,
    Refusal,
    finding_from_json,
    finding_json,
    findings,
    refusals_of,
    span_of,
)
from campaigns.message import MessageState
from campaigns.tables import attempts, breach_checks, messages
from consent import ledger
from consent import store as consent_store
from consent.data_keys import IDS_PER_QUERY
from consent.entry import Channel

CATCH_UP_DAYS = 7
"""Days back for which a check that is missing is made up."""

Refusals = Callable[[Connection, datetime, datetime], Sequence[Refusal]]
"""Further refusals that came into force from one instant up to before another."""


def suppressed(conn: Connection, since: datetime, until: datetime) -> list[Refusal]:
    """Those of numbers that were put on the suppression list."""
    found = consent_store.subjects_suppressed(conn, since, until)
    return [Refusal(subject, at, "suppression") for subject, at in found]


def check_day(
    conn: Connection, day: date, now: datetime, others: Sequence[Refusals] = (suppressed,)
) -> BreachCheck:
    """Check the refusals of a UTC day against all messages since, and remember the result in place of an earlier one."""
    since, until = span_of(day)
    refusals = refusals_of(ledger.withdrawals_recorded(conn, since, until))
    for further in others:
        refusals += further(conn, since, until)
    subjects = sorted({refusal.subject for refusal in refusals})
    entries = ledger.entries_of_many(conn, subjects)
    handled = _handled(conn, subjects, since)
    found = tuple(findings(refusals, entries, handled, now))
    check = BreachCheck(day, now, withdrawals=len(refusals), messages=len(handled), findings=found)
    _remember(conn, check)
    return check


def due_days(conn: Connection, today: date) -> list[date]:
    """The days of the last week, today's left out, whose check is missing, oldest first."""
    wanted = [today - timedelta(days=ago) for ago in range(CATCH_UP_DAYS, 0, -1)]
    done = set(conn.scalars(select(breach_checks.c.day).where(breach_checks.c.day >= wanted[0])))
    return [day for day in wanted if day not in done]


def checks(conn: Connection, limit: int) -> list[BreachCheck]:
    """The newest checks, newest day first."""
    query = select(breach_checks).order_by(breach_checks.c.day.desc()).limit(limit)
    return [_check(row) for row in conn.execute(query)]


def _handled(conn: Connection, subjects: Iterable[str], since: datetime) -> list[Handled]:
    found: list[Handled] = []
    for some in _portions(subjects):
        tried = select(attempts.c.message, attempts.c.started_at).join(
            messages, messages.c.id == attempts.c.message
        )
        tried = tried.where(messages.c.subject.in_(some), attempts.c.started_at >= since)
        started: dict[str, list[datetime]] = {}
        for row in conn.execute(tried.order_by(attempts.c.started_at)):
            started.setdefault(row.message, []).append(row.started_at)
        for row in conn.execute(select(messages).where(messages.c.subject.in_(some)).order_by(messages.c.id)):
            waits = row.state == MessageState.DUE.value
            if waits or row.id in started:
                at = tuple(started.get(row.id, ()))
                found.append(Handled(row.id, row.subject, row.campaign, Channel(row.channel), waits, at))
    return found


def _portions(subjects: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(subjects)
    while some := list(islice(rest, IDS_PER_QUERY)):
        yield some


def _remember(conn: Connection, check: BreachCheck) -> None:
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    row = {
        "day": check.day,
        "checked_at": check.checked_at,
        "withdrawals": check.withdrawals,
        "messages": check.messages,
        "breaches": [finding_json(each) for each in check.findings],
    }
    conn.execute(insert(breach_checks).values(row).on_conflict_do_update(index_elements=["day"], set_=row))


def _check(row: Row[Any]) -> BreachCheck:
    found = tuple(map(finding_from_json, row.breaches))
    return BreachCheck(row.day, row.checked_at, row.withdrawals, row.messages, found)
