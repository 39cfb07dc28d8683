"""Removes what has been kept long enough, a portion at a time, and whoever has been silent for years.

How long that is stands in `holdings.toml`; time is an argument, so that a dry run and a test can ask about any day.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement, Connection, Engine, Text, delete, func, select, tuple_
from sqlalchemy_utc import UtcDateTime

from consent import activity
from consent.desk import Desk
from consent.erasure import INACTIVITY
from engine.privacy.holdings import Holding, Period, in_order_of_reference, whose

PORTION = 500
"""Rows that one transaction removes: others wait for it no longer than that takes."""


@dataclass(frozen=True, slots=True)
class Expired:
    """A table's rows that are past a period: how many were there when it was counted."""

    holding: Holding
    period: Period
    rows: int

    @property
    def name(self) -> str:
        """The table, and the period that is over."""
        return f"{self.holding.table.name} after {self.period.days} days"


@dataclass(frozen=True, slots=True)
class Retention:
    """The purge of one records store. Of inactivity, `inactive_days` is how long a subject may be silent."""

    writes: Engine
    reads: Engine
    holdings: tuple[Holding, ...]
    inactive_days: int

    def expired(self, now: datetime) -> list[Expired]:
        """What a purge would remove from each table, period by period."""
        found = []
        with self.reads.connect() as conn:
            for holding in in_order_of_reference(self.holdings):
                for period in holding.periods:
                    count = select(func.count()).select_from(holding.table).where(_past(holding, period, now))
                    found.append(Expired(holding, period, conn.scalar(count) or 0))
        return found

    def purge(self, now: datetime, removed: Callable[[int], object] = lambda _: None) -> int:
        """Remove it; tells `removed` of each portion. Answers how many rows went."""
        total = 0
        for holding in in_order_of_reference(self.holdings):
            for period in holding.periods:
                while portion := self._purge_portion(holding, period, now):
                    total += portion
                    removed(portion)
        return total

    def inactive(self, now: datetime) -> Iterator[str]:
        """The subjects that have been silent for too long."""
        before, after = now - timedelta(days=self.inactive_days), ""
        while True:
            with self.reads.connect() as conn:
                silent, going_on = activity.silent_since(conn, before, after, PORTION, self._signs_of_life())
            yield from silent
            if going_on is None:
                return
            after = going_on

    def erase_inactive(
        self, desk: Desk, now: datetime, erased: Callable[[int], object] = lambda _: None
    ) -> int:
        """Erase them, each as if they had asked; answers how many."""
        total = 0
        for subject in self.inactive(now):
            desk.erase(subject, INACTIVITY)
            total += 1
            erased(1)
        return total

    def _purge_portion(self, holding: Holding, period: Period, now: datetime) -> int:
        columns = list(holding.table.primary_key)
        key = tuple_(*columns) if len(columns) > 1 else columns[0]
        with self.writes.begin() as conn:
            some = select(*columns).where(_past(holding, period, now)).order_by(*columns).limit(PORTION)
            rows = conn.execute(some.with_for_update(skip_locked=True)).all()
            these = key.in_([tuple(row) if len(columns) > 1 else row[0] for row in rows])
            if holding.activity is not None:
                activity.carry_over(conn, self._newest(conn, holding, these))
            conn.execute(delete(holding.table).where(these))
        return len(rows)

    def _signs_of_life(self) -> list[activity.Seen]:
        return [partial(self._seen, holding) for holding in self.holdings if holding.activity is not None]

    def _seen(self, holding: Holding, conn: Connection, ids: Sequence[str]) -> dict[str, datetime]:
        _, subject = whose(holding, self.holdings)
        return self._newest(conn, holding, subject.in_(ids))

    def _newest(self, conn: Connection, holding: Holding, which: ColumnElement[bool]) -> dict[str, datetime]:
        """When each subject was active last, by these rows of the table."""
        assert holding.activity is not None
        rows, subject = whose(holding, self.holdings)
        newest = func.max(holding.table.c[holding.activity], type_=UtcDateTime())
        query = select(subject, newest).select_from(rows).where(which, subject.is_not(None)).group_by(subject)
        return {row[0]: row[1] for row in conn.execute(query)}


def _past(holding: Holding, period: Period, now: datetime) -> ColumnElement[bool]:
    columns = holding.table.c
    before, start = now - timedelta(days=period.days), columns[period.start]
    past: ColumnElement[bool] = start < (
        before.date().isoformat() if isinstance(start.type, Text) else before
    )
    for column, value in period.unless.items():
        past &= columns[column] != value
    return past
