"""What is used of budgets: counters that a decision reserves from, and what becomes of a message commits or gives back.

Every function takes an open connection; the caller owns the transaction. Counters are locked in the order of their keys, and
after everything else that a transaction locks, so that no two wait for each other. A counter is made when a budget first
asks for it, and begins with what the messages say.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, true, update

from campaigns.limits.budget import ACCOUNT, EVER, Counted, Key, Used, owner_of
from campaigns.limits.usage import Standing
from campaigns.message import NEVER_SENT, Message, MessageState
from campaigns.tables import UNSETTLED, budget_counters, messages
from consent.store import insert_if_new

SETTLED_AT_ONCE = 500

_WAITING = (MessageState.DUE, MessageState.SENDING)
_READ = (
    select(budget_counters)
    .where(
        budget_counters.c.owner.in_(bindparam("owners", expanding=True)),
        budget_counters.c.day.in_(bindparam("days", expanding=True)),
    )
    .order_by(budget_counters.c.owner, budget_counters.c.day)
)
_LOCKED = _READ.with_for_update()


@dataclass(slots=True)
class _Delta:
    reserved_messages: int = 0
    reserved_micros: int = 0
    committed_messages: int = 0
    committed_micros: int = 0


class Counters:
    """The counters of one transaction, and what it reserves from them; `write` before it ends."""

    def __init__(self, used: Mapping[Key, Used]) -> None:
        self.used = dict(used)
        self._reserved: dict[Key, _Delta] = defaultdict(_Delta)

    def counts(self, message: Message) -> bool:
        """Whether there is a counter for the message."""
        return any(key in self.used for key in _keys(message.campaign, message.counted_on))

    def reserve(self, message: Message) -> None:
        """Count a message that was decided."""
        for key in _keys(message.campaign, message.counted_on):
            if key not in self.used:
                continue
            was = self.used[key]
            self.used[key] = Used(was.messages + 1, was.micros + message.cost_micros)
            self._reserved[key].reserved_messages += 1
            self._reserved[key].reserved_micros += message.cost_micros

    def write(self, conn: Connection) -> None:
        """Keep what was reserved."""
        _apply(conn, self._reserved)
        self._reserved.clear()


def lock_counters(conn: Connection, wanted: Iterable[Key], campaigns: Iterable[str], day: date) -> Counters:
    """Hold the counters that are wanted, made where there is none, and those that count the campaigns for other reasons.
    Without a campaign nothing is held.
    """
    campaigns = set(campaigns)
    if not campaigns:
        return Counters({})
    wanted = set(wanted)
    for key in sorted(wanted - _read(conn, campaigns, day, lock=False).keys()) if wanted else ():
        if insert_if_new(conn, budget_counters, {"owner": key.owner, "day": key.day, **_EMPTY}):
            _begin(conn, key)
    return Counters(_read(conn, campaigns, day, lock=True))


def read_counters(conn: Connection, campaigns: Iterable[str], day: date) -> dict[Key, Used]:
    """What is used now of the campaigns' budgets and the account's; nothing where none was asked for yet."""
    return _read(conn, campaigns, day, lock=False)


def standings(conn: Connection, keys: Sequence[Key]) -> dict[Key, Standing]:
    """What is reserved and committed under each of the keys, of one owner; from its messages where nothing was counted yet."""
    if not keys:
        return {}
    columns = budget_counters.c
    query = select(budget_counters).where(
        columns.owner == keys[0].owner, columns.day.in_([key.day for key in keys])
    )
    found = {
        Key(row.owner, row.day): Standing(
            Used(row.reserved_messages, row.reserved_micros),
            Used(row.committed_messages, row.committed_micros),
        )
        for row in conn.execute(query)
    }
    for key in keys:
        if key not in found:
            said = {name: _summed(conn, condition) for name, condition in _of_messages(key).items()}
            found[key] = Standing(said[Counted.RESERVED], said[Counted.COMMITTED])
    return found


def has_reached(conn: Connection, campaign: str | None, people: int, day: date | None = None) -> bool:
    """Whether so many shoppers got, or are to get, a message of the campaign (None: of any) on a day (None: ever)."""
    several = select(messages.c.subject).where(messages.c.test.is_not(true())).distinct().limit(people)
    if campaign is not None:
        several = several.where(messages.c.campaign == campaign)
    if day is not None:
        several = several.where(messages.c.counted_on == day)
    return (conn.scalar(select(func.count()).select_from(several.subquery())) or 0) >= people


def settle(conn: Connection, limit: int = SETTLED_AT_ONCE) -> int:
    """Commit what went and give back what never did, by what became of the messages; how many were settled.

    It may be called at any time, by anybody, any number of times.
    """
    rows = conn.execute(_unsettled(limit).with_for_update(skip_locked=True)).all()
    deltas: dict[Key, _Delta] = defaultdict(_Delta)
    for row in rows:
        became = standing_of(MessageState(row.state))
        for key in _keys(row.campaign, row.counted_on):
            _move(deltas[key], row, Counted(row.counted), became)
        conn.execute(update(messages).where(messages.c.id == row.id).values(counted=became.value))
    _apply(conn, deltas)
    return len(rows)


def has_unsettled(conn: Connection) -> bool:
    """Whether `settle` has something to do; locks nothing."""
    return conn.execute(_unsettled(1)).first() is not None


def release_of_subject(conn: Connection, subject: str) -> None:
    """Give back what is reserved for a subject's messages, before these are removed."""
    theirs = (messages.c.subject == subject) & (messages.c.counted == Counted.RESERVED.value)
    deltas: dict[Key, _Delta] = defaultdict(_Delta)
    for row in conn.execute(select(*_COLUMNS).where(theirs).with_for_update()):
        became = Counted.RELEASED if row.state == MessageState.DUE else Counted.COMMITTED
        for key in _keys(row.campaign, row.counted_on):
            _move(deltas[key], row, Counted.RESERVED, became)
    _apply(conn, deltas)


def standing_of(state: MessageState) -> Counted:
    """How a message in this state counts."""
    if state in NEVER_SENT:
        return Counted.RELEASED
    return Counted.RESERVED if state in _WAITING else Counted.COMMITTED


_EMPTY = {"reserved_messages": 0, "reserved_micros": 0, "committed_messages": 0, "committed_micros": 0}
_COLUMNS = (
    messages.c.id,
    messages.c.campaign,
    messages.c.state,
    messages.c.counted,
    messages.c.counted_on,
    messages.c.cost_micros,
)


def _unsettled(limit: int) -> Select[Any]:
    return select(*_COLUMNS).where(UNSETTLED).order_by(messages.c.id).limit(limit)


def _keys(campaign: str, day: date | None) -> Sequence[Key]:
    """Every counter that a message may stand in."""
    owner = owner_of(campaign)
    return (Key(owner), *((Key(owner, day.isoformat()), Key(ACCOUNT, day.isoformat())) if day else ()))


def _read(conn: Connection, campaigns: Iterable[str], day: date, *, lock: bool) -> dict[Key, Used]:
    owners = [ACCOUNT, *(owner_of(campaign) for campaign in sorted(set(campaigns)))]
    asked = {"owners": owners, "days": [EVER, day.isoformat()]}
    return {
        Key(row.owner, row.day): Used(
            row.reserved_messages + row.committed_messages, row.reserved_micros + row.committed_micros
        )
        for row in conn.execute(_LOCKED if lock else _READ, asked).all()
    }


def _begin(conn: Connection, key: Key) -> None:
    """Begin a new counter with the messages that there are."""
    this = (budget_counters.c.owner == key.owner) & (budget_counters.c.day == key.day)
    for name, mine in _of_messages(key).items():
        said = _summed(conn, mine)
        begun = {f"{name}_messages": said.messages, f"{name}_micros": said.micros}
        conn.execute(update(budget_counters).where(this).values(begun))
        fresh = messages.c.counted.is_(None)
        conn.execute(update(messages).where(mine, fresh).values(counted=name.value))


def _of_messages(key: Key) -> dict[Counted, ColumnElement[bool]]:
    """Which messages a counter stands for, by how they count; tests do not."""
    mine: ColumnElement[bool] = messages.c.state.not_in([state.value for state in NEVER_SENT])
    mine &= messages.c.test.is_not(true())
    if key.owner != ACCOUNT:
        mine &= messages.c.campaign == key.owner.partition(":")[2]
    if key.day != EVER:
        mine &= messages.c.counted_on == date.fromisoformat(key.day)
    is_waiting = messages.c.state.in_([state.value for state in _WAITING])
    return {Counted.RESERVED: mine & is_waiting, Counted.COMMITTED: mine & ~is_waiting}


def _summed(conn: Connection, mine: ColumnElement[bool]) -> Used:
    query = select(func.count(), func.coalesce(func.sum(messages.c.cost_micros), 0)).where(mine)
    many, micros = conn.execute(query).one()
    return Used(many, int(micros))


def _move(delta: _Delta, row: Any, was: Counted, became: Counted) -> None:
    micros = row.cost_micros or 0
    for standing, sign in ((was, -1), (became, 1)):
        if standing is Counted.RESERVED:
            delta.reserved_messages += sign
            delta.reserved_micros += sign * micros
        elif standing is Counted.COMMITTED:
            delta.committed_messages += sign
            delta.committed_micros += sign * micros


def _apply(conn: Connection, deltas: Mapping[Key, _Delta]) -> None:
    columns = budget_counters.c
    for key in sorted(deltas):
        delta = deltas[key]
        this = (columns.owner == key.owner) & (columns.day == key.day)
        changed = {
            columns.reserved_messages: columns.reserved_messages + delta.reserved_messages,
            columns.reserved_micros: columns.reserved_micros + delta.reserved_micros,
            columns.committed_messages: columns.committed_messages + delta.committed_messages,
            columns.committed_micros: columns.committed_micros + delta.committed_micros,
        }
        conn.execute(update(budget_counters).where(this).values(changed))
